//! The value of a flag for a user: of one with values, and of one that decides routes, whose value is true on the new arm.

use crate::{
    decision::{
        decide::{FlagDecision, decide_flag, is_braked},
        ruleset::Ruleset,
    },
    request::facts::Facts,
    rules::flag::CompiledFlag,
    values::{
        compiled::{Choice, CompiledPrerequisite, CompiledValueFlag},
        evaluation::{Decider, Evaluation, EvaluationError, EvaluationReason, Subject},
        explanation::{Explanation, Unmet},
    },
    vocabulary::{arm::Arm, reason::Reason, timestamp::Timestamp},
};

impl Ruleset {
    /// Evaluates a flag for a user, without an allocation. Nothing is counted: an evaluation is no exposure.
    ///
    /// # Errors
    ///
    /// Fails if there is no such flag, or if a bucket decides and there is no user.
    pub fn evaluate(
        &self,
        name: &str,
        user: Option<&str>,
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> Result<Evaluation<'_>, EvaluationError> {
        let subject = Subject { user: user.filter(|user| !user.is_empty()), facts, now };
        if let Some(flag) = self.value_flag(name) {
            return self.value_of(flag, &subject);
        }
        let flag = self.flag(name).ok_or(EvaluationError::FlagNotFound)?;
        route_value(flag, &subject)
    }

    /// Evaluates the flags for whose names `selects` returns true, those with values and those of routes, in the order of their
    /// names.
    ///
    /// # Errors
    ///
    /// A flag that cannot be evaluated has an error in the place of its evaluation, as from [`evaluate`](Self::evaluate).
    pub fn evaluate_all<'r>(
        &'r self,
        subject: Subject<'r>,
        selects: impl Fn(&str) -> bool + Copy,
    ) -> impl Iterator<Item = (&'r str, Result<Evaluation<'r>, EvaluationError>)> {
        let mut valued = self.values.iter().filter(move |flag| selects(flag.name.as_str())).peekable();
        let mut routing = self.flags.iter().filter(move |flag| selects(flag.name.as_str())).peekable();
        std::iter::from_fn(move || {
            let is_valued = match (valued.peek(), routing.peek()) {
                (Some(flag), Some(other)) => flag.name <= other.name,
                (flag, _) => flag.is_some(),
            };
            if is_valued {
                let flag = valued.next()?;
                return Some((flag.name.as_str(), self.value_of(flag, &subject)));
            }
            let flag = routing.next()?;
            Some((flag.name.as_str(), route_value(flag, &subject)))
        })
    }

    /// Explains the value of a flag with values for a user. Returns `None` if there is no such flag.
    pub fn explain_value(
        &self,
        name: &str,
        user: Option<&str>,
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> Option<Explanation<'_>> {
        let subject = Subject { user: user.filter(|user| !user.is_empty()), facts, now };
        let flag = self.value_flag(name)?;
        let decider = self.decider(flag, &subject).ok();
        let needed = match decider {
            Some(Decider::Prerequisite(index)) => flag.prerequisite(index),
            _ => None,
        };
        Some(Explanation {
            evaluation: self.value_of(flag, &subject),
            decider,
            unmet: needed.map(|prerequisite| self.unmet(prerequisite, &subject)),
            bucket: subject.user.map(|user| flag.bucket(user)),
        })
    }

    /// Returns the most bytes that the evaluations of all flags take together as JSON, up to their reasons.
    pub fn written_bytes(&self) -> usize {
        self.written_bytes
    }

    /// Returns the number of all flags, those with values and those of routes.
    pub fn flag_count(&self) -> usize {
        self.values.len() + self.flags.len()
    }

    /// Returns the flag with values that has this name.
    fn value_flag(&self, name: &str) -> Option<&CompiledValueFlag> {
        let index = self.values.binary_search_by(|flag| flag.name.as_str().cmp(name)).ok()?;
        self.values.get(index)
    }

    fn value_of<'r>(
        &'r self,
        flag: &'r CompiledValueFlag,
        subject: &Subject<'_>,
    ) -> Result<Evaluation<'r>, EvaluationError> {
        let Choice { variant, reason } = self.choice(flag, subject)?;
        let variant = flag.variant(variant).ok_or(EvaluationError::General)?;
        let written = Some(variant.written());
        Ok(Evaluation { value: variant.json(), variant: variant.key.as_str(), reason, written })
    }

    /// Returns the variant of a flag. The recursion through prerequisites is bounded, because a flag whose evaluation looks
    /// at too many others is not compiled.
    fn choice(&self, flag: &CompiledValueFlag, subject: &Subject<'_>) -> Result<Choice, EvaluationError> {
        flag.evaluate(subject, &self.segments, |prerequisite| self.meets(prerequisite, subject))
    }

    /// Returns the part of a flag that decides for a user.
    fn decider(&self, flag: &CompiledValueFlag, subject: &Subject<'_>) -> Result<Decider, EvaluationError> {
        flag.decided_by(subject, &self.segments, |prerequisite| self.meets(prerequisite, subject))
    }

    /// Returns the reason for which a user does not meet a prerequisite that is not met.
    fn unmet(&self, prerequisite: &CompiledPrerequisite, subject: &Subject<'_>) -> Unmet {
        match prerequisite {
            CompiledPrerequisite::Variant { flag, .. } => {
                match self.values.get(*flag).map(|flag| self.decider(flag, subject)) {
                    Some(Ok(Decider::Disabled)) => Unmet::Disabled,
                    Some(Ok(Decider::Prerequisite(_))) => Unmet::LacksPrerequisite,
                    _ => Unmet::OtherVariant,
                }
            }
            CompiledPrerequisite::Arm { flag, .. } => {
                let flag = self.flag_at(Some(*flag));
                match decide_flag(flag, subject.user, subject.facts, subject.now).reason {
                    Reason::Disabled => Unmet::Disabled,
                    Reason::Emergency => Unmet::Emergency,
                    _ => Unmet::OtherVariant,
                }
            }
        }
    }

    /// Returns true if the user has the variant of a prerequisite. A flag that is disabled, or lacks a prerequisite
    /// itself, meets none, also with the variant that is off: disabling it would otherwise enable the flags behind it.
    /// An arm is met for any reason, because it is the backend that serves the user.
    fn meets(
        &self,
        prerequisite: &CompiledPrerequisite,
        subject: &Subject<'_>,
    ) -> Result<bool, EvaluationError> {
        match prerequisite {
            CompiledPrerequisite::Variant { flag, variant } => {
                let flag = self.values.get(*flag).ok_or(EvaluationError::General)?;
                let choice = self.choice(flag, subject)?;
                Ok(choice.variant == *variant && choice.reason != EvaluationReason::Disabled)
            }
            CompiledPrerequisite::Arm { flag, arm } => {
                let flag = self.flag_at(Some(*flag)).ok_or(EvaluationError::General)?;
                Ok(arm_of(flag, subject)?.0 == *arm)
            }
        }
    }
}

/// Evaluates a flag of routes as a boolean flag with its arms as variants.
fn route_value(flag: &CompiledFlag, subject: &Subject<'_>) -> Result<Evaluation<'static>, EvaluationError> {
    let (arm, reason) = arm_of(flag, subject)?;
    let value = if arm == Arm::New { "true" } else { "false" };
    Ok(Evaluation { value, variant: arm.as_str(), reason, written: None })
}

/// Returns the arm of a user. Someone without an id has one only if it is that of everybody.
fn arm_of(flag: &CompiledFlag, subject: &Subject<'_>) -> Result<(Arm, EvaluationReason), EvaluationError> {
    let verdict = decide_flag(Some(flag), subject.user, subject.facts, subject.now);
    let reason = match verdict.reason {
        Reason::Blacklisted | Reason::Whitelisted => EvaluationReason::TargetingMatch,
        Reason::Condition => EvaluationReason::Default,
        Reason::Rollout | Reason::Experiment if flag.needs_bucket(false) => EvaluationReason::Split,
        Reason::Rollout => EvaluationReason::Default,
        Reason::NoKey if flag.needs_bucket(false) => return Err(EvaluationError::TargetingKeyMissing),
        Reason::NoKey => EvaluationReason::Default,
        _ => EvaluationReason::Disabled,
    };
    // The share of all users includes them, and a brake lowers it.
    let is_of_everybody = verdict.reason == Reason::NoKey && flag.is_for_everybody();
    let verdict = if is_of_everybody {
        FlagDecision { arm: Arm::New, reason: Reason::Rollout, ..verdict }
    } else {
        verdict
    };
    if verdict.arm == Arm::New && is_braked(flag, &verdict) {
        return Ok((Arm::Legacy, EvaluationReason::Disabled));
    }
    Ok((verdict.arm, reason))
}
