//! `cutover canary start` and `retry`: a new run, after saying whom its first step moves.

use super::steer;
use crate::{client::Client, confirm::Confirmation, exposure, failure::Failure, notice, output::Format};
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

/// Begins a run with a verb of the management API. Asks first if its first step, or its evidence from then on, moves users.
///
/// # Errors
///
/// Fails if the operator says no, or if the management API refuses a request or cannot be reached.
pub(super) fn run(client: &Client, options: &Options, verb: &str, format: Format) -> Result<(), Failure> {
    let Options { flag, confirmation } = options;
    let config = client.get("/config")?;
    // Without a plan the management API explains the refusal.
    if let Some(climb) = Climb::of(&config, flag).filter(Climb::moves_users) {
        let (change, moved) = (format!("start a run of {flag}"), climb.sentence(flag));
        if !confirmation.is_asked(client.environment()) {
            notice::print(&moved);
        }
        confirmation.confirm(client.environment(), &change, &moved)?;
    }
    steer::run(client, flag, verb, format)?;
    exposure::tell_share(client, format);
    Ok(())
}

/// The shares of a flag that a run begins with and leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Climb {
    from: PartsPerMillion,
    first: PartsPerMillion,
    last: PartsPerMillion,
}

impl Climb {
    /// Reads the share of a flag and the steps of its plan; `None` if there is no plan or no flag.
    fn of(config: &Value, flag: &str) -> Option<Self> {
        let object = |section: &str| config.get(section).and_then(|objects| objects.get(flag));
        let held = object("feature_flags")?.get("rollout_percentage").and_then(Value::as_f64);
        let plan: CanaryPlan = serde_json::from_value(object("canary_deployments")?.clone()).ok()?;
        let from = PartsPerMillion::from_percent(held.unwrap_or_default()).ok()?;
        let first = plan.share_at(0);
        Some(Self { from, first, last: plan.steps().last().copied().unwrap_or(first) })
    }

    fn moves_users(&self) -> bool {
        self.from != self.first || self.last > self.first
    }

    fn sentence(self, flag: &str) -> String {
        let Self { from, first, last } = self;
        let moved = f64::from(from.get().abs_diff(first.get())) / 10_000.0;
        let begin = match from.cmp(&first) {
            Ordering::Greater => {
                format!("{flag} moves from {from} down to {first}: about {moved}% of users go back to legacy")
            }
            Ordering::Equal => format!("{flag} stays at {first}"),
            Ordering::Less => {
                format!(
                    "{flag} moves from {from} up to {first}: about {moved}% of users go to the new backend"
                )
            }
        };
        if last > first { format!("{begin}, and its evidence moves more users, up to {last}") } else { begin }
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
    fn the_start_says_whom_it_moves_at_once_and_later() {
        let climb = |held: f64| Climb::of(&config(held), "f").unwrap();
        for (held, expected) in [
            (50.0, "f moves from 50% down to 5%: about 45% of users go back to legacy"),
            (0.0, "f moves from 0% up to 5%: about 5% of users go to the new backend"),
            (5.0, "f stays at 5%"),
        ] {
            let later = "and its evidence moves more users, up to 25%";
            assert_eq!(climb(held).sentence("f"), format!("{expected}, {later}"));
            assert!(climb(held).moves_users(), "{held}");
        }
        assert_eq!(Climb::of(&config(0.0), "bare"), None);
        assert_eq!(Climb::of(&config(0.0), "unknown"), None);
    }

    #[test]
    fn a_start_without_a_climb_moves_nobody() {
        let [first, other] = [5.0, 6.0].map(|share| PartsPerMillion::from_percent(share).unwrap());
        let climb = Climb { from: first, first, last: first };
        assert!(!climb.moves_users() && Climb { from: other, ..climb }.moves_users());
    }

    #[test]
    fn the_configuration_is_read_before_the_start() {
        let body: &'static str = config(50.0).to_string().leak();
        let (url, paths) = fake_server::answering(200, body);
        let client = Client::new(&url, "token", None).unwrap();
        let options = Options { flag: "f".to_owned(), confirmation: Confirmation::given() };
        run(&client, &options, "start", Format::Json).unwrap();
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/config", "/api/migration/canary/f/start"]);
    }
}
