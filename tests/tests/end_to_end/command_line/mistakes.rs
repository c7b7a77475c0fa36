//! Mistakes that a newcomer made with the command line and the management API, by number. Each ends with the exit code, or the
//! status, that tells its kind, and names its cause and the next step in the words of whoever made it.

mod mistake;
mod table;

use super::scene::Scene;
use cutover_tests::is_deep;
use mistake::Mistake;
use std::net::TcpListener;
use table::mistakes;

/// Writes the files with mistakes.
fn write_files(scene: &Scene) {
    for (name, content) in [
        (
            "many.yaml",
            "feature_flags:\n  a: { enabled: maybe }\n  b: { enabled: true, rollout_percentage: 150 }\n  \
             c: { enabled: true, rollout_procentage: 5 }\norigin: {}\n",
        ),
        ("tabs.yaml", "feature_flags:\n\ta: { enabled: true }\n"),
        ("indented.yaml", "feature_flags:\n  a: { enabled: true }\n b: 1\n"),
        ("twice.yaml", "feature_flags:\n  a: { enabled: true }\n  a: { enabled: false }\n"),
        (
            "share.yaml",
            "feature_flags: { a: { enabled: true } }\ncanary_deployments:\n  a:\n    initial_percentage: 1\n    \
             promotion_steps: [1]\n    step_duration_minutes: 1\n    \
             success_criteria: { max_error_rate: 5, max_response_time_p95: 500 }\n    \
             rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 500 }\n",
        ),
    ] {
        scene.write(name, content);
    }
    scene.write("latin1.yaml", b"feature_flags: {} # caf\xe9\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_a_newcomer_is_answered_with_its_cause_and_the_next_step() {
    let mut scene = Scene::prepare().await;
    write_files(&scene);
    // Connections are accepted, and nothing is ever said.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    scene.words.set("silent", format!("http://{}", silent.local_addr().expect("an address")));
    let mut findings = Vec::new();
    for mistake in mistakes().into_iter().filter(|mistake| is_deep() || !mistake.is_slow) {
        findings.extend(mistake.findings(&scene).await);
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn the_table_has_every_mistake() {
    let number = |mistake: &Mistake| {
        mistake.number.trim_end_matches(|c: char| c.is_ascii_lowercase()).parse::<u32>().expect("a number")
    };
    let mut numbers: Vec<u32> = mistakes().iter().map(number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    numbers.dedup();
    assert_eq!(numbers, Vec::from_iter(1..=39));
}
