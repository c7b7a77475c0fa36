//! Answers to the client: types, headers, entity tags, and answers that cannot be used.

use super::*;

#[test]
fn the_content_type_of_an_adapter_is_part_of_its_answer() {
    let adapter = rest(
        r#"{ match: { method: GET, path: /r }, backend: { method: GET, path: /v2/r },
             headers: { Content-Type: "application/json; charset=utf-8" } }"#,
    );
    let sent = ClientRequest { method: "GET", path: "/r", ..ClientRequest::default() };
    let (mut exchange, _) = begin(&adapter, sent);
    let Next::Answer(answer) = exchange.next(Reply::Answered(200, b"[]"), Timestamp::from_millis(0)) else {
        panic!("one request is enough");
    };
    let expected = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
    assert_eq!(answer.headers, [expected]);
}

/// A backend may answer 304 if it is sent the client's conditional headers.
#[test]
fn a_backend_that_says_not_modified_is_believed() {
    let adapter = rest_with(
        "forward_headers: [if-none-match], keep_headers: [etag]".replace(", ", "\n").as_str(),
        r#"{ match: { method: GET, path: "/r/{id}" }, backend: { method: GET, path: /v2/r }, response: { object: { a: a } } }"#,
    );
    let answer = answered(&adapter, 304, "");
    assert_eq!((answer.status, answer.body, answer.unfit), (304, None, None));
}

#[test]
fn an_answer_that_cannot_be_used_has_a_reason() {
    let rest = rest(
        r#"{ match: { method: GET, path: "/r/{id}" }, backend: { method: GET, path: /v2/r }, root: page.items,
             response: { object: { results: { from: results, each: { object: { id: { from: id, as: number } } } } } } }"#,
    );
    let graphql = Config::from_yaml(
        "adapters:\n  graphql:\n    schema: \"type Query { a: A } type A { b: [Int!] }\"\n    \
         operations: \"query A { a { b } }\"\n    errors: { unfit: { status: 404 } }\n    routes:\n      \
         - { match: { method: GET, path: '/r/{id}' }, operation: A, root: ., response: { from: a.b, each: . } }\n",
    );
    let graphql = Arc::clone(graphql.unwrap().adapters.values().next().unwrap().program());
    let graphql = Arc::new(Adapter::new(graphql).unwrap());
    let cases = [
        (
            &rest,
            (200, r#"{"page":{"items":{"results":[{"id":"1"},{"id":true}]}}}"#),
            "results[].id: expected a number, or a string that holds one, found true",
        ),
        (&rest, (200, r#"{"page":{}}"#), ".: expected a value at page.items, found (nothing)"),
        (&rest, (200, "<p>Ann"), ".: expected JSON, found another body, with status 200"),
        (
            &rest,
            (200, ""),
            ".: expected JSON, found an empty body, or one that is too large, with status 200",
        ),
        (&graphql, (200, "{}"), ".: expected data or errors, found a response with status 200"),
        (&graphql, (503, "<p>"), ".: expected JSON, found another body, with status 503"),
        (
            &graphql,
            (503, r#"{"data":{"a":null}}"#),
            ".: expected a status from 200 to 299, found a response with status 503",
        ),
        (&graphql, (200, r#"{"data":null}"#), ".: expected a value, found null"),
        (&graphql, (200, r#"{"data":{"a":{"b":7}}}"#), "a.b: expected a list, found 9"),
    ];
    for (adapter, (status, body), reason) in cases {
        let answer = answered(adapter, status, body);
        assert_eq!(answer.status, if Arc::ptr_eq(adapter, &rest) { 502 } else { 404 }, "{body}");
        let unfit = answer.unfit.map(|unfit| unfit.to_string());
        assert_eq!(unfit, Some(format!("GET /r/{{id}}: {reason}")), "{body}");
    }
    // Neither a success nor an error that the backend itself reports is unfit.
    let success = answered(&rest, 200, r#"{"page":{"items":{"results":[{"id":"1"}]}}}"#);
    assert_eq!((success.status, success.unfit), (200, None));
    assert_eq!(answered(&rest, 500, "{}").unfit, None);
    let reported = r#"{"data":null,"errors":[{"message":"no","path":["a"]}]}"#;
    assert_eq!(answered(&graphql, 200, reported).unfit, None);
}

#[test]
fn an_answer_that_the_client_holds_is_not_sent_again() {
    let answer = |method: &str, more: &str, held: &str, reply: Reply<'_>| {
        let adapter = rest_with(
            "etag: true",
            &format!(
                r#"{{ match: {{ method: {method}, path: /r }}, backend: {{ method: {method}, path: /v2/r }} {more} }}"#
            ),
        );
        assert!(adapter.program.reads.iter().any(|name| name == "if-none-match"));
        let headers = &[("if-none-match", held)][..usize::from(!held.is_empty())];
        let sent = ClientRequest { method, path: "/r", headers, ..ClientRequest::default() };
        match begin(&adapter, sent).0.next(reply, Timestamp::from_millis(0)) {
            Next::Answer(Answer { status, headers, body, .. }) => (status, headers, body),
            Next::Ask(upstream) => panic!("one request is enough: {upstream:?}"),
        }
    };
    let ok = Reply::Answered(200, b"{\"a\":1}");
    // XXH3-128 of the body, by an implementation that shares no code with this one.
    let tag = "\"3c8c141663acf5a1b6b7137162fa70fb\"".to_owned();
    let tagged = vec![("etag".to_owned(), tag.clone())];
    let full = (200, tagged.clone(), Some(r#"{"a":1}"#.to_owned()));
    let not_modified = (304, tagged.clone(), None);
    for method in ["GET", "HEAD"] {
        assert_eq!(answer(method, "", "", ok), full);
        assert_eq!(answer(method, "", "\"another\"", ok), full);
        for held in [tag.clone(), format!("\"1\", W/{tag}"), "*".to_owned()] {
            assert_eq!(answer(method, "", &held, ok), not_modified, "{held}");
        }
    }
    // What it has in addition stays, but for the type of a body that is not there.
    let typed = ", headers: { content-type: text/json, cache-control: no-cache }";
    let (status, headers, body) = answer("GET", typed, &tag, ok);
    let expected = [("cache-control".to_owned(), "no-cache".to_owned()), tagged[0].clone()];
    assert_eq!((status, &headers[..], body), (304, &expected[..], None));
    // A tag of the route is the tag.
    let own = r#", headers: { etag: 'W/"{a}"' }"#;
    let expected = vec![("etag".to_owned(), "W/\"1\"".to_owned())];
    assert_eq!(answer("GET", own, &tag, ok), (200, expected.clone(), full.2.clone()));
    assert_eq!(answer("GET", own, "\"1\"", ok), (304, expected, None));
    // Only whole successes of reading have one.
    let untagged = |method: &str, more: &str, reply| {
        let (status, headers, _) = answer(method, more, "*", reply);
        (status, headers.is_empty())
    };
    assert_eq!(untagged("POST", "", ok), (200, true));
    assert_eq!(untagged("GET", ", status: 203", ok), (203, true));
    assert_eq!(untagged("GET", ", response: none, status: 200", ok), (200, true));
    assert_eq!(untagged("GET", "", Reply::Answered(500, b"{}")), (500, true));
    assert_eq!(untagged("GET", "", Reply::Timeout), (504, true));
}

#[test]
fn a_part_of_the_root_that_is_null_has_a_response_of_its_own() {
    let route = |target: &str, root: &str| {
        format!(
            "routes:\n  - match: {{ method: GET, path: /u }}\n    {target}\n    root: {root}\n    \
             partial: pass\n    response: {{ object: {{ n: name }} }}\n    \
             when_null: [{{ at: ., status: 410, code: gone }}, {{ at: info.count, status: 404, code: no_page }}]\n"
        )
    };
    let over_graphql = graphql(&route("operation: P", "user"));
    let over_rest = adapter(
        &route("backend: { method: GET, path: /v2 }", "data.user").replace("    partial: pass\n", ""),
    );
    let cases = [
        (r#"{"name":"ann","info":{"count":0}}"#, 200, r#"{"n":"ann"}"#),
        (r#"{"name":null,"info":{"count":0}}"#, 200, r#"{"n":null}"#),
        (r#"{"name":"ann","info":{"count":null}}"#, 404, "no_page"),
        (r#"{"name":"ann","info":null}"#, 404, "no_page"),
        (r#"{"name":"ann"}"#, 404, "no_page"),
        ("null", 410, "gone"),
    ];
    for (user, status, part) in cases {
        for adapter in [&over_graphql, &over_rest] {
            let found = answer(adapter, ("/u", ""), 200, &format!(r#"{{"data":{{"user":{user}}}}}"#));
            let body = found.body.unwrap();
            assert!(found.status == status && body.contains(part), "{user}: {} {body}", found.status);
        }
    }
    // An error of the backend comes before a null that it caused, unless the route passes the data.
    let failed = |user: &str| {
        let text = format!(r#"{{"errors":[{{"message":"M"}}],"data":{{"user":{user}}}}}"#);
        answer(&over_graphql, ("/u", ""), 200, &text).status
    };
    assert_eq!((failed("null"), failed(r#"{"info":null}"#)), (500, 404));
}

#[test]
fn headers_of_an_adapter_are_on_all_its_answers() {
    let adapter = adapter(
        r#"content_type: application/json; charset=utf-8
headers: { access-control-allow-origin: "*", x-client: "{header.x-client}", x-both: "a {query.a}", x-all: "{query.a}", x-none: "", x-success: s }
errors:
  headers: { cache-control: no-store, x-both: "e {query.a}", x-success: "" }
routes:
  - match: { method: GET, path: "/r/{id}" }
    backend: { method: GET, path: /v2 }
    variables: { n: { from: query.n, type: int } }
    headers: { X-All: "{path.id}" }
  - match: { method: POST, path: /r }
    backend: { method: POST, path: /v2, body: . }
"#,
    );
    // The route declares a variable, so nothing else of the client's query is forwarded.
    let asked = |query: &str| {
        target(begin(
            &adapter,
            ClientRequest { method: "GET", path: "/r/7", query, ..ClientRequest::default() },
        ))
    };
    assert_eq!(asked("a=1"), Ok("/v2".to_owned()));
    assert_eq!(asked("a=1&n=7"), Ok("/v2?n=7".to_owned()));
    let headers = |answer: Answer| {
        let pairs = answer.headers.into_iter().map(|(name, value)| format!("{name}: {value}"));
        pairs.collect::<Vec<_>>()
    };
    let found = |query: &str, status: u16| headers(answer(&adapter, ("/r/7", query), status, "{}"));
    // Constant ones are not among them: the runtime adds those.
    assert_eq!(found("a=1", 200), ["x-both: a 1", "x-all: 7"]);
    assert_eq!(found("a=1", 500), ["x-all: 1", "x-both: e 1"]);
    assert_eq!(found("a=1&n=x", 200), ["x-all: 1", "x-both: e 1"], "without a backend");
    // A header without a value is not sent, and no character that a header cannot carry.
    assert_eq!(found("", 200), ["x-both: a ", "x-all: 7"]);
    assert_eq!(found("a=%0A%E2%82%AC", 500), ["x-all: %0A%E2%82%AC", "x-both: e %0A%E2%82%AC"]);

    let sent = |path| ClientRequest {
        method: "POST",
        path,
        query: "a=1",
        headers: &[("x-client", "https://a.example")],
        ..ClientRequest::default()
    };
    let large = adapter.too_large(sent("/r"), Timestamp::from_millis(0)).unwrap();
    assert_eq!(large.status, 413);
    assert_eq!(headers(large), ["x-client: https://a.example", "x-all: 1", "x-both: e 1"]);
    assert!(adapter.too_large(sent("/s"), Timestamp::from_millis(0)).is_none());

    let program = &adapter.program;
    // Nor are those that are always empty, which take the place of others all the same.
    let of_successes = [("access-control-allow-origin", "*"), ("x-success", "s")];
    assert_eq!(program.constant_headers(false), of_successes);
    let of_errors = [("access-control-allow-origin", "*"), ("cache-control", "no-store")];
    assert_eq!(program.constant_headers(true), of_errors);
    let plain = rest(POSTED);
    assert!(plain.program.constant_headers(true).is_empty());
    assert!(!serde_json::to_string(&*plain.program).unwrap().contains("content_type"));
}
