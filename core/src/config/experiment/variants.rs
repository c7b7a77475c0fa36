//! Reads the variants of an experiment: a list, or a map by their keys, with or without weights.

use crate::{
    config::reading::{Cursor, EntryCursor, Fields, Value},
    rules::experiment::document::Variant,
    vocabulary::{arm::Arm, names::VariantKey, share::PartsPerMillion},
};

const VARIANTS_HINT: &str =
    "write one entry per variant: KEY: { name, traffic_percentage }, or KEY: NAME for equal weights";
const VARIANT_HINT: &str = "write { name, traffic_percentage }";

const ARMS: [(&str, Arm); 2] = [("legacy", Arm::Legacy), ("new", Arm::New)];

/// A variant as it is written, with its place.
struct Written<'n> {
    key: VariantKey,
    name: String,
    share: Option<PartsPerMillion>,
    arm: Option<Arm>,
    value: Option<String>,
    cursor: Cursor<'n>,
}

/// Reads the variants in the order of the file. Returns `None` if one of them, or their sum, has a mistake.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Vec<Variant>> {
    let cursor = fields.required("variants", VARIANTS_HINT)?;
    let written: Vec<Option<Written<'_>>> = match cursor.value() {
        Value::List(_) => cursor.items().iter().map(listed).collect(),
        _ => cursor.entries(VARIANTS_HINT).iter().map(keyed).collect(),
    };
    // If a variant could not be read, the sum means nothing.
    let written: Vec<Written<'_>> = written.into_iter().collect::<Option<_>>()?;
    for (index, variant) in written.iter().enumerate() {
        if written.iter().take(index).any(|earlier| earlier.key == variant.key) {
            let message = format!("the variant {} is already defined above", variant.key);
            return variant.cursor.refuse(message, "give each variant a key of its own");
        }
    }
    // An earlier version accepted any number of them.
    if written.is_empty() || (written.len() < 2 && !cursor.is_stored()) {
        return cursor.refuse("an experiment compares at least two variants", VARIANTS_HINT);
    }
    let weights = weights(&cursor, &written)?;
    let variant = |(written, traffic_percentage): (Written<'_>, PartsPerMillion)| {
        let Written { key, name, arm, value, .. } = written;
        Variant { key, name, traffic_percentage, arm, value }
    };
    Some(written.into_iter().zip(weights).map(variant).collect())
}

/// Reads a variant of a list, which has its key inside.
fn listed<'n>(cursor: &Cursor<'n>) -> Option<Written<'n>> {
    let hint = "write { key, name, traffic_percentage }";
    let mut fields = cursor.fields(hint)?;
    let key = fields.require("key", hint, |cursor| cursor.parse(hint));
    body(fields, key, cursor)
}

/// Reads a variant of a map: its fields, or only its name.
fn keyed<'n>(entry: &EntryCursor<'n>) -> Option<Written<'n>> {
    let key: Option<VariantKey> = entry.parse_key();
    if let Value::String(name) = entry.value.value() {
        let (name, cursor) = (name.clone(), entry.value.clone());
        return Some(Written { key: key?, name, share: None, arm: None, value: None, cursor });
    }
    let fields = entry.value.fields(VARIANT_HINT)?;
    body(fields, key, &entry.value)
}

/// Reads the fields of a variant besides its key.
fn body<'n>(mut fields: Fields<'n>, key: Option<VariantKey>, cursor: &Cursor<'n>) -> Option<Written<'n>> {
    let name = fields.require("name", "write what the variant is called", Cursor::string);
    let share = fields.read("traffic_percentage", Cursor::percentage);
    let arm =
        fields.read("arm", |cursor| cursor.choice(&ARMS, "is not an arm", "write arm: legacy or arm: new"));
    let value = fields.read("value", Cursor::loose_string);
    // A field with a mistake must not pass for one that is left out.
    fields.finish()?;
    Some(Written { key: key?, name: name?, share, arm, value, cursor: cursor.clone() })
}

/// Returns the weights of the variants: those that are written, or equal ones if none is. What rounding leaves of 100
/// percent goes to the first.
fn weights(cursor: &Cursor<'_>, written: &[Written<'_>]) -> Option<Vec<PartsPerMillion>> {
    let all = PartsPerMillion::ALL.get();
    let count = u32::try_from(written.len()).ok().filter(|count| *count > 0)?;
    let without: Vec<&Written<'_>> = written.iter().filter(|variant| variant.share.is_none()).collect();
    let mut weights: Vec<u32> = if without.len() == written.len() {
        written.iter().map(|_| all / count).collect()
    } else {
        written.iter().filter_map(|variant| Some(variant.share?.get())).collect()
    };
    if weights.len() < written.len() {
        for variant in without {
            let hint = "write the weight of every variant, such as 50.0, or of none for equal ones";
            variant.cursor.at_field("traffic_percentage").report("traffic_percentage is missing", hint);
        }
        return None;
    }
    let total: u64 = weights.iter().copied().map(u64::from).sum();
    // Each weight may be rounded up or down by less than the last digit.
    let is_rounded = total.abs_diff(u64::from(all)) < u64::from(count);
    let first = weights.first_mut()?;
    let evened = (u64::from(*first) + u64::from(all)).checked_sub(total);
    match evened.filter(|_| is_rounded).and_then(|share| u32::try_from(share).ok()) {
        Some(share) => *first = share,
        None => {
            // Shares have four decimals; the sum is exact in parts per million.
            let message = format!("the variants add up to {} percent", total as f64 / 10_000.0);
            return cursor.refuse(message, "make traffic_percentage add up to 100");
        }
    }
    Some(weights.into_iter().map(PartsPerMillion::of_parts).collect())
}
