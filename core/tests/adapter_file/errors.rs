//! Errors of an adapter, and the statuses that are read from them.

use super::*;

#[test]
fn an_error_has_four_fields() {
    let told = |errors: &str, when_null: &str| {
        problems(&format!(
            "adapters:\n  a:\n    errors: {errors}\n    routes:\n      \
             - match: {{ method: GET, path: '/u/{{id}}' }}\n        backend: {{ method: GET, path: /u }}\n        \
             when_null: {when_null}\n"
        ))
    };
    let error = "{ status: 404 }";
    let cases = [
        (
            "{ envelope: { object: { error: mesage } } }",
            error,
            "3:",
            "has no mesage",
            "did you mean message?",
        ),
        (
            "{ envelope: { object: { error: msg } } }",
            error,
            "3:",
            "an error has no msg",
            "an error has status",
        ),
        ("{ envelope: 'Sorry: {msg}' }", error, "3:", "an error has no msg", "an error has status"),
        ("{ otherwise: { message: 'no {id}' } }", error, "3:", "an error has no id", "write {path.id}"),
        ("{}", "{ status: 404, message: 'no {id}' }", "7:", "an error has no id", "write {path.id} for the"),
        ("{}", "{ status: 404, message: '{.}' }", "7:", "an error is an object", "such as status"),
    ];
    for (errors, when_null, line, expected, remedy) in cases {
        let told = told(errors, when_null);
        let fits = |told: &String| told.starts_with(line) && told.contains(expected) && told.contains(remedy);
        assert!(told.len() == 1 && told.iter().all(fits), "{errors} {when_null}: {told:#?}");
    }
    let allowed = "{ envelope: { object: { text: 'Sorry: {message}', status: { from: status, as: string } } }, \
                   otherwise: { message: '{code}: {message} {field} {status} {query.x}' } }";
    let problems = told(allowed, "{ status: 404, message: 'no {path.id}' }");
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_status_is_read_only_from_errors_that_something_reads() {
    let told =
        |errors: &str| problems(&format!("adapters:\n  a:\n    errors: {{ {errors} }}\n    routes: []\n"));
    let read = "read: { object: { status: extensions.status } }";
    let none = Vec::<String>::new();
    assert_eq!(
        told(&format!("{read}, otherwise: {{ status: read }}, codes: {{ A: {{ status: read }} }}")),
        none
    );
    let nothing = "nothing reads a status from the errors of the backend | write read:";
    for (errors, expected) in [
        ("otherwise: { status: read }".to_owned(), nothing),
        ("statuses: { 404: { status: read } }".to_owned(), nothing),
        (
            format!("{read}, invalid: {{ status: read }}"),
            "from which a status could be read | write a number",
        ),
        (format!("{read}, otherwise: {{ status: reed }}"), "expected a number, found a string"),
    ] {
        let told = told(&errors);
        assert!(told.len() == 1 && told[0].contains(expected), "{errors}: {told:#?}");
    }
}

#[test]
fn all_mistakes_of_errors_are_named() {
    let told = problems(
        "adapters:\n  a:\n    errors:\n      envelope: { object: { e: mesage } }\n      read: { from: a, as: nmber }\n      \
         otherwise: { status: read, code: [] }\n      invalid: { status: 200 }\n      statuses: { 42: { status: 9 } }\n    \
         routes: []\n",
    );
    let expected = [
        ("4:", "an error has no mesage"),
        ("5:", "\"nmber\" is not a conversion"),
        ("6:", "expected a string, found a list"),
        ("7:", "200 is out of range"),
        ("8:", "42 is not a status"),
        ("8:", "9 is out of range"),
    ];
    assert_told(&told, &expected);
}
