//! `cutover --aws-iam` with the keys of an AWS profile.

use axum::{Json, Router, http::HeaderMap};
use cutover_tests::{
    command::{CommandOutput, cutover_with_contexts},
    server::Server,
};
use serde_json::{Value, json};
use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Files of profiles: one with a process that prints keys and notes its runs, one whose process sleeps for a minute, which is
/// for ever in an emergency, and one that signs in with SSO.
const PROFILES: &str = r#"[profile live]
region = eu-north-1
credential_process = echo run >> RUNS; echo '{"Version":1,"AccessKeyId":"KEYOFPROCESS","SecretAccessKey":"s","SessionToken":"session-1"}'
[profile asleep]
credential_process = exec sleep 60
[profile people]
sso_session = office
"#;

/// URL of a function that AWS guards.
const FUNCTION: &str = "https://abc.lambda-url.eu-north-1.on.aws";

/// A URL at which nobody listens.
const CLOSED: &str = "http://127.0.0.1:9";

/// An operator with AWS profiles, and a server that answers every request like the list of flags.
struct Operator {
    server: Server,
    requests: Arc<Mutex<Vec<HeaderMap>>>,
    folder: tempfile::TempDir,
}

impl Operator {
    async fn start() -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let app = Router::new().fallback(move |headers: HeaderMap| {
            let kept = Arc::clone(&kept);
            async move {
                kept.lock().expect("no handler panics").push(headers);
                Json::<Value>(json!({ "flags": [], "revision": 1, "next_after": null }))
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs").display().to_string();
        fs::write(folder.path().join("config"), PROFILES.replace("RUNS", &runs)).unwrap();
        Self { server: Server::start(app).await, requests, folder }
    }

    /// Runs a command with the keys of a profile, and with further variables.
    async fn run(&self, profile: &str, more: &[(&str, &str)], arguments: &[&str]) -> CommandOutput {
        let (url, file) = (self.server.url(), self.folder.path().join("config").display().to_string());
        let variables = [
            ("CUTOVER_URL", url.as_str()),
            ("CUTOVER_TOKEN", "ctv_1"),
            ("CUTOVER_AWS_IAM", "1"),
            ("AWS_CONFIG_FILE", file.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
            ("AWS_PROFILE", profile),
            ("AWS_ACCESS_KEY_ID", ""),
            ("AWS_REGION", ""),
            ("AWS_DEFAULT_REGION", ""),
        ];
        cutover_with_contexts(self.folder.path(), &[&variables[..], more].concat(), arguments, "").await
    }

    /// Returns the headers of the requests since the last call.
    fn requests(&self) -> Vec<HeaderMap> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// Returns the number of runs of the process of `live`.
    fn runs(&self) -> usize {
        fs::read_to_string(self.folder.path().join("runs")).map_or(0, |text| text.lines().count())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_with_the_keys_that_a_profile_names() {
    let operator = Operator::start().await;
    let done = operator.run("live", &[], &["list"]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    let headers = operator.requests().pop().expect("a request");
    let header = |name: &str| headers[name].to_str().unwrap();
    let signature = header("authorization");
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=KEYOFPROCESS/"), "{signature}");
    assert!(signature.contains("/eu-north-1/lambda/aws4_request, "), "{signature}");
    assert_eq!((header("x-amz-security-token"), header("x-cutover-token")), ("session-1", "ctv_1"));

    let refused = operator.run("people", &[], &["list"]).await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    let hint = "hint: eval \"$(aws configure export-credentials --profile people --format env)\"";
    assert!(refused.err.contains("sso_session") && refused.err.contains(hint), "{}", refused.err);
    assert!(operator.requests().is_empty(), "nothing is sent without a signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_of_an_emergency_have_the_keys_of_one_run() {
    let operator = Operator::start().await;
    let done = operator
        .run("live", &[("CUTOVER_EMERGENCY_URL", CLOSED)], &["emergency-rollback", "errors on checkout"])
        .await;
    assert_eq!((done.code, operator.runs()), (0, 1), "{}", done.err);
    let requests = operator.requests();
    assert_eq!(requests.len(), 1);
    let signature = requests[0]["authorization"].to_str().unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=KEYOFPROCESS/"), "{signature}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_does_not_wait_for_keys_that_do_not_come() {
    let operator = Operator::start().await;
    let begun = Instant::now();
    let done = operator
        .run("asleep", &[("CUTOVER_EMERGENCY_URL", FUNCTION)], &["emergency-rollback", "errors on checkout"])
        .await;
    // The process sleeps for a minute on each way that waits for it.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(done.code, 0, "{}", done.err);
    let told = "credential_process of the AWS profile \"asleep\" did not end within 5 s";
    assert!(done.err.contains(told) && done.err.contains("goes on without it"), "{}", done.err);
    assert!(!done.err.contains("sleep 60") && !done.err.contains("on.aws"), "{}", done.err);
    let requests = operator.requests();
    assert_eq!(requests.len(), 1, "on the way that AWS does not guard");
    assert_eq!(requests[0]["authorization"], "Bearer ctv_1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_without_a_way_names_the_one_without_aws() {
    let operator = Operator::start().await;
    let refused =
        operator.run("people", &[("CUTOVER_URL", FUNCTION)], &["emergency-rollback", "errors"]).await;
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("sso_session"), "{}", refused.err);
    assert!(refused.err.contains("docs/OPERATIONS.md#aws-region-down"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_run_no_process() {
    let operator = Operator::start().await;
    let names = ["__names", "flags"];
    let refused = operator.run("live", &[], &names).await;
    assert_eq!((refused.code, operator.runs()), (2, 0), "{}", refused.err);
    assert!(operator.requests().is_empty());
    let keys = [("AWS_ACCESS_KEY_ID", "KEYOFENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let done = operator.run("live", &keys, &names).await;
    assert_eq!((done.code, operator.runs()), (0, 0), "{}", done.err);
    assert_eq!(operator.requests().len(), 1);
}
