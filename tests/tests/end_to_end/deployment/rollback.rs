//! `cargo xtask deploy --rollback` with shell scripts in the place of Terraform and the AWS command line, and a server in the
//! place of Cloudflare: what it shows, what it refuses, and what it moves.

use super::fakes;
use axum::{Json, Router, extract::State, http::Uri};
use cutover_tests::{paths, terraform::run};
use serde_json::{Value, json};
use std::{
    fs,
    process::Command,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Answers from files, of which a function may have its own, and notes what is called.
const AWS: &str = r#"
echo "$*" >> "$FAKES/calls"
name=$(echo "$*" | sed 's/.*--function-name \([^ ]*\).*/\1/')
answer() { if [ -f "$FAKES/$1-$name" ]; then cat "$FAKES/$1-$name"; else cat "$FAKES/$1"; fi; }
case "$*" in
*get-alias*) answer alias ;;
*list-versions-by-function*) answer versions ;;
*update-alias*) echo moved ;;
*) exit 1 ;;
esac
"#;

/// Cloudflare as far as a Worker's deployments and versions go.
struct Cloudflare {
    url: String,
    deployments: Arc<Mutex<Value>>,
    server: JoinHandle<()>,
}

/// Answers with the deployments, or with the version that the path ends with: `before` reads another namespace than others.
async fn answer(State(deployments): State<Arc<Mutex<Value>>>, uri: Uri) -> Json<Value> {
    let result = match uri.path().rsplit('/').next().unwrap() {
        "deployments" => json!({ "deployments": *deployments.lock().unwrap() }),
        id => {
            let namespace = if id == "before" { "old" } else { "new" };
            let bindings = json!([
                { "type": "kv_namespace", "name": "CUTOVER_KV", "namespace_id": namespace },
                { "type": "plain_text", "name": "INGEST_URL", "text": format!("https://{id}.example") },
                { "type": "secret_text", "name": "CUTOVER_INGEST_SECRET" },
            ]);
            json!({ "id": id, "resources": { "bindings": bindings } })
        }
    };
    Json(json!({ "success": true, "errors": [], "messages": [], "result": result }))
}

impl Cloudflare {
    async fn start() -> Self {
        let deployments = Arc::new(Mutex::new(json!([])));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&deployments));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, deployments, server }
    }

    /// Sets the deployments, the oldest first, as the version and the message of each.
    fn set(&self, deployments: &[[&str; 2]]) {
        let all = deployments.iter().enumerate().map(|(index, [version, message])| {
            json!({
                "id": format!("deployment-{index}"),
                "created_on": format!("2026-01-01T00:00:0{index}.000Z"),
                "versions": [{ "version_id": version, "percentage": 100 }],
                "annotations": { "workers/message": message },
            })
        });
        *self.deployments.lock().unwrap() = all.collect();
    }
}

impl Drop for Cloudflare {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A published version of a function: its number, its release, and its variables.
fn version(number: u32, release: &str, variables: Value) -> Value {
    json!({
        "Version": number.to_string(),
        "Description": format!("Cutover: a function ({release})"),
        "MemorySize": 256,
        "Timeout": if number == 1 { 15 } else { 30 },
        "Environment": { "Variables": variables },
    })
}

/// The programs, and what they answer.
struct Fakes {
    folder: TempDir,
    cloudflare: Cloudflare,
}

impl Fakes {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fakes::program(folder.path(), "terraform", fakes::CONSOLE);
        fakes::program(folder.path(), "aws", AWS);
        Self { folder, cloudflare: Cloudflare::start().await }
    }

    fn set(&self, file: &str, content: &str) {
        fs::write(self.folder.path().join(file), content).unwrap();
    }

    /// Sets the published versions, of all functions or of one.
    fn publish(&self, file: &str, versions: &[Value]) {
        self.set(file, &json!({ "Versions": versions }).to_string());
    }

    /// Returns true if the rollback ended well, and what it printed.
    async fn roll_back(&self) -> (bool, String) {
        self.set("calls", "");
        let mut command = Command::new(paths::root().join("target/debug/xtask"));
        command.args(["deploy", "--env", "staging", "--rollback"]).current_dir(paths::root());
        let inherited = paths::search_path();
        let path = std::iter::once(self.folder.path().to_owned()).chain(std::env::split_paths(&inherited));
        command.env("PATH", std::env::join_paths(path).unwrap()).env("FAKES", self.folder.path());
        command.env("CLOUDFLARE_API_BASE_URL", &self.cloudflare.url).env("CLOUDFLARE_API_TOKEN", "none");
        command.env("CLOUDFLARE_ACCOUNT_ID", "0123456789abcdef0123456789abcdef").env("NO_PROXY", "127.0.0.1");
        command.env("CI", "1");
        tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
    }

    /// Returns the functions whose alias was moved, and where to.
    fn moved(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.path().join("calls")).unwrap();
        let updates = calls.lines().filter(|call| call.contains("update-alias"));
        let words = updates.map(|call| call.split_whitespace().collect::<Vec<_>>());
        words.map(|words| format!("{} {}", words[3], words[7])).collect()
    }

    /// Rolls back, which must be refused before anything is moved. Returns what was printed.
    async fn refused(&self, why: &str) -> String {
        let (done, printed) = self.roll_back().await;
        assert!(!done && printed.contains(why), "{why} was expected:\n{printed}");
        assert!(printed.contains("deploy an earlier commit"), "{printed}");
        assert_eq!(self.moved(), Vec::<String>::new(), "{printed}");
        printed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_shows_the_settings_that_it_brings_back_and_refuses_other_data() {
    let fakes = Fakes::start().await;
    let same = json!({ "CUTOVER_TABLE": "cutover" });
    let with_root =
        json!({ "CUTOVER_TABLE": "cutover", "CUTOVER_ROOT_TOKEN_ARN": "an-arn-that-is-not-shown" });
    let restored = json!({ "CUTOVER_TABLE": "restored" });
    let two = [version(1, "a", with_root), version(2, "b", same.clone())];

    // The versions before know another table.
    fakes.set("alias", "2");
    fakes.publish("versions", &[version(1, "a", same.clone()), version(2, "b", restored)]);
    fakes.refused("works on other data: CUTOVER_TABLE differs").await;
    // A version back is one release back at most; nothing is known of two.
    fakes.set("alias", "1");
    fakes.publish("versions", &[two[0].clone(), two[1].clone(), version(3, "c", same.clone())]);
    fakes.refused("older than the one before the newest, 3").await;
    // A deployment broke off after it had published the first functions.
    fakes.set("alias", "2");
    fakes.publish("versions", &two);
    fakes.set("alias-cutover-staging-ask", "3");
    let three = [two[0].clone(), two[1].clone(), version(3, "c", same)];
    fakes.publish("versions-cutover-staging-ask", &three);
    fakes.refused("the versions before were not deployed together").await;
    for file in ["alias-cutover-staging-ask", "versions-cutover-staging-ask"] {
        fs::remove_file(fakes.folder.path().join(file)).unwrap();
    }
    // The version of the Worker before reads another namespace.
    fakes.cloudflare.set(&[["before", ""], ["current", ""]]);
    let printed = fakes
        .refused("the Worker: the version before, before, works on other data: CUTOVER_KV differs")
        .await;
    assert!(printed.contains("the Worker: current -> before"), "{printed}");
    assert!(printed.contains("INGEST_URL has its earlier value"), "{printed}");
    assert!(!printed.contains("CUTOVER_INGEST_SECRET") && !printed.contains(".example"), "{printed}");

    // The deployment before the newest was a rollback: the functions would return to the versions that it left.
    let message = "cargo xtask deploy --rollback";
    fakes.cloudflare.set(&[["before", ""], ["left", ""], ["before", message], ["current", ""]]);
    fakes.refused("a rollback came before the newest deployment").await;

    // The Worker is back, and a first run broke off before it came to the functions.
    fakes.cloudflare.set(&[["before", ""], ["current", ""], ["before", message]]);
    let (done, printed) = fakes.roll_back().await;
    assert!(done, "{printed}");
    let functions = ["ask", "evaluate", "ingest", "management", "promote", "emergency"];
    assert_eq!(fakes.moved(), functions.map(|name| format!("cutover-staging-{name} 1")));
    for shown in [
        "cutover-staging-ask: 2 -> 1",
        "CUTOVER_ROOT_TOKEN_ARN is set again",
        "timeout has its earlier value",
        "the Worker is at its version before",
    ] {
        assert!(printed.contains(shown), "{shown} is missing:\n{printed}");
    }
    assert!(!printed.contains("CUTOVER_TABLE") && !printed.contains("an-arn"), "{printed}");
    // Run once more, it goes no further back.
    fakes.set("alias", "1");
    fakes.refused("the versions before serve already").await;
}
