//! The transcripts in the documents are what the command prints, but for times, counts and columns that follow from them.
//! That of docs/comparison.md is checked in `comparison.rs`, where responses are compared.

use cutover_tests::{
    canary::{Canary, errors},
    command::cutover,
    paths,
    stack::{Options, ROOT_TOKEN, Stack},
};

/// A command of a transcript and the lines that it prints.
pub struct Transcript {
    pub arguments: Vec<String>,
    pub printed: Vec<String>,
}

/// Reads the blocks that are marked `console transcript`.
pub fn transcripts(document: &str) -> Vec<Transcript> {
    let text = std::fs::read_to_string(paths::root().join(document)).unwrap();
    let mut found = Vec::new();
    for block in text.split("```console transcript\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            if let Some(command) = line.strip_prefix("$ cutover ") {
                let arguments = command.split_whitespace().map(str::to_owned).collect();
                found.push(Transcript { arguments, printed: Vec::new() });
            } else {
                found.last_mut().expect("a transcript begins with a command").printed.push(line.to_owned());
            }
        }
    }
    found
}

/// A line without times, and with single spaces, because columns are as wide as their content.
fn normal(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let is_time = word.ends_with('Z') && word.contains('T') && word.contains(':');
        if is_time { "TIME" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A line without anything that depends on traffic: numbers, and bars made of them.
pub fn shape(line: &str) -> String {
    let words = line.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    words
        .filter(|word| !word.contains(['#', '%']))
        .filter(|word| !word.starts_with(".."))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_shows_what_the_command_prints() {
    let stack = Stack::start(Options::default()).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    let mut checked = 0;
    for Transcript { arguments, printed } in transcripts("README.md") {
        if arguments.starts_with(&["canary".to_owned()]) {
            continue;
        }
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = cutover(&stack, ROOT_TOKEN, &words, "").await;
        let expected: Vec<String> = printed.iter().map(|line| normal(line)).collect();
        let found: Vec<String> = done.out.lines().map(normal).collect();
        assert_eq!(found, expected, "cutover {}:\n{}{}", arguments.join(" "), done.out, done.err);
        checked += 1;
    }
    assert!(checked >= 3, "only {checked} transcripts were found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_shows_a_canary_that_was_rolled_back() {
    let shown = transcripts("README.md").into_iter().find(|found| found.arguments[0] == "canary").unwrap();
    // Its steps outlast the test, so the canary stays at 50 % until its backend breaks.
    let plan = cutover_tests::canary::plan(5.0, &[25.0, 50.0, 100.0], "")
        .replace("step_duration_minutes: 0.03", "step_duration_minutes: 60");
    let canary = Canary::start(&plan, Options::default()).await;
    let traffic = canary.under_traffic(300.0).await;
    // To the step at which the backend breaks in the document.
    for _ in 0..2 {
        canary.steer("promote").await;
    }
    // Users become known later than requests, and the document shows a step that had both.
    canary
        .tick_until("known by its users", 120, |status| {
            let seen = &status["evidence"]["users"]["seen"];
            seen["new"].as_u64() >= Some(60) && seen["legacy"].as_u64() >= Some(60)
        })
        .await;
    canary.new_fails(errors(0.3));
    canary.tick_until("rolled back", 120, |status| status["state"] == "rolled_back").await;
    traffic.stop().await;
    let flag = cutover_tests::canary::FLAG;
    let done = cutover(&canary.stack, ROOT_TOKEN, &["canary", "status", flag], "").await;
    let expected: Vec<String> =
        shown.printed.iter().map(|line| line.replace(&shown.arguments[2], flag)).collect();
    let found: Vec<&str> = done.out.lines().collect();
    assert_eq!(shape(found[0]), shape(&expected[0]), "{}", done.out);
    assert_eq!(normal(found[1]), normal(&expected[1]), "{}", done.out);
    // The rest of the sentence names the test that was the first to fire.
    for line in [found[2], &expected[2]] {
        assert!(line.starts_with("  Rolled back from 50 %: "), "{line}\n{}", done.out);
    }
    // All other lines, in their order; the ellipsis stands for rows of further checks.
    let mut rest = found[3..].iter().map(|line| shape(line));
    for line in expected[3..].iter().filter(|line| line.trim() != "…") {
        assert!(
            rest.any(|found| found == shape(line)),
            "{line:?} is not printed in its place:\n{}",
            done.out
        );
    }
}
