//! The proposal of a change, and its result.

use crate::store::{EmergencyChange, Meta, State, Write};
use axum::http::StatusCode;
use cutover_core::{
    Revision, Timestamp,
    config::{Change, Config},
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

/// Outcome of a change, from which the response is built.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// New revision; the current one if there was nothing to change.
    pub revision: Revision,
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

/// Lists the changes of a proposal field by field, for the audit log and for approval.
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
