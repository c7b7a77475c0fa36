//! Differences between two configurations, object by object and field by field.

use super::{
    adapter::COMPILED,
    document::{Config, SETTINGS},
    steps::{Object, Steps},
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The kind of change to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The object is new.
    Create,
    /// Some fields of the object change.
    Update,
    /// The object is removed.
    Delete,
}

/// The change of one object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The kind of change.
    pub action: Action,
    /// The section of the file: `feature_flags`, `routes` and so on.
    pub section: &'static str,
    /// The name of the object.
    pub name: String,
    /// The fields that differ, as (before, after) by name; whole objects are under the empty name.
    pub fields: BTreeMap<String, (Value, Value)>,
}

impl Change {
    /// Returns the name of the object in audit records and messages: `section/name`.
    pub fn object(&self) -> String {
        format!("{}/{}", self.section, self.name)
    }

    /// Returns the position of this change in an order that keeps every reference valid after each
    /// single change: objects that others refer to are created first and deleted last.
    fn position(&self) -> u8 {
        match (self.action, self.section) {
            // Flags with values are created, changed and deleted in one order: a variant can go once the last flag that needs it
            // is deleted. Their prerequisites may be flags of routes, which are created before and deleted after them.
            (_, "flags") => 2,
            // No object refers to an experiment, and the next one may need its flag or its part of a layer.
            (Action::Delete, "ab_tests") => 0,
            (Action::Delete, "canary_deployments") => 3,
            (Action::Delete, "routes") => 4,
            (Action::Delete, _) => 5,
            // A plan may name routes of its flag. One that names fewer releases them, to another flag or to be deleted.
            (Action::Update, "canary_deployments") if self.only_drops_routes() => 0,
            (_, "canary_deployments" | "ab_tests") => 2,
            (_, "routes") => 1,
            _ => 0,
        }
    }

    /// Returns true if a plan has criteria for fewer routes than before, and for no other ones.
    fn only_drops_routes(&self) -> bool {
        let Some((before, after)) = self.fields.get("route_criteria") else { return false };
        let names = |criteria: &Value| -> BTreeSet<String> {
            criteria.as_object().map(|routes| routes.keys().cloned().collect()).unwrap_or_default()
        };
        let (before, after) = (names(before), names(after));
        after.len() < before.len() && after.is_subset(&before)
    }
}

/// Returns all differences between two configurations, in an order in which they can be applied one by one. Experiments that
/// exchange their parts of a layer have no such order.
pub fn diff(before: &Config, after: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    macro_rules! named {
        ($field:ident) => {
            section(
                stringify!($field),
                before.$field.iter().map(|(name, value)| (name.to_string(), value)),
                after.$field.iter().map(|(name, value)| (name.to_string(), value)),
                &mut changes,
            )
        };
    }
    named!(feature_flags);
    named!(canary_deployments);
    named!(ab_tests);
    named!(holdouts);
    named!(segments);
    named!(flags);
    section(
        "ofrep",
        before.ofrep.iter().map(|access| (SETTINGS.to_owned(), access)),
        after.ofrep.iter().map(|access| (SETTINGS.to_owned(), access)),
        &mut changes,
    );
    named!(limits);
    named!(origins);
    named!(adapters);
    section(
        "routes",
        before.routes.iter().map(|route| (route.id.to_string(), route)),
        after.routes.iter().map(|route| (route.id.to_string(), route)),
        &mut changes,
    );
    let mut by_position: BTreeMap<u8, Vec<Change>> = BTreeMap::new();
    for change in changes {
        by_position.entry(change.position()).or_default().push(change);
    }
    let mut steps = Steps::new(before, after);
    let object = |change: &Change| Object { section: change.section, name: change.name.clone() };
    by_position.into_values().flat_map(|changes| steps.in_valid_order(changes, object)).collect()
}

/// Adds the differences between the objects of one section.
fn section<'c, V: Serialize + 'c>(
    section: &'static str,
    before: impl Iterator<Item = (String, &'c V)>,
    after: impl Iterator<Item = (String, &'c V)>,
    changes: &mut Vec<Change>,
) {
    // A value that cannot be represented as JSON cannot come from a file either.
    let json = |value: &V| serde_json::to_value(value).unwrap_or(Value::Null);
    let mut objects: BTreeMap<String, (Value, Value)> = BTreeMap::new();
    for (name, value) in before {
        objects.entry(name).or_default().0 = json(value);
    }
    for (name, value) in after {
        objects.entry(name).or_default().1 = json(value);
    }
    for (name, (before, after)) in objects.into_iter().filter(|(_, (before, after))| before != after) {
        let action = match (&before, &after) {
            (Value::Null, _) => Action::Create,
            (_, Value::Null) => Action::Delete,
            _ => Action::Update,
        };
        changes.push(Change { action, section, name, fields: fields(before, after) });
    }
}

fn fields(before: Value, after: Value) -> BTreeMap<String, (Value, Value)> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let mut fields: BTreeMap<String, (Value, Value)> =
                before.into_iter().map(|(name, value)| (name, (value, Value::Null))).collect();
            for (name, value) in after {
                fields.entry(name).or_default().1 = value;
            }
            // The compiled adapter follows from its source.
            fields.retain(|name, (before, after)| before != after && name != COMPILED);
            fields
        }
        pair => BTreeMap::from([(String::new(), pair)]),
    }
}
