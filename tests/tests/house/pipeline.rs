//! docs/ci.md: the steps of its workflow end as the page says. A script stands in for `cutover`.

use crate::sources::{read, root};
use cutover_core::config::Node;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

/// Writes down its arguments, and ends `diff` with the exit code of the test.
const STAND_IN: &str =
    "#!/bin/sh\necho \"$*\" >> calls\n[ \"$1\" = diff ] || exit 0\necho '{\"revision\": 7}'\nexit $DIFF\n";

/// Returns the script of a step of the page's workflow.
fn script(step: &str) -> String {
    let page = read(&root().join("docs/ci.md"));
    let (_, rest) = page.split_once("```yaml\n").expect("a workflow");
    let (workflow, _) = rest.split_once("\n```\n").expect("the end of the workflow");
    let workflow = Node::from_yaml(workflow).unwrap_or_else(|problem| panic!("{problem}")).to_json();
    let steps = workflow["jobs"]["cutover"]["steps"].as_array().expect("steps");
    let found = steps.iter().find(|found| found["name"] == step).unwrap_or_else(|| panic!("no step {step}"));
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
    shell.env("DIFF", diff.to_string()).env("GITHUB_SHA", "abc").env("GITHUB_STEP_SUMMARY", "summary");
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
