//! `GET /canary/{name}/runs?after=&limit=`: the runs of a flag, newest first, as the audit log tells them. The table
//! itself keeps only the newest run of each flag.

use crate::{
    access::auth::Caller,
    api::{
        extract::{FlagPath, Parameters},
        get_audit::place,
        pages::PageLimit,
        respond::json_response,
    },
    platform::Platform,
    problem::Problem,
    store::{AuditPlace, AuditQuery, AuditRecord, RUNS},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    FlagName, Timestamp,
    canary::{Run, RunState},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const LIMIT: PageLimit = PageLimit { default: 50, max: 500, next: "after" };

/// Number of records that are read at once.
const CHUNK: usize = 500;

/// Time after which no further records are read; the page ends there.
const PATIENCE: Duration = Duration::from_secs(8);

/// State of a run that another one took the place of while it was active.
const REPLACED: &str = "replaced";

/// Actions that begin a run.
const BEGINNINGS: [&str; 3] = ["canary.start", "canary.retry", "canary.restart"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Problem> {
    let limit = LIMIT.check(query.limit)?;
    let after = query.after.as_deref().map(|after| place("after", after)).transpose()?;
    let truth = platform.store.state().await?;
    let mut history = History::new(&name, truth.runs.get(&name), limit);
    let next = history.read(&platform, after).await?;
    let has_plan = truth.config.canary_deployments.contains_key(&name);
    if history.runs.is_empty() && after.is_none() && !has_plan {
        return Err(Problem::not_found("canary", name.as_str()));
    }
    Ok(json_response(StatusCode::OK, &json!({ "runs": history.runs, "next_after": next })))
}

/// A run, as the audit log tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct RunSummary {
    run: String,
    state: String,
    /// `None` if the page ends before the beginning of the run.
    started_at: Option<Timestamp>,
    started_by: Option<String>,
    ended_at: Option<Timestamp>,
    /// The last change of the run.
    changed_at: Timestamp,
    changed_by: String,
    action: String,
    reason: Option<String>,
    highest_step: u64,
    /// `None` if no record tells it, because the flag had the share of the first step before.
    highest_percentage: Option<f64>,
}

/// Runs of a flag, collected from records of the audit log, newest first.
struct History<'h> {
    flag: &'h FlagName,
    newest: Option<&'h Run>,
    limit: usize,
    runs: Vec<RunSummary>,
    /// The last record that was taken.
    end: Option<AuditPlace>,
}

impl<'h> History<'h> {
    fn new(flag: &'h FlagName, newest: Option<&'h Run>, limit: usize) -> Self {
        Self { flag, newest, limit, runs: Vec::new(), end: None }
    }

    /// Reads the records before a place. Returns the end of the page if there may be more.
    async fn read(
        &mut self,
        platform: &Platform,
        after: Option<AuditPlace>,
    ) -> Result<Option<AuditPlace>, Problem> {
        let started = Instant::now();
        let object = Some(format!("{RUNS}/{}", self.flag));
        let mut query = AuditQuery { object, before: after, limit: CHUNK, ..AuditQuery::default() };
        loop {
            let page = platform.store.audit(&query).await?;
            for record in &page.records {
                if !self.take(record) {
                    return Ok(self.end);
                }
            }
            if page.next.is_none() || started.elapsed() > PATIENCE {
                return Ok(page.next);
            }
            query.before = page.next;
        }
    }

    /// Adds a record. Returns false if it belongs to a run beyond the limit.
    fn take(&mut self, record: &AuditRecord) -> bool {
        let Some(detail) = self.detail(record) else { return true };
        let Some(run) = detail.get("run").and_then(Value::as_str) else { return true };
        if self.runs.last().is_none_or(|last| last.run != run) {
            if self.runs.len() == self.limit {
                return false;
            }
            let summary = self.summary(record, detail, run);
            self.runs.push(summary);
        }
        let share = self.share(record);
        if let Some(last) = self.runs.last_mut() {
            last.extend(record, detail, share);
        }
        self.end = record.id;
        true
    }

    /// Returns the change of the flag's run in a record.
    fn detail<'r>(&self, record: &'r AuditRecord) -> Option<&'r Value> {
        let mut changes = record.changes.as_array()?.iter();
        changes.find(|change| {
            change.get("section").and_then(Value::as_str) == Some(RUNS)
                && change.get("name").and_then(Value::as_str) == Some(self.flag.as_str())
        })
    }

    /// Returns the largest share that a record tells of the flag: before or after the change, but before a run begins it is
    /// not that of the run.
    fn share(&self, record: &AuditRecord) -> Option<f64> {
        let changes = record.changes.as_array().into_iter().flatten();
        let of_flag =
            changes.filter(|change| change.get("name").and_then(Value::as_str) == Some(self.flag.as_str()));
        of_flag
            .filter_map(|change| {
                change.get("rollout_percentage").or_else(|| change.pointer("/fields/rollout_percentage"))
            })
            .flat_map(|change| of_run(record, change))
            .filter_map(Value::as_f64)
            .max_by(f64::total_cmp)
    }

    /// Begins the summary of a run with its newest record.
    fn summary(&self, record: &AuditRecord, detail: &Value, run: &str) -> RunSummary {
        let newest = self.newest.filter(|newest| newest.id.as_str() == run);
        let state = detail.get("state").and_then(|state| sides(state).last()).and_then(Value::as_str);
        let state = state.unwrap_or_default();
        let is_over = [RunState::Completed, RunState::RolledBack].iter().any(|ended| ended.as_str() == state);
        let state = if is_over || newest.is_some() { state } else { REPLACED };
        RunSummary {
            run: run.to_owned(),
            state: state.to_owned(),
            started_at: None,
            started_by: None,
            // A run is replaced by the beginning of the run after it.
            ended_at: if is_over {
                Some(record.at)
            } else if newest.is_none() {
                self.runs.last().and_then(|next| next.started_at)
            } else {
                None
            },
            changed_at: record.at,
            changed_by: record.actor.clone(),
            action: record.action.clone(),
            reason: newest.map(|newest| newest.reason.clone()).or_else(|| record.reason.clone()),
            highest_step: 0,
            highest_percentage: None,
        }
    }
}

impl RunSummary {
    /// Adds an older record.
    fn extend(&mut self, record: &AuditRecord, detail: &Value, share: Option<f64>) {
        let steps = detail.get("step").map(|step| of_run(record, step)).unwrap_or_default();
        let highest = steps.iter().filter_map(Value::as_u64).max().unwrap_or_default();
        self.highest_step = self.highest_step.max(highest);
        self.highest_percentage =
            [self.highest_percentage, share].into_iter().flatten().max_by(f64::total_cmp);
        if BEGINNINGS.contains(&record.action.as_str()) {
            (self.started_at, self.started_by) = (Some(record.at), Some(record.actor.clone()));
        }
    }
}

/// Returns the values of a changed field that belong to the run of a record: before and after, but only after at its beginning.
fn of_run<'v>(record: &AuditRecord, change: &'v Value) -> &'v [Value] {
    let both = sides(change);
    let is_beginning = BEGINNINGS.contains(&record.action.as_str());
    both.split_last().filter(|_| is_beginning).map_or(both, |(after, _)| std::slice::from_ref(after))
}

/// Returns the values of a field before and after a change, or its only value.
fn sides(change: &Value) -> &[Value] {
    change.as_array().map_or_else(|| std::slice::from_ref(change), Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Role;

    fn record(revision: u64, action: &str, changes: Value) -> AuditRecord {
        let at = Timestamp::from_millis(i64::try_from(revision).unwrap() * 1_000);
        let record = AuditRecord::new(at, "ann", Role::Operator, action, Some(format!("because {revision}")));
        let id = Some(revision.to_string().parse().unwrap());
        AuditRecord { id, ..record.with_changes(Vec::new(), changes) }
    }

    /// A change by an operator, as `details` lists it.
    fn by_hand(run: &str, state: &str, step: u64, shares: [f64; 2]) -> Value {
        json!([
            { "action": "update", "section": "feature_flags", "name": "f",
              "fields": { "rollout_percentage": shares } },
            { "section": "canary_runs", "name": "f", "run": run, "state": state, "step": step, "salt": null },
        ])
    }

    /// A decision, as the functions record it.
    fn decided(run: &str, states: [&str; 2], steps: [u64; 2], shares: [f64; 2]) -> Value {
        json!([{
            "section": "canary_runs", "name": "f", "run": run, "state": states, "step": steps,
            "rollout_percentage": shares,
        }])
    }

    fn log() -> Vec<AuditRecord> {
        vec![
            record(9, "canary.start", by_hand("r9", "running", 0, [50.0, 5.0])),
            record(8, "canary.complete", decided("r6", ["baking", "completed"], [2, 2], [50.0, 50.0])),
            record(7, "canary.advance", decided("r6", ["running", "baking"], [1, 2], [50.0, 50.0])),
            record(6, "canary.restart", decided("r6", ["running", "running"], [2, 1], [100.0, 50.0])),
            record(5, "canary.advance", decided("r4", ["running", "running"], [1, 2], [50.0, 100.0])),
            record(4, "canary.retry", by_hand("r4", "running", 0, [0.0, 5.0])),
            record(3, "canary.rollback", decided("r2", ["running", "rolled_back"], [0, 0], [5.0, 0.0])),
            record(2, "canary.start", by_hand("r2", "running", 0, [75.0, 5.0])),
        ]
    }

    #[test]
    fn the_audit_log_tells_the_runs() {
        let flag: FlagName = "f".parse().unwrap();
        let mut history = History::new(&flag, None, 10);
        assert!(log().iter().all(|record| history.take(record)));
        let told: Vec<_> = history
            .runs
            .iter()
            .map(|run| {
                let seconds = |time: Option<Timestamp>| time.map(|time| time.millis() / 1_000);
                let times = (seconds(run.started_at), seconds(run.ended_at));
                (run.run.as_str(), run.state.as_str(), times, run.highest_step, run.highest_percentage)
            })
            .collect();
        let expected = [
            ("r9", "replaced", (Some(9), None), 0, Some(5.0)),
            ("r6", "completed", (Some(6), Some(8)), 2, Some(50.0)),
            ("r4", "replaced", (Some(4), Some(6)), 2, Some(100.0)),
            ("r2", "rolled_back", (Some(2), Some(3)), 0, Some(5.0)),
        ];
        assert_eq!(told, expected);
        assert_eq!(history.runs[3].reason.as_deref(), Some("because 3"));
    }

    #[test]
    fn a_page_ends_with_a_whole_run() {
        let flag: FlagName = "f".parse().unwrap();
        let mut history = History::new(&flag, None, 2);
        let log = log();
        let taken = log.iter().take_while(|record| history.take(record)).count();
        assert_eq!((taken, history.runs.len(), history.end), (4, 2, log[3].id));
        let mut rest = History::new(&flag, None, 2);
        assert!(log[taken..].iter().all(|record| rest.take(record)));
        assert_eq!(rest.runs.len(), 2);
    }

    #[test]
    fn records_of_other_objects_are_left_out() {
        let other: FlagName = "g".parse().unwrap();
        let mut history = History::new(&other, None, 10);
        assert!(log().iter().all(|record| history.take(record)));
        assert!(history.take(&record(1, "flag.delete", Value::Null)));
        assert!(history.runs.is_empty());
    }
}
