//! Mappings: texts, paths, roots and tables, checked against the selection.

use super::*;

/// Returns the problems of a mapping of a user, which is written in line 9.
fn problems_of_mapping(mapping: &str) -> Vec<String> {
    let schema = "type Query { user: User! } type User { id: ID! name: String born: Int! tags: [String!]! \
                  level: Level! friends: [User!]! address: Address } type Address { city: String! } \
                  enum Level { LOW HIGH }";
    let operations = "query Q { user { id name born tags level friends { id } address { city } } }";
    problems(&format!(
        "adapters:\n  a:\n    schema: \"{schema}\"\n    operations: \"{operations}\"\n    routes:\n      \
         - match: {{ method: GET, path: '/u/{{id}}' }}\n        operation: Q\n        root: user\n        \
         response: {mapping}\n"
    ))
}

#[test]
fn texts_and_paths_are_checked_against_the_selection() {
    let cases = [
        // Texts with places.
        ("'https://api.example/users/{nam}'", "Q does not select nam of User!", "did you mean name?"),
        ("{ url: '/u/{friends}' }", "[User!]! is a list, which a text cannot contain", "such as friends.0"),
        ("{ text: '{address}' }", "Address is an object, which a text cannot", "such as address.city"),
        ("'{.}'", "User! is an object, which a text cannot contain", "one of its fields, such as id"),
        ("{ from: friends, each: '{name}' }", "Q does not select name of User!", "select name in"),
        ("'{path.x}'", "the path of the route has no parameter \"x\"", "write {x} in the path"),
        ("{ request: path }", "\"path\" is not a place in a request", "write path.NAME"),
        ("'{friends[0].id}'", "\"friends[0].id\" is not a path", "write friends.0.id"),
        ("'{}'", "\"\" is not a path", "write names with a dot between"),
        ("'/u/{id'", "has a { without its }", "close the place"),
        // Paths.
        ("friends[0].id", "\"friends[0].id\" is not a path", "write friends.0.id"),
        ("{ from: '[0]' }", "\"[0]\" is not a path", "write 0"),
        ("https://api.example/users", "is not a path", "write const: \"https://api.example/users\""),
        ("{ from: '/u/{id}' }", "\"/u/{id}\" is not a path", "as text: or url:"),
        ("friends.01", "[User!]! is a list and has no field 01", "by its number"),
        ("{ from: friends, pick: ['0'] }", "[User!]! is a list and has no field 0", "each"),
        ("friends.0.name", "Q does not select name of User!", "select name in"),
        // URLs of pages.
        ("{ page_url: { base: /u, page: tags } }", "[String!]! is a list", "such as tags.0"),
        ("{ page_url: { base: '/u/{x}', page: born } }", "Q does not select x of User!", "select x"),
        ("{ page_url: { base: '/u#top', page: born } }", "would be behind the #", "remove the #"),
        ("{ page_url: { base: /u, page: born, keep: [page] } }", "page is the number of the page", "remove"),
        ("{ page_url: { base: /u, page: born, keep: some } }", "expected a list, found a string", "or all"),
        ("{ page_url: { base: /u, page: born, position: top } }", "\"top\" is not a position", "same"),
        ("{ page_url: { page: born } }", "base is missing", "write { base:"),
        // What a mapping makes of them.
        ("{ length: true }", "User! is not a list", "{ from: users, length: true }"),
        ("{ from: name, otherwise: x }", "otherwise has no effect without map", "add map"),
        ("{ text: '{id}', as: string }", "String! cannot be converted like this", "as: number"),
        ("{ text: '{name}', as: string }", "String cannot be converted like this", "as: number"),
        ("{ from: tags, length: true, as: number }", "Int! cannot be converted like this", "as: string"),
        ("{ coalesce: [born, born], as: number }", "Int! cannot be converted like this", "as: string"),
        ("{ coalesce: [nam, born], as: number }", "Q does not select nam of User!", "did you mean name?"),
        ("{ from: level, map: { LOW: 1, HGIH: 2 } }", "Level! is never HGIH", "did you mean HIGH?"),
        ("{ from: level, map: { LOW: 1, HIGH: 2, MID: 3 } }", "Level! is never MID", "remove it"),
        ("{ from: born, default: 0 }", "Int! is never null or absent", "remove it"),
        ("{ from: address, pick: [city, zip] }", "Q does not select zip of Address", "select zip"),
        (
            "{ from: address, rename: { ctiy: town } }",
            "Q does not select ctiy of Address",
            "did you mean city?",
        ),
        ("{ from: friends, each: '/u/{id}', pick: [x] }", "is a list and has no field x", "each"),
    ];
    for (mapping, expected, remedy) in cases {
        let told = problems_of_mapping(mapping);
        let fits = |line: &String| line.starts_with("9:") && line.contains(expected) && line.contains(remedy);
        assert!(told.len() == 1 && told.iter().all(fits), "{mapping}: {told:#?}");
    }
    let allowed = [
        "'/u/{id}/{path.id}/{query.page}/{header.host}'",
        "'{friends.0.id} {tags.1} {address.city} {level}'",
        "{ from: friends, each: { url: '/u/{id}' } }",
        "{ from: tags, each: '#{.}' }",
        "{ from: friends.0.id, default: '' }",
        "{ from: born, text: '{.}', as: number, required: true }",
        "{ from: friends, length: true, as: string }",
        "{ page_url: { base: '/u/{id}', page: born, parameter: p, keep: all, position: same } }",
        "{ coalesce: [born, name], as: number }",
        "{ coalesce: [{ from: friends.0 }, { const: { id: x } }], pick: [other] }",
        "{ from: level, map: { LOW: 1, HIGH: 2 } }",
        "{ from: level, map: { LOW: 1, HIGH: 2, 'null': 3 } }",
        "{ from: name, default: '' }",
        "{ const: 'https://api.example/users' }",
    ];
    for mapping in allowed {
        assert_eq!(problems_of_mapping(mapping), Vec::<String>::new(), "{mapping}");
    }
}

#[test]
fn a_place_in_the_request_is_not_mistaken_for_a_field_of_the_same_name() {
    let schema = "type Query { post: Post! } type Post { id: ID! header: Header! body: [Header!]! path: String! } \
                  type Header { title: String! }";
    let adapter = |fields: &str, route: &str| {
        format!(
            "adapters:\n  a:\n    schema: \"{schema}\"\n    operations: \"query Q {{ post {{ {fields} }} }}\"\n    \
             routes:\n      - match: {{ method: GET, path: '/p/{{id}}' }}\n        operation: Q\n        \
             root: post\n        {route}\n"
        )
    };
    let fields = "id header { title } body { title } path";
    let route = |mapping: &str| format!("response: {mapping}");
    for (route, place, field) in [
        (route("'{header.title}'"), "header.title", "header"),
        (route("{ object: { text: { url: '/{header.x-client}' } } }"), "header.x-client", "header"),
        (route("'{body.0.title}'"), "body.0.title", "body"),
        (route("{ page_url: { base: '/{header.title}', page: id } }"), "header.title", "header"),
        ("headers: { x-title: '{header.title}' }".to_owned(), "header.title", "header"),
    ] {
        let told = problems(&adapter(fields, &route));
        let expected =
            format!("{{{place}}} is read from the client's request, but Q selects {field} of Post!");
        let remedy = format!("its_{field}: {field} {{ ... }}; to read the field, write from: {field}");
        let fits =
            |line: &String| line.starts_with("9:") && line.contains(&expected) && line.contains(&remedy);
        assert!(told.len() == 1 && told.iter().all(fits), "{route}: {told:#?}");
    }
    for (fields, mapping) in [
        // A scalar has no fields, and neither has a value with another structure.
        (fields, "'{path.id}'"),
        (fields, "{ from: header, text: '{title}, {header.host}' }"),
        (fields, "{ object: { client: { request: header.title }, ours: header.title } }"),
        ("its_header: header { title }", "'{header.title}: {its_header.title}'"),
    ] {
        assert_eq!(problems(&adapter(fields, &route(mapping))), Vec::<String>::new(), "{mapping}");
    }
    // An adapter that was stored earlier is read as before.
    let text = adapter("its_header: header { title }", &route("'{header.title}'"));
    let stored = serde_json::to_string(&Config::from_yaml(&text).unwrap()).unwrap();
    let stored = stored.replace("its_header: header", "header");
    assert!(Config::from_stored(&serde_json::from_str(&stored).unwrap()).is_ok(), "{stored}");
}

#[test]
fn the_root_of_a_route_is_checked_like_a_path() {
    let told = |root: &str| {
        problems(&format!(
            "adapters:\n  a:\n    schema: \"type Query {{ users: [User!]! }} type User {{ id: ID! }}\"\n    \
             operations: \"query Q {{ users {{ id }} }}\"\n    routes:\n      \
             - match: {{ method: GET, path: /u }}\n        operation: Q\n        root: {root}\n"
        ))
    };
    let cases = [
        ("user", "Q does not select user of Query", "did you mean users?"),
        ("users[0]", "\"users[0]\" is not a path", "write users.0"),
        ("users.id", "[User!]! is a list and has no field id", "by its number"),
        ("users.0.name", "Q does not select name of User!", "select name"),
        ("'{users}'", "\"{users}\" is not a path", "in place of the whole mapping"),
        ("users.0", "users.0 of Q may be null", "set when_null"),
    ];
    for (root, expected, remedy) in cases {
        let told = told(root);
        let fits = |line: &String| line.contains(expected) && line.contains(remedy);
        assert!(told.len() == 1 && told.iter().all(fits), "{root}: {told:#?}");
    }
    for root in ["users", "users.0\n        when_null: { status: 404 }", "."] {
        assert_eq!(told(root), Vec::<String>::new(), "{root}");
    }
}

#[test]
fn a_mapping_that_was_meant_for_a_root_asks_for_it() {
    let told = problems(&of_pages("        response: { object: { all: items } }\n"));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("P does not select items of Query | write root: page in the route"),
        "{told:#?}"
    );
    // With a root, and for a name that is nowhere, the remedy is as before.
    for response in
        ["        root: page\n        when_null: {}\n        response: count\n", "        response: x\n"]
    {
        let told = problems(&of_pages(response));
        assert!(told.len() == 1 && told[0].contains("in the operation, or remove it"), "{told:#?}");
    }
}

#[test]
fn a_table_that_does_not_name_all_values_of_a_scalar_is_warned_of() {
    let schema = "type Query { user: User! } type User { level: String! kind: Kind! active: Boolean! age: Int }\n\
                  enum Kind { OWN ALL }";
    let config = |mapping: &str| {
        let text = format!(
            "adapters:\n  a:\n    schema: {schema:?}\n    operations: \"query Q {{ user {{ level kind active age }} }}\"\n    \
             errors: {{ envelope: {{ object: {{ error: {{ from: code, map: {{ A: a }} }} }} }} }}\n    shapes: {{ s: {{ map: {{ \
             low: 1 }} }} }}\n    routes:\n      - match: {{ method: GET, path: /u }}\n        operation: Q\n        root: user\n        \
             response: {{ object: {{ x: {mapping}, s: {{ from: kind, map: {{ OWN: 1, ALL: 2 }} }}, t: {{ from: level, shape: s, \
             default: 0 }} }} }}\n"
        );
        Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:#?}"))
    };
    let shape = "adapter a: shapes.s.map: String! may have values that map does not name, and a response with one is \
                 unfit (502); add otherwise: with the value for all others";
    for complete in [
        "level",
        "{ from: kind, map: { OWN: o, ALL: a } }",
        "{ from: level, map: { low: 1 }, otherwise: 0 }",
        "{ from: active, map: { true: 1, false: 0 } }",
    ] {
        assert_eq!(config(complete).warnings(), [shape], "{complete}");
    }
    for (open, written) in [
        ("{ from: level, map: { low: 1 } }", "String!"),
        ("{ from: active, map: { true: 1 } }", "Boolean!"),
        ("{ from: age, map: { 1: one } }", "Int"),
    ] {
        let config = config(open);
        let told = config.warnings();
        let expected = format!("x.map: {written} may have values that map does not name");
        assert!(told.len() == 2 && told.iter().any(|told| told.contains(&expected)), "{open}: {told:#?}");
        // Of what is stored nothing is told, and it is the same.
        let stored: Config = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert!(stored.warnings().is_empty() && stored == config);
    }
}
