//! `cutover canary replay`: recomputes every decision of a run from its records.

use super::path::path;
use crate::{
    client::{Client, encode},
    failure::Failure,
    output::{self, Format},
};
use cutover_core::canary::{Action, Record, Step, replay};
use serde_json::{Value, json};

/// Replays a run, the newest one if none is named.
///
/// # Errors
///
/// Fails if the canary was never started, if the records cannot be read, or if a recomputed
/// decision differs from its record.
pub(super) fn run(client: &Client, flag: &str, run: Option<&str>, format: Format) -> Result<(), Failure> {
    let run = match run {
        Some(run) => run.to_owned(),
        None => {
            let status = client.get(&path(flag, ""))?;
            let run = status.get("run").and_then(Value::as_str).map(str::to_owned);
            run.ok_or_else(|| {
                Failure::Usage(format!(
                    "the canary of {flag} has not been started\n  hint: run cutover canary list"
                ))
            })?
        }
    };
    let records = records(client, flag, &run)?;
    let disagreements: Vec<String> = replay(&records).iter().map(ToString::to_string).collect();
    let report = json!({ "run": run, "records": records.len(), "disagreements": disagreements });
    output::show(format, &report, || {
        let rows: Vec<Vec<String>> = records.iter().map(row).collect();
        output::table(&["TIME", "BY", "STEP", "ACTION", "REASON"], &rows);
    });
    if disagreements.is_empty() {
        eprintln!("run {run}: all {} records were reproduced exactly", records.len());
        return Ok(());
    }
    for disagreement in &disagreements {
        eprintln!("{disagreement}");
    }
    Err(Failure::Io(format!(
        "{} of {} records differ from the decisions recomputed from them\n  hint: compare the code version in the \
         records with cutover --version",
        disagreements.len(),
        records.len()
    )))
}

fn records(client: &Client, flag: &str, run: &str) -> Result<Vec<Record>, Failure> {
    let mut records: Vec<Record> = Vec::new();
    let mut after = String::new();
    loop {
        let tail = format!("/runs/{}/records?after={}", encode(run), encode(&after));
        let page = client.get(&path(flag, &tail))?;
        let part = page.get("records").cloned().unwrap_or_default();
        let part: Vec<Record> = serde_json::from_value(part)
            .map_err(|error| Failure::Io(format!("this version cannot read a record: {error}")))?;
        records.extend(part);
        match page.get("next_after").and_then(Value::as_str) {
            Some(next) => after = next.to_owned(),
            None => return Ok(records),
        }
    }
}

fn row(record: &Record) -> Vec<String> {
    let (action, reason) = match &record.step {
        Step::Evaluation { windows, after, .. } => {
            let new = &after.counts.new;
            let counts = || format!("{} requests, {} errors on new", new.requests, new.errors);
            let found = after.breach.as_ref().map_or_else(counts, |breach| breach.finding());
            (format!("evaluated {} windows", windows.len()), found)
        }
        Step::Decision { decision, .. } => {
            let action = serde_json::to_value(decision.action).unwrap_or_default();
            let reason = match &decision.verdict.breach {
                Some(breach) if decision.action == Action::RollBack => breach.sentence(),
                _ => decision.says(),
            };
            (output::cell(&action), reason)
        }
    };
    vec![record.at.to_string(), record.actor.clone(), record.run.step.to_string(), action, reason]
}
