//! Documents without names, with `-o name`.

use axum::{Json, Router};
use cutover_tests::{command::cutover_at, server::Server};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn without_names_a_read_fails_and_a_change_is_made() {
    let document = json!({ "revision": 7, "published": true, "changes": [] });
    let app = Router::new().fallback(move || {
        let document = document.clone();
        async move { Json::<Value>(document) }
    });
    let server = Server::start(app).await;
    for (words, code, told) in [
        (&["metrics", "-o", "name"][..], 2, "error: this document has no names, unlike those of list, "),
        (&["whoami", "-o", "name"], 2, "error: this document has no names, unlike those of list, "),
        (&["restore", "--yes", "-o", "name"], 0, "hint: this document has no names, unlike those of list, "),
    ] {
        let done = cutover_at(&server.url(), words).await;
        assert_eq!((done.code, done.out.as_str()), (code, ""), "{words:?}: {}", done.err);
        assert!(done.err.starts_with(told) && done.err.contains("use -o json"), "{words:?}: {}", done.err);
    }
}
