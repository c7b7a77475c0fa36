//! Flags with values compiled for evaluation: values written as JSON, seeds computed and references resolved once.

use crate::{
    rules::{
        bucket::{Bucket, Purpose, Seed},
        condition::compiled::{CompiledCondition, InvalidConditions},
        flag::CompiledFlag,
    },
    values::{
        document::{Prerequisite, Rule, ScheduledChange, Segment, Served, Split, ValueFlag, ValueVariant},
        evaluation::{Decider, EvaluationError, EvaluationReason, Subject},
        prerequisites::is_bounded,
        segment::CompiledSegment,
        split::division,
        variant::CompiledVariant,
        window::CompiledWindow,
    },
    vocabulary::{
        arm::Arm,
        names::{FlagName, SegmentName, VariantKey},
        share::PartsPerMillion,
        timestamp::Timestamp,
    },
};
use std::collections::BTreeMap;

/// Error for a flag that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValueFlag {
    /// A condition of a rule is invalid.
    #[error("rule {rule}: {error}")]
    Conditions {
        /// Index of the rule.
        rule: usize,
        /// The error of its conditions.
        error: InvalidConditions,
    },
    /// It names a variant that the flag, or the prerequisite, does not have.
    #[error("there is no variant {0}")]
    UnknownVariant(VariantKey),
    /// A rule names a segment that does not exist.
    #[error("there is no segment {0}")]
    UnknownSegment(SegmentName),
    /// A prerequisite names a flag that does not exist.
    #[error("there is no flag {0}")]
    UnknownFlag(FlagName),
    /// Weights of a rule, of the default or of the schedule do not add up.
    #[error("the weights do not add up to 100 percent")]
    Weights,
    /// The schedule is not in ascending order.
    #[error("the schedule is not in the order of its times")]
    Schedule,
    /// The prerequisites go in a circle, or there are too many of them.
    #[error("the prerequisites go in a circle, or are too many")]
    Prerequisites,
}

/// The objects that flags with values refer to.
#[derive(Debug, Clone, Copy)]
pub struct References<'c> {
    /// The flags with values.
    pub flags: &'c BTreeMap<FlagName, ValueFlag>,
    /// The flags of routes, sorted by name.
    pub routing: &'c [CompiledFlag],
    /// The segments, sorted by name.
    pub segments: &'c [CompiledSegment],
}

/// A [`ValueFlag`] compiled for evaluation.
#[derive(Debug)]
pub struct CompiledValueFlag {
    /// Name of the flag.
    pub name: FlagName,
    variants: Vec<CompiledVariant>,
    off: usize,
    /// States by ascending time, the first one from the beginning of time on.
    states: Vec<State>,
    rules: Vec<CompiledRule>,
    prerequisites: Vec<CompiledPrerequisite>,
    seed: Seed,
    /// True if neither the user nor the time has a part in the variant.
    is_static: bool,
}

/// Variant that a flag has for a user, by its position, and the reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Position of the variant.
    pub variant: usize,
    /// The reason for the variant.
    pub reason: EvaluationReason,
}

/// A prerequisite with its flag and its variant resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompiledPrerequisite {
    /// Variant of a flag with values, both by their positions.
    Variant {
        /// Position of the flag, in the order of names.
        flag: usize,
        /// Position of the variant.
        variant: usize,
    },
    /// Arm of a flag of routes, which is there by its position.
    Arm {
        /// Position of the flag, in the order of names.
        flag: usize,
        /// The arm.
        arm: Arm,
    },
}

/// The fields of a flag that a schedule can change, from a time on.
#[derive(Debug)]
struct State {
    from: Timestamp,
    enabled: bool,
    default: CompiledServed,
}

#[derive(Debug)]
struct CompiledRule {
    segment: Option<usize>,
    conditions: Vec<CompiledCondition>,
    windows: Vec<CompiledWindow>,
    served: CompiledServed,
}

#[derive(Debug, Clone)]
enum CompiledServed {
    Single(usize),
    Split(Vec<CompiledSlice>),
}

/// End of a slice, which begins where the one before ends, and the position of its variant.
#[derive(Debug, Clone, Copy)]
struct CompiledSlice {
    to: u32,
    variant: usize,
}

/// Compiles the segments, in the order of their names.
///
/// # Errors
///
/// Fails at the first segment with an invalid condition, with its name.
pub fn compile_segments(
    segments: &BTreeMap<SegmentName, Segment>,
) -> Result<Vec<CompiledSegment>, (SegmentName, InvalidConditions)> {
    let compile = |(name, segment): (&SegmentName, &Segment)| {
        CompiledSegment::new(name, segment).map_err(|error| (name.clone(), error))
    };
    segments.iter().map(compile).collect()
}

impl CompiledValueFlag {
    /// Compiles a flag.
    ///
    /// # Errors
    ///
    /// Fails if a condition is invalid, a variant, segment or prerequisite does not exist, weights do not add up to 100
    /// percent, the schedule is out of order, or the prerequisites go in a circle or are too many.
    pub fn new(
        name: &FlagName,
        flag: &ValueFlag,
        references: &References<'_>,
    ) -> Result<Self, InvalidValueFlag> {
        if !is_bounded(references.flags, name) {
            return Err(InvalidValueFlag::Prerequisites);
        }
        let states = states(flag)?;
        let compile_rule = |(index, rule): (usize, &Rule)| compiled_rule(index, rule, flag, references);
        let rules: Vec<CompiledRule> =
            flag.rules.iter().enumerate().map(compile_rule).collect::<Result<_, _>>()?;
        let prerequisites: Vec<CompiledPrerequisite> = flag
            .prerequisites
            .iter()
            .map(|prerequisite| compiled_prerequisite(prerequisite, references))
            .collect::<Result<_, _>>()?;
        let is_static = rules.is_empty() && prerequisites.is_empty() && states.len() == 1;
        Ok(Self {
            name: name.clone(),
            variants: flag.variants.iter().map(|variant| CompiledVariant::new(name, variant)).collect(),
            off: position(&flag.variants, &flag.off)?,
            states,
            rules,
            prerequisites,
            seed: Seed::new(Purpose::Rollout, flag.salt_or(name)),
            is_static,
        })
    }

    /// Returns the variant of a user. `meets` returns true if a prerequisite is met.
    ///
    /// A disabled flag and one whose prerequisites are not met have the variant that is off; then the first rule that
    /// matches decides, and otherwise the default.
    ///
    /// # Errors
    ///
    /// Fails if a bucket decides and there is no user, or if a prerequisite cannot be evaluated.
    pub fn evaluate(
        &self,
        subject: &Subject<'_>,
        segments: &[CompiledSegment],
        meets: impl Fn(&CompiledPrerequisite) -> Result<bool, EvaluationError>,
    ) -> Result<Choice, EvaluationError> {
        let state = self.state(subject.now)?;
        match self.decider(state, subject, segments, meets)? {
            Decider::Disabled | Decider::Prerequisite(_) => {
                Ok(Choice { variant: self.off, reason: EvaluationReason::Disabled })
            }
            Decider::Rule(index) => {
                let rule = self.rules.get(index).ok_or(EvaluationError::General)?;
                self.choose(&rule.served, subject, EvaluationReason::TargetingMatch)
            }
            Decider::Default => {
                let reason =
                    if self.is_static { EvaluationReason::Static } else { EvaluationReason::Default };
                self.choose(&state.default, subject, reason)
            }
        }
    }

    /// Returns the part of the flag that decides for a user, by the code of [`evaluate`](Self::evaluate).
    ///
    /// # Errors
    ///
    /// Fails if a prerequisite cannot be evaluated.
    pub fn decided_by(
        &self,
        subject: &Subject<'_>,
        segments: &[CompiledSegment],
        meets: impl Fn(&CompiledPrerequisite) -> Result<bool, EvaluationError>,
    ) -> Result<Decider, EvaluationError> {
        self.decider(self.state(subject.now)?, subject, segments, meets)
    }

    /// Returns a prerequisite by its position.
    pub(crate) fn prerequisite(&self, position: usize) -> Option<&CompiledPrerequisite> {
        self.prerequisites.get(position)
    }

    /// Returns the bucket of a user, by which weights are divided.
    pub fn bucket(&self, user: &str) -> Bucket {
        self.seed.hash(user).bucket()
    }

    /// Returns the state in force at `now`.
    fn state(&self, now: Timestamp) -> Result<&State, EvaluationError> {
        // The first state begins before all times.
        let in_force = self.states.partition_point(|state| state.from <= now).saturating_sub(1);
        self.states.get(in_force).ok_or(EvaluationError::General)
    }

    fn decider(
        &self,
        state: &State,
        subject: &Subject<'_>,
        segments: &[CompiledSegment],
        meets: impl Fn(&CompiledPrerequisite) -> Result<bool, EvaluationError>,
    ) -> Result<Decider, EvaluationError> {
        if !state.enabled {
            return Ok(Decider::Disabled);
        }
        for (index, prerequisite) in self.prerequisites.iter().enumerate() {
            if !meets(prerequisite)? {
                return Ok(Decider::Prerequisite(index));
            }
        }
        let rule = self.rules.iter().position(|rule| rule.matches(subject, segments));
        Ok(rule.map_or(Decider::Default, Decider::Rule))
    }

    /// Returns the variant that is given out: for `reason` if it is a single one, and by the user's bucket otherwise.
    fn choose(
        &self,
        served: &CompiledServed,
        subject: &Subject<'_>,
        reason: EvaluationReason,
    ) -> Result<Choice, EvaluationError> {
        let slices = match served {
            CompiledServed::Single(variant) => return Ok(Choice { variant: *variant, reason }),
            CompiledServed::Split(slices) => slices,
        };
        let user = subject.user.ok_or(EvaluationError::TargetingKeyMissing)?;
        let bucket = self.bucket(user).get();
        // Every bucket has a slice: weights that do not add up are not compiled.
        let slice = slices.get(slices.partition_point(|slice| slice.to <= bucket));
        let variant = slice.map(|slice| slice.variant).ok_or(EvaluationError::General)?;
        Ok(Choice { variant, reason: EvaluationReason::Split })
    }

    /// Returns a variant by its position.
    pub fn variant(&self, position: usize) -> Option<&CompiledVariant> {
        self.variants.get(position)
    }

    /// Returns the bytes of the longest [`CompiledVariant::written`].
    pub(crate) fn longest_written(&self) -> usize {
        self.variants.iter().map(|variant| variant.written().len()).max().unwrap_or_default()
    }

    /// Iterates over the conditions of the rules.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &CompiledCondition> {
        self.rules.iter().flat_map(|rule| &rule.conditions)
    }

    /// Iterates over the recurring windows of the rules.
    pub(crate) fn windows(&self) -> impl Iterator<Item = CompiledWindow> {
        self.rules.iter().flat_map(|rule| rule.windows.iter().copied())
    }

    /// Iterates over the times of the schedule.
    pub(crate) fn scheduled(&self) -> impl Iterator<Item = Timestamp> {
        self.states.iter().skip(1).map(|state| state.from)
    }
}

impl CompiledRule {
    fn matches(&self, subject: &Subject<'_>, segments: &[CompiledSegment]) -> bool {
        let is_in_segment = |index: usize| segments.get(index).is_some_and(|found| found.contains(subject));
        self.segment.is_none_or(is_in_segment)
            && self.conditions.iter().all(|condition| condition.holds(subject.facts, subject.now))
            && (self.windows.is_empty() || self.windows.iter().any(|window| window.is_open(subject.now)))
    }
}

/// Returns the position of a variant in its flag.
fn position(variants: &[ValueVariant], key: &VariantKey) -> Result<usize, InvalidValueFlag> {
    let found = variants.iter().position(|variant| variant.key == *key);
    found.ok_or_else(|| InvalidValueFlag::UnknownVariant(key.clone()))
}

/// Returns the states of a flag by ascending time.
fn states(flag: &ValueFlag) -> Result<Vec<State>, InvalidValueFlag> {
    let mut enabled = flag.enabled;
    let mut default = compiled_served(&flag.default, &flag.variants)?;
    let mut states =
        vec![State { from: Timestamp::from_millis(i64::MIN), enabled, default: default.clone() }];
    let mut last: Option<Timestamp> = None;
    for ScheduledChange { at, set } in &flag.schedule {
        if last.is_some_and(|last| last >= *at) {
            return Err(InvalidValueFlag::Schedule);
        }
        last = Some(*at);
        enabled = set.enabled.unwrap_or(enabled);
        if let Some(served) = &set.default {
            default = compiled_served(served, &flag.variants)?;
        }
        states.push(State { from: *at, enabled, default: default.clone() });
    }
    Ok(states)
}

fn compiled_rule(
    index: usize,
    rule: &Rule,
    flag: &ValueFlag,
    references: &References<'_>,
) -> Result<CompiledRule, InvalidValueFlag> {
    let segment = |name: &SegmentName| {
        let found = references.segments.binary_search_by(|segment| segment.name.cmp(name));
        found.map_err(|_| InvalidValueFlag::UnknownSegment(name.clone()))
    };
    Ok(CompiledRule {
        segment: rule.segment.as_ref().map(segment).transpose()?,
        conditions: CompiledCondition::all(&rule.conditions)
            .map_err(|error| InvalidValueFlag::Conditions { rule: index, error })?,
        windows: rule.windows.iter().map(CompiledWindow::new).collect(),
        served: compiled_served(&rule.served, &flag.variants)?,
    })
}

fn compiled_served(served: &Served, variants: &[ValueVariant]) -> Result<CompiledServed, InvalidValueFlag> {
    Ok(match served {
        Served::Single { variant } => CompiledServed::Single(position(variants, variant)?),
        Served::Split(split) => CompiledServed::Split(compiled_slices(split, variants)?),
    })
}

fn compiled_slices(split: &Split, variants: &[ValueVariant]) -> Result<Vec<CompiledSlice>, InvalidValueFlag> {
    for key in split.weights.keys() {
        position(variants, key)?;
    }
    let weights = split.weights.values().map(|weight| u64::from(weight.get()));
    if weights.sum::<u64>() != u64::from(PartsPerMillion::ALL.get()) {
        return Err(InvalidValueFlag::Weights);
    }
    let mut slices = Vec::new();
    for slice in division(split, variants) {
        slices.push(CompiledSlice { to: slice.to.get(), variant: position(variants, &slice.variant)? });
    }
    Ok(slices)
}

/// Resolves a prerequisite. A flag of routes has its arms as variants.
fn compiled_prerequisite(
    prerequisite: &Prerequisite,
    references: &References<'_>,
) -> Result<CompiledPrerequisite, InvalidValueFlag> {
    let Prerequisite { flag: name, variant: key } = prerequisite;
    if let Ok(flag) = references.routing.binary_search_by(|flag| flag.name.cmp(name)) {
        let arm = [Arm::Legacy, Arm::New].into_iter().find(|arm| arm.as_str() == key.as_str());
        let arm = arm.ok_or_else(|| InvalidValueFlag::UnknownVariant(key.clone()))?;
        return Ok(CompiledPrerequisite::Arm { flag, arm });
    }
    let unknown = || InvalidValueFlag::UnknownFlag(name.clone());
    let variants = &references.flags.get(name).ok_or_else(unknown)?.variants;
    let flag = references.flags.keys().position(|held| held == name).ok_or_else(unknown)?;
    Ok(CompiledPrerequisite::Variant { flag, variant: position(variants, key)? })
}
