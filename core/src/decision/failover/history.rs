//! Lessons about an origin that outlast its circuit: when it was opened last, and that this isolate found it well.

use crate::{rules::origin::MAX_TIMEOUT_MS, vocabulary::names::OriginName};

/// The lessons about all origins.
#[derive(Debug, Default)]
pub(super) struct History(Vec<Lessons>);

#[derive(Debug)]
struct Lessons {
    origin: OriginName,
    /// Begin of the last opening, in milliseconds since 1970.
    opened_at: i64,
    /// Time up to which the word of others is not obeyed, in milliseconds since 1970.
    trusted_until: i64,
}

impl History {
    /// Notes the begin of an opening.
    pub(super) fn opened(&mut self, origin: &OriginName, since: i64, now: i64) {
        self.change(origin, now, |lessons| lessons.opened_at = since);
    }

    /// Notes that this isolate found an origin well, and trusts its own eyes for some time.
    pub(super) fn trust(&mut self, origin: &OriginName, until: i64, now: i64) {
        self.change(origin, now, |lessons| lessons.trusted_until = lessons.trusted_until.max(until));
    }

    /// Notes that this isolate found an origin failing.
    pub(super) fn distrust(&mut self, origin: &OriginName) {
        for lessons in self.0.iter_mut().filter(|lessons| lessons.origin == *origin) {
            lessons.trusted_until = i64::MIN;
        }
    }

    /// Returns true if a request of that begin belongs to the time before the last opening.
    pub(super) fn is_before_opening(&self, origin: &OriginName, begun: i64) -> bool {
        self.of(origin).is_some_and(|lessons| begun <= lessons.opened_at)
    }

    /// Returns true if this isolate does not obey the word of others about an origin.
    pub(super) fn is_trusted(&self, origin: &OriginName, now: i64) -> bool {
        self.of(origin).is_some_and(|lessons| now < lessons.trusted_until)
    }

    fn of(&self, origin: &OriginName) -> Option<&Lessons> {
        self.0.iter().find(|lessons| lessons.origin == *origin)
    }

    /// Changes the lessons about an origin, and forgets those that no request under way can need.
    fn change(&mut self, origin: &OriginName, now: i64, change: impl FnOnce(&mut Lessons)) {
        let longest_ms = 2 * i64::from(MAX_TIMEOUT_MS);
        self.0.retain(|lessons| now - lessons.opened_at < longest_ms || now < lessons.trusted_until);
        let index = self.0.iter().position(|lessons| lessons.origin == *origin).unwrap_or_else(|| {
            let never = i64::MIN / 2;
            self.0.push(Lessons { origin: origin.clone(), opened_at: never, trusted_until: never });
            self.0.len() - 1
        });
        self.0.get_mut(index).map(change);
    }
}
