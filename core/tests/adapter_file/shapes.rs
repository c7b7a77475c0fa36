//! Named shapes: stored once, told once, and named if nothing uses them.

use super::*;

#[test]
fn shapes_that_nothing_uses_are_named() {
    let told = problems(
        "adapters:\n  a:\n    shapes:\n      used: id\n      inner: name\n      outer: { shape: inner }\n      \
         other: { object: { a: { shape: last } } }\n      last: b\n    routes:\n      \
         - match: { method: GET, path: /u }\n        backend: { method: GET, path: /u }\n        \
         response: { coalesce: [{ shape: used }, { shape: outer }] }\n",
    );
    let expected = [("7:", "other"), ("8:", "last")];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (line, name)) in told.iter().zip(expected) {
        assert!(told.starts_with(line), "{told}");
        assert!(
            told.contains(&format!("nothing uses the shape {name} | use it with shape: {name}")),
            "{told}"
        );
    }
}

/// Writes an adapter for a REST backend with a shape of so many fields, which all routes use.
fn sharing(routes: usize, fields: usize) -> String {
    let field = |at: usize| format!("          field_{at}: {{ from: value_{at}, as: string }}\n");
    let route = |at: usize| {
        format!(
            "      - match: {{ method: GET, path: /r{at} }}\n        backend: {{ method: GET, path: /r{at} }}\n        \
             response: {{ shape: user }}\n"
        )
    };
    let (fields, routes): (String, String) =
        ((0..fields).map(field).collect(), (0..routes).map(route).collect());
    format!("adapters:\n  a:\n    shapes:\n      user:\n        object:\n{fields}    routes:\n{routes}")
}

#[test]
fn a_named_shape_is_stored_once_however_many_mappings_use_it() {
    let compiled = |routes: usize| {
        let config = Config::from_yaml(&sharing(routes, 40)).unwrap();
        serde_json::to_string(&**config.adapters.values().next().unwrap().program()).unwrap()
    };
    let (one, two, twelve) = (compiled(1), compiled(2), compiled(12));
    assert!(!one.contains("\"shape\""), "a shape that is used once is written out: {one}");
    for text in [&one, &two, &twelve] {
        assert_eq!(text.matches("\"value_7\"").count(), 1, "{text}");
    }
    let of_one_route = (twelve.len() - two.len()) / 10;
    assert!(of_one_route < 200, "each use takes {of_one_route} bytes, and the shape {}", one.len());
}

#[test]
fn a_large_adapter_is_told_before_it_is_too_large() {
    let warnings = |fields| Config::from_yaml(&sharing(1, fields)).unwrap().warnings();
    assert_eq!(warnings(40), Vec::<String>::new());
    let told = warnings(1_000);
    assert!(told.len() == 1 && told[0].starts_with("adapter a: compiled, it has "), "{told:?}");
    assert!(told[0].contains(" of at most 150000 bytes") && told[0].contains("split its routes"), "{told:?}");
}

#[test]
fn mistakes_of_a_shape_are_told_once_however_many_mappings_use_it() {
    let route = "      - match: { method: GET, path: /NAME }\n        backend: { method: GET, path: /r }\n        response: { shape: s }\n";
    let told = problems(&format!(
        "adapters:\n  a:\n    shapes:\n      s: {{ page_url: {{}} }}\n    routes:\n{}{}",
        route.replace("NAME", "a"),
        route.replace("NAME", "b")
    ));
    assert_told(&told, &[("4:", "base is missing"), ("4:", "page is missing")]);
}

#[test]
fn a_mistake_in_a_shape_is_told_once_however_many_operations_use_it() {
    let schema = "type Query { user: User! users: [User!]! friend: User } type User { id: ID! name: String }";
    let operations =
        "query One { user { id name } } query Many { users { id name } } query Friend { friend { id name } }";
    let route = |name: &str, root: &str, response: &str| {
        format!(
            "      - match: {{ method: GET, path: /{name} }}\n        operation: {name}\n        root: {root}\n        \
             when_null: {{ status: 404 }}\n        response: {response}\n"
        )
    };
    let text = |shapes: &str| {
        let routes = [
            route("One", "user", "{ shape: user }").replace("        when_null: { status: 404 }\n", ""),
            route("Many", "users", "{ each: { shape: user } }")
                .replace("        when_null: { status: 404 }\n", ""),
            route("Friend", "friend", "{ shape: user }"),
        ];
        format!(
            "adapters:\n  a:\n    schema: \"{schema}\"\n    operations: \"{operations}\"\n    shapes:\n      \
             {shapes}\n    routes:\n{}",
            routes.concat()
        )
    };
    let told = problems(&text("user: { object: { id: id, a: nmae, b: \"{nmae} {idd}\" } }"));
    let expected = [
        (
            "6:",
            "One does not select nmae of User! | did you mean name? Otherwise select nmae in every operation \
                that uses the shape user",
        ),
        ("6:", "One does not select nmae of User!"),
        ("6:", "One does not select idd of User!"),
    ];
    assert_told(&told, &expected);
    assert_told(&problems(&text("user: { object: { id: id, name: name } }")), &[]);
}

#[test]
fn shapes_that_nothing_uses_are_named_beside_other_mistakes() {
    let told = problems(
        "adapters:\n  a:\n    shapes:\n      person: { object: { home: { shape: place } } }\n      place: name\n      \
         lost: { shape: loser }\n      loser: name\n    routes:\n      - match: { method: GET, path: /a }\n        \
         backend: { method: GET, path: /a }\n        response: { shape: persn }\n",
    );
    let expected = [
        ("6:", "nothing uses the shape lost"),
        ("7:", "nothing uses the shape loser"),
        ("11:", "there is no shape \"persn\" | did you mean person?"),
    ];
    assert_told(&told, &expected);
    // A file that cannot be read may have the shape.
    let adapter =
        INCLUDING.replace("[shared/common.yaml]", "[shared/common.yaml, gone.yaml]").replace("user", "usr");
    let told: Vec<String> = including(&adapter, INCLUDED)
        .expect_err("a file is missing")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_told(&told, &[("api/a.yaml:1:", "api/gone.yaml: there is no such file")]);
}
