//! Tests of the client against a server that stands in for the management API.

use super::*;
use crate::fake_server::{answering, answering_by_path, answering_packed, failing_first};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Mutex,
    time::Instant,
};

/// A URL at which nobody listens.
const CLOSED: &str = "http://127.0.0.1:9";

/// Longest time of a command that does not wait for a failure to pass.
const AT_ONCE: Duration = Duration::from_secs(3);

#[test]
fn only_requests_with_a_remembered_response_are_repeatable() {
    for (method, path, expected) in [
        (Method::PUT, "/flags/f/rollout", true),
        (Method::DELETE, "/tokens/0123", true),
        (Method::POST, "/tokens", false),
        (Method::POST, "/tokens/0123/rotate", false),
        (Method::GET, "/flags", false),
    ] {
        assert_eq!(is_repeatable(&method, path), expected, "{method} {path}");
    }
}

/// Returns the message of a failed GET request.
fn refused(path: &str, status: u16, body: &'static str) -> String {
    let (url, _) = answering(status, body);
    Client::new(&url, "t", None).unwrap().retrying(false).get(path).unwrap_err().to_string()
}

#[test]
fn an_answer_of_something_else_is_told_from_a_refusal() {
    for (status, body, expected) in [
        (200, "<html>a page of the edge</html>", "no management API answers at http://127.0.0.1"),
        (200, "[1]", "no management API answers at "),
        (404, "not found", "no management API answers at "),
        (302, "", "no management API answers at "),
        (404, r#"{"detail":"Not Found"}"#, "no management API answers at "),
        (404, r#"{"code":"not_found"}"#, "the URL of the management function"),
        (404, r#"{"message":"no such page"}"#, "no management API answers at "),
        (
            403,
            r#"{"Message":"Forbidden"}"#,
            "AWS answered in front of the management function: 403 Forbidden",
        ),
        (429, r#"{"Message":"Rate exceeded"}"#, "429 Rate exceeded\n  hint: "),
        (502, r#"{"message":"Internal Server Error"}"#, "502 Internal Server Error"),
        (404, r#"{"detail":"there is no flag \"x\"","code":"not_found","hint":"GET"}"#, "cutover list"),
    ] {
        let found = refused("/flags/x", status, body);
        assert!(found.contains(expected), "{status} {body}: {found}");
    }
}

#[test]
fn a_mistyped_flag_is_corrected_from_the_list() {
    let body =
        r#"{"detail":"no","code":"not_found","hint":"","flags":[{"name":"reviews_read"},{"name":"cart"}]}"#;
    let found = refused("/flags/review_read", 404, body);
    assert!(found.contains("did you mean reviews_read? "), "{found}");
    let values = r#"{"detail":"there is no flag \"review_read\": review_read gives applications values",
        "code":"not_found","hint":"","flags":[{"name":"reviews_read"}]}"#;
    let found = refused("/flags/review_read/disable", 404, values);
    assert!(found.ends_with("hint: cutover value disable review_read"), "{found}");
    let found = refused("/flags/unlike_any", 404, body);
    assert!(!found.contains("did you mean"), "{found}");
}

#[test]
fn a_read_is_sent_again_after_failures_that_pass() {
    let (url, paths) = failing_first(2, r#"{"revision":7}"#);
    let client = Client::new(&url, "t", None).unwrap();
    assert_eq!(client.get("/flags").unwrap(), json!({ "revision": 7 }));
    assert_eq!(paths.lock().unwrap().len(), 3);
}

#[test]
fn a_first_contact_that_fails_is_told_at_once() {
    let begun = Instant::now();
    let client = Client::new(CLOSED, "t", None).unwrap();
    assert!(matches!(client.get("/flags"), Err(Failure::Unreachable(_))));
    // Nothing was sent, so a change is sent a second time.
    let failure = client.send(Method::POST, "/flags/f/disable", None).unwrap_err().to_string();
    assert!(failure.contains("no connection") && !failure.contains("may have been made"), "{failure}");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

#[test]
fn a_server_without_tls_is_called_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let calls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&calls);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            *counted.lock().unwrap() += 1;
            assert!(stream.read(&mut [0; 1_024]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    let client = Client::new(&url, "t", None).unwrap();
    assert!(client.get("/flags").is_err());
    assert_eq!(*calls.lock().unwrap(), 1);
    assert!(client.send(Method::POST, "/flags/f/disable", None).is_err());
    assert_eq!(*calls.lock().unwrap(), 2);
}

/// Starts a server that closes its first connections after it has read from them, and answers the others with 200. Returns
/// its URL.
fn breaking_first(breaks: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
            if count >= breaks {
                let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                stream.write_all(response).unwrap();
            }
        }
    });
    url
}

#[test]
fn a_read_is_sent_again_after_a_connection_that_broke() {
    let client = Client::new(&breaking_first(1), "t", None).unwrap();
    assert_eq!(client.get("/flags").unwrap(), json!({}));
}

#[test]
fn a_command_says_once_that_it_tries_again() {
    let (url, _) = failing_first(2, "{}");
    let client = Client::new(&url, "t", None).unwrap();
    assert!(!client.has_told_retry.load(Ordering::Relaxed));
    client.get("/flags").unwrap();
    // Also for a client that was made of it, such as one of a command's questions.
    assert!(client.reading_once().has_told_retry.load(Ordering::Relaxed));
}

#[test]
fn a_command_that_polls_or_must_not_wait_reads_once() {
    let client = |url: &str| Client::new(url, "t", None).unwrap();
    let reads: [fn(Client) -> Result<Value, Failure>; 4] = [
        |client| client.get_once("/flags"),
        |client| client.send_once(Method::GET, "/flags", None),
        |client| client.reading_once().get("/flags"),
        |client| client.retrying(false).get("/flags"),
    ];
    for read in reads {
        let (url, paths) = failing_first(2, "{}");
        assert!(read(client(&url)).is_err());
        assert_eq!(paths.lock().unwrap().len(), 1);
    }
}

#[test]
fn changes_are_sent_again_where_reads_are_not() {
    let (url, paths) = failing_first(2, "{}");
    let client = Client::new(&url, "t", None).unwrap().reading_once();
    assert!(client.send(Method::POST, "/flags/f/enable", None).is_ok());
    assert_eq!(paths.lock().unwrap().len(), 3);
}

#[test]
fn a_long_response_is_asked_for_and_read_compressed() {
    let (url, encodings) = answering_packed(r#"{"flags":[]}"#);
    let client = Client::new(&url, "t", None).unwrap();
    assert_eq!(client.get("/metrics").unwrap(), json!({ "flags": [] }));
    assert_eq!(*encodings.lock().unwrap(), ["gzip"]);
}

#[test]
fn a_list_keeps_the_fields_beside_its_items() {
    let (url, _) = answering(200, r#"{"flags":[{"name":"a"}],"revision":7,"next_after":null}"#);
    let client = Client::new(&url, "t", None).unwrap();
    let expected = json!({ "flags": [{ "name": "a" }], "revision": 7, "next_after": null });
    assert_eq!(client.whole("/flags", "flags").unwrap(), expected);
    assert_eq!(client.all("/flags", "flags").unwrap().len(), 1);
}

#[test]
fn all_pages_of_a_list_and_of_records_are_read() {
    let first = r#"{"flags":[1],"records":[1,2],"revision":7,"next_after":"a b"}"#;
    let last = r#"{"flags":[2],"records":[3],"revision":8,"next_after":null}"#;
    let (url, paths) = answering_by_path(&[("/list", 200, first)], last);
    let client = Client::new(&url, "t", None).unwrap();
    let whole = client.whole("/list", "flags").unwrap();
    assert_eq!((&whole["flags"], &whole["revision"]), (&json!([1, 2]), &json!(7)), "{whole}");
    assert_eq!(client.records::<u8>("/list").unwrap(), [1, 2, 3]);
    let pages = ["/api/migration/list", "/api/migration/list?after=a%20b"];
    assert_eq!(*paths.lock().unwrap(), pages.repeat(2));
    let failure = client.records::<String>("/list").unwrap_err();
    assert!(failure.to_string().contains("this version cannot read a record"), "{failure}");
}
