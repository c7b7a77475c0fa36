//! docs/first-hour.md, followed with two backends that this project knows nothing of: each `cutover` command prints what the
//! page says.

use crate::transcripts::{Transcript, transcripts};
use axum::{Router, routing::get};
use cutover_tests::{
    command::{CommandOutput, cutover_alone, cutover_at},
    dev::{arguments::Ports, expectation::missing},
    paths,
    process::{Process, free_row},
    server::Server,
};
use std::{path::Path, process::Command, time::Duration};

/// Name of the file on the page.
const FILE: &str = "cutover.yaml";

/// URLs of the backends on the page.
const LEGACY: &str = "https://old.example";
const NEW: &str = "https://new.example";

/// The plan that `cutover init` writes, and the one that step 3 of the page puts in its place.
const PLAN: &str =
    "    initial_percentage: 1\n    promotion_steps: [1, 5, 25, 50, 100]\n    step_duration_minutes: 30\n";
const SHORT_PLAN: &str = "    initial_percentage: 10\n    promotion_steps: [10, 50, 100]\n    step_duration_minutes: 1\n    \
                          bake_minutes: 1\n";

/// The whitelist as `cutover init` writes it, and as step 3 says it.
const WHITELIST: &str = "    # user_whitelist: [\"your-user-id\"]\n";
const SHORT_WHITELIST: &str = "    user_whitelist: [\"ann\"]\n";

/// The two backends, and the file.
struct Hour<'h> {
    legacy: String,
    new: String,
    file: &'h Path,
}

impl Hour<'_> {
    /// Returns the arguments of a command of the page with the URLs and the file of this test.
    fn arguments(&self, transcript: &Transcript) -> Vec<String> {
        let file = self.file.to_str().unwrap();
        let own = |word: &String| match word.as_str() {
            LEGACY => self.legacy.clone(),
            NEW => self.new.clone(),
            FILE => file.to_owned(),
            _ => word.clone(),
        };
        transcript.arguments.iter().map(own).collect()
    }

    /// Checks that a command printed what the page says, and ended as it should.
    #[track_caller]
    fn check(&self, transcript: &Transcript, done: &CommandOutput) {
        let command = transcript.arguments.join(" ");
        let printed = format!("{}{}", done.out, done.err);
        let printed = printed.replace(self.file.to_str().unwrap(), FILE);
        let printed = printed.replace(&self.legacy, LEGACY).replace(&self.new, NEW);
        let code = if transcript.arguments[0] == "diff" { 12 } else { 0 };
        assert_eq!(done.code, code, "cutover {command}:\n{printed}");
        let expected: Vec<&str> = transcript.printed.iter().map(String::as_str).collect();
        let missing = missing(&printed, &expected);
        assert!(missing.is_empty(), "cutover {command}: {missing:?} is not in:\n{printed}");
    }

    /// Edits the file as step 3 of the page says.
    fn edit(&self) {
        let page = std::fs::read_to_string(paths::root().join("docs/first-hour.md")).unwrap();
        let mut text = std::fs::read_to_string(self.file).unwrap();
        for (written, edited) in [(WHITELIST, SHORT_WHITELIST), (PLAN, SHORT_PLAN)] {
            assert!(page.contains(&format!("```yaml\n{edited}```")), "the page does not say {edited}");
            assert!(text.contains(written), "cutover init does not write {written}:\n{text}");
            text = text.replace(written, edited);
        }
        std::fs::write(self.file, text).unwrap();
    }
}

/// Starts a backend that answers below `/api`.
async fn backend(name: &'static str) -> Server {
    Server::start(Router::new().route("/api/{*rest}", get(move || async move { name }))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_first_hour_prints_what_the_page_says() {
    let (legacy, new) = (backend("old").await, backend("new").await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let hour = Hour { legacy: legacy.url(), new: new.url(), file: &file };
    let commands = transcripts("docs/first-hour.md");
    let (first, others) = commands.split_first().expect("the page has commands");
    assert!(others.len() >= 10, "only {} commands were found", others.len());

    let mut arguments = hour.arguments(first);
    arguments.extend(["--output".to_owned(), file.display().to_string()]);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    hour.check(first, &cutover_alone(&words, "").await);

    let ports = Ports::from_base(free_row());
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut dev = Command::new(paths::root().join("target/debug/dev"));
    dev.arg("--config").arg(&file).args(["--port", &ports.edge.to_string()]);
    let mut dev = Process::start("dev --config", dev, log.path());
    let text = dev.wait_for("being ready", Duration::from_secs(180), |output| {
        output.contains("Ctrl-C stops everything").then(|| output.to_owned())
    });
    // The file is the user's own: it is edited where it is.
    let path = file.display();
    assert!(text.contains(&format!("    cutover apply -f {path}\n")), "{text}");
    assert!(!text.contains(&format!("cp {path} ")), "{text}");
    hour.edit();
    let management = format!("http://127.0.0.1:{}/lambda-url/management", ports.functions);
    for command in others {
        let arguments = hour.arguments(command);
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        hour.check(command, &cutover_at(&management, &words).await);
    }
}
