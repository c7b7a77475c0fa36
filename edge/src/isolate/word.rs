//! The word of the control plane that an isolate follows, and the word that it only obeys.
//!
//! An isolate follows the highest epoch that it knows of its own deployment. Emergencies and brakes of other epochs of that
//! deployment are obeyed too, and ended by an answer of the one that is followed: an error in an epoch can only make traffic
//! legacy.

use cutover_core::{
    Emergency,
    measurement::answer::{Answer, Brake},
    vocabulary::revision::Stamp,
};

/// Brakes of changes that the held snapshot does not have, one for each flag.
#[derive(Debug, Default)]
pub(super) struct HeldBrakes(Vec<HeldBrake>);

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

impl HeldBrakes {
    /// Adds the brakes of an answer that are newer than the held snapshot. Of several of a flag the least holds.
    pub(super) fn add(&mut self, answer: &Answer, held: Stamp) {
        for brake in &answer.brakes {
            let until = Stamp { epoch: answer.epoch, revision: brake.revision };
            if until <= held {
                continue;
            }
            match self.0.iter_mut().find(|known| known.brake.flag == brake.flag) {
                Some(known) => {
                    lower(&mut known.brake, brake);
                    known.until = known.until.max(until);
                }
                None => self.0.push(HeldBrake { until, brake: brake.clone() }),
            }
        }
    }

    /// Releases the brakes that a snapshot has.
    pub(super) fn release(&mut self, snapshot: Stamp) {
        self.0.retain(|known| known.until > snapshot);
    }

    /// Returns the brakes.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Brake> {
        self.0.iter().map(|known| &known.brake)
    }
}

/// Emergency and brakes of an epoch that is obeyed and not followed.
#[derive(Debug, Default)]
pub(super) struct ObeyedWord {
    /// The newest emergency. The end of one is no word that is obeyed.
    pub(super) emergency: Option<Emergency>,
    /// Brakes, one for each flag.
    pub(super) brakes: Vec<Brake>,
}

impl ObeyedWord {
    /// Adds the emergency and the brakes of an answer.
    pub(super) fn add(&mut self, answer: &Answer) {
        if answer.emergency.is_some() {
            self.emergency.clone_from(&answer.emergency);
        }
        for brake in &answer.brakes {
            match self.brakes.iter_mut().find(|known| known.flag == brake.flag) {
                Some(known) => lower(known, brake),
                None => self.brakes.push(brake.clone()),
            }
        }
    }
}
