//! Variants of flags with values, written as JSON when a snapshot is compiled.

use crate::{
    json::write_text,
    values::document::ValueVariant,
    vocabulary::names::{FlagName, VariantKey},
};
use std::ops::Range;

/// A variant with its value, written once for all its evaluations.
#[derive(Debug)]
pub struct CompiledVariant {
    /// Key of the variant.
    pub key: VariantKey,
    written: Box<str>,
    value: Range<usize>,
}

impl CompiledVariant {
    /// Writes the evaluations of a flag that have this variant.
    pub(super) fn new(flag: &FlagName, variant: &ValueVariant) -> Self {
        let mut written = String::from("{\"key\":");
        write_text(flag.as_str(), &mut written);
        written.push_str(",\"variant\":");
        write_text(variant.key.as_str(), &mut written);
        written.push_str(",\"value\":");
        let start = written.len();
        written.push_str(&variant.value.to_string());
        let value = start..written.len();
        written.push_str(",\"reason\":\"");
        Self { key: variant.key.clone(), written: written.into_boxed_str(), value }
    }

    /// Returns the value as JSON.
    pub fn json(&self) -> &str {
        self.written.get(self.value.clone()).unwrap_or_default()
    }

    /// Returns the evaluation as JSON, up to its reason: an object with key, variant and value, and the quote of the
    /// reason.
    pub fn written(&self) -> &str {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn an_evaluation_is_written_up_to_its_reason() {
        for value in [json!(true), json!("say \"a\""), json!(2.5), json!({ "a": [1] })] {
            let document = json!({ "key": "blue", "value": value });
            let variant: ValueVariant = serde_json::from_value(document).unwrap();
            let compiled = CompiledVariant::new(&"shop.colour".parse().unwrap(), &variant);
            assert_eq!(serde_json::from_str::<Value>(compiled.json()).unwrap(), value);
            let whole: Value = serde_json::from_str(&format!("{}SPLIT\"}}", compiled.written())).unwrap();
            let expected =
                json!({ "key": "shop.colour", "variant": "blue", "value": value, "reason": "SPLIT" });
            assert_eq!(whole, expected);
        }
    }
}
