//! Values that a mapping makes: texts, tables, items of lists.

use super::*;

/// Returns the status and the body that a client of a route with this mapping receives, from a REST
/// backend with the other body.
fn mapped(mapping: &str, query: &str, body: &str) -> (u16, String) {
    let adapter = rest(&format!(
        r#"{{ match: {{ method: GET, path: "/r/{{id}}" }}, backend: {{ method: GET, path: /v2/r }},
             response: {mapping} }}"#
    ));
    let answer = answer(&adapter, ("/r/a%2Fb", query), 200, body);
    (answer.status, answer.body.unwrap_or_default())
}

#[test]
fn a_mapping_makes_urls_and_counts_and_takes_items_of_lists() {
    let mapping = r#"{ object: {
        url: "https://a.example/u/{id}", self: { url: "/r/{path.id}" }, of: { from: info, text: "page {next}" },
        links: { from: friends, each: { url: "/u/{.}" } }, names: { from: friends, each: "@{.}" },
        first: friends.0, count: { from: friends, length: true },
        next: { page_url: { base: "/r/{path.id}", page: info.next, keep: [name] }, default: "" } } }"#;
    let body = r#"{"id":7,"friends":["a b","c"],"info":{"next":2}}"#;
    let expected = r#"{"url":"https://a.example/u/7","self":"/r/a%2Fb","of":"page 2","links":["/u/a%20b","/u/c"],"names":["@a b","@c"],"first":"a b","count":2,"next":"/r/a%2Fb?page=2&name=x"}"#;
    assert_eq!(mapped(mapping, "z=1&name=x", body), (200, expected.to_owned()));
    let body = r#"{"id":null,"friends":[],"info":{"next":null}}"#;
    let expected = r#"{"url":null,"self":"/r/a%2Fb","of":null,"links":[],"names":[],"count":0,"next":""}"#;
    assert_eq!(mapped(mapping, "", body), (200, expected.to_owned()));
    assert_eq!(mapped(r#""{info}""#, "", r#"{"info":{}}"#).0, 502, "no text contains an object");
}

#[test]
fn a_required_value_that_is_missing_makes_the_answer_unfit() {
    let mapping = "{ object: { id: { from: id, required: true } } }";
    assert_eq!(mapped(mapping, "", r#"{"id":7}"#), (200, r#"{"id":7}"#.to_owned()));
    for body in ["{}", r#"{"id":null}"#] {
        assert_eq!(mapped(mapping, "", body).0, 502, "{body}");
    }
    let optional = "{ object: { id: { from: id, required: false } } }";
    assert_eq!(mapped(optional, "", "{}"), (200, "{}".to_owned()));
}

#[test]
fn a_key_of_a_table_matches_a_string_and_the_value_that_is_written_like_it() {
    let mapping =
        r#"{ from: id, map: { "1": one, true: yes, "1e3": thousand, "null": nothing }, otherwise: other }"#;
    let cases = [
        (r#""1""#, "one"),
        ("1", "one"),
        (r#""true""#, "yes"),
        ("true", "yes"),
        (r#""1e3""#, "thousand"),
        ("null", "nothing"),
        ("1.0", "other"),
        (r#""x""#, "other"),
    ];
    for (id, expected) in cases {
        let (status, body) = mapped(mapping, "", &format!(r#"{{"id":{id}}}"#));
        assert_eq!((status, body), (200, format!("\"{expected}\"")), "{id}");
    }
    let number = "{ coalesce: [a, b], as: number }";
    assert_eq!(mapped(number, "", r#"{"a":7}"#), (200, "7".to_owned()));
    assert_eq!(mapped(number, "", r#"{"b":"7"}"#), (200, "7".to_owned()));
}

#[test]
fn the_root_may_be_an_item_of_a_list() {
    let adapter = rest(
        r#"{ match: { method: GET, path: /r }, backend: { method: GET, path: /v2/r }, root: results.0,
             when_null: { status: 404 }, response: id, headers: { x-tag: "{tags.1}" } }"#,
    );
    for (body, status, expected, tag) in [
        (r#"{"results":[{"id":7,"tags":["a","b"]},{"id":8}]}"#, 200, "7", Some("b")),
        (r#"{"results":[]}"#, 404, r#"{"code":"not_found","message":"there is no such thing"}"#, None),
    ] {
        let sent = ClientRequest { method: "GET", path: "/r", ..ClientRequest::default() };
        let (mut exchange, _) = begin(&adapter, sent);
        let reply = Reply::Answered(200, body.as_bytes());
        let Next::Answer(answer) = exchange.next(reply, Timestamp::from_millis(0)) else {
            panic!("one request is enough");
        };
        assert_eq!((answer.status, answer.body.as_deref()), (status, Some(expected)), "{body}");
        assert_eq!(answer.headers.first().map(|(_, value)| value.as_str()), tag, "{body}");
    }
}

#[test]
fn a_text_reads_the_body_of_the_client() {
    let adapter = rest(
        r#"{ match: { method: POST, path: /r }, backend: { method: POST, path: /v2/r },
             response: { object: { name: "{body.user.name}, {body.tags.1}",
               next: { page_url: { base: "/{body.x}", page: n } } } } }"#,
    );
    let body = br#"{"user":{"name":"ann","age":7},"tags":["a","b"],"x":"y z","z":1}"#;
    let sent = ClientRequest { method: "POST", path: "/r", body, ..ClientRequest::default() };
    let (mut exchange, _) = begin(&adapter, sent);
    let reply = Reply::Answered(200, br#"{"n":2}"#);
    let Next::Answer(answer) = exchange.next(reply, Timestamp::from_millis(0)) else {
        panic!("one request is enough");
    };
    assert_eq!(answer.body.as_deref(), Some(r#"{"name":"ann, b","next":"/y%20z?page=2"}"#));
}

#[test]
fn the_places_of_an_empty_body_are_absent() {
    let route = |method: &str, rest: &str| {
        rest_with(
            "errors: { otherwise: { message: \"{body.name} has failed\" } }",
            &format!(
                "{{ match: {{ method: {method}, path: /r }}, backend: {{ method: GET, path: /v2 }}{rest} }}"
            ),
        )
    };
    let asked = |adapter: &Arc<Adapter>, method: &str, body: &[u8]| {
        let sent = ClientRequest { method, path: "/r", body, ..ClientRequest::default() };
        target(begin(adapter, sent)).map_err(|answer| (answer.status, answer.body.unwrap()))
    };
    let invalid = |field: &str| -> Result<String, (u16, String)> {
        Err((400, format!(r#"{{"code":"invalid","message":"{field} is missing or not valid"}}"#)))
    };
    for method in ["GET", "POST"] {
        let text = route(method, ", response: { object: { hint: \"{body.name}\" } }");
        assert_eq!(asked(&text, method, b""), Ok("/v2".to_owned()));
        let optional = route(method, ", variables: { name: body.name }");
        assert_eq!(asked(&optional, method, b""), Ok("/v2".to_owned()));
        assert_eq!(asked(&optional, method, br#"{"name":"ann"}"#), Ok("/v2?name=ann".to_owned()));
        let required = route(method, ", variables: { name: { from: body.name, required: true } }");
        assert_eq!(asked(&required, method, b""), invalid("name"));
        for malformed in [b"{".as_slice(), b" ".as_slice(), b"\xff".as_slice()] {
            assert_eq!(asked(&optional, method, malformed), invalid("body"));
        }
    }
    // A mapping of the whole body has nothing to map; one that needs no body is sent.
    let mapped = |body: &str| {
        let route = format!(
            "{{ match: {{ method: POST, path: /r }}, backend: {{ method: POST, path: /v2, body: {body} }} }}"
        );
        asked(&rest(&route), "POST", b"")
    };
    assert_eq!(mapped("{ object: { name: name } }"), invalid("body"));
    assert_eq!(mapped("{ object: { name: { const: ann } } }"), Ok("/v2".to_owned()));
}

#[test]
fn a_mapping_makes_no_more_than_an_isolate_can_hold() {
    let adapter = rest(&format!(
        r#"{{ match: {{ method: GET, path: "/r/{{id}}" }}, backend: {{ method: GET, path: /v2/r }},
             response: {{ each: {{ const: "{}" }} }} }}"#,
        "x".repeat(10_000)
    ));
    let items = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(answered(&adapter, 200, &items(1_000)).status, 200);
    let answer = answered(&adapter, 200, &items(10_000));
    assert_eq!((answer.status, answer.unfit.is_some()), (502, true));
}
