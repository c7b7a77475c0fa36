//! Variables of a route.

use super::*;

#[test]
fn absent_values_of_variables_are_checked() {
    let told = |variable: &str| {
        problems(&format!(
            "adapters:\n  a:\n    routes:\n      - match: {{ method: GET, path: /r }}\n        \
             backend: {{ method: GET, path: /v2 }}\n        variables:\n          v: {variable}\n"
        ))
    };
    for allowed in [
        "{ from: query.v, type: int, invalid: default }",
        "{ from: query.v, type: int, required: true, default: 1, invalid: default, empty: absent }",
        "{ from: \"query.v[]\", type: list, split: \",\" }",
        "query.v[]",
    ] {
        assert_eq!(told(allowed), Vec::<String>::new(), "{allowed}");
    }
    let cases = [
        ("{ from: query.v, required: true, invalid: default }", "and there is no default | add default:"),
        ("{ from: query.v, invalid: absent }", "is no response to an invalid value | write invalid: default"),
        ("{ from: query.v, empty: default }", "is not a meaning of an empty value | write empty: absent"),
        ("{ const: 1, type: int, empty: absent }", "is not read from the request | remove it"),
        ("{ const: 1, type: int, invalid: default }", "is not read from the request | remove it"),
        ("{ from: query.v, type: boolean, min: 1 }", "Boolean has no min | only numbers"),
        ("{ from: query.v, type: boolean, integer: true }", "Boolean is never an integer | remove it"),
        ("{ from: query.v, clamp: true, min: 1 }", "String is not a number | remove clamp"),
        ("{ from: query.v, type: int, clamp: true }", "clamp has no effect without bounds | add min or max"),
        ("{ from: query.v, type: int, min: 3, max: 2 }", "2, is below the smallest, 3 | correct min or max"),
        ("{ const: a, default: b }", "a constant needs no default | keep const or default"),
        ("{ from: query.v, const: a }", "cannot be read from a request | keep const or from"),
        ("{ from: header.v, type: list }", "the list cannot be made from one string | name the separator"),
        ("{ from: header.v, type: list, split: ab }", "this is not one character | write one"),
        ("{ from: query.v, type: itn, default: 1, min: 2 }", "\"itn\" is not a type | write int"),
        ("{ form: query.v }", "form is not a field of this object | did you mean from?"),
        ("{ type: int }", "the variable has no source | write from, const or fields"),
    ];
    for (variable, expected) in cases {
        let told = told(variable);
        let is_there = told.len() == 1 && told[0].contains(expected) && told[0].starts_with("7:");
        assert!(is_there, "{variable}: {told:#?}");
    }
}

#[test]
fn keys_of_variables_without_effect_are_named() {
    let of = |variable: &str| {
        of_variables(&format!(
            "        variables:\n          skip: {{ const: 0 }}\n          take: {{ const: 1 }}\n          {variable}\n"
        ))
    };
    let cases = [
        ("f: { from: body, fields: { s: query.s } }", "from has no effect on an object that fields make"),
        (
            "f: { default: { s: a }, fields: { s: query.s } }",
            "default has no effect on an object that fields make",
        ),
        ("f: { default: { s: a } }", "made from the fields of the body, not of default | write const"),
        ("f: { fields: { s: query.s }, integer: true }", "F is never an integer | remove it"),
        (
            "f: { fields: { i: { from: query.i, map: { one: x } } } }",
            "\"x\" does not fit Int | write a value of the type Int",
        ),
        ("after: { from: path.id, default: x }", "so that default is never used | remove default"),
        (
            "after: { from: query.after, type: string }",
            "type has no effect: the operation declares it | remove it",
        ),
    ];
    for (variable, expected) in cases {
        assert_told(&of(variable), &[("11:", expected)]);
    }
    for allowed in [
        "f: { from: body }",
        "f: { fields: { s: query.s } }",
        "after: { from: path.id, default: x, invalid: default }",
    ] {
        assert_told(&of(allowed), &[]);
    }
    // A name that was probably meant is not missing too.
    let told = of_variables("        variables: { skip: query.s, tak: query.t }\n");
    assert_told(&told, &[("8:", "L declares no variable $tak | did you mean take?")]);
    let told = of_variables("        varables: { skip: query.s, take: query.t }\n");
    assert_told(&told, &[("8:", "varables is not a field of this object | did you mean variables?")]);
}

#[test]
fn a_constant_object_is_not_made_from_the_body() {
    let program = program(
        "adapters:\n  a:\n    schema: \"input F { s: String } type Query { a(f: F): Int }\"\n    \
         operations: \"query A($f: F) { a(f: $f) }\"\n    routes:\n      \
         - match: { method: POST, path: /a }\n        operation: A\n        variables: { f: { const: { s: x } } }\n",
    );
    let route = &program.routes[0];
    let value = route.variables[0].value(&Request::default()).unwrap();
    assert_eq!(value.map(|value| value.to_string()).as_deref(), Some("{\"s\":\"x\"}"));
    assert!(!route.reads_body);
}
