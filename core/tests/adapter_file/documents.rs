//! Documents of GraphQL with mistakes.

use super::*;

#[test]
fn a_url_without_a_schema_has_one_message_and_the_hint_for_urls() {
    let adapter = ADAPTER.replace("schema: schema.graphql", "schema: http://api.example/graphq");
    let problems = Config::from_yaml_with(CONFIG, &|name| match name {
        "reviews/adapter.yaml" => Ok(adapter.clone()),
        "reviews/operations.graphql" => Ok(OPERATIONS.to_owned()),
        _ => Err("404 Not Found, and no schema".to_owned()),
    });
    let told: Vec<String> = problems
        .expect_err("there is no schema")
        .iter()
        .map(|problem| format!("{problem} | {}", problem.hint))
        .collect();
    let message =
        "reviews/adapter.yaml:2:9: schema: http://api.example/graphq: 404 Not Found, and no schema | ";
    assert!(told.len() == 1 && told[0].starts_with(message), "{told:#?}");
    assert!(told[0].contains("cutover adapter schema URL") && !told[0].contains("folder"), "{told:#?}");
}

#[test]
fn a_brace_that_is_missing_in_a_document_is_told_once() {
    let problems = |operations: &str, schema: &str| {
        let problems = read(CONFIG, ADAPTER, operations, schema).expect_err("a brace is missing");
        let told = |problem: &Problem| format!("{problem} | {}", problem.hint);
        problems.iter().map(told).collect::<Vec<_>>()
    };
    let cases = [
        (problems(&OPERATIONS.replacen("  isModerated\n}", "  isModerated\n", 1), SCHEMA), OPERATIONS_FILE),
        (problems(OPERATIONS, &SCHEMA.replacen(" {", "", 1)), "reviews/schema.graphql"),
    ];
    for (told, file) in cases {
        assert!(told.len() == 1 && told[0].starts_with(file), "{told:#?}");
        assert!(told[0].contains("syntax error") && told[0].contains("may be missing above"), "{told:#?}");
    }
    // The schema refuses each of these by itself.
    let unknown = OPERATIONS.replacen("  rating\n  text\n", "  stars\n  words\n", 1);
    let told = problems(&unknown, SCHEMA);
    for name in ["`stars`", "`words`"] {
        assert!(told.iter().any(|told| told.contains(name)), "{name}: {told:#?}");
    }
}

/// Returns the problems of an adapter whose documents are in files, and whose route has these fields from line 5
/// on.
fn of_documents(schema: &str, operations: &str, route: &str) -> Vec<String> {
    let adapter = format!(
        "schema: s.graphql\noperations: o.graphql\nroutes:\n  \
         - match: {{ method: GET, path: '/p/{{id}}' }}\n{route}"
    );
    let problems = Config::from_yaml_with("adapters: { a: a.yaml }", &|name| match name {
        "a.yaml" => Ok(adapter.clone()),
        "s.graphql" if !schema.is_empty() => Ok(schema.to_owned()),
        "o.graphql" if !operations.is_empty() => Ok(operations.to_owned()),
        _ => Err("there is no such file".to_owned()),
    });
    let told = |problem: &Problem| format!("{problem} | {}", problem.hint);
    problems.err().unwrap_or_default().iter().map(told).collect()
}

const PERSONS: &str = "type Query { person(id: ID!): Person persons: [Person!]! }
type Person { id: ID! name: String home: Place }
type Place { id: ID! }
";

#[test]
fn a_mistake_in_an_operation_hides_none_of_the_adapter() {
    let by_id = "    operation: A\n    variables: { id: path.id }\n    root: person\n";
    type Told<'t> = &'t [(&'t str, &'t str)];
    let cases: [(&str, &str, Told<'_>); 7] = [
        // The variables are checked, and nothing is told of the response.
        (
            "query A($id: ID!) { persn(id: $id) { ...F } }\nfragment F on Person { id }",
            "    operation: A\n    variables: { id: path.x, idd: path.id }\n    root: persn\n    response: nothing\n",
            &[
                ("o.graphql:1:21: ", "type `Query` does not have a field `persn` | did you mean person?"),
                ("a.yaml:6:", "the path of the route has no parameter \"x\""),
                ("a.yaml:6:", "A declares no variable $idd | did you mean id?"),
            ],
        ),
        // An object without the wrong field has no fields, and a wrong fragment is none.
        (
            "query A($id: ID!) { person(id: $id) { home { nam } } }",
            by_id,
            &[("o.graphql:1:46: ", "type `Place` does not have a field `nam`")],
        ),
        (
            "query A($id: ID!) { person(id: $id) { ...F } }\n\
             fragment F on Persn { home { ...G } }\nfragment G on Place { id }",
            by_id,
            &[(
                "o.graphql:2:",
                "type condition `Persn` of fragment `F` is not a type defined in the schema | did you mean Person?",
            )],
        ),
        // A variable of an unknown type takes any value.
        (
            "query A($id: IDD!) {\n person(id: $id) { id } }",
            "    operation: A\n    variables: { id: { from: path.id, split: \",\", default: 1, invalid: default } }\n",
            &[("o.graphql:1:9: ", "cannot find type `IDD` in this document")],
        ),
        // The adapter may name a variable that the operation uses.
        (
            "query A { person(id: $id) { id } }",
            by_id,
            &[("o.graphql:1:", "variable `$id` is not defined | declare it")],
        ),
        // Other operations are checked to the last field.
        (
            "query A { persons { id } }\nquery B { person(id: 1) { nme } }",
            "    operation: A\n    root: persons\n    response: { each: { object: { name: nme } } }\n",
            &[
                ("o.graphql:2:27: ", "does not have a field `nme` | did you mean name?"),
                ("a.yaml:7:", "A does not select nme of Person! | select nme"),
            ],
        ),
        // Of two operations with one name, neither is meant.
        (
            "query A { persons { id } }\nquery A { person(id: 1) { id } }",
            "    operation: A\n    root: person\n    response: name\n",
            &[(
                "o.graphql:2:7: ",
                "is defined multiple times in the document | give one of the two another name",
            )],
        ),
    ];
    for (operations, route, expected) in cases {
        assert_told(&of_documents(PERSONS, operations, route), expected);
    }
}

#[test]
fn documents_that_cannot_be_read_hide_no_mistake_of_the_adapter() {
    let operations = "query A($id: ID!, $place: Place) { person(id: $id, place: $place) { id } }";
    let of = |name: &str| {
        format!(
            "    operation: {name}\n    variables: {{ id: path.x, place: {{ fields: {{ id: query. }} }} }}\n    \
             root: person\n    response: {{ object: {{ id: {{ from: some.thing, as: nmber }} }} }}\n"
        )
    };
    let own = [
        ("a.yaml:6:", "the path of the route has no parameter \"x\""),
        ("a.yaml:6:", "\"query.\" is not a place in a request"),
        ("a.yaml:8:", "\"nmber\" is not a conversion"),
    ];
    let cases: [(&str, &str, &str, (&str, &str)); 4] = [
        (
            &PERSONS.replace("name: String", "name: Text"),
            operations,
            "A",
            ("s.graphql:2:", "cannot find type `Text`"),
        ),
        (&PERSONS.replace("type Place {", "type Place"), operations, "A", ("s.graphql:3:", "syntax error: ")),
        ("", operations, "A", ("a.yaml:1:", "s.graphql: there is no such file")),
        (PERSONS, "query A($id ID!) { persons { id } }", "Missing", ("o.graphql:1:", "syntax error: ")),
    ];
    for (schema, operations, name, documents) in cases {
        assert_told(&of_documents(schema, operations, &of(name)), &[&[documents][..], &own[..]].concat());
    }
    // Names are known without a schema.
    let told = of_documents("", operations, "    operation: B\n");
    assert_told(
        &told,
        &[("a.yaml:1:", "no such file"), ("a.yaml:5:", "there is no operation \"B\" | add it")],
    );
    let told = of_documents("", operations, "    operation: A\n    variables: { di: query.id }\n");
    let needed = ("a.yaml:6:", "A needs $id: ID! | add id:");
    assert_told(&told, &[("a.yaml:1:", "no such file"), ("a.yaml:6:", "A declares no variable $di"), needed]);
}

#[test]
fn a_route_with_an_operation_needs_documents() {
    let route = "    routes:\n      - match: { method: GET, path: /a }\n        operation: A\n";
    let told = problems(&format!("adapters:\n  a:\n{route}"));
    assert_told(&told, &[("5:", "the adapter has no operations | write schema: and operations:")]);
    let told = problems(&format!("adapters:\n  a:\n    schema: \"type Query {{ a: Int }}\"\n{route}"));
    assert_told(&told, &[("3:", "a schema needs operations | write operations: with")]);
    // It was left out of stored adapters.
    let stored = serde_json::json!({ "adapters": { "a": { "routes": [
        { "match": { "method": "GET", "path": "/a" }, "operation": "A" },
    ] } } });
    let config = Config::from_stored(&stored).unwrap();
    assert!(config.adapters.values().next().unwrap().program().routes.is_empty());
}
