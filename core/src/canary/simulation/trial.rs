//! A trial: the traffic of a scenario, evaluated and decided as the control plane does it.

use crate::{
    canary::{
        decide::{Action, Reason, TickContext, decide},
        evidence::Evidence,
        fold::fold,
        gather::windows,
        run::Run,
        simulation::{
            scenario::{Scenario, Seeds},
            traffic::Traffic,
        },
        test::Test,
    },
    measurement::batch::{Batch, WINDOW_MS},
    vocabulary::timestamp::Timestamp,
};

/// Arrival windows of a minute.
const WINDOWS_PER_MINUTE: i64 = 60_000 / WINDOW_MS;

/// End of a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ending {
    /// The rollback that ended it, if one did.
    pub rolled_back: Option<RolledBack>,
    /// True if a decision held because the new arm was worse than legacy.
    pub worse: bool,
    /// True if a decision held, or paused, because of a shared incident.
    pub shared: bool,
    /// Action of the last decision.
    pub last: Action,
    /// Reason for it.
    pub reason: Reason,
}

/// A rollback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RolledBack {
    /// The test that fired; `None` for a rollback for want of data.
    pub test: Option<Test>,
    /// Seconds from the beginning of the scenario's last fault to the decision; negative before it.
    pub seconds: f64,
}

/// Runs one step of a scenario at the run's share. `run` must have begun its step at a multiple of
/// [`WINDOW_MS`]. The trial ends with the scenario or with a rollback, and does not advance.
pub fn simulate(run: &Run, scenario: &Scenario, seeds: Seeds) -> Ending {
    let mut traffic = Traffic::new(run, scenario, seeds);
    let mut evidence: Option<Evidence> = None;
    let (last, reason) = (Action::Hold, Reason::StepTime);
    let mut ending = Ending { rolled_back: None, worse: false, shared: false, last, reason };
    let mut around = TickContext {
        emergency: false,
        enabled: true,
        plan: Some(run.plan.clone()),
        through: None,
        flag_changed: None,
    };
    let began = run.step_started_at.millis();
    let count = i64::from(scenario.minutes) * WINDOWS_PER_MINUTE;
    let per_tick = i64::from(scenario.windows_per_tick.max(1));
    let mut arrived: Vec<(i64, Batch)> = Vec::new();
    for number in 1..=count {
        let until = began + number * WINDOW_MS;
        arrived.push((until - 1, traffic.next_batch()));
        if number % per_tick != 0 && number != count {
            continue;
        }
        let arrivals = windows(&run.id, &run.plan, arrived.iter().map(|(at, batch)| (*at, batch)), until);
        let after = fold(run, evidence.as_ref(), &arrivals);
        arrived.clear();
        let now = Timestamp::from_millis(until);
        around.through = Some(now);
        let decision = decide(run, &after, &around, now);
        evidence = Some(after);
        (ending.last, ending.reason) = (decision.action, decision.reason);
        ending.worse |= decision.reason == Reason::WorseThanLegacy;
        ending.shared |= decision.reason == Reason::SharedIncident;
        if decision.action == Action::RollBack {
            let after_ms = until - began - traffic.last_fault_ms();
            let test = decision.verdict.breach.map(|breach| breach.test);
            ending.rolled_back = Some(RolledBack { test, seconds: after_ms as f64 / 1_000.0 });
            break;
        }
    }
    ending
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        canary::{
            plan::{CanaryPlan, Criteria, Options},
            run::RunIdentity,
            simulation::scenario::{Fault, Symptom},
        },
        vocabulary::share::PartsPerMillion,
    };

    fn run() -> Run {
        let limits =
            Criteria { max_error_rate: 0.1, max_response_time_p95: 1_000.0, max_mismatch_rate: None };
        let plan = CanaryPlan {
            initial_percentage: PartsPerMillion::of_percent(50),
            promotion_steps: Vec::new(),
            step_duration_minutes: 2.0,
            success_criteria: limits,
            rollback_criteria: limits,
            options: Options::default(),
        };
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: Some("0".repeat(32)) };
        let now = Timestamp::from_millis(1_700_000_000_000);
        Run::start(identity, "flag".parse().unwrap(), plan, now, "operator")
    }

    #[test]
    fn a_healthy_step_is_proven_by_its_traffic() {
        let healthy = Scenario { minutes: 2, requests_per_second: 20, ..Scenario::default() };
        let ending = simulate(&run(), &healthy, Seeds::of(1));
        assert_eq!((ending.rolled_back, ending.last), (None, Action::Advance));
    }

    #[test]
    fn the_same_seeds_give_the_same_ending() {
        let faults = vec![Fault::of_new(Symptom::Error, 0.3, 1)];
        let ill = Scenario { minutes: 4, windows_per_tick: 1, faults, ..Scenario::default() };
        let ending = simulate(&run(), &ill, Seeds::of(1));
        assert!(ending.rolled_back.is_some_and(|found| found.seconds > 0.0), "{ending:?}");
        assert_eq!(ending, simulate(&run(), &ill, Seeds::of(1)));
    }
}
