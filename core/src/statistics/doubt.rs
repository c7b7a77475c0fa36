//! Doubt that a rate is within its limit now: the cumulative sum of bets since the last time at
//! which each of them was even (`C <- L max(C, 1)`). It holds a promotion if a fault began after
//! the success criteria were proven over the whole step.

use crate::statistics::bets::{Bets, log_mean, log_ratios, multiplied};
use serde::{Deserialize, Serialize};

/// Mean of `C` at which there is doubt.
const DOUBTFUL: f64 = 5.0;

/// State of a doubt: `ln C` of each bet, 0 before the first move. It is serialised as an array of
/// numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Doubt(Bets);

impl Doubt {
    /// Moves by the requests of one closed arrival window. Without requests it does not move.
    pub fn step(&mut self, events: u64, requests: u64, success_limit: f64) {
        if let Some(ratios) = log_ratios(events, requests, success_limit) {
            self.0 = multiplied(ratios, self.0.map(|log| log.max(0.0)));
        }
    }

    /// Returns the evidence that the rate is above the success limit, the logarithm of the mean of
    /// `C`; 0 before the first move.
    pub fn evidence(&self) -> f64 {
        log_mean(&self.0)
    }

    /// Returns true if the mean of `C` is at least 5. The success criteria are not proven then.
    pub fn exists(&self) -> bool {
        self.evidence() >= libm::log(DOUBTFUL)
    }
}
