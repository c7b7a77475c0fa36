//! The snapshot in answers. To derive it a process reads the whole configuration, from one partition of the table, and at a
//! change all processes of a deployment want to. Workers KV brings it as a rule, so those that can wait do.

use crate::{
    measurement::packing,
    store::{Head, Store, error::StoreError},
};
use cutover_core::Stamp;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Milliseconds within which Workers KV brings a revision as a rule. The answer brings it to an isolate that waits longer.
const KV_PATIENCE_MS: u64 = 60_000;

/// Largest snapshot, in compressed bytes, that is in the answer to every isolate that holds an older one. At thousands of
/// isolates the transfer of larger ones would cost more than everything else.
const MAX_PACKED: usize = 32_768;

/// Largest snapshot that is in an answer, in bytes. Lambda limits responses to 6 MB, and JSON grows when it is embedded in
/// JSON.
const MAX_SNAPSHOT: usize = 3_000_000;

/// Time for which an answer waits for its snapshot. An isolate waits a second for the answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// Shortest pause after a failure. A table that refuses reads is not read again with each question.
const PAUSE: Duration = Duration::from_secs(2);

/// An isolate that holds an older snapshot than the head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    /// Revision that it holds; zero without a snapshot.
    pub(super) held: Stamp,
    /// Milliseconds for which it has known of a newer one.
    pub(super) behind_ms: u64,
}

/// Urgency with which an isolate wants the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// The isolate has just learned of the revision, and applies the brakes until KV brings it.
    Known,
    /// KV has not brought it at once.
    Late,
    /// The isolate has no snapshot at all.
    Missing,
    /// The isolate cannot have it in another way: KV does not bring it, or brakes do not reach back to what it holds.
    Needed,
}

impl Urgency {
    fn of(lag: Lag, head: &Head) -> Self {
        let Lag { held, behind_ms } = lag;
        if !head.reaches(held) || behind_ms >= KV_PATIENCE_MS {
            Self::Needed
        } else if held == Stamp::default() {
            Self::Missing
        } else if behind_ms > 0 {
            Self::Late
        } else {
            Self::Known
        }
    }
}

/// A snapshot that this process derived.
#[derive(Debug)]
struct Derived {
    stamp: Stamp,
    text: Arc<str>,
    /// Size of the compressed document.
    packed: usize,
}

impl Derived {
    async fn of(store: &Store) -> Result<Self, StoreError> {
        let slow = || StoreError::Call("the configuration took too long to read".to_owned());
        let state = tokio::time::timeout(PATIENCE, store.state()).await.map_err(|_| slow())??;
        let snapshot = state.snapshot();
        let text: Arc<str> = snapshot.encode().map_err(|error| StoreError::Item(error.to_string()))?.into();
        let packed = packing::pack(text.as_bytes()).len();
        Ok(Self { stamp: snapshot.stamp(), text, packed })
    }
}

/// Time that this process lets pass before it derives the snapshot, by the wall clock: the monotonic one stands still while
/// a process is frozen.
#[derive(Debug)]
struct Delay {
    /// Head that the snapshot is to be derived for.
    stamp: Stamp,
    since: SystemTime,
    length: Duration,
    /// True after a failure. Isolates that need the snapshot wait for this delay too.
    is_pause: bool,
}

impl Delay {
    /// Returns true when the time has passed, or the clock went backwards.
    fn is_over(&self, now: SystemTime) -> bool {
        now.duration_since(self.since).ok().is_none_or(|passed| passed >= self.length)
    }
}

/// The newest snapshot that a process has derived, and its delay before the next.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    derived: Option<Derived>,
    delay: Option<Delay>,
}

impl Snapshots {
    /// Returns the snapshot of the head or a later one for an isolate, if it belongs into the answer. All processes derive it
    /// within `spread_ms` milliseconds. An answer without it is better than none, so a failure is logged.
    pub(super) async fn text_for(
        &mut self,
        store: &Store,
        head: &Head,
        lag: Lag,
        spread_ms: u64,
    ) -> Option<Arc<str>> {
        let (stamp, urgency) = (head.stamp(), Urgency::of(lag, head));
        if self.derived.as_ref().is_none_or(|derived| derived.stamp < stamp) {
            // Sizes change slowly: a much larger document did not become a small one.
            let is_large = self.derived.as_ref().is_some_and(|derived| derived.packed > 2 * MAX_PACKED);
            let is_wanted = urgency == Urgency::Needed || !is_large;
            if !is_wanted || !self.is_due(urgency, stamp, random(spread_ms), SystemTime::now()) {
                return None;
            }
            match Derived::of(store).await {
                Ok(derived) => (self.derived, self.delay) = (Some(derived), None),
                Err(error) => {
                    tracing::warn!(%error, "an answer goes out without its snapshot");
                    self.pause(stamp, PAUSE + random(spread_ms), SystemTime::now());
                }
            }
        }
        let derived = self.derived.as_ref().filter(|derived| derived.stamp >= stamp)?;
        belongs(urgency, derived.text.len(), derived.packed).then(|| Arc::clone(&derived.text))
    }

    /// Returns true if the snapshot of a head is to be derived now. Begins the delay of `length` with the first isolate that
    /// can wait.
    fn is_due(&mut self, urgency: Urgency, stamp: Stamp, length: Duration, now: SystemTime) -> bool {
        match &self.delay {
            Some(delay) if delay.is_pause && !delay.is_over(now) => false,
            _ if urgency == Urgency::Known => false,
            _ if urgency != Urgency::Late => true,
            Some(delay) if delay.stamp == stamp => delay.is_over(now),
            _ => {
                self.delay = Some(Delay { stamp, since: now, length, is_pause: false });
                false
            }
        }
    }

    /// Begins the pause after a failure.
    fn pause(&mut self, stamp: Stamp, length: Duration, now: SystemTime) {
        self.delay = Some(Delay { stamp, since: now, length, is_pause: true });
    }
}

/// Returns a random time below a limit.
fn random(limit_ms: u64) -> Duration {
    Duration::from_millis(getrandom::u64().unwrap_or_default() % limit_ms.max(1))
}

/// Returns true if a snapshot of a size belongs into an answer.
fn belongs(urgency: Urgency, size: usize, packed: usize) -> bool {
    size <= MAX_SNAPSHOT && (urgency == Urgency::Needed || packed <= MAX_PACKED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Brakes;
    use cutover_core::{Epoch, Revision};

    /// A head at revision 9, whose brakes reach back to revision 5.
    fn head() -> Head {
        let brakes = Brakes::none_before(Revision(5));
        Head { revision: Revision(9), brakes, ..Head::default() }
    }

    fn stamp(revision: u64) -> Stamp {
        Stamp { revision: Revision(revision), ..Stamp::default() }
    }

    #[test]
    fn an_isolate_that_applies_the_brakes_can_wait_for_the_snapshot() {
        for (held, behind_ms, expected) in [
            (stamp(8), 0, Urgency::Known),
            (stamp(5), 0, Urgency::Known),
            (stamp(8), 4_000, Urgency::Late),
            (stamp(8), KV_PATIENCE_MS, Urgency::Needed),
            (stamp(4), 0, Urgency::Needed),
            (Stamp { epoch: Epoch(1), ..stamp(8) }, 0, Urgency::Needed),
            (Stamp::default(), 0, Urgency::Needed),
        ] {
            assert_eq!(Urgency::of(Lag { held, behind_ms }, &head()), expected, "{held:?} {behind_ms}");
        }
        // Brakes that reach back to the beginning do not make up for a snapshot.
        let all = Head { brakes: Brakes::none_before(Revision(0)), ..head() };
        let lag = Lag { held: Stamp::default(), behind_ms: 0 };
        assert_eq!(Urgency::of(lag, &all), Urgency::Missing);
    }

    #[test]
    fn a_process_waits_before_it_derives_a_snapshot_for_isolates_that_can_wait() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let second = Duration::from_secs(1);
        let mut snapshots = Snapshots::default();
        let mut is_due = |urgency, revision, after: u32| {
            snapshots.is_due(urgency, stamp(revision), 20 * second, start + after * second)
        };
        assert!(!is_due(Urgency::Known, 9, 0) && !is_due(Urgency::Known, 9, 50));
        // Twenty seconds from the first isolate that is late.
        assert!(
            !is_due(Urgency::Late, 9, 50) && !is_due(Urgency::Late, 9, 69) && is_due(Urgency::Late, 9, 70)
        );
        // A delay that nobody has used is not that of the next change.
        assert!(!is_due(Urgency::Late, 10, 500) && !is_due(Urgency::Late, 10, 519));
        // Those that cannot wait do not.
        assert!(is_due(Urgency::Missing, 10, 501) && is_due(Urgency::Needed, 10, 501));
    }

    #[test]
    fn after_a_failure_there_is_a_pause_for_everybody() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let mut snapshots = Snapshots::default();
        snapshots.pause(stamp(9), PAUSE, start);
        for urgency in [Urgency::Known, Urgency::Late, Urgency::Missing, Urgency::Needed] {
            for revision in [9, 10] {
                assert!(!snapshots.is_due(urgency, stamp(revision), PAUSE, start + PAUSE / 2), "{urgency:?}");
            }
        }
        assert!(snapshots.is_due(Urgency::Needed, stamp(9), PAUSE, start + PAUSE));
        assert!(snapshots.is_due(Urgency::Late, stamp(9), PAUSE, start + PAUSE));
        assert!(
            snapshots.is_due(Urgency::Needed, stamp(9), PAUSE, start - PAUSE),
            "a clock that went backwards"
        );
    }

    #[test]
    fn a_large_snapshot_is_for_isolates_that_cannot_have_it_otherwise() {
        for urgency in [Urgency::Known, Urgency::Late, Urgency::Missing] {
            assert!(belongs(urgency, 200_000, MAX_PACKED));
            assert!(!belongs(urgency, 200_000, MAX_PACKED + 1));
        }
        assert!(belongs(Urgency::Needed, MAX_SNAPSHOT, 1_000_000));
        assert!(!belongs(Urgency::Needed, MAX_SNAPSHOT + 1, MAX_PACKED));
    }
}
