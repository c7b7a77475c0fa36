//! `cutover canary start` and `retry`: a new run, after saying whom its first step moves.

use super::steer;
use crate::{client::Client, confirm::Confirmation, failure::Failure, notice, output::Format};
use clap::Args;
use cutover_core::{PartsPerMillion, canary::plan::CanaryPlan};
use serde_json::Value;
use std::cmp::Ordering;

/// Arguments of both commands.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Begins a run with a verb of the management API. Asks first if it moves users.
///
/// # Errors
///
/// Fails if the operator says no, or if the management API refuses a request or cannot be reached.
pub(super) fn run(client: &Client, options: &Options, verb: &str, format: Format) -> Result<(), Failure> {
    let Options { flag, confirmation } = options;
    let config = client.get("/config")?;
    // Without a plan the management API explains the refusal.
    if let Some(shift) = Shift::of(&config, flag).filter(Shift::moves_users) {
        let (change, moved) = (format!("start a run of {flag}"), shift.sentence(flag));
        if !confirmation.is_asked(client.environment()) {
            notice::print(&moved);
        }
        confirmation.confirm(client.environment(), &change, &moved)?;
    }
    steer::run(client, flag, verb, format)
}

/// The change of a flag's share at the start of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shift {
    from: PartsPerMillion,
    to: PartsPerMillion,
}

impl Shift {
    /// Reads the share of a flag and that of its plan's first step; `None` if there is no plan or no flag.
    fn of(config: &Value, flag: &str) -> Option<Self> {
        let object = |section: &str| config.get(section).and_then(|objects| objects.get(flag));
        let held = object("feature_flags")?.get("rollout_percentage").and_then(Value::as_f64);
        let plan: CanaryPlan = serde_json::from_value(object("canary_deployments")?.clone()).ok()?;
        let from = PartsPerMillion::from_percent(held.unwrap_or_default()).ok()?;
        Some(Self { from, to: plan.share_at(0) })
    }

    fn moves_users(&self) -> bool {
        self.from != self.to
    }

    fn sentence(self, flag: &str) -> String {
        let Self { from, to } = self;
        let moved = f64::from(from.get().abs_diff(to.get())) / 10_000.0;
        match from.cmp(&to) {
            Ordering::Greater => {
                format!("{flag} moves from {from} down to {to}: about {moved}% of users go back to legacy")
            }
            _ => {
                format!("{flag} moves from {from} up to {to}: about {moved}% of users go to the new backend")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;
    use serde_json::json;

    fn config(held: f64) -> Value {
        let limits = json!({ "max_error_rate": 0.05, "max_response_time_p95": 500.0 });
        json!({
            "feature_flags": { "f": { "rollout_percentage": held }, "bare": {} },
            "canary_deployments": { "f": {
                "initial_percentage": 5.0, "promotion_steps": [25.0], "step_duration_minutes": 1.0,
                "success_criteria": limits, "rollback_criteria": limits,
            } },
        })
    }

    #[test]
    fn the_start_says_whom_it_moves() {
        let shift = |held: f64| Shift::of(&config(held), "f").unwrap();
        assert_eq!(
            shift(50.0).sentence("f"),
            "f moves from 50% down to 5%: about 45% of users go back to legacy"
        );
        assert_eq!(
            shift(0.0).sentence("f"),
            "f moves from 0% up to 5%: about 5% of users go to the new backend"
        );
        assert!(shift(50.0).moves_users() && !shift(5.0).moves_users());
        assert_eq!(Shift::of(&config(0.0), "bare"), None);
        assert_eq!(Shift::of(&config(0.0), "unknown"), None);
    }

    #[test]
    fn the_configuration_is_read_before_the_start() {
        let body: &'static str = config(50.0).to_string().leak();
        let (url, paths) = fake_server::answering(200, body);
        let client = Client::new(&url, "token", None, false).unwrap();
        let options = Options { flag: "f".to_owned(), confirmation: Confirmation::given() };
        run(&client, &options, "start", Format::Json).unwrap();
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/config", "/api/migration/canary/f/start"]);
    }
}
