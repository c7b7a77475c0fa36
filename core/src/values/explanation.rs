//! The reason for which a user has a value, for operators.

use crate::{
    rules::bucket::Bucket,
    values::{
        document::{Prerequisite, Served, ValueFlag},
        evaluation::{Decider, Evaluation, EvaluationError},
    },
    vocabulary::timestamp::Timestamp,
};

/// The value of a flag for a user, with the part of the flag that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation<'r> {
    /// The value, or the error in its place.
    pub evaluation: Result<Evaluation<'r>, EvaluationError>,
    /// The part that decides; `None` if a prerequisite cannot be evaluated.
    pub decider: Option<Decider>,
    /// The reason for which the prerequisite that decides is not met; `None` if no prerequisite decides.
    pub unmet: Option<Unmet>,
    /// Bucket of the user in this flag; `None` without a user.
    pub bucket: Option<Bucket>,
}

/// The reason for which a user does not meet a prerequisite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// Its flag is disabled, and meets none, also with the variant that is off.
    Disabled,
    /// An emergency holds its flag on legacy.
    Emergency,
    /// Its flag lacks a prerequisite itself.
    LacksPrerequisite,
    /// Its flag gives the user another variant.
    OtherVariant,
}

impl Unmet {
    /// Describes why a prerequisite is not met.
    fn in_words(self, Prerequisite { flag, variant }: &Prerequisite) -> String {
        let why = match self {
            Self::Disabled => "that flag is disabled",
            Self::Emergency => "an emergency holds that flag",
            Self::LacksPrerequisite => "that flag lacks a prerequisite itself",
            Self::OtherVariant => {
                return format!("the user lacks the prerequisite: the variant {variant} of the flag {flag}");
            }
        };
        format!("the prerequisite, the variant {variant} of the flag {flag}, is not met: {why}")
    }
}

impl Explanation<'_> {
    /// Describes the decision in a sentence. `flag` is the flag that was evaluated, at `now`.
    pub fn in_words(&self, flag: &ValueFlag, now: Timestamp) -> String {
        let Some(decider) = self.decider else {
            return "a prerequisite is split by users, and the request has no user id".to_owned();
        };
        match decider {
            Decider::Disabled => {
                let mut past = flag.schedule.iter().rev().filter(|change| change.at <= now);
                match past.find(|change| change.set.enabled.is_some()) {
                    Some(change) => format!("the schedule has disabled the flag at {}", change.at),
                    None => "the flag is disabled".to_owned(),
                }
            }
            Decider::Prerequisite(index) => match flag.prerequisites.get(index) {
                Some(needed) => self.unmet.unwrap_or(Unmet::OtherVariant).in_words(needed),
                None => "the user lacks a prerequisite".to_owned(),
            },
            Decider::Rule(index) => {
                let rule = flag.rules.get(index);
                let segment = rule.and_then(|rule| rule.segment.as_ref());
                let segment = segment.map(|name| format!(" (segment {name})")).unwrap_or_default();
                let share = rule.map(|rule| self.share(&rule.served)).unwrap_or_default();
                format!("rules[{index}]{segment} is the first one that matches{share}")
            }
            Decider::Default => {
                let share = self.share(flag.in_force(now).default);
                if flag.rules.is_empty() {
                    format!("the default of the flag{share}")
                } else {
                    format!("no rule matches, so the default decides{share}")
                }
            }
        }
    }

    /// Describes the part of the user's bucket in the decision; empty for a single variant.
    fn share(&self, served: &Served) -> String {
        match (served, self.bucket) {
            (Served::Single { .. }, _) => String::new(),
            (Served::Split(_), Some(bucket)) => {
                format!("; its weights give bucket {} of 1000000 this variant", bucket.get())
            }
            (Served::Split(_), None) => "; its weights need a user id, and the request has none".to_owned(),
        }
    }
}
