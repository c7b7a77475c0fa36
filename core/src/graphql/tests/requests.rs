//! Requests of GraphQL over HTTP.

use crate::{
    graphql::{
        Guard, GuardedRequest, Inspected, Introspection, Limits, MAX_BODY, Refusal, TrustMode,
        TrustedDocuments, inspect, response_type,
    },
    vocabulary::digest::Digest256,
};
use sha2::{Digest, Sha256};

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

const JSON: Option<&str> = Some("application/json");

fn post(guard: &Guard, body: &str) -> Result<Inspected, Refusal> {
    let body = Some(body.as_bytes());
    let request =
        GuardedRequest { method: "POST", query: "", content_type: JSON, content_encoding: None, body };
    inspect(&request, guard, digest)
}

fn get(guard: &Guard, query: &str) -> Result<Inspected, Refusal> {
    let request =
        GuardedRequest { method: "GET", query, content_type: None, content_encoding: None, body: Some(b"") };
    inspect(&request, guard, digest)
}

const ONE: Result<Inspected, Refusal> = Ok(Inspected { operations: 1, untrusted: 0, unknown: None });

#[test]
fn a_posted_document_is_scanned_without_its_escapes() {
    let guard = Guard::default();
    for (body, expected) in [
        (r#"{"query":"{ a }"}"#, ONE),
        (
            r#" {"variables":{"query":"}"},"operationName":null,"query":"query Q {\n a\t}","extensions":{}} "#,
            ONE,
        ),
        (r#"{"query":"{ a }","extensions":null,"unknown":[1]}"#, ONE),
        (r#"{"qu\u0065ry":"{ __sch\u0065ma { description } }"}"#, Err(Refusal::Introspection)),
        (r#"{"query":"{ a("}"#, Err(Refusal::Syntax(4))),
        (r#"{"query":""}"#, Err(Refusal::NoOperation)),
        (r#"{"query":null}"#, Err(Refusal::NoDocument)),
        (r#"{}"#, Err(Refusal::NoDocument)),
        (r#"{"query":["{ a }"]}"#, Err(Refusal::Json)),
        (r#""{ a }""#, Err(Refusal::Json)),
        ("", Err(Refusal::Json)),
        ("query={a}", Err(Refusal::Json)),
        (r#"{"query":"{ a }"} x"#, Err(Refusal::Json)),
    ] {
        assert_eq!(post(&guard, body), expected, "{body}");
    }
    let nested =
        format!("{{\"query\":\"{{a}}\",\"variables\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(post(&guard, &nested), Err(Refusal::Json));
}

/// Backends differ in which one they take, so neither can be the one that was scanned.
#[test]
fn a_second_document_is_refused() {
    let guard = Guard::default();
    for body in [
        r#"{"query":"{ a }","query":"{ b }"}"#,
        r#"{"query":"{ a }","Query":"{ b }"}"#,
        r#"{"QUERY":"{ a }"}"#,
        r#"{"query":"{ a }","quer\u0079":"{ b }"}"#,
        r#"{"query":"{ a }","documentId":"sha256:00"}"#,
        r#"{"documentId":"a","documentid":"b"}"#,
        r#"{"documentId":"a","extensions":{"persistedQuery":{"sha256Hash":"00"}}}"#,
        r#"{"extensions":{"persistedQuery":{"sha256Hash":"00"}},"extensions":{}}"#,
        r#"{"extensions":{"persistedQuery":{"sha256Hash":"00"},"PersistedQuery":{}}}"#,
        r#"{"extensions":{"persistedQuery":{"sha256Hash":"00","sha256Hash":"11"}}}"#,
        "{\"query\":\"{ a }\",\"exten\u{17f}ions\":{}}",
        r#"{"query":"{ a }","exten\u017fions":{}}"#,
        "{\"query\":\"{ a }\",\"documentId\":null,\"document\u{131}d\":\"b\"}",
        "{\"extensions\":{\"persistedQuery\":{\"sha256Hash\":\"00\"},\"per\u{17f}istedQuery\":{}}}",
    ] {
        assert_eq!(post(&guard, body), Err(Refusal::Ambiguous), "{body}");
    }
    for query in ["query={a}&query={b}", "query={a}&%51uery={b}", "Query={a}", "query={a}&documentId=b"] {
        assert_eq!(get(&guard, query), Err(Refusal::Ambiguous), "{query}");
    }
    for query in ["query={a}", "x=1&%71uery={a}", "documentId=a", "extensions={}"] {
        let body = Some(br#"{"query":"{ a }"}"#.as_slice());
        let request =
            GuardedRequest { method: "POST", query, content_type: JSON, content_encoding: None, body };
        assert_eq!(inspect(&request, &guard, digest), Err(Refusal::Ambiguous), "{query}");
    }
    let body = Some(b"{}".as_slice());
    let request = GuardedRequest {
        method: "GET",
        query: "query={a}",
        content_type: None,
        content_encoding: None,
        body,
    };
    assert_eq!(inspect(&request, &guard, digest), Err(Refusal::Ambiguous));
}

/// Backends may find a document where the guard sees another parameter.
#[test]
fn a_document_under_another_name_of_the_url_is_refused() {
    let guard = Guard::default();
    for hidden in [
        "x=1;query={b}",
        "x;query={b}",
        "query;x={b}",
        "[query]={b}",
        "%5Bquery]={b}",
        "%20query={b}",
        "+query={b}",
        "%09Query={b}",
        "%00query={b}",
        "query%00={b}",
        "query%00x={b}",
        "query[]={b}",
        "query%5B0%5D={b}",
        "query+={b}",
        "query%c2%a0={b}",
        "QUERY={b}",
        "x=1;documentId=b",
        "documentId[]=b",
        "x=1;extensions={}",
        "exten%c5%bfions={}",
    ] {
        for query in [format!("query={{a}}&{hidden}"), format!("{hidden}&query={{a}}"), hidden.to_owned()] {
            assert_eq!(get(&guard, &query), Err(Refusal::Ambiguous), "{query}");
            let body = Some(br#"{"query":"{ a }"}"#.as_slice());
            let query = query.as_str();
            let request =
                GuardedRequest { method: "POST", query, content_type: JSON, content_encoding: None, body };
            assert_eq!(inspect(&request, &guard, digest), Err(Refusal::Ambiguous), "{query}");
        }
    }
    for other in ["x=1;y=2", "query_id=1", "x[query]=1", "x.query=1", "queries=1", "x=query", "x=%3Bquery=1"]
    {
        assert_eq!(get(&guard, &format!("query={{a}}&{other}")), ONE, "{other}");
    }
}

#[test]
fn options_pass_without_a_document() {
    let options = |query, body: Option<&[u8]>| {
        let request =
            GuardedRequest { method: "OPTIONS", query, content_type: None, content_encoding: None, body };
        inspect(&request, &Guard::default(), digest)
    };
    for query in ["", "x=1", "operationName=Q"] {
        assert_eq!(options(query, Some(b"")), Ok(Inspected::default()), "{query}");
    }
    for query in ["query={a}", "documentId=a", "x=1&extensions={}"] {
        assert_eq!(options(query, Some(b"")), Err(Refusal::Method), "{query}");
    }
    assert_eq!(options("x=1;query={a}", Some(b"")), Err(Refusal::Ambiguous));
    assert_eq!(options("", Some(b"{}")), Err(Refusal::Method));
    assert_eq!(options("", None), Err(Refusal::Method));
}

#[test]
fn get_executes_queries_only() {
    let guard = Guard::default();
    for (query, expected) in [
        ("query={a}", ONE),
        ("query=%7B%20a%20%7D&variables=%7B%7D", ONE),
        ("query=query+Q+%7B+a%28b%3A%22%2B%22%29+%7D", ONE),
        ("query=mutation{a}", Err(Refusal::QueriesOnly)),
        ("query=query+A{a}+mutation+B{b}&operationName=A", Err(Refusal::QueriesOnly)),
        ("query=subscription{a}", Err(Refusal::QueriesOnly)),
        ("query={__type(name:\"A\"){name}}", Err(Refusal::Introspection)),
        ("query=%7Ba", Err(Refusal::Syntax(2))),
        ("query=%ff", Err(Refusal::Url)),
        ("query", Err(Refusal::NoOperation)),
        ("", Err(Refusal::NoDocument)),
        ("a=b&&c", Err(Refusal::NoDocument)),
        ("extensions={", Err(Refusal::Json)),
    ] {
        assert_eq!(get(&guard, query), expected, "{query}");
    }
    assert_eq!(get(&guard, &format!("query={}", "a".repeat(MAX_BODY))), Err(Refusal::Body(65_536)));
    let head = GuardedRequest {
        method: "HEAD",
        query: "query={a}",
        content_type: None,
        content_encoding: None,
        body: Some(b""),
    };
    assert_eq!(inspect(&head, &guard, digest), ONE);
    for method in ["PUT", "DELETE", "PATCH", "get", "QUERY"] {
        assert_eq!(
            inspect(&GuardedRequest { method, ..head }, &guard, digest),
            Err(Refusal::Method),
            "{method}"
        );
    }
}

#[test]
fn a_post_is_json_in_utf_8() {
    let guard = Guard::default();
    let with = |content_type, content_encoding, body: &[u8]| {
        let body = Some(body);
        inspect(
            &GuardedRequest { method: "POST", query: "", content_type, content_encoding, body },
            &guard,
            digest,
        )
    };
    let body = br#"{"query":"{ a }"}"#;
    for content_type in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json ; Charset = \"utf-8\" ; a;b=c",
    ] {
        assert_eq!(with(Some(content_type), None, body), ONE, "{content_type}");
    }
    for content_type in [
        "text/plain",
        "application/graphql",
        "application/json; charset=utf-16",
        "application/json; charset=\"utf-8",
        "application/json; a=b; charset=",
        "application/json, text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "",
    ] {
        assert_eq!(with(Some(content_type), None, body), Err(Refusal::MediaType), "{content_type}");
    }
    assert_eq!(with(None, None, body), Err(Refusal::MediaType));
    assert_eq!(with(JSON, Some("gzip"), body), Err(Refusal::Encoding));
    assert_eq!(with(JSON, Some("identity"), body), ONE);
    assert_eq!(with(JSON, None, b"{\"query\":\"{ a(b: \\\"\xff\\\") }\"}"), Err(Refusal::Json));
    let large = [body.as_slice(), &vec![b' '; MAX_BODY - body.len()]].concat();
    assert_eq!(with(JSON, None, &large), ONE);
    assert_eq!(with(JSON, None, &[large, vec![b' ']].concat()), Err(Refusal::Body(65_536)));
    let request =
        GuardedRequest { method: "POST", query: "", content_type: JSON, content_encoding: None, body: None };
    assert_eq!(inspect(&request, &guard, digest), Err(Refusal::Body(65_536)));
}

#[test]
fn batches_are_refused_unless_they_are_allowed() {
    let batch = |operations: usize| format!("[{}]", vec![r#"{"query":"{ a }"}"#; operations].join(","));
    assert_eq!(post(&Guard::default(), &batch(1)), Err(Refusal::Batch));
    let guard = Guard { batches: Some(3), ..Guard::default() };
    assert_eq!(post(&guard, &batch(3)), Ok(Inspected { operations: 3, untrusted: 0, unknown: None }));
    assert_eq!(post(&guard, &batch(4)), Err(Refusal::BatchSize(3)));
    assert_eq!(post(&guard, "[]"), Err(Refusal::NoDocument));
    assert_eq!(post(&guard, r#"[[{"query":"{ a }"}]]"#), Err(Refusal::Json));
    assert_eq!(post(&guard, r#"[{"query":"{ a }"},{"query":"{ a"}]"#), Err(Refusal::Syntax(3)));
    assert_eq!(post(&guard, r#"{"query":"{ a }"}"#), ONE);
}

#[test]
fn documents_that_are_not_trusted_are_counted_or_refused() {
    let known = "{ known }";
    let hash = Digest256(digest(known.as_bytes()));
    let guard = |mode| {
        let trusted_documents = TrustedDocuments { mode, documents: vec![hash] };
        Guard { batches: Some(3), trusted_documents, ..Guard::default() }
    };
    let (off, log, enforce) = (guard(TrustMode::Off), guard(TrustMode::Log), guard(TrustMode::Enforce));
    let other = "00".repeat(32);
    for (body, is_trusted) in [
        (format!(r#"{{"query":"{known}"}}"#), true),
        (
            format!(r#"{{"query":"{known}","extensions":{{"persistedQuery":{{"sha256Hash":"{other}"}}}}}}"#),
            true,
        ),
        (
            format!(
                r#"{{"query":"{{ other }}","extensions":{{"persistedQuery":{{"sha256Hash":"{hash}"}}}}}}"#
            ),
            false,
        ),
        (format!(r#"{{"query":"{known} "}}"#), false),
        (format!(r#"{{"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}}}"#), true),
        (format!(r#"{{"extensions":{{"persistedQuery":{{"sha256Hash":"{other}"}}}}}}"#), false),
        (r#"{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}"#.to_owned(), false),
        (r#"{"extensions":{"persistedQuery":{}}}"#.to_owned(), false),
        (format!(r#"{{"documentId":"sha256:{hash}"}}"#), true),
        (format!(r#"{{"documentId":"{hash}"}}"#), false),
    ] {
        assert_eq!(post(&off, &body), ONE, "{body}");
        let logged = post(&log, &body).map(|inspected| (inspected.operations, inspected.untrusted));
        assert_eq!(logged, Ok((1, u32::from(!is_trusted))), "{body}");
        let expected = if is_trusted { ONE } else { Err(Refusal::Untrusted) };
        assert_eq!(post(&enforce, &body), expected, "{body}");
    }
    let batch = format!(r#"[{{"query":"{{ a }}"}},{{"query":"{known}"}},{{"documentId":"a"}}]"#);
    let unknown = Some(Digest256(digest(b"{ a }")));
    assert_eq!(post(&log, &batch), Ok(Inspected { operations: 3, untrusted: 2, unknown }));
    assert_eq!(post(&enforce, &batch), Err(Refusal::Untrusted));
    assert_eq!(get(&enforce, "query={+known+}"), ONE);
    assert_eq!(get(&enforce, "query={known}"), Err(Refusal::Untrusted));
    let extensions = format!("extensions={{\"persistedQuery\":{{\"sha256Hash\":\"{hash}\"}}}}");
    assert_eq!(get(&enforce, &extensions), ONE);
    let limits = Limits { tokens: 2, ..Limits::default() };
    assert_eq!(get(&Guard { limits, ..enforce }, "query={+known+}"), Err(Refusal::Tokens(2)));
}

#[test]
fn a_refusal_has_the_type_that_the_client_accepts() {
    let (graphql, json) = ("application/graphql-response+json", "application/json");
    for (accept, expected) in [
        (None, graphql),
        (Some("*/*"), graphql),
        (Some("application/json, */*;q=0.1"), graphql),
        (Some("application/json;charset=utf-8, application/graphql-response+json"), graphql),
        (Some("application/*"), graphql),
        (Some("application/json"), json),
        (Some("text/html, Application/JSON; q=0.5"), json),
        (Some("text/html"), graphql),
    ] {
        assert_eq!(response_type(accept), expected, "{accept:?}");
    }
}

#[test]
fn a_refusal_is_an_error_of_graphql() {
    let expected = concat!(
        r#"{"errors":[{"message":"fields are nested more than 10 levels deep","#,
        r#""extensions":{"code":"TOO_DEEP"}}]}"#
    );
    assert_eq!(Refusal::Depth(10).body(), expected);
    let statuses =
        [Refusal::Depth(1), Refusal::Method, Refusal::QueriesOnly, Refusal::Body(1), Refusal::MediaType];
    assert_eq!(statuses.map(Refusal::status), [400, 405, 405, 413, 415]);
}

#[test]
fn a_guard_is_written_as_it_is_read() {
    let guard = Guard { batches: Some(2), introspection: Introspection::Allow, ..Guard::default() };
    let text = serde_json::to_string(&guard).unwrap();
    assert_eq!(serde_json::from_str::<Guard>(&text).unwrap(), guard);
    assert_eq!(serde_json::from_str::<Guard>("{}").unwrap(), Guard::default());
    assert!(!serde_json::to_string(&Guard::default()).unwrap().contains("trusted"));
    // The documents stay while the mode is off: it can be switched on again.
    let trusted_documents = TrustedDocuments { mode: TrustMode::Off, documents: vec![Digest256([7; 32])] };
    let guard = Guard { trusted_documents, ..guard };
    let text = serde_json::to_string(&guard).unwrap();
    assert_eq!(serde_json::from_str::<Guard>(&text).unwrap(), guard);
}
