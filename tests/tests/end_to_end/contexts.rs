//! `cutover` with contexts, and the causes that it names if a URL or a token is wrong.

use cutover_tests::{
    command::{CommandOutput, cutover_with_contexts},
    stack::{Options, ROOT_TOKEN, Stack},
};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

const FLAG: &str = "graphql_reviews_read";

/// A stack with the configuration of development, and a folder for contexts.
struct Desk {
    stack: Stack,
    folder: PathBuf,
}

impl Desk {
    async fn start() -> Self {
        let stack = Stack::start(Options::default()).await;
        stack.management().apply(&stack.dev_configuration()).await.expect(200);
        let folder = stack.state().join("operator");
        Self { stack, folder }
    }

    async fn run(&self, arguments: &[&str], input: &str) -> CommandOutput {
        cutover_with_contexts(&self.folder, &[], arguments, input).await
    }

    /// Runs a command that must end with an exit code, and returns its output and its messages.
    async fn expect(&self, code: i32, arguments: &[&str], input: &str) -> String {
        let done = self.run(arguments, input).await;
        assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
        done.out + &done.err
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_works_with_staging_and_production() {
    let desk = Desk::start().await;
    let url = desk.stack.lambda.url("management");
    let token = format!("{ROOT_TOKEN}\n");
    let none = desk.expect(2, &["list"], "").await;
    assert!(none.contains("cutover context add"), "{none}");
    let api = format!("{url}/api/migration/");
    let live = ["context", "add", "live", "--url", &api, "--production", "--token-stdin"];
    desk.expect(0, &live, &token).await;
    desk.expect(2, &live, &token).await;
    // Without a token yet, and somewhere else.
    desk.expect(0, &["context", "add", "staging", "--url", "http://127.0.0.1:9"], "").await;
    let listed = desk.expect(0, &["context", "list"], "").await;
    assert!(listed.contains("*  live") && !listed.contains(ROOT_TOKEN), "{listed}");
    assert!(desk.expect(0, &["list"], "").await.contains(FLAG));

    // Production asks, and nobody is there to answer.
    let up = desk.expect(2, &["rollout", FLAG, "90"], "yes\n").await;
    assert!(
        up.contains("live (127.0.0.1:") && up.contains("25 -> 90 percent") && up.contains("add --yes"),
        "{up}"
    );
    let file = desk.stack.state().join("cutover.yaml");
    let changed = desk.stack.dev_configuration().replace("rollout_percentage: 25", "rollout_percentage: 90");
    fs::write(&file, changed).unwrap();
    let file = file.to_str().unwrap();
    desk.expect(2, &["apply", "-f", file], "").await;
    assert!(desk.expect(0, &["get", FLAG], "").await.contains("25.0"));
    desk.expect(0, &["rollout", FLAG, "10"], "").await;
    desk.expect(0, &["rollout", FLAG, "90", "--yes"], "").await;

    // Another context, for one command and from now on.
    desk.expect(0, &["context", "use", "staging"], "").await;
    assert!(desk.expect(2, &["list"], "").await.contains("no token given"));
    assert!(desk.expect(0, &["list", "--context", "live"], "").await.contains(FLAG));
    let chosen = cutover_with_contexts(&desk.folder, &[("CUTOVER_CONTEXT", "live")], &["list"], "").await;
    assert_eq!(chosen.code, 0, "{}", chosen.err);
    let mistyped = desk.expect(2, &["list", "--context", "stagin"], "").await;
    assert!(mistyped.contains("did you mean staging?"), "{mistyped}");

    // Only a token that the API accepts is stored.
    desk.expect(4, &["login", "--context", "live", "--token-stdin"], "wrong\n").await;
    assert!(desk.expect(0, &["list", "--context", "live"], "").await.contains(FLAG));
    let signed_in = desk.expect(0, &["login", "--context", "live", "--token-stdin"], &token).await;
    assert!(signed_in.contains("the token of root (admin) is stored"), "{signed_in}");

    let stored = desk.folder.join("cutover/contexts.json");
    assert_eq!(fs::metadata(&stored).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&stored, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(desk.expect(2, &["list", "--context", "live"], "").await.contains("hint: chmod 600 "));
    fs::set_permissions(&stored, fs::Permissions::from_mode(0o600)).unwrap();
    desk.expect(0, &["context", "remove", "live"], "").await;
    assert!(!fs::read_to_string(&stored).unwrap().contains(ROOT_TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_url_or_token_is_named_as_the_cause() {
    let desk = Desk::start().await;
    let (url, edge) = (desk.stack.lambda.url("management"), desk.stack.edge.url());
    let (api, tls) = (format!("{url}/api/migration"), url.replace("http://", "https://"));
    let line_break = format!("{ROOT_TOKEN}\n");
    let cases: [(&str, &str, i32, &str); 9] = [
        (&url, ROOT_TOKEN, 0, ""),
        (&url, &line_break, 0, ""),
        (&api, ROOT_TOKEN, 0, ""),
        (&url, "two\nlines", 2, "the token contains a line break"),
        ("management.example", ROOT_TOKEN, 2, "has no scheme"),
        ("http://management.example", ROOT_TOKEN, 2, "is not encrypted"),
        (&tls, ROOT_TOKEN, 7, "TLS"),
        ("http://127.0.0.1:9", ROOT_TOKEN, 7, "no connection"),
        (&edge, ROOT_TOKEN, 5, "no management API answers at "),
    ];
    for (url, token, code, text) in cases {
        let variables = [("CUTOVER_URL", url), ("CUTOVER_TOKEN", token)];
        let done = cutover_with_contexts(&desk.folder, &variables, &["list"], "").await;
        assert_eq!(done.code, code, "{url}: {}", done.err);
        assert!(done.err.contains(text), "{url}: {}", done.err);
    }
    // The names that exist are asked for.
    let variables = [("CUTOVER_URL", url.as_str()), ("CUTOVER_TOKEN", ROOT_TOKEN)];
    let mistyped = cutover_with_contexts(&desk.folder, &variables, &["get", "graphql_review_read"], "").await;
    assert!(mistyped.err.contains("did you mean graphql_reviews_read?"), "{}", mistyped.err);
}
