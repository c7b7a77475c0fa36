//! `cargo xtask deploy` with shell scripts in the place of Terraform, the AWS command line and wrangler: it applies the plan
//! that it showed, and gives a new version of the Worker its shares of the requests.

use super::fakes;
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use cutover_tests::{paths, server::Server, terraform::run};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;

/// Notes its calls, writes a plan, and notes the plan that it is to apply.
const TERRAFORM: &str = r#"
echo "$*" >> "$FAKES/terraform-calls"
case "$*" in
*" plan "*)
for word in "$@"; do case "$word" in -out=*) echo "what was shown" > "${word#-out=}" ;; esac; done ;;
*" apply "*)
for word in "$@"; do :; done
cat "$word" >> "$FAKES/applied" ;;
*" output "*) echo https://a-function.example ;;
esac
"#;

/// Notes its calls. Every secret has a value, but that of notifications, which waits for its deletion.
const AWS: &str = r#"
echo "$*" >> "$FAKES/aws-calls"
case "$*" in
*describe-secret*/webhook*) echo 2026-01-01T00:00:00+00:00 ;;
*describe-secret*) echo None ;;
*get-secret-value*/webhook*)
echo 'An error occurred (InvalidRequestException) when calling the GetSecretValue operation: marked for deletion' >&2
exit 254 ;;
*get-function-configuration*) echo 'Cutover: the management API (a-release)' ;;
*) echo a-value ;;
esac
"#;

/// Notes its calls. One version serves, and the Worker has its secrets, unless a file says otherwise. Secrets cannot be set,
/// because the newest version does not serve.
const WRANGLER: &str = r#"
echo "$*" >> "$FAKES/wrangler-calls"
case "$*" in
*"deployments status"*) echo '{"versions":[{"version_id":"old"}]}' ;;
*"secret list"*) [ -f "$FAKES/without-secrets" ] || echo CUTOVER_INGEST_SECRET CUTOVER_EDGE_TOKEN ;;
*"secret put"*) echo 'Secret edit failed. [code: 10215]' >&2; exit 1 ;;
*"versions upload"*) echo '{"type":"version-upload","version_id":"new"}' > "$WRANGLER_OUTPUT_FILE_PATH" ;;
esac
"#;

/// Looks at the health of a version while it has a share.
const LOOKS: usize = 12;

/// The Worker that answers while a deployment looks at its new version, `new`.
struct Answering {
    /// The id of its version.
    id: &'static str,
    /// Looks after which it is ill.
    well_for: usize,
    looks: AtomicUsize,
}

async fn health(
    State(version): State<Arc<Answering>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let asked = headers.get("cloudflare-workers-version-overrides").and_then(|value| value.to_str().ok());
    // The answer of whichever version has more requests would say nothing about the new one.
    if asked != Some(r#"the-worker-staging="new""#) {
        return Err(StatusCode::BAD_REQUEST);
    }
    if version.looks.fetch_add(1, Ordering::Relaxed) >= version.well_for {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    // A new isolate has no snapshot yet. Nobody but holders of the token is told the version.
    let is_holder = headers.get("authorization").is_some_and(|value| value == "Bearer a-value");
    let full = json!({ "status": "no_snapshot", "version": version.id });
    Ok(Json(if is_holder { full } else { json!({ "status": "ok" }) }))
}

/// A folder with a configuration of Terraform and a Worker, and the programs.
struct Deployment {
    folder: TempDir,
}

impl Deployment {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir_all(path.join("infra/.terraform")).unwrap();
        let bound = format!("kv_namespaces = [{{ binding = \"CUTOVER_KV\", id = \"{}\" }}]", fakes::ID);
        let toml = format!(
            "name = \"the-worker\"\n{bound}\n[env.staging]\nname = \"the-worker-staging\"\n{bound}\n"
        );
        fs::write(path.join("wrangler.toml"), toml).unwrap();
        fakes::program(&path.join("bin"), "terraform", &format!("{}{TERRAFORM}", fakes::CONSOLE));
        fakes::program(&path.join("bin"), "aws", AWS);
        fakes::program(&path.join("node_modules/.bin"), "wrangler", WRANGLER);
        Self { folder }
    }

    /// Deploys, with the URL of the Worker if there is one. Returns true if that ended well, and what it printed.
    async fn deploy(&self, arguments: &[&str], edge: Option<&str>) -> (bool, String) {
        for noted in ["aws-calls", "terraform-calls", "wrangler-calls", "applied"] {
            let _ = fs::remove_file(self.folder.path().join(noted));
        }
        let mut command = Command::new(paths::root().join("target/debug/xtask"));
        command.args(["deploy", "--watch", "0"]).args(arguments).current_dir(paths::root());
        command.arg("--infra").arg(self.folder.path().join("infra"));
        command.arg("--archives").arg(self.folder.path());
        let inherited = paths::search_path();
        let path = std::iter::once(self.folder.path().join("bin")).chain(std::env::split_paths(&inherited));
        command.env("PATH", std::env::join_paths(path).unwrap()).env("FAKES", self.folder.path());
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1").env_remove("CUTOVER_EDGE_URL");
        if let Some(edge) = edge {
            command.env("CUTOVER_EDGE_URL", edge);
        }
        tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
    }

    /// Deploys to staging while the new version answers so many looks at its health.
    async fn deploy_version(&self, well_for: usize) -> (bool, String) {
        self.deploy_while(Answering { id: "new", well_for, looks: AtomicUsize::new(0) }).await
    }

    /// Deploys to staging while this version answers.
    async fn deploy_while(&self, version: Answering) -> (bool, String) {
        let version = Arc::new(version);
        let app = Router::new().route("/_cutover/health", get(health)).with_state(version);
        let server = Server::start(app).await;
        self.deploy(&["--env", "staging"], Some(&server.url())).await
    }

    /// Returns what a program noted, line by line.
    fn noted(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the shares that the versions got, one after the other.
    fn shares(&self) -> Vec<String> {
        let calls = self.noted("wrangler-calls");
        let given = calls.iter().filter_map(|call| call.strip_prefix("versions deploy "));
        given.map(|call| call.split(" --yes").next().unwrap().to_owned()).collect()
    }

    /// Returns the file of the plan.
    fn plan(&self, environment: &str) -> PathBuf {
        let infra = fs::canonicalize(self.folder.path().join("infra")).unwrap();
        infra.join(".terraform").join(format!("{environment}.tfplan"))
    }

    /// Returns the calls of Terraform with this action.
    fn calls_of(&self, action: &str) -> Vec<String> {
        let calls = self.noted("terraform-calls");
        calls.into_iter().filter(|call| call.contains(&format!(" {action} "))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_that_was_shown_is_applied_and_the_worker_gets_its_shares() {
    let deployment = Deployment::new();
    let (done, printed) = deployment.deploy_version(usize::MAX).await;
    assert!(done, "{printed}");
    let plan = deployment.plan("staging");
    let (planned, applied) = (deployment.calls_of("plan"), deployment.calls_of("apply"));
    assert_eq!((planned.len(), applied.len()), (1, 1), "{planned:?}, {applied:?}");
    assert!(planned[0].ends_with(&format!(" -out={}", plan.display())), "{planned:?}");
    assert!(applied[0].ends_with(&format!(" {}", plan.display())), "{applied:?}");
    assert_eq!(deployment.noted("applied"), ["what was shown"]);
    assert!(!plan.exists(), "it holds the values of all variables");
    let shares = ["new@1% old@99%", "new@10% old@90%", "new@50% old@50%", "new@100%"];
    assert_eq!(deployment.shares(), shares, "{printed}");
    let calls = deployment.noted("wrangler-calls");
    // By the tag a rollback finds the version that belongs to the functions.
    let upload = calls.iter().find(|call| call.starts_with("versions upload")).unwrap();
    assert!(upload.ends_with(" --tag a-release --message cargo xtask deploy"), "{upload}");
    assert!(calls.last().unwrap().starts_with("triggers deploy"), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("deploy ")), "all requests at once: {calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_the_worker_that_falls_ill_gives_its_requests_back() {
    let deployment = Deployment::new();
    // It is well while it has the first share.
    let (done, printed) = deployment.deploy_version(LOOKS).await;
    assert!(!done && printed.contains("does not answer /_cutover/health as it should"), "{printed}");
    assert_eq!(deployment.shares(), ["new@1% old@99%", "new@10% old@90%", "old@100%"], "{printed}");
    let calls = deployment.noted("wrangler-calls");
    assert!(!calls.iter().any(|call| call.starts_with("triggers deploy")), "{calls:?}");
    // A version whose health nobody could look at is not uploaded.
    let (done, printed) = deployment.deploy(&["--env", "staging"], None).await;
    assert!(!done && printed.contains("CUTOVER_EDGE_URL is not set"), "{printed}");
    // Its health is asked for with the edge token.
    let (done, printed) = deployment.deploy(&["--env", "staging"], Some("http://edge.example")).await;
    assert!(!done && printed.contains("http://edge.example is not https"), "{printed}");
    let calls = deployment.noted("wrangler-calls");
    assert!(!calls.iter().any(|call| call.starts_with("versions")), "{calls:?}");
}

/// `CUTOVER_EDGE_URL` may be that of another environment, and the header that chooses the version may be dropped.
#[tokio::test(flavor = "multi_thread")]
async fn the_health_of_another_version_does_not_count() {
    let deployment = Deployment::new();
    let another = Answering { id: "another", well_for: usize::MAX, looks: AtomicUsize::new(0) };
    let (done, printed) = deployment.deploy_while(another).await;
    assert!(!done && printed.contains("was answered by the version \"another\""), "{printed}");
    assert!(printed.contains("CUTOVER_EDGE_URL must be the URL of staging"), "{printed}");
    assert_eq!(deployment.shares(), ["new@1% old@99%", "old@100%"], "{printed}");
}

/// Secrets Manager describes a secret for 30 days after `webhook_url` was emptied, and gives no value of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_waits_for_its_deletion_stops_no_deployment() {
    let deployment = Deployment::new();
    let (done, printed) = deployment.deploy_version(usize::MAX).await;
    assert!(done && !printed.contains("webhook could not be looked up"), "{printed}");
    let of_webhook: Vec<_> =
        deployment.noted("aws-calls").into_iter().filter(|call| call.contains("/webhook")).collect();
    assert!(of_webhook.len() == 1 && of_webhook[0].contains("describe-secret"), "{of_webhook:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_set_is_refused_with_the_way_out() {
    let deployment = Deployment::new();
    fs::write(deployment.folder.path().join("without-secrets"), "").unwrap();
    let (done, printed) = deployment.deploy_version(usize::MAX).await;
    assert!(!done && printed.contains("10215") && printed.contains("use --at-once"), "{printed}");
    assert_eq!(deployment.shares(), Vec::<String>::new(), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_is_left_alone_until_somebody_confirms_the_plan() {
    let deployment = Deployment::new();
    let (done, printed) = deployment.deploy(&["--env", "production"], None).await;
    assert!(!done && printed.contains("production is changed only if somebody confirms it"), "{printed}");
    assert_eq!((deployment.calls_of("plan").len(), deployment.calls_of("apply").len()), (1, 0));
    assert_eq!(deployment.noted("applied"), Vec::<String>::new());
    assert_eq!(deployment.noted("wrangler-calls"), Vec::<String>::new());
    assert!(!deployment.plan("production").exists(), "it holds the values of all variables");
}
