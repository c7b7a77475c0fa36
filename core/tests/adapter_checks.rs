//! Mistakes in adapters that would show only when a request comes: each is refused, and stored
//! adapters that have it are still read.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use cutover_core::config::{Config, Problem};

/// The schema of the adapters below, with a type for each check.
const SCHEMA: &str = "type Query { user: User! users(filter: Filter, level: Level, skip: Int, take: Int): [User!]! } \
                      type Mutation { touch: User! } \
                      type User { id: ID! name: String born: Int! since: String! score: Float tags: [String!]! \
                      level: Level! rank: Level at: DateTime address: Address! } \
                      type Address { city: String! } input Filter { kind: Kind!, name: String, level: Level } \
                      enum Level { LOW HIGH } enum Kind { OWN ALL } scalar DateTime";

const OPERATIONS: &str = "query Q { user { id name born since score tags level rank at address { city } } } \
                          query L($filter: Filter, $level: Level, $skip: Int, $take: Int) { \
                          users(filter: $filter, level: $level, skip: $skip, take: $take) { id } } \
                          mutation M { touch { id } }";

/// Writes an adapter for a GraphQL backend with one route, which is in line 6 as a flow mapping.
fn graphql(route: &str) -> String {
    format!(
        "adapters:\n  a:\n    schema: \"{SCHEMA}\"\n    operations: \"{OPERATIONS}\"\n    routes:\n      - {{ {route} }}\n"
    )
}

/// Returns the problems of a file, with their remedies.
fn told(text: &str) -> Vec<String> {
    let told = |problem: &Problem| format!("{problem} | {}", problem.hint);
    Config::from_yaml(text).err().unwrap_or_default().iter().map(told).collect()
}

/// Asserts that a file has one problem, at this line, with this text.
fn refused(text: &str, line: &str, expected: &str) {
    let told = told(text);
    let fits = |told: &String| told.starts_with(line) && told.contains(expected);
    assert!(told.len() == 1 && told.iter().all(fits), "{text}{expected}: {told:#?}");
}

fn allowed(text: &str) {
    assert_eq!(told(text), Vec::<String>::new(), "{text}");
}

/// Asserts that a file is read if it was stored before its mistake was refused.
fn read_if_stored(text: &str) {
    let yaml = cutover_core::config::Node::from_yaml(text).unwrap();
    assert!(Config::from_stored(&yaml.to_json()).is_ok(), "{text}");
}

#[test]
fn a_status_without_a_body_needs_a_response_without_one() {
    let route =
        |rest: &str| graphql(&format!("match: {{ method: GET, path: /u }}, operation: Q, root: user{rest}"));
    for status in [204, 205] {
        let text = route(&format!(", response: id, status: {status}"));
        let expected = format!("{status} has no body | write response: none, or another status");
        refused(&text, "6:", &expected);
        read_if_stored(&text);
        refused(&route(&format!(", status: {status}")), "6:", &expected);
        allowed(&route(&format!(", response: none, status: {status}")));
    }
    allowed(&route(", response: id, status: 203"));
}

#[test]
fn a_request_that_only_reads_sends_no_mutation() {
    let route = |method: &str, operation: &str, root: &str| {
        graphql(&format!(
            "match: {{ method: {method}, path: /u }}, operation: {operation}, root: {root}, response: id"
        ))
    };
    for method in ["GET", "HEAD"] {
        let text = route(method, "M", "touch");
        refused(
            &text,
            "6:",
            &format!("{method} M is a mutation | give the route the method of a change, such as POST"),
        );
        read_if_stored(&text);
        allowed(&route(method, "Q", "user"));
    }
    allowed(&route("POST", "M", "touch"));
    allowed(&route("POST", "Q", "user"));
}

#[test]
fn the_result_of_read_has_the_fields_of_an_error() {
    let errors = |errors: &str| format!("adapters:\n  a:\n    errors:\n      {errors}\n    routes: []\n");
    let cases = [
        ("read: { object: { mesage: a.b } }", "an error has no mesage | did you mean message?"),
        (
            "read: { object: { text: a.b } }",
            "an error has no text | an error has status, code, message and field",
        ),
    ];
    for (read, expected) in cases {
        refused(&errors(read), "4:", expected);
        read_if_stored(&errors(read));
    }
    let of_status = |read: &str| errors(&format!("read: {read}\n      codes: {{ A: {{ status: read }} }}"));
    let nothing = of_status("{ object: { code: kind } }");
    refused(
        &nothing,
        "5:",
        "nothing reads a status from the errors of the backend | write read: { object: { status",
    );
    read_if_stored(&nothing);
    for read in [
        "{ object: { status: a.status, code: kind, message: text, field: place } }",
        // The schema does not tell of these.
        "problem",
        "{ object: { state: a }, rename: { state: status } }",
        "{ coalesce: [{ object: { state: a } }, b] }",
    ] {
        allowed(&of_status(read));
    }
}

#[test]
fn a_variable_has_its_value_from_one_place() {
    let route = |rest: &str| {
        graphql(&format!(
            "match: {{ method: GET, path: /u }}, operation: L, root: users, response: {{ each: id }}, {rest}"
        ))
    };
    let pages = |rest: &str, style: &str| {
        route(&format!("{rest}pagination: {{ page: query.page, limit: query.limit, {style} }}"))
    };
    let twice =
        pages("variables: { skip: query.skip, level: query.level }, ", "offset: { skip: skip, take: take }");
    refused(&twice, "6:", "the pagination sends $skip too | remove it here, or name another");
    read_if_stored(&twice);
    let same = pages("", "offset: { skip: skip, take: skip }");
    refused(&same, "6:", "skip has its value from two places | name two variables");
    read_if_stored(&same);
    allowed(&pages("variables: { level: query.level }, ", "offset: { skip: skip, take: take }"));
    let rest = |variable: &str| {
        format!(
            "adapters:\n  a:\n    routes:\n      - match: {{ method: GET, path: /u }}\n        \
             backend: {{ method: GET, path: /v2 }}\n        \
             pagination: {{ page: query.page, limit: query.limit, offset: {{ skip: skip, take: take }} }}\n        \
             variables:\n          {variable}: query.x\n"
        )
    };
    refused(&rest("take"), "8:", "the pagination sends $take too");
    allowed(&rest("other"));
}

/// Writes an adapter whose route maps a user.
fn mapping(response: &str) -> String {
    graphql(&format!("match: {{ method: GET, path: /u }}, operation: Q, root: user, response: {response}"))
}

#[test]
fn the_keys_of_a_map_are_values_of_the_enum() {
    let cases = [
        (
            "{ from: level, map: { LOW: 1, HIGH: 2, HIHG: 3 } }",
            "Level! is never HIHG | remove it; its values are LOW, HIGH",
        ),
        ("{ from: level, map: { HIHG: 3 }, otherwise: 0 }", "Level! is never HIHG | did you mean HIGH?"),
        (
            "{ from: rank, map: { X: 3 }, otherwise: 0 }",
            "Level is never X | remove it; its values are LOW, HIGH",
        ),
    ];
    for (response, expected) in cases {
        refused(&mapping(response), "6:", expected);
        read_if_stored(&mapping(response));
    }
    allowed(&mapping("{ from: rank, map: { LOW: 1, 'null': 0 }, otherwise: 2 }"));
    allowed(&mapping("{ from: name, map: { anything: 1 }, otherwise: 2 }"));
}

#[test]
fn a_constant_of_an_enum_is_refused_with_its_values() {
    let route = |variables: &str| {
        graphql(&format!(
            "match: {{ method: GET, path: /u }}, operation: L, root: users, response: {{ each: id }}, \
             variables: {{\n          {variables} }}"
        ))
    };
    let expected = "\"HIHG\" does not fit Level | write one of LOW, HIGH";
    refused(&route("level: { from: query.l, map: {\n          high: HIHG } }"), "8:", expected);
    refused(&route("level: { const: HIHG }"), "7:", expected);
    refused(
        &route("filter: { fields: { kind: { from: query.k, map: {\n          own: OWNN } } } }"),
        "8:",
        "\"OWNN\" does not fit the enum | write one of OWN, ALL",
    );
    allowed(&route("level: { from: query.l, map: { high: HIGH } }"));
}

#[test]
fn conversions_that_the_type_of_a_value_excludes_are_refused() {
    let date =
        |field: &str, from: &str| format!("{{ from: {field}, date: {{ from: {from}, to: rfc3339 }} }}");
    let excluded = [
        ("tags", "rfc3339", "[String!]!"),
        ("address", "epoch", "Address!"),
        ("level", "rfc3339", "Level!"),
        ("born", "rfc3339", "Int!"),
        ("score", "rfc3339", "Float"),
        ("since", "epoch", "String!"),
        ("since", "epoch_ms", "String!"),
    ];
    for (field, from, written) in excluded {
        let text = mapping(&date(field, from));
        refused(&text, "6:", &format!("{written} is no time in this format | rfc3339 is a string"));
        read_if_stored(&text);
    }
    for (field, from) in [("since", "rfc3339"), ("born", "epoch"), ("score", "epoch_ms"), ("id", "rfc3339")] {
        allowed(&mapping(&date(field, from)));
    }
    for from in ["rfc3339", "epoch", "epoch_ms"] {
        allowed(&mapping(&date("at", from)));
    }
    for (field, written) in [("tags", "[String!]!"), ("name", "String"), ("level", "Level!")] {
        let text = mapping(&format!("{{ from: {field}, add: {{ x: {{ const: 1 }} }} }}"));
        refused(&text, "6:", &format!("{written} is not an object, which add needs"));
        read_if_stored(&text);
    }
    for field in ["address", "at"] {
        allowed(&mapping(&format!("{{ from: {field}, add: {{ x: {{ const: 1 }} }} }}")));
    }
    allowed(&mapping("{ object: { a: id }, add: { x: { const: 1 } } }"));
}

#[test]
fn the_path_of_a_match_is_one_that_requests_have() {
    let route = |path: &str| {
        format!(
            "adapters:\n  a:\n    routes:\n      - match: {{ method: GET, path: \"{path}\" }}\n        \
             backend: {{ method: GET, path: /v2 }}\n"
        )
    };
    let cases = [
        ("/api/../users", "the path has a segment . or .. | write the path that is meant"),
        ("/./users", "the path has a segment . or .."),
        ("/api/%2e%2E/users", "the path has a segment . or .."),
        ("/my users", "no path of a request has ' ' | write it percent-encoded, such as %20"),
        ("/users/{id}/friends/{id}", "the path has the parameter \"id\" twice | give each parameter"),
    ];
    for (path, expected) in cases {
        refused(&route(path), "4:", expected);
        read_if_stored(&route(path));
    }
    for path in ["/my%20users", "/users/{id}/friends/{other}", "/.well-known/users"] {
        allowed(&route(path));
    }
}

#[test]
fn every_entry_for_a_null_can_be_the_first_that_applies() {
    let route = |entries: &str| {
        graphql(&format!(
            "match: {{ method: GET, path: /u }}, operation: Q, root: ., response: {{ from: user.id }}, when_null: {entries}"
        ))
    };
    let cases = [
        (
            "[{ at: user.rank }, { at: user.rank }]",
            "the entry for user.rank comes first whenever this one applies",
        ),
        ("[{ at: user.rank }, { status: 410 }]", "the entry for user.rank comes first"),
        ("[{ status: 410 }, { at: user.rank }, { status: 404 }]", "the entry for . comes first"),
    ];
    for (entries, expected) in cases {
        refused(&route(entries), "6:", expected);
        read_if_stored(&route(entries));
    }
    allowed(&route("[{ status: 410 }, { at: user.rank }, { at: user.name }]"));
}

#[test]
fn the_remedies_of_mistyped_places_and_conversions_name_what_was_meant() {
    let cases = [
        ("address.0", "Address! is no list, so it has no item 0 | name one of its fields"),
        (
            "{ from: born, as: number }",
            "Int! cannot be converted like this | it is a number already: remove as",
        ),
        (
            "{ from: name, as: string }",
            "String cannot be converted like this | it is a string already: remove as",
        ),
        ("'/u/{qeury.y}'", "{qeury.y} is not a place | did you mean query.y?"),
        // A field that is like it is more probable.
        ("'/u/{adress.city}'", "Q does not select adress of User! | did you mean address?"),
    ];
    for (response, expected) in cases {
        refused(&mapping(response), "6:", expected);
    }
    let status = "adapters:\n  a:\n    errors: { otherwise: { status: raed } }\n    routes: []\n";
    refused(status, "3:", "expected a number, found a string | write a number from 400 to 599, or read");
}
