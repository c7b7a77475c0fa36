//! docs/ci.md: the steps of its workflow end as the page says. A script stands in for `cutover`.

use crate::sources::{read, root};
use cutover_core::config::Node;
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

/// Writes down its arguments, and ends `diff` with the exit code of the test.
const STAND_IN: &str =
    "#!/bin/sh\necho \"$*\" >> calls\n[ \"$1\" = diff ] || exit 0\necho '{\"revision\": 7}'\nexit $DIFF\n";

/// Returns the page's workflow.
fn workflow() -> Value {
    let page = read(&root().join("docs/ci.md"));
    let (_, rest) = page.split_once("```yaml\n").expect("a workflow");
    let (workflow, _) = rest.split_once("\n```\n").expect("the end of the workflow");
    Node::from_yaml(workflow).unwrap_or_else(|problem| panic!("{problem}")).to_json()
}

/// Returns the script of a step of any job of the workflow.
fn script(step: &str) -> String {
    let workflow = workflow();
    let jobs = workflow["jobs"].as_object().expect("jobs").values();
    let mut steps = jobs.flat_map(|job| job["steps"].as_array().expect("steps"));
    let found = steps.find(|found| found["name"] == step).unwrap_or_else(|| panic!("no step {step}"));
    found["run"].as_str().expect("a script").to_owned()
}

/// Runs a step while `diff` ends with an exit code. Returns the exit code of the step, and the commands that it ran.
fn run(step: &str, diff: u8) -> (i32, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("cutover");
    fs::write(&program, STAND_IN).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-e", "-c", &script(step)]).current_dir(folder.path()).env("PATH", path);
    shell.env("DIFF", diff.to_string()).env("FLAG", "reviews");
    shell.env("GITHUB_SHA", "abc").env("GITHUB_STEP_SUMMARY", "summary");
    let code = shell.output().unwrap().status.code().unwrap();
    (code, calls(folder.path()))
}

fn calls(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("calls")).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_pull_request_shows_changes_and_fails_on_mistakes_alone() {
    for (diff, succeeds) in [(0, true), (12, true), (3, false), (4, false), (7, false)] {
        let (code, calls) = run("Show the changes", diff);
        assert_eq!(code == 0, succeeds, "diff ended with {diff}");
        assert_eq!(calls, ["diff cutover.yaml"]);
    }
}

#[test]
fn a_merge_applies_the_changes_that_its_log_shows_or_none() {
    let apply = "apply -f cutover.yaml --if-revision 7 --yes --reason abc";
    let diff = "diff cutover.yaml --json";
    for (exit, code, expected) in
        [(0, 0, vec![diff]), (12, 0, vec![diff, apply, "preflight"]), (3, 3, vec![diff])]
    {
        let (found, calls) = run("Apply them", exit);
        assert_eq!(found, code, "diff ended with {exit}");
        assert_eq!(calls, expected, "diff ended with {exit}");
    }
}

#[test]
fn a_canary_is_started_and_waited_for() {
    let (code, calls) = run("Run the canary", 0);
    let start = "canary start reviews --yes --reason abc";
    let wait = "canary wait reviews --for completed --timeout 5h";
    assert_eq!((code, calls), (0, ["preflight", start, wait].map(str::to_owned).to_vec()));
}

/// GitHub cancels the pending job of a group of `concurrency` if a newer one comes: a canary of hours, or a pull request, must
/// not be in the group of an apply. And a pull request, which may change its own job, gets no token that changes anything.
#[test]
fn jobs_share_neither_a_group_nor_the_token_of_an_operator_with_pull_requests() {
    let workflow = workflow();
    assert_eq!((&workflow["concurrency"], &workflow["env"]["CUTOVER_TOKEN"]), (&Value::Null, &Value::Null));
    let job = |event: &str| {
        let jobs = workflow["jobs"].as_object().expect("jobs");
        let condition = format!("github.event_name == '{event}'");
        jobs.values()
            .find(|job| job["if"] == condition.as_str())
            .unwrap_or_else(|| panic!("no job of {event}"))
    };
    let [diff, apply, canary] = ["pull_request", "push", "workflow_dispatch"].map(job);
    assert_eq!((&diff["concurrency"], &diff["environment"]), (&Value::Null, &Value::Null));
    assert_eq!(diff["env"]["CUTOVER_TOKEN"], "${{ secrets.CUTOVER_VIEWER_TOKEN }}");
    let groups = [apply, canary].map(|job| job["concurrency"].as_str().expect("a group"));
    assert_ne!(groups[0], groups[1]);
    for job in [apply, canary] {
        assert_eq!(job["environment"], "cutover");
        assert_eq!(job["env"]["CUTOVER_TOKEN"], "${{ secrets.CUTOVER_OPERATOR_TOKEN }}");
    }
}
