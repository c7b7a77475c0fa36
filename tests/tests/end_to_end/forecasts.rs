//! `cutover canary plan` and `cutover canary simulate` say the same of one plan at the same rates. Neither needs a stack.

use cutover_tests::{command::cutover_alone, paths};
use serde_json::Value;

const FLAG: &str = "graphql_reviews_read";

#[tokio::test(flavor = "multi_thread")]
async fn plan_and_simulate_agree_that_a_backend_within_its_limits_is_held() {
    let file = paths::root().join("docs/example.yaml");
    let file = file.to_str().unwrap();
    for (new, legacy, name) in [
        ("--error-rate", "--legacy-error-rate", "errors"),
        ("--slow-rate", "--legacy-slow-rate", "slow responses"),
    ] {
        let report = async |command: &str, runs: &[&str]| -> Value {
            let words = ["canary", command, FLAG, "-f", file, "--json", new, "0.01", legacy, "0"];
            let done = cutover_alone(&[&words[..], runs].concat(), "").await;
            assert_eq!(done.code, 0, "{words:?}: {}{}", done.out, done.err);
            serde_json::from_str(&done.out).unwrap()
        };
        let plan = report("plan", &[]).await;
        let outlooks: Vec<&str> =
            plan["steps"].as_array().unwrap().iter().map(|step| step["outlook"].as_str().unwrap()).collect();
        // At 100 % there is no legacy to compare with.
        assert_eq!(outlooks, ["holds", "holds", "holds", "holds", "holds", "holds", "advances"], "{name}");
        let simulated = report("simulate", &["--runs", "50"]).await;
        for said in [&plan["sentence"], &simulated["expected"]] {
            let said = said.as_str().unwrap();
            assert!(said.starts_with("1%: held, although within the success limit"), "{name}: {said}");
            let found = "are more than 1.25 times as frequent, found after about 300 requests on new";
            assert!(said.contains(&format!("{name} {found}")), "{name}: {said}");
        }
        let outcomes = simulated["outcomes"].as_array().unwrap();
        let held: f64 = outcomes
            .iter()
            .filter(|outcome| outcome["outcome"].as_str().unwrap().starts_with("held at"))
            .map(|outcome| outcome["share"].as_f64().unwrap())
            .sum();
        assert!(held > 0.8, "{name}: only {held} of the runs were held: {simulated:#}");
    }
}
