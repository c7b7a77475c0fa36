//! Headers and the content type of an adapter.

use super::*;

#[test]
fn names_that_no_header_has_or_that_make_no_sense_are_refused() {
    let cases = [
        ("forward_headers: [Transfer-Encoding]", "transfer-encoding concerns a single connection"),
        ("forward_headers: [content-length]", "content-length describes a body"),
        ("forward_headers: [\"\"]", "\"\" is not the name of a header"),
        ("keep_headers: [connection]", "connection concerns a single connection"),
        ("keep_headers: [Content-Encoding]", "content-encoding describes a body"),
        ("keep_headers: [content-type]", "write headers: { content-type: ... }"),
        ("keep_headers: [\"x:y\"]", "\"x:y\" is not the name of a header"),
        ("headers: { content-type: text/plain }", "write content_type: beside headers"),
        ("headers: { Content-Length: \"1\" }", "content-length describes a body"),
        ("headers: { x-a: \"{id}\" }", "{id} is not a place in the request"),
        ("headers: { x-a: \"a\\nb\" }", "characters that no header can carry"),
        ("errors: { headers: { x-a: \"{message}\" } }", "{message} is not a place in the request"),
        ("errors: { headers: { \"x a\": b } }", "such as x-a"),
        ("content_type: json", "\"json\" is not a media type"),
        ("content_type: \"text/plain; a=\u{20ac}\"", "is not a media type"),
        ("version: { header: \"\" }", "\"\" is not the name of a header"),
        ("version: { header: x-v, absent: false }", "no request is of this version"),
        ("forward_headers: [x-a, X-A]", "x-a is in this list twice"),
        ("keep_headers: [etag, etag]", "etag is in this list twice"),
        ("headers: { x-a: b, X-A: c }", "the header X-A is here twice"),
        ("errors: { headers: { X-A: b, x-a: c } }", "the header x-a is here twice"),
    ];
    for (line, expected) in cases {
        let told = problems(&format!("adapters:\n  a:\n    {line}\n    routes: []\n"));
        let fits = |problem: &String| problem.starts_with("3:") && problem.contains(expected);
        assert!(told.len() == 1 && told.iter().any(fits), "{line}: {told:#?}");
    }
    let told =
        problems("adapters:\n  a:\n    forward_headers: [If-None-Match]\n    etag: true\n    routes: []\n");
    assert!(
        told.len() == 1 && told[0].starts_with("3:") && told[0].contains("the edge answers 304"),
        "{told:#?}"
    );
    let program = |fields: &str| {
        let config = Config::from_yaml(&format!("adapters: {{ a: {{ {fields}, routes: [] }} }}")).unwrap();
        let program = config.adapters.values().next().unwrap().program();
        (program.etag, program.reads.clone())
    };
    let reads = vec!["if-none-match".to_owned()];
    assert_eq!(program("forward_headers: [if-none-match]"), (false, reads.clone()));
    assert_eq!(program("etag: true"), (true, reads));
    assert_eq!(program("etag: false"), (false, Vec::new()));
    let allowed = "forward_headers: [Authorization, accept-language], keep_headers: [etag, Cache-Control]";
    let config = Config::from_yaml(&format!("adapters: {{ a: {{ {allowed}, routes: [] }} }}")).unwrap();
    let program = config.adapters.values().next().unwrap().program();
    assert_eq!(program.keep, ["etag", "cache-control"]);
}

#[test]
fn headers_and_content_type_of_an_adapter_are_compiled() {
    let program = program(
        "adapters:\n  a:\n    content_type: application/json; charset=utf-8\n    \
         headers: { Access-Control-Allow-Origin: \"*\", x-client: \"{header.X-Client}\" }\n    \
         errors: { headers: { cache-control: no-store, content-type: application/problem+json } }\n    \
         routes: []\n",
    );
    assert_eq!(program.content_type, "application/json; charset=utf-8");
    assert_eq!(program.reads, ["x-client"]);
    let origin = ("access-control-allow-origin", "*");
    assert_eq!(program.constant_headers(false), [origin]);
    let own = [("cache-control", "no-store"), ("content-type", "application/problem+json")];
    assert_eq!(program.constant_headers(true), [[origin].as_slice(), &own].concat());
}

#[test]
fn a_header_of_an_adapter_is_never_kept_from_the_backend() {
    let program = program(
        "adapters:\n  a:\n    keep_headers: [x-constant, X-Empty, x-place, x-error, x-kept]\n    \
         headers: { x-constant: a, x-empty: \"\", X-Place: \"{header.x-client}\" }\n    \
         errors: { headers: { x-error: b } }\n    routes: []\n",
    );
    assert_eq!(program.keep, ["x-error", "x-kept"]);
    assert_eq!(program.constant_headers(false), [("x-constant", "a")]);
}
