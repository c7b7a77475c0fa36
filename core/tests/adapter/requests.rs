//! Requests: values in paths, claims, bodies and their limits.

use super::*;

#[test]
fn a_value_that_is_no_segment_of_a_path_is_refused() {
    let adapter = rest(
        r#"{ match: { method: DELETE, path: "/q/{name}" }, response: none,
             backend: { method: DELETE, path: "/users/{query.id}/reviews/{path.name}" } }"#,
    );
    let cases = [
        ("/q/a", "id=7", Some("/users/7/reviews/a")),
        ("/q/...", "id=a/..", Some("/users/a%2F../reviews/...")),
        ("/q/a", "id=%252e", Some("/users/%252e/reviews/a")),
        ("/q/a", "id=..", None),
        ("/q/a", "id=.", None),
        ("/q/a", "id=%2e%2E", None),
        ("/q/a", "id=", None),
        ("/q/a", "", None),
        ("/q/%2e%2E", "id=7", None),
        ("/q/.", "id=7", None),
    ];
    for (path, query, expected) in cases {
        let sent = ClientRequest { method: "DELETE", path, query, ..ClientRequest::default() };
        match (target(begin(&adapter, sent)), expected) {
            (Ok(target), Some(expected)) => {
                assert_eq!(target.split('?').next().unwrap(), expected, "{path} {query}");
            }
            (Err(answer), None) => {
                let name = if query == "id=7" { "name" } else { "id" };
                let body = format!(r#"{{"code":"invalid","message":"{name} is missing or not valid"}}"#);
                assert_eq!((answer.status, answer.body), (400, Some(body)), "{path} {query}");
            }
            (found, _) => panic!("{path} {query}: {found:?}"),
        }
    }
}

#[test]
fn a_route_that_declares_variables_never_forwards_the_query_of_the_client() {
    let variable = ", variables: { n: { from: query.n, type: int } }";
    let of_a_body = ", variables: { n: { from: body.n, type: int } }";
    let page = "page: query.page, limit: { from: query.limit, default: 2 }";
    let offset = format!(", pagination: {{ {page}, offset: {{ skip: skip, take: take }} }}");
    let cursor = format!(
        ", pagination: {{ {page}, cursor: {{ first: first, after: after, page_info: p, max_pages: 5 }} }}"
    );
    let cases = [
        ("", "a=1&n=%207&&b", "/v2?a=1&n=%207&&b"),
        ("", "", "/v2"),
        (variable, "n=7&a=1", "/v2?n=7"),
        (variable, "a=1&admin=true", "/v2"),
        (variable, "", "/v2"),
        (of_a_body, "n=7", "/v2"),
        (offset.as_str(), "a=1&page=2", "/v2?skip=2&take=2"),
        (cursor.as_str(), "a=1", "/v2?first=2"),
    ];
    for (more, query, expected) in cases {
        let adapter = rest(&format!(
            "{{ match: {{ method: POST, path: /r }}, backend: {{ method: POST, path: /v2 }}{more} }}"
        ));
        let sent =
            ClientRequest { method: "POST", path: "/r", query, body: b"{}", ..ClientRequest::default() };
        assert_eq!(target(begin(&adapter, sent)), Ok(expected.to_owned()), "{more} {query}");
    }
}

const MINE: &str = r#"{ match: { method: GET, path: /mine }, response: none,
    backend: { method: GET, path: "/users/{jwt.uid}" } }"#;

#[test]
fn claims_are_picked_from_the_payload_with_their_digits() {
    let adapter = rest(MINE);
    let ask = |claims: &str| {
        begin(&adapter, ClientRequest { method: "GET", path: "/mine", claims, ..ClientRequest::default() })
    };
    let payload = r#"{"sub": "ann", "uid": 1, "note": "not for the adapter", "uid": 9007199254740993}"#;
    let begun = ask(payload);
    assert!(!format!("{:?}", begun.0).contains("not for the adapter"), "{:?}", begun.0);
    assert_eq!(target(begun), Ok("/users/9007199254740993".to_owned()));
    let long = format!(r#"{{"uid": 1, "note": "{}"}}"#, "x".repeat(10_000));
    for refused in ["", "{}", "[1]", "nonsense", r#"{"uid": ".."}"#, r#"{"uid": null}"#, long.as_str()] {
        assert_eq!(target(ask(refused)).unwrap_err().status, 401, "{refused}");
    }
}

#[test]
fn an_integer_has_one_notation() {
    let mut variable = Variable::new("id", Kind::Id);
    (variable.integer, variable.from) = (true, Some(Source::Query("id".to_owned())));
    let mut read = |kind: Kind, text: &str| {
        variable.kind = kind;
        let request = Request { query: format!("id={}", encoded(text)), ..Request::default() };
        variable.value(&request).is_ok_and(|value| value.is_some())
    };
    for accepted in ["7", "-7", "0", "10", "9223372036854775807", "-9223372036854775808"] {
        assert!(read(Kind::Id, accepted), "{accepted}");
    }
    for refused in ["", "-", "007", "00", "-0", "+7", " 7", "7 ", "7.0", "5.", "1e3", "0x7", "\u{667}"] {
        assert!(!read(Kind::Id, refused), "{refused}");
    }
    assert!(!read(Kind::Id, "9223372036854775808"), "beyond i64");
    assert!(read(Kind::Int, "7") && read(Kind::Float, "7") && !read(Kind::Float, "7.0"));
}

/// A body with a list that no route reads.
fn body_of(values: usize) -> String {
    format!(r#"{{"list":[{}],"name":"ann"}}"#, vec!["1"; values].join(","))
}

#[test]
fn a_waiting_exchange_holds_only_what_it_reads_later() {
    let adapter = rest(POSTED);
    let body = body_of(90_000);
    let sent =
        ClientRequest { method: "POST", path: "/r", body: body.as_bytes(), ..ClientRequest::default() };
    let mut begun = None;
    let info = allocation_counter::measure(|| begun = Some(begin(&adapter, sent)));
    assert!(info.bytes_current < 4_096, "{info:?}");
    let (mut exchange, next) = begun.unwrap();
    assert!(exchange.heap_bytes() < 1_024);
    assert!(matches!(next, Next::Ask(Upstream { to: Some((_, target)), .. }) if target == "/v2/r?name=ann"));
    let Next::Answer(answer) = exchange.next(Reply::Answered(200, b"{}"), Timestamp::from_millis(0)) else {
        panic!("one request is enough");
    };
    assert_eq!(answer.headers, [("x-name".to_owned(), "ann".to_owned())]);
}

#[test]
fn a_body_with_too_many_values_is_refused_before_it_is_parsed() {
    let adapter = rest(POSTED);
    let body = body_of(400_000);
    let sent =
        ClientRequest { method: "POST", path: "/r", body: body.as_bytes(), ..ClientRequest::default() };
    let mut begun = None;
    let info = allocation_counter::measure(|| begun = Some(begin(&adapter, sent)));
    assert_eq!(target(begun.unwrap()).unwrap_err().status, 413);
    assert!(info.bytes_max < 16_384, "{info:?}");
}

#[test]
fn exchanges_that_nobody_finishes_are_bounded_together() {
    let adapter = rest(r#"{ match: { method: GET, path: /r }, backend: { method: GET, path: /v2/r } }"#);
    let exchange = |query: &str| {
        begin(&adapter, ClientRequest { method: "GET", path: "/r", query, ..ClientRequest::default() }).0
    };
    let mut pending = Pending::new(0x1fff);
    let query = "q".repeat(65_536);
    let mut last = 0;
    let info = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            last = pending.put(exchange(&query));
        }
    });
    assert!(info.bytes_current < 20_000_000, "{info:?}");
    assert!(pending.take(0).is_none(), "the oldest was given up");
    assert!(pending.take(last).is_some() && pending.take(last).is_none());
    for number in 0..1_000 {
        pending.take(number);
    }
    assert_eq!(pending.heap_bytes(), 0, "an exchange is freed as soon as it goes on");

    // Numbers begin again after the last one.
    let numbers: Vec<u32> = (0..10_000).map(|_| pending.put(exchange(""))).collect();
    let held = numbers.iter().rev().take_while(|number| pending.take(**number).is_some()).count();
    assert_eq!((held, pending.heap_bytes()), (4_096, 0));
}

/// A client must not be able to make a response of a healthy backend unfit, which would count as its error.
#[test]
fn what_does_not_fit_in_the_request_is_no_fault_of_the_backend() {
    let list = format!("[{}]", vec!["1"; 20_000].join(","));
    let cases = [
        ("{ object: { page: { request: query.page, as: number, default: 1 } } }", "page=abc", "{}", "page"),
        ("{ each: { object: { q: { request: query.q } } } }", "q=LONG", list.as_str(), "request"),
        ("{ each: \"{query.q}\" }", "q=LONG", list.as_str(), "request"),
    ];
    for (mapping, query, body, field) in cases {
        let adapter = adapter(&format!(
            "errors: {{ envelope: {{ object: {{ field: field }} }} }}\nroutes:\n  - match: {{ method: GET, path: /r }}\n    \
             backend: {{ method: GET, path: /r }}\n    response: {mapping}"
        ));
        let query = query.replace("LONG", &"x".repeat(8_000));
        let answer = answer(&adapter, ("/r", query.as_str()), 200, body);
        assert_eq!((answer.status, answer.unfit.is_none()), (400, true), "{mapping}");
        assert_eq!(answer.body.unwrap(), format!(r#"{{"field":"{field}"}}"#));
    }
    let posted = rest(
        r#"{ match: { method: POST, path: /r }, backend: { method: POST, path: /r },
             response: { object: { hello: "Hello {body.name}" } } }"#,
    );
    let sent =
        ClientRequest { method: "POST", path: "/r", body: br#"{"name":[]}"#, ..ClientRequest::default() };
    let (mut exchange, _) = begin(&posted, sent);
    let Next::Answer(answer) = exchange.next(Reply::Answered(200, b"{}"), Timestamp::from_millis(0)) else {
        panic!("one request is enough");
    };
    assert_eq!((answer.status, answer.unfit.is_none()), (400, true));
}
