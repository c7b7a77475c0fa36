//! The parts of a change that is too large for one transaction.

use crate::{
    change::{
        demand::{ChangeRequest, Precondition},
        phases::phase_write,
    },
    problem::Problem,
    store::{RUNS, State, Write},
};
use axum::http::StatusCode;
use cutover_core::{
    Revision, Timestamp,
    config::{Action, Change, Config},
};
use serde_json::{Value, json};

/// Most bytes of the writes of one part. DynamoDB takes 4 MB in a transaction; the rest of them is for the head, the audit
/// record and two responses to remember, of a little more than 300 KB each at most.
const MAX_PART_BYTES: usize = 3_000_000;

/// Largest object with everything that is stored beside it, in bytes. DynamoDB holds items of 400 KB (409 600 bytes).
const MAX_OBJECT_BYTES: usize = 400_000;

/// Bytes of an item beside its value: its key, version, time and author.
const REST_BYTES: usize = 1_000;

/// The next part of a change: what one transaction makes of it.
#[derive(Debug, Default)]
pub struct Part {
    /// The first of the changes that are left.
    pub changes: Vec<Change>,
    /// Writes of these changes.
    pub writes: Vec<Write>,
}

impl Part {
    /// Cuts the next part off the changes that are left, which must be in an order that keeps the configuration valid after
    /// each of them. It has at most `room` writes and 3 MB, but at least one change. `at` is the time of the change.
    ///
    /// # Errors
    ///
    /// Returns the problem `no_randomness` if the operating system provides no random bytes.
    pub fn cut(
        before: &State,
        after: &Config,
        changes: &[Change],
        room: usize,
        at: Timestamp,
    ) -> Result<Self, Problem> {
        let (mut part, mut bytes) = (Self::default(), 0);
        for change in changes {
            let writes = writes(before, after, change, at)?;
            bytes += writes.iter().map(|write| size(before, write)).sum::<usize>();
            let is_full = part.writes.len() + writes.len() > room || bytes > MAX_PART_BYTES;
            if is_full && !part.changes.is_empty() {
                break;
            }
            part.changes.push(change.clone());
            part.writes.extend(writes);
        }
        Ok(part)
    }
}

/// Returns the writes of the change of one object: with a flag that is removed goes its run, and with the phase of an experiment
/// that begins or ends goes its key.
fn writes(before: &State, after: &Config, change: &Change, at: Timestamp) -> Result<Vec<Write>, Problem> {
    let write = |section: &str| before.write(section, &change.name, after.object(section, &change.name));
    let run = removes_run(before, change).then(|| write(RUNS));
    let phase = phase_write(before, after, change, at)?;
    let kept = kept_phase(before, change);
    Ok(std::iter::once(write(change.section)).chain(run).chain(kept).chain(phase).collect())
}

/// Returns the write that keeps the phase of the experiment that a change removes; `None` for any other change. Measurements of
/// the phase may still arrive, and must not be those of another experiment of the name.
fn kept_phase(before: &State, change: &Change) -> Option<Write> {
    let is_removed = change.section == "ab_tests" && change.action == Action::Delete;
    let experiment = before.config.ab_tests.get(change.name.as_str()).filter(|_| is_removed)?;
    Some(Write::KeepPhase { experiment: change.name.clone(), phase: experiment.phase })
}

/// Returns the room that the write of an object takes in a transaction, in bytes: that of the larger one of the object before
/// and the object after.
fn size(before: &State, write: &Write) -> usize {
    let Write::Object { section, name, value, .. } = write else { return REST_BYTES };
    let held = match section.as_str() {
        RUNS => before.runs.get(name.as_str()).map(|run| json!(run)),
        section => before.config.object(section, name),
    };
    stored_size(held.as_ref()).max(stored_size(value.as_ref()))
}

/// Returns the size of the item of an object, in bytes, or a little more.
fn stored_size(object: Option<&Value>) -> usize {
    object.map_or(0, |object| object.to_string().len()) + REST_BYTES
}

/// Checks that each object that a change writes fits into an item of the table.
///
/// # Errors
///
/// Returns the problem `object_too_large` for the first one that does not.
pub fn check_sizes(after: &Config, changes: &[Change]) -> Result<(), Problem> {
    for change in changes {
        let bytes = stored_size(after.object(change.section, &change.name).as_ref());
        if bytes > MAX_OBJECT_BYTES {
            let object = change.object();
            let detail =
                format!("{object} would take {bytes} bytes, and one object has at most {MAX_OBJECT_BYTES}");
            let hint = "shorten its longest text or list, or make several objects of it; nothing was changed";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "object_too_large", detail, hint)
                .in_field(format!("{}.{}", change.section, change.name)));
        }
    }
    Ok(())
}

/// Returns true if a change removes a flag that has a run. The run goes with it: a flag of the same name must not be dealt by
/// its salt.
pub fn removes_run(before: &State, change: &Change) -> bool {
    let is_removed_flag = change.section == "feature_flags" && change.action == Action::Delete;
    is_removed_flag && before.meta(RUNS, &change.name).is_some()
}

/// Names the objects that a change writes, as `section/name`.
pub fn objects(before: &State, change: &Change) -> Vec<String> {
    let run = removes_run(before, change).then(|| format!("{RUNS}/{}", change.name));
    std::iter::once(change.object()).chain(run).collect()
}

/// The parts of a change that are in force.
#[derive(Debug, Default)]
pub struct Parts {
    /// Changes that are in force.
    pub made: Vec<Change>,
    /// Number of changes in all parts.
    pub total: usize,
    first: Revision,
    last: Revision,
}

impl Parts {
    /// Returns true if no part is in force.
    pub fn is_empty(&self) -> bool {
        self.last == Revision::default()
    }

    /// Adds a part that is in force.
    pub fn add(&mut self, revision: Revision, made: Vec<Change>) {
        if self.is_empty() {
            self.first = revision;
        }
        self.last = revision;
        self.made = made;
    }

    /// Checks that the next part continues the last one, if the request is about one state: the one that its precondition
    /// names, or the one that was approved.
    ///
    /// # Errors
    ///
    /// Returns the problem `changed_meanwhile`, or `changed_since_asked` for an approval, if another change is in between.
    pub fn check_unbroken(&self, demand: &ChangeRequest, before: &State) -> Result<(), Problem> {
        if before.head.revision == self.last {
            return Ok(());
        }
        let detail = "another caller changed the configuration between two parts of this change";
        match (&demand.precondition, &demand.approved) {
            (Precondition::Version(_), _) => Err(Problem::changed_meanwhile(detail)),
            (_, Some(_)) => Err(Problem::new(StatusCode::CONFLICT, "changed_since_asked", detail, "")),
            _ => Ok(()),
        }
    }

    /// Adds to a problem that a part of the change is in force, and the next step.
    pub fn explain(&self, problem: Problem) -> Problem {
        let revisions = if self.first == self.last {
            format!("revision {}", self.last)
        } else {
            format!("revisions {} to {}", self.first, self.last)
        };
        let Problem { detail, .. } = &problem;
        let (made, total) = (self.made.len(), self.total);
        Problem {
            detail: format!("{detail}; {made} of {total} changes are in force, as {revisions}"),
            hint: "GET /audit lists these changes; apply the same file again to make the others, with the new ETag if you \
                   send If-Match"
                .to_owned(),
            ..problem
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::diff;

    #[test]
    fn the_phase_of_a_deleted_experiment_is_kept_in_the_same_part() {
        let text = "experiments: { e: { name: E, phase: 3, state: stopped, variants: { a: A, b: B } } }";
        let mut before = State::default();
        before.config.clone_from(&Config::from_yaml(text).unwrap());
        let after = Config::default();
        let part =
            Part::cut(&before, &after, &diff(&before.config, &after), 1, Timestamp::from_millis(0)).unwrap();
        let [removed, kept] = part.writes.as_slice() else { panic!("{:?}", part.writes) };
        assert!(
            matches!(removed, Write::Object { section, value: None, .. } if section == "ab_tests"),
            "{removed:?}"
        );
        assert!(matches!(kept, Write::KeepPhase { experiment, phase: 3 } if experiment == "e"), "{kept:?}");
    }
}
