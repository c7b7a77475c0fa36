//! Brakes: the latest changes that lowered a flag, kept in the head so that one read of it tells isolates of them.

use cutover_core::{Revision, measurement::answer::Brake};
use serde::{Deserialize, Serialize};

/// Most brakes that are kept.
const MOST: usize = 48;

/// The brakes that are known, and how far back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brakes {
    /// Revision of the head that the list was written with.
    at: Revision,
    /// Every change after this revision that lowered a flag has its brake in the list, or a later one of that flag has.
    after: Revision,
    /// The oldest is first.
    list: Vec<Brake>,
}

impl Brakes {
    /// Creates the list for a head of a revision at which none was kept.
    pub fn none_before(revision: Revision) -> Self {
        Self { at: revision, after: revision, list: Vec::new() }
    }

    /// Returns the list as it was read with a head of a revision. A version that does not know of brakes may have moved the
    /// head, and left the list as it was.
    #[must_use]
    pub fn read_at(self, revision: Revision) -> Self {
        if self.at == revision { self } else { Self::none_before(revision) }
    }

    /// Adds the brakes of the change that makes a revision in place of earlier ones of the same flags, and drops the oldest,
    /// until 48 of them are left and they fit into `room` bytes of JSON.
    #[must_use]
    pub fn with(mut self, revision: Revision, added: impl IntoIterator<Item = Brake>, room: usize) -> Self {
        self.at = revision;
        let added: Vec<Brake> = added.into_iter().collect();
        // After the newest brake of a flag it was only raised, so that brake alone keeps from the new arm whom the flag does.
        self.list.retain(|held| added.iter().all(|brake| brake.flag != held.flag));
        self.list.extend(added);
        let surplus = self.list.len().saturating_sub(MOST);
        self.drop_oldest(surplus);
        while !self.list.is_empty() && self.encode().len() > room {
            self.drop_oldest(1);
        }
        self
    }

    fn drop_oldest(&mut self, count: usize) {
        for dropped in self.list.drain(..count) {
            self.after = dropped.revision;
        }
    }

    /// Returns true if the list says of every flag how far it was lowered after a revision.
    pub fn reaches(&self, revision: Revision) -> bool {
        revision >= self.after
    }

    /// Returns the revision after which the list says of every flag how far it was lowered.
    pub fn after(&self) -> Revision {
        self.after
    }

    /// Returns the known brakes after a revision.
    pub fn since(&self, revision: Revision) -> Vec<Brake> {
        self.list.iter().filter(|brake| brake.revision > revision).cloned().collect()
    }

    /// Returns the list as JSON.
    pub(super) fn encode(&self) -> String {
        // Serializing the list cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::PartsPerMillion;

    fn brake(revision: u64, flag: &str) -> Brake {
        Brake {
            revision: Revision(revision),
            flag: flag.parse().unwrap(),
            enabled: true,
            rollout: PartsPerMillion::of_percent(5),
        }
    }

    #[test]
    fn the_list_says_how_far_it_reaches_back() {
        let brakes =
            Brakes::none_before(Revision(7)).with(Revision(9), [brake(9, "a"), brake(9, "b")], 4_096);
        assert!(brakes.reaches(Revision(7)) && !brakes.reaches(Revision(6)));
        assert_eq!(brakes.since(Revision(8)).len(), 2);
        assert!(brakes.since(Revision(9)).is_empty());
        // 60 brakes are too many, and the twelve oldest are dropped.
        let others = (10..68).map(|revision| brake(revision, &format!("c{revision}")));
        let many = brakes.with(Revision(67), others, usize::MAX);
        assert_eq!(many.since(Revision(0)).len(), MOST);
        assert!(many.reaches(Revision(19)) && !many.reaches(Revision(18)));
        assert_eq!(many.after(), Revision(19));
        // A dropped brake of a change takes the word of the others at that revision with it.
        let one_left = Brakes::default().with(Revision(1), [brake(1, "a"), brake(1, "b")], 130);
        assert_eq!((one_left.since(Revision(0)).len(), one_left.reaches(Revision(0))), (1, false));
    }

    #[test]
    fn a_flag_that_is_lowered_again_and_again_takes_the_room_of_one_brake() {
        let first = Brakes::none_before(Revision(0)).with(Revision(1), [brake(1, "b")], 4_096);
        let brakes = (2..100)
            .fold(first, |brakes, revision| brakes.with(Revision(revision), [brake(revision, "a")], 4_096));
        assert_eq!(brakes.since(Revision(0)), [brake(1, "b"), brake(99, "a")]);
        assert!(brakes.reaches(Revision(0)));
    }

    #[test]
    fn a_list_is_never_larger_than_its_room() {
        let name = "x".repeat(60);
        let brakes = (1..100).fold(Brakes::default(), |brakes, revision| {
            let flag = format!("{name}{revision}");
            let brakes = brakes.with(Revision(revision), [brake(revision, &flag)], 1_000);
            assert!(brakes.encode().len() <= 1_000);
            brakes
        });
        assert!(brakes.since(Revision(0)).len() > 5);
        assert!(brakes.reaches(Revision(95)) && !brakes.reaches(Revision(10)));
        assert_eq!(serde_json::from_str::<Brakes>(&brakes.encode()).unwrap(), brakes);
    }

    #[test]
    fn a_head_that_was_moved_without_its_brakes_has_none() {
        let brakes = Brakes::default().with(Revision(1), [brake(1, "a")], 4_096);
        assert_eq!(brakes.clone().read_at(Revision(1)), brakes);
        let moved = brakes.read_at(Revision(2));
        assert!(moved.since(Revision(0)).is_empty() && !moved.reaches(Revision(1)));
    }
}
