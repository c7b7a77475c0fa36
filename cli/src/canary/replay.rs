//! `cutover canary replay`: every decision of a run, made again here from its records.

use super::path;
use crate::{
    client::{Client, encode},
    failure::Failure,
    output::{self, Format},
};
use cutover_core::canary::{Record, Step, replay};
use serde_json::{Value, json};

pub(super) fn run(client: &Client, flag: &str, run: Option<&str>, format: Format) -> Result<(), Failure> {
    let run = match run {
        Some(run) => run.to_owned(),
        None => {
            let status = client.get(&path(flag, ""))?;
            let run = status.get("run").and_then(Value::as_str).map(str::to_owned);
            run.ok_or_else(|| Failure::Usage(format!("the canary of {flag} was never started")))?
        }
    };
    let records = records(client, flag, &run)?;
    let found = replay(&records);
    if format == Format::Json {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        output::json(&json!({ "run": run, "records": records.len(), "disagreements": found }));
    } else {
        let rows: Vec<Vec<String>> = records.iter().map(row).collect();
        output::table(&["AT", "BY", "STEP", "WHAT", "WHY"], &rows);
    }
    if found.is_empty() {
        eprintln!(
            "{} records of run {run}: every decision is the same again, to the last bit",
            records.len()
        );
        return Ok(());
    }
    for disagreement in &found {
        eprintln!("{disagreement}");
    }
    Err(Failure::Io(format!(
        "{} of {} records say something else than what is computed from them\n  hint: compare the version of the code \
         in the records with this one's",
        found.len(),
        records.len()
    )))
}

fn records(client: &Client, flag: &str, run: &str) -> Result<Vec<Record>, Failure> {
    let mut records: Vec<Record> = Vec::new();
    let mut after = String::new();
    loop {
        let what = format!("/runs/{}/records?after={}", encode(run), encode(&after));
        let page = client.get(&path(flag, &what))?;
        let part = page.get("records").cloned().unwrap_or_default();
        let part: Vec<Record> = serde_json::from_value(part)
            .map_err(|error| Failure::Io(format!("a record cannot be read by this version: {error}")))?;
        records.extend(part);
        match page.get("next_after").and_then(Value::as_str) {
            Some(next) => after = next.to_owned(),
            None => return Ok(records),
        }
    }
}

fn row(record: &Record) -> Vec<String> {
    let (what, why) = match &record.step {
        Step::Evaluation { windows, after, .. } => (
            format!("took in {} windows", windows.len()),
            format!("{} requests, {} errors on new", after.current.new.requests, after.current.new.errors),
        ),
        Step::Decision { decision, .. } => {
            let action = serde_json::to_value(decision.action).unwrap_or_default();
            (output::cell(&action), decision.reason.says().to_owned())
        }
    };
    vec![record.at.to_string(), record.actor.clone(), record.run.step.to_string(), what, why]
}
