//! Requests to a backend, and its responses.

use super::*;

#[test]
fn the_path_of_a_backend_is_one_that_parsers_of_urls_leave_as_it_is() {
    let told = |path: &str| {
        problems(&format!(
            "adapters:\n  a:\n    routes:\n      - match: {{ method: GET, path: '/r/{{id}}' }}\n        \
             backend: {{ method: GET, path: '{path}' }}\n"
        ))
    };
    let cases = [
        ("api/{path.id}", "does not begin with a slash"),
        ("{path.id}.example/api", "does not begin with a slash"),
        ("/api/{id}", "{id} is not a place in a request"),
        ("/api/../{path.id}", "has a segment . or .."),
        ("/api/%2E/{path.id}", "has a segment . or .."),
        ("/api\\{path.id}", "has another meaning in a URL"),
        ("/api#{path.id}", "has another meaning in a URL"),
    ];
    for (path, expected) in cases {
        let told = told(path);
        assert!(
            told.len() == 1 && told[0].starts_with("5:") && told[0].contains(expected),
            "{path}: {told:#?}"
        );
    }
    for allowed in ["/api/{path.id}/", "/api/.{path.id}", "/api//x?q=../{path.id}"] {
        assert_eq!(told(allowed), Vec::<String>::new(), "{allowed}");
    }
}

#[test]
fn parts_of_a_request_to_a_backend_without_effect_are_named() {
    let cases = [
        ("GET", "body: .", "a request with this method has no body | write another method"),
        ("PUT", "body: ., body_inverse_of: .", "a request has one body | keep body or body_inverse_of"),
        ("PUT", "body: ., lossy: [a]", "lossy has no effect without body_inverse_of | remove it"),
        (
            "PUT",
            "body_inverse_of: { object: { a: { from: a, default: 1 } } }, lossy: [a, b]",
            "b is not lost | remove it from lossy",
        ),
    ];
    for (method, more, expected) in cases {
        let told = problems(&format!(
            "adapters:\n  a:\n    routes:\n      - match: {{ method: {method}, path: /r }}\n        \
             backend: {{ method: {method}, path: /r, {more} }}\n"
        ));
        assert_told(&told, &[("5:", expected)]);
    }
}

#[test]
fn a_response_is_checked_beside_other_mistakes() {
    let told = |route: &str| problems(&of_pages(&format!("        root: must\n{route}")));
    let told_at = |route: &str, expected: &[(&str, &str)]| assert_told(&told(route), expected);
    told_at(
        "        status: 204\n",
        &[("9:", "a response with status 204 has no body | write response: none")],
    );
    told_at("        status: 204\n        response: none\n", &[]);
    told_at("        status: 200.5\n", &[("9:", "200.5 is out of range | write a status from 200 to 299")]);
    told_at(
        "        headers: { x-a: \"{inof.count}\" }\n",
        &[("9:", "P does not select inof of Page! | did you mean info?")],
    );
    told_at("        headers: { x-a: \"{info.count} {query.a}\" }\n", &[]);
    // Each key of a mapping is read, and each place of a text.
    told_at(
        "        response: { object: { a: { from: itms, as: nmber, hide_null: 1 }, b: \"{path.x} {itms}\" } }\n",
        &[
            ("9:", "P does not select itms of Page! | did you mean items?"),
            ("9:", "\"nmber\" is not a conversion"),
            ("9:", "expected true or false, found a number"),
            ("9:", "the path of the route has no parameter \"x\""),
            ("9:", "b: P does not select itms of Page!"),
        ],
    );
    // Without a root nothing of the mapping would fit.
    let told = problems(&of_pages("        rot: must\n        response: items\n"));
    assert_told(&told, &[("8:", "rot is not a field of this object | did you mean root?")]);
}

#[test]
fn a_place_in_the_path_is_not_missing_if_the_path_is() {
    let told = problems(
        "adapters:\n  a:\n    routes:\n      - match: { method: GET }\n        \
         backend: { method: GET, path: '/v2/{path.id}' }\n",
    );
    assert_told(&told, &[("4:", "path is missing")]);
}
