//! Reports about users: whatever an isolate claims, folding it comes to an end, sums are never taken back, and folding the
//! same again gives the same. Each line is a batch.

#![no_main]

use cutover_core::{
    Timestamp,
    canary::{Run, RunIdentity, fold, windows},
    config::Config,
};
use cutover_lambda::measurement::ingest;
use libfuzzer_sys::fuzz_target;

const PLAN: &str = "feature_flags: { f: { enabled: true } }\ncanary_deployments:\n  f:\n    initial_percentage: 10\n    \
                    promotion_steps: [10, 100]\n    step_duration_minutes: 60\n    \
                    success_criteria: { max_error_rate: 0.05, max_response_time_p95: 500 }\n    \
                    rollback_criteria: { max_error_rate: 0.1, max_response_time_p95: 1000 }\n";

fuzz_target!(|text: &str| {
    let config = Config::from_yaml(PLAN).expect("this is a configuration");
    let (flag, plan) = config.canary_deployments.into_iter().next().expect("it has a plan");
    let identity = RunIdentity { id: "r1".parse().expect("a name"), key: Some("0".repeat(32)) };
    let run = Run::start(identity, flag, plan, Timestamp::from_millis(0), "fuzz");
    let mut before = None;
    for (number, line) in text.lines().take(8).enumerate() {
        let Ok(batch) = ingest::read(line.as_bytes()) else { continue };
        let at = i64::try_from(number).expect("a small number") * 7_000;
        let arrived = windows(&run.id, &run.plan, std::iter::once((at, &batch)), at + 20_000);
        let after = fold(&run, before.as_ref(), &arrived);
        assert_eq!(fold(&run, before.as_ref(), &arrived), after);
        let text = serde_json::to_string(&after).expect("evidence is JSON");
        assert_eq!(serde_json::from_str::<cutover_core::canary::Evidence>(&text).ok().as_ref(), Some(&after));
        before = Some(after);
    }
});
