//! The word of the control plane that an isolate follows, and the word that it only obeys.
//!
//! An isolate follows the highest epoch that it knows of its own deployment. Emergencies and brakes of other epochs of that
//! deployment are obeyed too. No answer takes back the word of another one; a snapshot that is as new ends it. Else an answer
//! without an emergency that lacks the brakes of the change that cleared it would send users to the new arm, and an error in
//! an epoch would do more than make traffic legacy.

use cutover_core::{
    Emergency, PartsPerMillion, Ruleset,
    measurement::answer::{Answer, Brake},
    vocabulary::revision::Stamp,
};

/// The word of answers about changes that the held snapshot does not have.
#[derive(Debug, Default)]
pub(super) struct HeldWord {
    emergency: Option<HeldEmergency>,
    /// Brakes, one for each flag.
    brakes: Vec<HeldBrake>,
    /// Revision after which the isolate was told every brake. With an older snapshot any flag may be lower than it says.
    complete_after: Stamp,
}

/// All emergencies that answers have told, as one.
#[derive(Debug)]
struct HeldEmergency {
    /// Newest revision at which one of them was in force. A snapshot of that revision has it, or the change that ended it.
    until: Stamp,
    emergency: Emergency,
}

/// The least of the brakes of a flag.
#[derive(Debug)]
struct HeldBrake {
    /// Newest change among them. A snapshot of that revision releases them.
    until: Stamp,
    brake: Brake,
}

/// Lowers a brake to the least of two of the same flag.
fn lower(held: &mut Brake, other: &Brake) {
    held.revision = held.revision.max(other.revision);
    held.enabled &= other.enabled;
    held.rollout = held.rollout.min(other.rollout);
}

/// Returns the emergency that holds the flags of a known one, if there is one, and of another.
fn joined(known: Option<&Emergency>, other: &Emergency) -> Emergency {
    known.map_or_else(|| other.clone(), |known| known.and(other))
}

impl HeldWord {
    /// Adds the word of an answer about changes that are newer than the held snapshot. Of several brakes of a flag the least
    /// holds, of several emergencies each.
    pub(super) fn add(&mut self, answer: &Answer, held: Stamp) {
        let stamp = answer.stamp();
        if let Some(told) = answer.emergency.as_ref().filter(|_| stamp > held) {
            let known = self.emergency.as_ref();
            let until = known.map_or(stamp, |known| known.until.max(stamp));
            let emergency = joined(known.map(|known| &known.emergency), told);
            self.emergency = Some(HeldEmergency { until, emergency });
        }
        let at = |revision| Stamp { epoch: answer.epoch, revision };
        if let Some(revision) = answer.brakes_after {
            self.complete_after = self.complete_after.max(at(revision));
        }
        for brake in &answer.brakes {
            let until = at(brake.revision);
            if until <= held {
                continue;
            }
            match self.brakes.iter_mut().find(|known| known.brake.flag == brake.flag) {
                Some(known) => {
                    lower(&mut known.brake, brake);
                    known.until = known.until.max(until);
                }
                None => self.brakes.push(HeldBrake { until, brake: brake.clone() }),
            }
        }
    }

    /// Ends the emergency and the brakes that a snapshot has, or has overcome.
    pub(super) fn release(&mut self, snapshot: Stamp) {
        self.emergency = self.emergency.take().filter(|known| known.until > snapshot);
        self.brakes.retain(|known| known.until > snapshot);
    }

    /// Returns the emergency.
    pub(super) fn emergency(&self) -> Option<&Emergency> {
        self.emergency.as_ref().map(|known| &known.emergency)
    }

    /// Returns the brakes for the rules of a held snapshot: those that are known, or one for each flag while some are not.
    pub(super) fn brakes(&self, rules: &Ruleset, held: Stamp) -> Vec<Brake> {
        if self.complete_after <= held {
            return self.brakes.iter().map(|known| known.brake.clone()).collect();
        }
        let revision = self.complete_after.revision;
        let names = rules.flags().iter().map(|flag| flag.name.clone());
        names.map(|flag| Brake { revision, flag, enabled: false, rollout: PartsPerMillion::ALL }).collect()
    }
}

/// Emergency and brakes of an epoch that is obeyed and not followed.
#[derive(Debug, Default)]
pub(super) struct ObeyedWord {
    /// All emergencies, as one.
    pub(super) emergency: Option<Emergency>,
    /// Brakes, one for each flag.
    pub(super) brakes: Vec<Brake>,
    /// Revision of an answer of the epoch that is followed, which came later. A snapshot of that revision ends the word.
    until: Option<Stamp>,
}

impl ObeyedWord {
    /// Adds the emergency and the brakes of an answer. Revisions of its epoch cannot be compared with the held one's: each such
    /// answer says that brakes may be missing ([`Answer::brakes_after`]), so that obeying this too would let a single late one of
    /// the time before a restore send the users of every flag to legacy.
    pub(super) fn add(&mut self, answer: &Answer) {
        self.until = None;
        if let Some(told) = &answer.emergency {
            self.emergency = Some(joined(self.emergency.as_ref(), told));
        }
        for brake in &answer.brakes {
            match self.brakes.iter_mut().find(|known| known.flag == brake.flag) {
                Some(known) => lower(known, brake),
                None => self.brakes.push(brake.clone()),
            }
        }
    }

    /// Takes in that the epoch that is followed has answered with a revision.
    pub(super) fn overtake(&mut self, answered: Stamp) {
        self.until.get_or_insert(answered);
    }

    /// Ends the word if a snapshot of the epoch that is followed is as new as its answer.
    pub(super) fn release(&mut self, snapshot: Stamp) {
        if self.until.is_some_and(|until| until <= snapshot) {
            *self = Self::default();
        }
    }
}
