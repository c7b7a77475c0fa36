//! Segments compiled for evaluation.

use crate::{
    rules::{
        bucket::{Purpose, Seed},
        condition::compiled::{CompiledCondition, InvalidConditions},
        flag::UserList,
    },
    values::{document::Segment, evaluation::Subject},
    vocabulary::names::SegmentName,
};

/// A [`Segment`] compiled for evaluation.
#[derive(Debug)]
pub struct CompiledSegment {
    /// Name of the segment.
    pub name: SegmentName,
    seed: Seed,
    include: UserList,
    exclude: UserList,
    conditions: Vec<CompiledCondition>,
}

impl CompiledSegment {
    /// Compiles a segment.
    ///
    /// # Errors
    ///
    /// Fails if one of its conditions is invalid.
    pub fn new(name: &SegmentName, segment: &Segment) -> Result<Self, InvalidConditions> {
        let seed = Seed::new(Purpose::Segment, name.as_str());
        Ok(Self {
            name: name.clone(),
            seed,
            include: UserList::new(seed, &segment.include),
            exclude: UserList::new(seed, &segment.exclude),
            conditions: CompiledCondition::all(&segment.conditions)?,
        })
    }

    /// Returns true if the user belongs to the segment. Excluded users go before included ones, and both before the
    /// conditions.
    pub fn contains(&self, subject: &Subject<'_>) -> bool {
        if let Some(user) = subject.user {
            let hash = self.seed.hash(user);
            if self.exclude.contains(hash, user) {
                return false;
            }
            if self.include.contains(hash, user) {
                return true;
            }
        }
        !self.conditions.is_empty()
            && self.conditions.iter().all(|condition| condition.holds(subject.facts, subject.now))
    }

    /// The conditions, in their order.
    pub(crate) fn conditions(&self) -> &[CompiledCondition] {
        &self.conditions
    }
}
