//! `cutover --aws-iam` with the keys of an AWS profile.

use axum::{Json, Router, http::HeaderMap};
use cutover_tests::{command::cutover_with_contexts, server::Server};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Files of profiles: one with a process that prints keys, and one that signs in with SSO.
const PROFILES: &str = r#"[profile live]
region = eu-north-1
credential_process = echo '{"Version":1,"AccessKeyId":"KEYOFPROCESS","SecretAccessKey":"s","SessionToken":"session-1"}'
[profile people]
sso_session = office
"#;

/// Starts a server that answers like the list of flags, and keeps the headers of each request.
async fn server() -> (Server, Arc<Mutex<Vec<HeaderMap>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    let app = Router::new().fallback(move |headers: HeaderMap| {
        let kept = Arc::clone(&kept);
        async move {
            kept.lock().expect("no handler panics").push(headers);
            Json::<Value>(json!({ "flags": [], "revision": 1, "next_after": null }))
        }
    });
    (Server::start(app).await, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_with_the_keys_that_a_profile_names() {
    let (server, requests) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, PROFILES).unwrap();
    let (url, file) = (server.url(), file.display().to_string());
    let run = async |profile: &str| {
        let variables = [
            ("CUTOVER_URL", url.as_str()),
            ("CUTOVER_TOKEN", "ctv_1"),
            ("AWS_CONFIG_FILE", file.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
            ("AWS_PROFILE", profile),
            ("AWS_ACCESS_KEY_ID", ""),
            ("AWS_REGION", ""),
            ("AWS_DEFAULT_REGION", ""),
        ];
        cutover_with_contexts(folder.path(), &variables, &["list", "--aws-iam"], "").await
    };

    let done = run("live").await;
    assert_eq!(done.code, 0, "{}", done.err);
    let headers = requests.lock().unwrap().pop().expect("a request");
    let header = |name: &str| headers[name].to_str().unwrap();
    let signature = header("authorization");
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=KEYOFPROCESS/"), "{signature}");
    assert!(signature.contains("/eu-north-1/lambda/aws4_request, "), "{signature}");
    assert_eq!((header("x-amz-security-token"), header("x-cutover-token")), ("session-1", "ctv_1"));

    let refused = run("people").await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    let hint = "hint: eval \"$(aws configure export-credentials --profile people --format env)\"";
    assert!(refused.err.contains("sso_session") && refused.err.contains(hint), "{}", refused.err);
    assert!(requests.lock().unwrap().is_empty(), "nothing is sent without a signature");
}
