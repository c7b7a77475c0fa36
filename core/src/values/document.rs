//! Flags with values and segments, as operators write them.

use crate::{
    rules::{condition::document::Condition, experiment::document::Slice},
    values::window::Window,
    vocabulary::{
        names::{FlagName, SegmentName, VariantKey},
        share::PartsPerMillion,
        timestamp::Timestamp,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A flag that gives out one of several values of a type. It decides no route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueFlag {
    /// Type of all values of the flag.
    #[serde(rename = "type")]
    pub kind: ValueType,
    /// Purpose of the flag, in the operator's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// False gives out the variant [`off`](Self::off) to all users, until the schedule says otherwise.
    #[serde(default)]
    pub enabled: bool,
    /// Variants in the operator's order.
    pub variants: Vec<ValueVariant>,
    /// Variant, or weights of variants, of users whom no rule matches.
    pub default: Served,
    /// Variant that is given out while the flag is disabled or a prerequisite is not met.
    pub off: VariantKey,
    /// Rules in their order; the first one that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Variants of other flags that a user must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prerequisites: Vec<Prerequisite>,
    /// Later states of the flag, by ascending time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<ScheduledChange>,
    /// True if the flag is meant to stay, so that it never becomes stale.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
    /// Salt that users are bucketed with; defaults to the name of the flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

impl ValueFlag {
    /// Returns the salt in force. `name` is that under which the flag is configured.
    pub fn salt_or<'f>(&'f self, name: &'f FlagName) -> &'f str {
        self.salt.as_deref().unwrap_or(name.as_str())
    }
}

/// Type of the values of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// The value `true` or `false`.
    Boolean,
    /// A string.
    String,
    /// A number.
    Number,
    /// A JSON object.
    Object,
}

impl ValueType {
    /// All types by their names in documents.
    pub const ALL: [(&'static str, Self); 4] = [
        ("boolean", Self::Boolean),
        ("string", Self::String),
        ("number", Self::Number),
        ("object", Self::Object),
    ];

    /// Returns true if a value is of this type.
    pub fn has(self, value: &serde_json::Value) -> bool {
        match self {
            Self::Boolean => value.is_boolean(),
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Object => value.is_object(),
        }
    }

    /// Returns the name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Number => "number",
            Self::Object => "object",
        }
    }
}

/// One variant of a flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueVariant {
    /// Key of the variant, unique in its flag.
    pub key: VariantKey,
    /// Value of the type of the flag.
    pub value: serde_json::Value,
}

/// The variant of a rule or of everybody else: one, or several by weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Served {
    /// The same variant for every user.
    Single {
        /// Key of the variant.
        variant: VariantKey,
    },
    /// A variant for each user by the bucket.
    Split(Split),
}

/// Weights of variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Shares of users by variant. They add up to 100 percent.
    pub weights: BTreeMap<VariantKey, PartsPerMillion>,
    /// Division of the buckets among the variants, if it is not the one in the order of the flag's variants: see
    /// [`division`](super::split::division).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
}

/// A rule of a flag. It matches if its segment, its conditions and its windows do, as far as it has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Segment that the user must belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentName>,
    /// Conditions that all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Times of the week, of which one must be open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// Variants that the rule gives out.
    #[serde(flatten)]
    pub served: Served,
}

/// A variant of another flag that a user must have. A flag with values meets no prerequisite while it is disabled or
/// lacks one itself, also with its variant that is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prerequisite {
    /// The other flag, in `flags` or in `feature_flags`.
    pub flag: FlagName,
    /// The variant; for a flag in `feature_flags` it is an arm, `legacy` or `new`.
    pub variant: VariantKey,
}

/// A change that takes effect at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledChange {
    /// Time from which on the change is in effect.
    pub at: Timestamp,
    /// Fields that it replaces.
    pub set: ScheduledState,
}

/// Fields of a flag that a schedule can replace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScheduledState {
    /// New value of [`ValueFlag::enabled`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// New value of [`ValueFlag::default`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Served>,
}

/// Users that rules of several flags can name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Segment {
    /// Purpose of the segment, in the operator's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Conditions that all must hold for a user who is not listed. Without any, only the included users belong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Ids of users who belong whatever the conditions say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Ids of users who never belong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}
