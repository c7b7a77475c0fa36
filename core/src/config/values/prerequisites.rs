//! Reads the prerequisites of flags with values, and checks them against the other flags.

use crate::{
    config::reading::{Cursor, EntryCursor, Fields, Names, Section},
    values::{
        document::{Prerequisite, ValueFlag},
        prerequisites::{MAX_EVALUATIONS, circle, is_bounded},
    },
    vocabulary::{
        arm::Arm,
        names::{FlagName, VariantKey},
    },
};
use std::collections::BTreeMap;

const HINT: &str = "write { flag: NAME, variant: KEY }";

/// Reads the prerequisites of one flag.
pub(super) fn read(fields: &mut Fields<'_>, names: &Names<'_>) -> Vec<Prerequisite> {
    let prerequisite = |cursor: &Cursor<'_>| {
        let mut fields = cursor.fields(HINT)?;
        let flag = fields.require("flag", HINT, |cursor| {
            let flag: FlagName = cursor.parse(HINT)?;
            names.must_have(Section::AnyFlags, flag.as_str(), cursor);
            Some(flag)
        });
        let variant = fields.require("variant", HINT, |cursor| {
            let key = cursor.loose_string()?.parse::<VariantKey>().ok();
            key.or_else(|| cursor.refuse("this is not the key of a variant", HINT))
        });
        fields.finish();
        Some(Prerequisite { flag: flag?, variant: variant? })
    };
    fields.list("prerequisites", HINT).iter().filter_map(prerequisite).collect()
}

/// Reports prerequisites on variants that do not exist, circles, and flags whose evaluation would look at too many others.
pub(super) fn report_prerequisites(
    entries: &[EntryCursor<'_>],
    flags: &BTreeMap<FlagName, ValueFlag>,
    names: &Names<'_>,
) {
    let mut unbounded = Vec::new();
    for entry in entries {
        let Some((name, flag)) = flags.get_key_value(entry.key) else { continue };
        let cursor = entry.value.field("prerequisites").unwrap_or_else(|| entry.key_cursor.clone());
        let items = cursor.items();
        // Items with mistakes are left out, and are reported already.
        if items.len() == flag.prerequisites.len() {
            for (item, prerequisite) in items.iter().zip(&flag.prerequisites) {
                report_variant(item, prerequisite, flags, names);
            }
        }
        if !is_bounded(flags, name) {
            unbounded.push((cursor, circle(flags, name)));
        }
    }
    let has_circle = unbounded.iter().any(|(_, path)| path.is_some());
    for (cursor, path) in unbounded {
        match path {
            // Each circle is reported once, at its first flag by name.
            Some(path) if path.iter().min() == path.first() => {
                let path: Vec<&str> = path.iter().map(|name| name.as_str()).collect();
                let message = format!("the prerequisites go in a circle: {}", path.join(" -> "));
                cursor.report(message, "remove one of these prerequisites");
            }
            None if !has_circle => {
                let message =
                    format!("an evaluation of this flag looks at more than {MAX_EVALUATIONS} flags");
                cursor.report(message, "use fewer prerequisites, here or in the flags that they name");
            }
            _ => {}
        }
    }
}

fn report_variant(
    cursor: &Cursor<'_>,
    prerequisite: &Prerequisite,
    flags: &BTreeMap<FlagName, ValueFlag>,
    names: &Names<'_>,
) {
    let Prerequisite { flag: name, variant: key } = prerequisite;
    let variants: Vec<&str> = if names.has_flag(name.as_str()) {
        [Arm::Legacy, Arm::New].map(Arm::as_str).to_vec()
    } else if let Some(flag) = flags.get(name) {
        flag.variants.iter().map(|variant| variant.key.as_str()).collect()
    } else {
        // The flag is missing or has mistakes, which are reported already.
        return;
    };
    if !variants.contains(&key.as_str()) {
        let at = cursor.field("variant").unwrap_or_else(|| cursor.clone());
        let message = format!("the flag {name} has no variant {:?}", key.as_str());
        at.report(message, format!("name one of {}", variants.join(", ")));
    }
}
