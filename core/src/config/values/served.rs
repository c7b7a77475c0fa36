//! Reads the variants that a rule or a default gives out: one, or several by weights.

use crate::{
    config::{
        experiment::slices,
        reading::{Cursor, Fields, Names, Value, did_you_mean},
    },
    values::document::{Served, Split},
    vocabulary::{names::VariantKey, share::PartsPerMillion},
};
use std::collections::BTreeMap;

pub(super) const HINT: &str = "name a variant, or write { weights: { blue: 50, green: 50 } }";
const WEIGHTS_HINT: &str = "write the share of each variant in percent, such as { blue: 50, green: 50 }";

/// The names that a flag can refer to.
pub(super) struct Scope<'s> {
    /// Keys of the flag's variants; `None` if they could not be read, so that no reference to them is checked.
    pub(super) variants: Option<&'s [VariantKey]>,
    /// Names of the file.
    pub(super) names: &'s Names<'s>,
}

impl Scope<'_> {
    fn has(&self, key: &VariantKey) -> bool {
        self.variants.is_none_or(|variants| variants.contains(key))
    }

    /// Reports a key that no variant of the flag has. Returns `None` then.
    fn known(&self, key: VariantKey, cursor: &Cursor<'_>) -> Option<VariantKey> {
        if self.has(&key) {
            return Some(key);
        }
        let keys = || self.variants.unwrap_or_default().iter().map(VariantKey::as_str);
        let all = || format!("name one of {}", keys().collect::<Vec<_>>().join(", "));
        let hint = did_you_mean(key.as_str(), keys(), all);
        cursor.refuse(format!("there is no variant {:?}", key.as_str()), hint)
    }
}

/// Reads the key of a variant of the flag. A key that is a bool or a number needs no quotes.
pub(super) fn variant(cursor: &Cursor<'_>, scope: &Scope<'_>) -> Option<VariantKey> {
    match cursor.loose_string()?.parse::<VariantKey>() {
        Ok(key) => scope.known(key, cursor),
        Err(error) => cursor.refuse(error.to_string(), HINT),
    }
}

/// Reads the variants of a default, of which a single one may be written as its key.
pub(super) fn short(cursor: &Cursor<'_>, scope: &Scope<'_>) -> Option<Served> {
    if !matches!(cursor.value(), Value::Map(_)) {
        return Some(Served::Single { variant: variant(cursor, scope)? });
    }
    let mut fields = cursor.fields(HINT)?;
    let served = among(&mut fields, cursor, scope);
    fields.finish();
    served
}

/// Reads the variants among the fields of a rule or a default, which is at `cursor`.
pub(super) fn among(fields: &mut Fields<'_>, cursor: &Cursor<'_>, scope: &Scope<'_>) -> Option<Served> {
    let single = fields.present("variant");
    let weights = fields.present("weights");
    let slices = slices(fields, |key| scope.has(key));
    match (single, weights) {
        (Some(single), None) => Some(Served::Single { variant: variant(&single, scope)? }),
        (None, Some(weights)) => Some(Served::Split(Split { weights: shares(&weights, scope)?, slices })),
        (Some(_), Some(_)) => cursor.refuse("variant and weights exclude each other", HINT),
        (None, None) => cursor.refuse("variant is missing, and so is weights", HINT),
    }
}

fn shares(cursor: &Cursor<'_>, scope: &Scope<'_>) -> Option<BTreeMap<VariantKey, PartsPerMillion>> {
    let entries = cursor.entries(WEIGHTS_HINT);
    let mut shares = BTreeMap::new();
    for entry in &entries {
        let key: Option<VariantKey> = entry.parse_key();
        let key = key.and_then(|key| scope.known(key, &entry.key_cursor));
        shares.extend(key.zip(entry.value.percentage()));
    }
    // If a weight could not be read, the sum means nothing.
    if shares.len() < entries.len() {
        return None;
    }
    let total: u64 = shares.values().map(|share| u64::from(share.get())).sum();
    if total == u64::from(PartsPerMillion::ALL.get()) {
        return Some(shares);
    }
    // Shares have four decimals; the sum is exact in parts per million.
    let message = format!("the weights add up to {} percent", total as f64 / 10_000.0);
    cursor.refuse(message, "make the weights add up to 100")
}
