//! The proposal of a change, and its result.

use crate::{
    change::{
        operation::Operation,
        parts::removes_run,
        serving::{Rules, enabled_value_flags},
    },
    store::{AuditRecord, EmergencyChange, Meta, RUNS, State, Write},
};
use axum::http::StatusCode;
use cutover_core::{
    Emergency, Epoch, FlagName, Revision, Timestamp,
    canary::Run,
    config::{Cause, Change, Config, movements},
};
use serde_json::{Value, json};

/// Desired state after a change.
pub struct Proposal {
    /// New configuration.
    pub config: Config,
    /// Effect on the emergency.
    pub emergency: EmergencyChange,
    /// Writes outside the configuration, each with the name of its object for the audit log.
    pub others: Vec<(String, Write)>,
    /// Builds the response from the outcome of the change.
    #[expect(clippy::type_complexity, reason = "a single callback, named by its field")]
    pub answer: Box<dyn Fn(&Outcome<'_>) -> (StatusCode, Value) + Send>,
}

impl Proposal {
    /// Proposes a configuration from which an object was deleted, with `deleted` as the body of the response.
    pub fn of_deletion(config: Config, deleted: Value) -> Self {
        Self {
            config,
            emergency: EmergencyChange::Keep,
            others: Vec::new(),
            answer: Box::new(move |_| (StatusCode::OK, deleted.clone())),
        }
    }
}

/// Outcome of a change, from which the response is built.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// New revision; the current one if there was nothing to change.
    pub revision: Revision,
    /// Epoch of that revision.
    pub epoch: Epoch,
    /// Time of the change.
    pub at: Timestamp,
    /// Name of the caller.
    pub actor: &'a str,
    /// Changes of the configuration.
    pub changes: &'a [Change],
    /// State before the change.
    pub before: &'a State,
}

impl Outcome<'_> {
    /// Returns the time and author of an object's last change, including this one.
    pub fn meta(&self, section: &str, name: &str) -> Option<Meta> {
        if self.changes.iter().any(|change| change.section == section && change.name == name) {
            return Some(Meta {
                version: self.revision,
                epoch: self.epoch,
                updated_at: self.at,
                updated_by: self.actor.to_owned(),
            });
        }
        self.before.meta(section, name).cloned()
    }
}

/// The response to a request for a change.
#[derive(Debug)]
pub struct ChangeResponse {
    /// HTTP status of the response.
    pub status: StatusCode,
    /// Body of the response.
    pub body: Value,
    /// True if the response to an earlier, identical request is replayed.
    pub replayed: bool,
}

/// Name in place of the id of a run that a pending change would start: that id is made of the revision of the change, which
/// is not known before the change is made.
const NEW_RUN: &str = "new";

/// Lists the changes of a proposal field by field, as a second person approves them, with the runs that it removes and
/// the flags that it releases, or enables at `now`, by themselves or through others. Changes of any other objects that
/// are made in the meantime leave them as they are.
pub fn details_to_approve(
    before: &State,
    proposal: &Proposal,
    changes: &[Change],
    now: Timestamp,
) -> Vec<Value> {
    let mut details = details(before, proposal, changes);
    for detail in details.iter_mut().filter_map(Value::as_object_mut) {
        if detail.get("section").and_then(Value::as_str) != Some(RUNS) {
            continue;
        }
        let Some(id) = detail.get("run").and_then(Value::as_str).map(str::to_owned) else { continue };
        if before.runs.values().any(|run| run.id.as_str() == id) {
            continue;
        }
        detail.insert("run".to_owned(), json!(NEW_RUN));
        // Users who are dealt anew are dealt by the id of the run.
        let salt = detail.get("salt").and_then(Value::as_str).and_then(|salt| salt.strip_suffix(id.as_str()));
        if let Some(stem) = salt.map(str::to_owned) {
            detail.insert("salt".to_owned(), json!(format!("{stem}{NEW_RUN}")));
        }
    }
    details.extend(removed_runs(before, proposal, changes).into_iter().map(|run| {
        json!({
            "section": RUNS,
            "name": run.flag,
            "run": [run.id, null],
            "state": [run.state, null],
            "step": [run.step, null],
        })
    }));
    details.extend(released_flags(before, proposal));
    details.extend(enabled_flags(before, proposal));
    let rules = Rules { config: &before.config, emergency: before.head.emergency.as_ref() };
    let proposed = Rules { config: &proposal.config, emergency: emergency_after(before, proposal) };
    details.extend(enabled_value_flags(rules, proposed, now));
    details.extend(owners(before, proposal));
    details.extend(moved_by_routes(before, proposal));
    details
}

/// Describes the users whom the deletion of a route moves: the route alone does not tell how many are on the new backend.
fn moved_by_routes(before: &State, proposal: &Proposal) -> Vec<Value> {
    let moves = movements(&before.config, &proposal.config, |name| before.run_salt(name));
    let of_routes = moves.into_iter().filter(|movement| movement.cause == Cause::Route);
    let described = of_routes
        .map(|movement| json!({ "section": "routes", "name": movement.route, "moves": movement.summary }));
    described.collect()
}

/// Describes each experiment that would own a flag and did not before, or not so, or whose flag is enabled, as a whole with its
/// holdout: what is not changed decides as well whom it moves.
fn owners(before: &State, proposal: &Proposal) -> Vec<Value> {
    let after = &proposal.config;
    let is_on =
        |config: &Config, flag: &FlagName| config.feature_flags.get(flag).is_some_and(|flag| flag.enabled);
    let owners = after.ab_tests.iter().filter(|(name, experiment)| {
        experiment.owned_flag().is_some_and(|flag| {
            let is_enabled = is_on(after, flag) && !is_on(&before.config, flag);
            is_enabled || before.config.ab_tests.get(*name) != Some(*experiment)
        })
    });
    let described = owners.map(|(name, experiment)| {
        let holdout = experiment.holdout.as_ref().and_then(|holdout| after.holdouts.get(holdout));
        json!({ "section": "ab_tests", "name": name, "owns": experiment, "holdout": holdout })
    });
    described.collect()
}

/// Returns the runs that a proposal removes: with their canary, or with their flag.
pub fn removed_runs<'s>(before: &'s State, proposal: &Proposal, changes: &[Change]) -> Vec<&'s Run> {
    let with_canary = proposal.others.iter().filter_map(|(_, write)| match write {
        Write::Object { section, name, value: None, .. } if section == RUNS => Some(name.as_str()),
        _ => None,
    });
    let with_flag = changes.iter().filter(|change| removes_run(before, change));
    let names = with_canary.chain(with_flag.map(|change| change.name.as_str()));
    names.filter_map(|name| before.runs.get(name)).collect()
}

/// Returns the emergency that is in force after a proposal.
fn emergency_after<'p>(before: &'p State, proposal: &'p Proposal) -> Option<&'p Emergency> {
    match &proposal.emergency {
        EmergencyChange::Keep => before.head.emergency.as_ref(),
        EmergencyChange::Set(declared) => Some(declared),
        EmergencyChange::Clear => None,
    }
}

/// Lists the flags that a proposal releases from an emergency, each with the share that it returns to.
fn released_flags(before: &State, proposal: &Proposal) -> Vec<Value> {
    let left = emergency_after(before, proposal);
    let stays_held = |name: &FlagName| left.is_some_and(|emergency| emergency.covers(name));
    let config = &proposal.config;
    let released = config.feature_flags.keys().filter(|name| before.is_held(name) && !stays_held(name));
    let returns =
        |name| json!({ "section": "feature_flags", "name": name, "returns_to": config.share_on_new(name) });
    released.map(returns).collect()
}

/// Lists the flags that a proposal enables, each with the share that comes into force: their other fields do not change, and
/// another caller may change them before the approval.
fn enabled_flags(before: &State, proposal: &Proposal) -> Vec<Value> {
    let config = &proposal.config;
    let held = before.config.feature_flags.iter().filter(|(_, held)| !held.enabled);
    let enabled = held.filter(|(name, _)| config.feature_flags.get(*name).is_some_and(|flag| flag.enabled));
    let shares = enabled.map(|(name, _)| {
        let share = config.share_on_new(name);
        json!({ "section": "feature_flags", "name": name, "percentage_in_force": share })
    });
    shares.collect()
}

/// Names the objects that a proposal is about if it changes the emergency: the emergency, and every flag that it covers.
pub fn emergency_objects(operation: Operation, before: &State, proposal: &Proposal) -> Vec<String> {
    let emergency = match &proposal.emergency {
        EmergencyChange::Keep => return Vec::new(),
        EmergencyChange::Set(declared) if operation != Operation::EmergencyClear => Some(declared),
        // The flags that it held are those that the end is about.
        _ => before.head.emergency.as_ref(),
    };
    let mut names = vec![AuditRecord::EMERGENCY.to_owned()];
    match emergency.and_then(|emergency| emergency.flags.as_ref()) {
        Some(flags) => names.extend(flags.iter().map(|flag| format!("feature_flags/{flag}"))),
        None => names.push(AuditRecord::ALL_FLAGS.to_owned()),
    }
    names
}

/// Lists the changes of a proposal field by field, for the audit log.
pub fn details(before: &State, proposal: &Proposal, changes: &[Change]) -> Vec<Value> {
    let mut details: Vec<Value> = changes.iter().map(|change| json!(change)).collect();
    for (_, write) in &proposal.others {
        // A run is too large to list in full, so only its position is listed.
        if let Write::Object { section, name, value: Some(value), .. } = write {
            let part = |field: &str| value.get(field).cloned().unwrap_or_default();
            details.push(json!({
                "section": section,
                "name": name,
                "run": part("id"),
                "state": part("state"),
                "step": part("step"),
                "salt": part("salt"),
            }));
        }
    }
    let emergency = match &proposal.emergency {
        EmergencyChange::Keep => return details,
        EmergencyChange::Set(declared) => Some(declared),
        EmergencyChange::Clear => None,
    };
    details.push(json!({ "emergency": [before.head.emergency, emergency] }));
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::diff;

    /// The switch is the only field that changes, and what it turns on is in others.
    #[test]
    fn a_second_person_approves_what_an_enabled_flag_gives_out() {
        let config = |fields: &str| {
            let flag = format!(
                "{{ type: boolean, variants: {{ x: true, y: false }}, off: y, permanent: true, {fields} }}"
            );
            Config::from_yaml(&format!("segments: {{ s: {{ include: [ann] }} }}\nflags: {{ f: {flag} }}"))
                .unwrap()
        };
        let enables = |before: &str, after: &str| {
            let mut held = State::default();
            held.config = config(before);
            let proposal = Proposal {
                config: config(after),
                emergency: EmergencyChange::Keep,
                others: Vec::new(),
                answer: Box::new(|_| (StatusCode::OK, Value::Null)),
            };
            let changes = diff(&held.config, &proposal.config);
            let now = "2027-02-01T00:00:00Z".parse().unwrap();
            let details = details_to_approve(&held, &proposal, &changes, now);
            details.into_iter().find(|detail| detail.get("enables").is_some())
        };
        let told = |default: &str, rules: Value| {
            let deciding = json!({ "default": { "variant": default }, "rules": rules, "prerequisites": [] });
            Some(json!({ "section": "flags", "name": "f", "enables": deciding }))
        };
        let none = json!([]);
        let rule = "rules: [{ segment: s, variant: x }]";
        let past = |set: &str| format!("schedule: [{{ at: \"2027-01-31T08:00:00Z\", set: {{ {set} }} }}]");
        let (later, ended) = (past("default: x"), past("enabled: false"));
        for (before, after, expected) in [
            ("default: x".to_owned(), "enabled: true, default: x".to_owned(), told("x", none.clone())),
            ("default: y".to_owned(), "enabled: true, default: y".to_owned(), told("y", none.clone())),
            (
                format!("default: y, {rule}"),
                format!("enabled: true, default: y, {rule}"),
                told("y", json!([{ "segment": "s", "variant": "x" }])),
            ),
            // What the schedule has brought about counts.
            (
                format!("default: y, {later}"),
                format!("enabled: true, default: y, {later}"),
                told("x", none.clone()),
            ),
            (
                format!("enabled: true, default: y, {ended}"),
                "enabled: true, default: y".to_owned(),
                told("y", none.clone()),
            ),
            ("enabled: true, default: x".to_owned(), "enabled: true, default: y".to_owned(), None),
            ("enabled: true, default: x".to_owned(), "default: x".to_owned(), None),
            (format!("default: x, {ended}"), format!("enabled: true, default: x, {ended}"), None),
        ] {
            assert_eq!(enables(&before, &after), expected, "{before} -> {after}");
        }
    }
}
