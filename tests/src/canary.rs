//! A stack with a canary whose steps last seconds, under steady traffic.

use crate::{
    stack::{Options, Stack},
    steady::Steady,
    webhook::{self, Webhook},
};
use cutover_core::canary::{Record, replay};
use cutover_origins::Faults;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Name of the flag whose canary runs.
pub const FLAG: &str = "graphql_reviews_read";

/// A path whose route uses the flag.
pub const PATH: &str = "/api/v1/reviews/7";

/// Milliseconds between two reports of an isolate.
pub const REPORT_INTERVAL_MS: u64 = 500;

/// A stack with a canary, and the receiver of its notifications.
pub struct Canary {
    /// The stack.
    pub stack: Stack,
    /// The receiver of notifications.
    pub webhook: Webhook,
}

/// Returns a canary plan as YAML: the first step, the other steps, and further fields. Its steps do not wait until users
/// are known, which takes an event window and a time limit.
pub fn plan(initial: f64, steps: &[f64], more: &str) -> String {
    format!(
        "  {FLAG}:\n    initial_percentage: {initial}\n    promotion_steps: {steps:?}\n    \
         step_duration_minutes: 0.03\n    bake_minutes: 0.05\n    min_users: 0\n    \
         success_criteria: {{ max_error_rate: 0.05, max_response_time_p95: 300 }}\n    \
         rollback_criteria: {{ max_error_rate: 0.1, max_response_time_p95: 500 }}\n{more}"
    )
}

impl Canary {
    /// Starts a stack with this plan. The flag is enabled, at 0 percent.
    pub async fn start(plan: &str, options: Options) -> Self {
        let webhook = Webhook::start().await;
        let mut options = options;
        for (name, value) in [
            ("SNAPSHOT_SOFT_TTL_MS", "500".to_owned()),
            ("REPORT_INTERVAL_MS", REPORT_INTERVAL_MS.to_string()),
        ] {
            options.worker_variables.entry(name).or_insert(value);
        }
        for (name, value) in
            [("CUTOVER_WEBHOOK_URL", webhook.url()), ("CUTOVER_WEBHOOK_SECRET", webhook::SECRET.to_owned())]
        {
            options.function_variables.insert(name, value);
        }
        let stack = Stack::start(options).await;
        let configuration = stack.dev_configuration();
        let (before, rest) = configuration.split_once("canary_deployments:\n").expect("there are canaries");
        let (_, after) = rest.split_once("ab_tests:").expect("there are experiments");
        let configuration = format!("{before}canary_deployments:\n{plan}\nab_tests:{after}")
            .replace("user_whitelist: [\"user-123\"]", "user_whitelist: []")
            .replace("user_blacklist: [\"user-666\"]", "user_blacklist: []")
            .replacen("rollout_percentage: 25.0", "rollout_percentage: 0", 1);
        stack.management().apply(&configuration).await.expect(200);
        Self { stack, webhook }
    }

    /// Sends an action to the canary: `start`, `promote`, `pause` and so on. Returns the response
    /// body.
    pub async fn steer(&self, action: &str) -> Value {
        let path = format!("/canary/{FLAG}/{action}");
        let response = self.stack.management().send("POST", &path, &[], None).await;
        assert!((200..300).contains(&response.status), "{action}: {:#}", response.body);
        response.body
    }

    /// Returns the status of the canary.
    pub async fn status(&self) -> Value {
        self.stack.management().get(&format!("/canary/{FLAG}")).await.expect(200).body
    }

    /// Ticks every second until the canary's status satisfies `wanted`, for at most `patience`
    /// seconds. Returns the status and the seconds it took. `expected` names the status in failure
    /// messages.
    pub async fn tick_until(
        &self,
        expected: &str,
        patience: u64,
        wanted: impl Fn(&Value) -> bool,
    ) -> (Value, f64) {
        let begun = Instant::now();
        loop {
            self.stack.tick().await;
            let status = self.status().await;
            if wanted(&status) {
                return (status, begun.elapsed().as_secs_f64());
            }
            assert!(
                begun.elapsed() < Duration::from_secs(patience),
                "not {expected} after {patience} s: {status:#}"
            );
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }

    /// Starts the canary, and traffic of the given number of requests per second.
    pub async fn under_traffic(&self, per_second: f64) -> Steady {
        let started = self.steer("start").await;
        self.stack.edge_holds(started["revision"].as_u64().expect("a revision")).await;
        Steady::start(&self.stack.edge.ports(), &[PATH], per_second)
    }

    /// Sets the faults of the new backend.
    pub fn new_fails(&self, faults: Faults) {
        self.stack.new.control().set(faults);
    }

    /// Returns all records of a run, after checking that replaying them gives the same decisions.
    pub async fn replayed(&self, run: &str) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        let mut after = String::new();
        loop {
            let path =
                format!("/canary/{FLAG}/runs/{run}/records?limit=100&after={}", after.replace('#', "%23"));
            let page = self.stack.management().get(&path).await.expect(200).body;
            let more: Vec<Record> = serde_json::from_value(page["records"].clone()).expect("records");
            records.extend(more);
            match page["next_after"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert!(!records.is_empty());
        assert_eq!(replay(&records), [], "replaying the records gives other decisions");
        records
    }

    /// Returns the shares that `promote` gave the flag, in chronological order, from the audit log.
    pub async fn shares(&self) -> Vec<f64> {
        let path = format!("/audit?object=canary_runs/{FLAG}&limit=1000");
        let records = self.stack.management().get(&path).await.expect(200).body;
        let mut shares: Vec<f64> = records["records"]
            .as_array()
            .expect("records")
            .iter()
            .filter(|record| record["actor"] == "promote")
            .flat_map(|record| record["changes"].as_array().expect("changes").clone())
            .filter_map(|change| change["rollout_percentage"][1].as_f64())
            .collect();
        shares.reverse();
        shares
    }
}

/// Returns faults that answer a share of requests with status 500.
pub fn errors(share: f64) -> Faults {
    Faults { error_rate: share, ..Faults::default() }
}

/// Returns faults that delay every response by the given milliseconds.
pub fn slow(ms: u64) -> Faults {
    Faults { latency_ms: ms, ..Faults::default() }
}

/// Returns options with additional variables for the functions.
pub fn with_functions(variables: &[(&'static str, &str)]) -> Options {
    let function_variables: BTreeMap<_, _> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Options { function_variables, ..Options::default() }
}

/// Returns a JSON number as `f64`, or panics with the value.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{} is not a number", json!(value)))
}
