//! Detector of a rate that rises above its limit at an unknown time: a bet that restarts at every
//! move and sums over all starts (an e-detector, Shin, Ramdas and Rinaldo, arXiv 2203.03532). While
//! the rate stays within its limit, the mean of `M` is at most the number of moves, so the mean
//! number of moves to an alarm is at least the threshold.

use crate::statistics::{
    bets::{Bets, log_mean, log_ratios, multiplied},
    levels::log_sum_exp,
};
use serde::{Deserialize, Serialize};

/// Moves of a detector in a day, one for each arrival window of ten seconds.
const MOVES_PER_DAY: f64 = 8_640.0;

/// Number of detectors of a run that share one rate of false alarms: errors and slow responses.
const DETECTORS: f64 = 2.0;

/// State of a detector.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Detector {
    /// `ln M` of each bet; `None` before the first move, because `M` is 0 then and has no logarithm.
    sums: Option<Bets>,
    /// `ln C` of each bet: the same bet from its best start alone, `C <- L max(C, 1)`. It tells when a rise began. `M`
    /// cannot: of an arm with few requests it stays above 1 for ever, because every window adds a start.
    #[serde(default)]
    best: Bets,
}

impl Detector {
    /// Moves by the requests of one closed arrival window, `M <- L (M + 1)` for every bet. Without
    /// requests it does not move. It must not be called for parts of a window: each call adds a
    /// restart, and restarts beyond the clock's make false alarms more frequent.
    pub fn step(&mut self, events: u64, requests: u64, limit: f64) {
        if let Some(ratios) = log_ratios(events, requests, limit) {
            let started =
                self.sums.map_or_else(Bets::default, |logs| logs.map(|log| log_sum_exp(&[log, 0.0])));
            self.sums = Some(multiplied(ratios, started));
            self.best = multiplied(ratios, self.best.map(|log| log.max(0.0)));
        }
    }

    /// Returns the evidence that the rate is above the limit, the logarithm of the mean of `M`; 0
    /// before the first move, below every threshold.
    pub fn evidence(&self) -> f64 {
        self.sums.as_ref().map_or(0.0, log_mean)
    }

    /// Returns true if the mean of `C` is above 1. The windows since it last was not are the
    /// suspect span.
    pub fn is_suspect(&self) -> bool {
        log_mean(&self.best) > 0.0
    }
}

/// Returns the evidence at which a detector raises an alarm, so that the two detectors of a backend
/// exactly at its limits raise on average at most one false alarm in so many days. It is at least
/// ln 2, above the evidence of a detector that has not moved.
pub fn detector_threshold(false_alarm_days: f64) -> f64 {
    libm::log((DETECTORS * false_alarm_days * MOVES_PER_DAY).max(2.0))
}
