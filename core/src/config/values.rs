//! Reads flags with values and segments, and checks them against each other.

mod prerequisites;
mod rules;
mod served;
mod variants;

use self::{prerequisites::report_prerequisites, served::Scope};
use super::{
    flag::{conditions, description, json_bytes, report_size, salt, users},
    reading::{Cursor, EntryCursor, Names},
};
use crate::{
    values::document::{Segment, ValueFlag, ValueType},
    vocabulary::names::{FlagName, VariantKey},
};
use std::collections::BTreeMap;

const TYPE_HINT: &str = "write boolean, string, number or object";
const OFF_HINT: &str = "name the variant that users have while the flag is disabled";

/// Reads all flags with values, and checks their prerequisites and that no flag of routes has one of their names.
pub(super) fn read_all(entries: &[EntryCursor<'_>], names: &Names<'_>) -> BTreeMap<FlagName, ValueFlag> {
    let mut all = BTreeMap::new();
    for entry in entries {
        if names.has_flag(entry.key) {
            let message = format!("{} is in flags and in feature_flags", entry.key);
            entry.key_cursor.report(message, "rename one of the two: both are evaluated by their names");
        }
        let name: Option<FlagName> = entry.parse_key();
        let flag = read(&entry.value, names);
        all.extend(name.zip(flag));
    }
    report_prerequisites(entries, &all, names);
    all
}

/// Reads a segment.
pub(super) fn segment(cursor: &Cursor<'_>) -> Option<Segment> {
    let hint = "write conditions, include or exclude below the segment";
    let mut fields = cursor.fields(hint)?;
    let description = description(&mut fields);
    let conditions = conditions(&mut fields);
    let include = users(&mut fields, "include");
    let exclude = users(&mut fields, "exclude");
    fields.finish()?;
    if conditions.is_empty() && include.is_empty() {
        return cursor.refuse("no user belongs to this segment", "write conditions, or include: [USER]");
    }
    let segment = Segment { description, conditions, include, exclude };
    let parts = [
        ("include", json_bytes(&segment.include)),
        ("exclude", json_bytes(&segment.exclude)),
        ("conditions", json_bytes(&segment.conditions)),
    ];
    report_size(cursor, "segment", json_bytes(&segment), &parts);
    Some(segment)
}

/// Reads one flag with values.
pub(super) fn read(cursor: &Cursor<'_>, names: &Names<'_>) -> Option<ValueFlag> {
    let mut fields = cursor.fields("write type, variants, default and off below the flag")?;
    let kind = fields.require("type", TYPE_HINT, |cursor| {
        cursor.choice(&ValueType::ALL, "is not a type that a flag can have", TYPE_HINT)
    });
    let description = description(&mut fields);
    let enabled = fields.read("enabled", Cursor::bool).unwrap_or_default();
    let variants = variants::read(&mut fields, kind);
    let keys: Option<Vec<VariantKey>> =
        variants.as_ref().map(|variants| variants.iter().map(|variant| variant.key.clone()).collect());
    let scope = Scope { variants: keys.as_deref(), names };
    let default = fields.require("default", served::HINT, |cursor| served::short(cursor, &scope));
    let off = fields.require("off", OFF_HINT, |cursor| served::variant(cursor, &scope));
    let rules = rules::rules(&mut fields, &scope);
    let prerequisites = prerequisites::read(&mut fields, names);
    let schedule = rules::schedule(&mut fields, &scope);
    let permanent = fields.read("permanent", Cursor::bool).unwrap_or_default();
    let salt = salt(&mut fields);
    fields.finish();
    let flag = ValueFlag {
        kind: kind?,
        description,
        enabled,
        variants: variants?,
        default: default?,
        off: off?,
        rules,
        prerequisites,
        schedule,
        permanent,
        salt,
    };
    let parts = [
        ("variants", json_bytes(&flag.variants)),
        ("rules", json_bytes(&flag.rules)),
        ("schedule", json_bytes(&flag.schedule)),
    ];
    report_size(cursor, "flag", json_bytes(&flag), &parts);
    Some(flag)
}
