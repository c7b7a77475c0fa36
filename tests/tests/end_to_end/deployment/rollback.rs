//! `cargo xtask deploy --rollback` with shell scripts in the place of Terraform and the AWS command line, and a server in the
//! place of Cloudflare: what it shows, what it refuses, and what it moves.

use super::{cloudflare::Cloudflare, fakes};
use cutover_tests::{paths, terraform::run};
use serde_json::{Value, json};
use std::{fs, process::Command};
use tempfile::TempDir;

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

/// The functions, in the order in which they return.
const FUNCTIONS: [&str; 6] = ["ask", "evaluate", "ingest", "management", "promote", "emergency"];

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
        command.envs(self.cloudflare.variables()).env("CI", "1");
        tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
    }

    /// Returns the functions whose alias was moved, and where to.
    fn moved(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.path().join("calls")).unwrap();
        let updates = calls.lines().filter(|call| call.contains("update-alias"));
        let words = updates.map(|call| call.split_whitespace().collect::<Vec<_>>());
        words.map(|words| format!("{} {}", words[3], words[7])).collect()
    }

    /// Sets the functions to the newest of these releases; their versions are numbered from 1.
    fn functions(&self, releases: &[&str]) {
        let variables = json!({ "CUTOVER_TABLE": "cutover" });
        let versions =
            (1..).zip(releases).map(|(number, release)| version(number, release, variables.clone()));
        self.publish("versions", &versions.collect::<Vec<_>>());
        self.set("alias", &releases.len().to_string());
    }

    /// Rolls back, which must end with these versions of the Worker, and of all functions. Returns what was printed.
    async fn returns(&self, worker: &str, function: u32) -> String {
        let (done, printed) = self.roll_back().await;
        assert!(done, "{printed}");
        assert_eq!(self.cloudflare.serving(), [worker], "{printed}");
        assert_eq!(self.moved(), FUNCTIONS.map(|name| format!("cutover-staging-{name} {function}")));
        printed
    }

    /// Rolls back, which must be refused before anything is moved. Returns what was printed.
    async fn refused(&self, why: &str) -> String {
        let deployments = self.cloudflare.deployments();
        let (done, printed) = self.roll_back().await;
        assert!(!done && printed.contains(why), "{why} was expected:\n{printed}");
        assert!(printed.contains("deploy an earlier commit"), "{printed}");
        assert_eq!(self.moved(), Vec::<String>::new(), "{printed}");
        assert_eq!(self.cloudflare.deployments(), deployments, "{printed}");
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
    fakes.cloudflare.release(&[["elsewhere", "a"], ["current", "b"]]);
    let printed = fakes
        .refused("the Worker: the version before, elsewhere, works on other data: CUTOVER_KV differs")
        .await;
    assert!(printed.contains("the Worker: current -> elsewhere"), "{printed}");
    assert!(printed.contains("INGEST_URL has its earlier value"), "{printed}");
    assert!(!printed.contains("CUTOVER_INGEST_SECRET") && !printed.contains(".example"), "{printed}");

    // The Worker is back, and a first run broke off before it came to the functions.
    fakes.cloudflare.clear();
    fakes.cloudflare.release(&[["before", "a"], ["current", "b"]]);
    fakes.cloudflare.deploy(&["before"]);
    let printed = fakes.returns("before", 1).await;
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

/// The Worker returns to the release of the functions' versions before, however many deployments it has had since.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_pairs_the_worker_with_the_functions() {
    let fakes = Fakes::start().await;
    let worker = &fakes.cloudflare;
    fakes.functions(&["a", "b"]);
    worker.release(&[["one", "a"], ["two", "b"]]);
    fakes.returns("one", 1).await;

    // The newest version gave its requests back, after the functions had been deployed.
    fakes.functions(&["a", "b", "c"]);
    worker.clear();
    worker.release(&[["one", "a"], ["two", "b"]]);
    worker.upload("three", "c");
    worker.deploy(&["three", "two"]);
    worker.deploy(&["two"]);
    let printed = fakes.returns("two", 2).await;
    assert!(printed.contains("the Worker is at its version before"), "{printed}");

    // Functions were deployed by hand, without a Worker.
    worker.clear();
    worker.release(&[["one", "a"], ["two", "b"]]);
    fakes.returns("two", 2).await;

    // The Worker was deployed twice with the same functions.
    worker.clear();
    worker.release(&[["one", "a"], ["two", "b"], ["three", "c"], ["four", "c"]]);
    fakes.returns("two", 2).await;

    // Versions that an earlier program uploaded name no release.
    worker.clear();
    worker.upload_otherwise("two", Value::Null);
    worker.deploy(&["two"]);
    worker.release(&[["three", "c"]]);
    fakes.refused("no version of the Worker that is of the release b has served all requests").await;
}

/// A version of the Worker has the secrets of its time. A rollback would bring back replaced ones, and users to the new arm.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_undoes_no_change_of_a_secret() {
    let fakes = Fakes::start().await;
    let worker = &fakes.cloudflare;
    fakes.functions(&["a", "b"]);
    let changes = [
        json!({ "workers/triggered_by": "secret", "workers/message": "cargo xtask deploy", "workers/tag": "b" }),
        json!({ "workers/message": "Updated secret \"FORCE_LEGACY\"", "workers/tag": "secret-1" }),
    ];
    for annotations in changes {
        worker.clear();
        worker.release(&[["one", "a"], ["two", "b"]]);
        worker.upload_otherwise("changed", annotations.clone());
        worker.deploy(&["changed"]);
        fakes.refused("a secret or a setting of the Worker was changed since, by changed").await;

        // A version that was uploaded later has the secret too, and so has the one that the rollback chooses.
        worker.clear();
        worker.release(&[["one", "a"]]);
        worker.upload_otherwise("changed", annotations);
        worker.deploy(&["changed"]);
        worker.release(&[["two", "b"]]);
        fakes.returns("changed", 1).await;
    }

    // As a variable of wrangler.toml.
    worker.clear();
    worker.release(&[["one", "a"], ["forced", "b"]]);
    fakes.refused("FORCE_LEGACY differs").await;
}

/// The release before is one that a rollback has left.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_rollback_does_not_return_to_what_the_first_one_left() {
    let fakes = Fakes::start().await;
    let worker = &fakes.cloudflare;
    worker.release(&[["one", "a"], ["two", "b"]]);
    worker.deploy(&["one"]);
    // Terraform was applied by hand since.
    fakes.functions(&["a", "b", "c"]);
    fakes.refused("a rollback has left the Worker two").await;
    // Everything was deployed since.
    worker.release(&[["three", "c"]]);
    fakes.refused("a rollback has left the Worker two").await;
}
