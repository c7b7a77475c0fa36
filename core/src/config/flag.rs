//! Reads a flag and its conditions.

use super::reading::{Cursor, Fields, did_you_mean};
use crate::{
    rules::{
        condition::{
            compiled::CompiledCondition,
            document::{Condition, Operator},
        },
        flag::{Flag, OnControlLoss},
        phase::FlagPhase,
    },
    vocabulary::{names::FlagName, share::PartsPerMillion},
};
use serde::Serialize;
use std::ops::RangeInclusive;

/// The most users in one list.
const MAX_LIST: usize = 5_000;

/// Largest flag or segment, in bytes of JSON. It is stored as one item, of which DynamoDB holds at most 400 KB, and short lists of long
/// ids are larger than that too.
const MAX_FLAG_BYTES: usize = 350_000;

/// Longest user id in a list, description and salt, in characters, as docs/openapi.json has them.
const MAX_USER: usize = 256;
const MAX_DESCRIPTION: usize = 500;
const MAX_SALT: usize = 128;

pub(super) fn read(cursor: &Cursor<'_>, name: &FlagName) -> Option<Flag> {
    let mut fields =
        cursor.fields("write enabled, rollout_percentage and the other fields of a flag below it")?;
    let enabled = fields.read("enabled", Cursor::bool);
    let rollout = fields.read("rollout_percentage", Cursor::percentage);
    let description = description(&mut fields);
    let user_whitelist = users(&mut fields, "user_whitelist");
    let user_blacklist = users(&mut fields, "user_blacklist");
    let conditions = conditions(&mut fields);
    // The default salt is not kept, so that what is exported equals what was applied.
    let salt = salt(&mut fields).filter(|salt| salt != name.as_str());
    let on_control_loss = fields.present("on_control_loss").and_then(|cursor| {
        let choices = [("hold", OnControlLoss::Hold), ("legacy", OnControlLoss::Legacy)];
        cursor.choice(&choices, "is not one of the two choices", "write hold or legacy")
    });
    let phase = fields.present("phase").and_then(|cursor| {
        let hint = "write read_operations, write_operations or full";
        cursor.choice(&FlagPhase::ALL, "is not a phase that a flag can have", hint)
    });
    fields.finish();
    let flag = Flag {
        enabled: enabled.unwrap_or(false),
        rollout_percentage: rollout.unwrap_or(PartsPerMillion::ZERO),
        description,
        user_whitelist,
        user_blacklist,
        conditions,
        salt,
        on_control_loss,
        phase,
    };
    let lists = [
        ("user_whitelist", json_bytes(&flag.user_whitelist)),
        ("user_blacklist", json_bytes(&flag.user_blacklist)),
        ("conditions", json_bytes(&flag.conditions)),
    ];
    report_size(cursor, "flag", json_bytes(&flag), &lists);
    Some(flag)
}

/// Reads the description of a flag or an experiment.
pub(super) fn description(fields: &mut Fields<'_>) -> String {
    bounded(fields, "description", 0..=MAX_DESCRIPTION).unwrap_or_default()
}

/// Reads the salt of a flag or an experiment.
pub(super) fn salt(fields: &mut Fields<'_>) -> Option<String> {
    bounded(fields, "salt", 1..=MAX_SALT)
}

/// Reads a string with as many characters as are allowed.
fn bounded(fields: &mut Fields<'_>, name: &'static str, allowed: RangeInclusive<usize>) -> Option<String> {
    fields.present(name).and_then(|cursor| {
        let text = cursor.string()?;
        has_length(&cursor, &text, allowed).then_some(text)
    })
}

/// Reads the conditions of a flag or an experiment.
pub(super) fn conditions(fields: &mut Fields<'_>) -> Vec<Condition> {
    let items = fields.list("conditions", "write a list of conditions, each with a type");
    items.iter().filter_map(condition).collect()
}

/// Returns true if a flag is written without its percentage.
pub(super) fn leaves_share_open(cursor: &Cursor<'_>) -> bool {
    cursor.field("rollout_percentage").is_none()
}

/// Returns the size of a value as JSON, in bytes.
pub(super) fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |text| text.len())
}

/// Reports an object that is too large to be stored, at the largest of its parts, which come with their sizes. `word` is that
/// for the object.
pub(super) fn report_size(cursor: &Cursor<'_>, word: &str, size: usize, parts: &[(&str, usize)]) {
    if size <= MAX_FLAG_BYTES || cursor.is_stored() {
        return;
    }
    let Some((name, largest)) = parts.iter().max_by_key(|(_, bytes)| *bytes) else { return };
    let message = format!("the {word} has {size} bytes, of which {name} has {largest}");
    let hint = format!(
        "keep a {word} within {MAX_FLAG_BYTES} bytes: shorten {name}, or use a condition on a header or cookie instead"
    );
    cursor.at_field(name).report(message, hint);
}

/// Reads a list of users.
pub(super) fn users(fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    let Some(cursor) = fields.optional(name) else { return Vec::new() };
    let user = |cursor: &Cursor<'_>| {
        let user = cursor.loose_string()?;
        has_length(cursor, &user, 1..=MAX_USER).then_some(user)
    };
    let users: Vec<String> =
        cursor.list("write a list such as [\"a\", \"b\"]").iter().filter_map(user).collect();
    if users.len() > MAX_LIST {
        let message = format!("{} users are too many for a list", users.len());
        let hint = format!("list at most {MAX_LIST} users; use a condition on a header or cookie for more");
        cursor.report(message, hint);
    }
    users
}

/// Returns true if a string has as many characters as it may have, and reports it otherwise.
fn has_length(cursor: &Cursor<'_>, text: &str, allowed: RangeInclusive<usize>) -> bool {
    let length = text.chars().count();
    let fits = allowed.contains(&length) || cursor.is_stored();
    if !fits {
        let hint = format!("write {} to {} characters", allowed.start(), allowed.end());
        cursor.report(format!("the string has {length} characters"), hint);
    }
    fits
}

fn condition(cursor: &Cursor<'_>) -> Option<Condition> {
    let hint = "write type: time_window or type: attribute";
    let mut fields = cursor.fields(hint)?;
    let kind = fields.required("type", hint)?;
    let condition = match kind.string()?.as_str() {
        "time_window" => time_window(&mut fields)?,
        "attribute" => attribute(&mut fields)?,
        other => return kind.refuse(format!("{other:?} is not a type of condition"), hint),
    };
    match CompiledCondition::new(&condition) {
        Ok(_) => Some(condition),
        Err(error) => cursor.refuse(error.to_string(), "correct the condition, or remove it"),
    }
}

fn time_window(fields: &mut Fields<'_>) -> Option<Condition> {
    let hint = "write an RFC 3339 time such as \"2026-01-31T00:00:00Z\"";
    // A time that cannot be parsed is an error, while a missing one leaves the window open.
    let [start, end] = ["start", "end"]
        .map(|name| fields.present(name).map(|cursor| cursor.parse(hint).ok_or(())).transpose());
    fields.finish();
    Some(Condition::TimeWindow { start: start.ok()?, end: end.ok()? })
}

fn attribute(fields: &mut Fields<'_>) -> Option<Condition> {
    let name = fields.require("name", "write which attribute, such as header:x-beta", |cursor| {
        cursor.parse("name one of these attributes")
    });
    let op = fields.require("op", "write how to compare, such as equals", operator);
    let values =
        fields.required("values", "write what to compare with, as a list").map(|cursor| cursor.strings());
    fields.finish();
    Some(Condition::Attribute { name: name?, op: op?, values: values? })
}

fn operator(cursor: &Cursor<'_>) -> Option<Operator> {
    let written = cursor.string()?;
    if let Some((_, operator)) = Operator::ALL.iter().find(|(name, _)| *name == written) {
        return Some(*operator);
    }
    let names = || Operator::ALL.iter().map(|(name, _)| *name);
    let hint = did_you_mean(&written, names(), || {
        format!("write one of {}", names().collect::<Vec<_>>().join(", "))
    });
    cursor.refuse(format!("{written:?} is not an operator"), hint)
}
