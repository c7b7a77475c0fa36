//! `cutover canary replay`: recomputes every decision of a run from its records.

use super::path::path;
use crate::{
    client::{Client, encode},
    failure::Failure,
    notice,
    output::{self, Format},
};
use cutover_core::canary::{Action, Record, Run, RunState, Step, replay};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Replays a run, the newest one if none is named.
///
/// # Errors
///
/// Fails if the canary was never started, if the records cannot be read, or if a recomputed
/// decision differs from its record.
pub(super) fn run(client: &Client, flag: &str, run: Option<&str>, format: Format) -> Result<(), Failure> {
    let run = match run {
        Some(run) => run.to_owned(),
        None => newest(client, flag)?,
    };
    let records: Vec<Record> = client.records(&path(flag, &format!("/runs/{}/records", encode(&run))))?;
    let found = replay(&records);
    let differing = found.iter().map(|found| found.position).collect::<BTreeSet<_>>().len();
    let disagreements: Vec<String> = found.iter().map(ToString::to_string).collect();
    let report = json!({ "run": run, "records": records.len(), "disagreements": disagreements });
    output::show(format, &report, || {
        let rows: Vec<Vec<String>> = records.iter().map(row).collect();
        output::table(&["TIME", "BY", "STEP", "RESULT", "REASON"], &rows);
    });
    notice::print(&format!(
        "run {run}: {} decisions reproduced, {differing} differ",
        records.len().saturating_sub(differing)
    ));
    if disagreements.is_empty() {
        return Ok(());
    }
    for disagreement in &disagreements {
        notice::print(disagreement);
    }
    Err(Failure::Io(format!(
        "{differing} of {} records differ from the decisions recomputed from them\n  hint: compare the code version in \
         the records with cutover --version",
        records.len()
    )))
}

/// Returns the id of the newest run.
fn newest(client: &Client, flag: &str) -> Result<String, Failure> {
    let status = client.get(&path(flag, ""))?;
    status.get("run").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
        Failure::Usage(format!(
            "the canary of {flag} has not been started\n  hint: start it with cutover canary start {flag}"
        ))
    })
}

fn row(record: &Record) -> Vec<String> {
    let (action, reason) = match &record.step {
        Step::Evaluation { windows, after, .. } => {
            let new = &after.counts.new;
            let counts = || format!("{} requests, {} errors on new", new.requests, new.errors);
            let found = after.breach.as_ref().map_or_else(counts, |breach| breach.finding());
            let s = if windows.len() == 1 { "" } else { "s" };
            (format!("evaluated {} window{s}", windows.len()), found)
        }
        Step::Decision { decision, .. } => {
            let reason = match &decision.verdict.breach {
                Some(breach) if decision.action == Action::RollBack => breach.sentence(),
                _ => decision.says(),
            };
            (result(decision.action).to_owned(), reason)
        }
    };
    vec![output::fixed(&record.at.to_string()), record.actor.clone(), step(&record.run), action, reason]
}

/// Returns the step of a run by its percentage.
fn step(run: &Run) -> String {
    if run.is_past_last_step() { "bake".to_owned() } else { run.plan.share_at(run.step).to_string() }
}

/// Returns the result of an action; those that end a run are spelt as the state that they lead to.
fn result(action: Action) -> &'static str {
    match action {
        Action::Hold => "held",
        Action::Advance => "advanced",
        Action::RollBack => RunState::RolledBack.as_str(),
        Action::Pause => RunState::Paused.as_str(),
        Action::Restart => "restarted",
        Action::Complete => RunState::Completed.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        Timestamp,
        canary::{Evidence, RunIdentity, TickContext, fold},
    };

    fn run() -> Run {
        let limits = json!({ "max_error_rate": 0.05, "max_response_time_p95": 500.0 });
        let plan = json!({
            "initial_percentage": 5.0, "promotion_steps": [50.0], "step_duration_minutes": 1.0,
            "success_criteria": limits, "rollback_criteria": limits,
        });
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        let plan = serde_json::from_value(plan).unwrap();
        Run::start(identity, "f".parse().unwrap(), plan, Timestamp::from_millis(0), "ann")
    }

    #[test]
    fn steps_are_percentages() {
        let run = run();
        let next = run.advanced(Timestamp::from_millis(1), "");
        let bake = next.advanced(Timestamp::from_millis(2), "");
        assert_eq!([step(&run), step(&next), step(&bake)], ["5%", "50%", "bake"]);
    }

    #[test]
    fn a_decision_is_a_row_in_plain_words() {
        let run = run();
        let evidence: Evidence = fold(&run, None, &[]);
        let around = TickContext {
            emergency: true,
            enabled: true,
            plan: Some(run.plan.clone()),
            through: None,
            flag_changed: None,
        };
        let (record, _) = Record::decision(Timestamp::from_millis(0), "test", &run, &evidence, around);
        let expected = ["5%", "paused", "an emergency holds the flag on legacy"];
        assert_eq!(row(&record)[2..], expected);
        assert_eq!(row(&record)[0], "1970-01-01T00:00:00.000Z", "columns of times are aligned");
        assert_eq!(result(Action::RollBack), "rolled_back");
    }
}
