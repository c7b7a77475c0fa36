//! Is a proportion above or below a limit? The one-sided beta-binomial mixture of Howard, Ramdas, McAuliffe and
//! Sekhon, Annals of Statistics 49(2) 2021 (arXiv 1810.08240): exact for any number of trials, valid for rates that
//! drift, and for any number of looks.

use super::beta::{Share, ln_over_prefix};

/// The number of trials that the mixture is tuned for.
const TUNED_FOR: f64 = 500.0;

/// Limits of 0 and 1 are moved inside by this much: nothing could ever be proven about them.
const CLOSEST: f64 = 1e-6;

/// More trials are counted as so many.
const MAX_TRIALS: u64 = 1_000_000_000_000;

/// A test of a proportion against a limit, at one level.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    g: f64,
    h: f64,
    a: f64,
    b: f64,
    prior: f64,
}

impl Threshold {
    /// Tests the null hypothesis that at most this proportion of the trials are events.
    pub fn above(limit: f64, alpha: f64) -> Self {
        let g = limit.clamp(CLOSEST, 1.0 - CLOSEST);
        Self::new(g, 1.0 - g, alpha)
    }

    /// Tests the null hypothesis that at least this proportion of the trials are events. Its trials are counted
    /// the other way round, which [`Self::evidence_below`] does.
    pub fn below(limit: f64, alpha: f64) -> Self {
        let h = limit.clamp(CLOSEST, 1.0 - CLOSEST);
        Self::new(1.0 - h, h, alpha)
    }

    fn new(g: f64, h: f64, alpha: f64) -> Self {
        let variance = g * h * TUNED_FOR;
        let level = -libm::log(2.0 * alpha);
        let rho = variance / (2.0 * level + libm::log1p(2.0 * level));
        let r = (rho - g * h).max(1e-3 * g * h);
        let (a, b) = (r / g, r / h);
        Self { g, h, a, b, prior: ln_over_prefix(a, b, Share { x: h, y: g }) }
    }

    /// The evidence that more than the limit are events, for [`Self::above`].
    pub fn evidence(&self, events: u64, trials: u64) -> f64 {
        // Below 2^53, so that both are exact; nothing that is counted comes near.
        let trials = trials.min(MAX_TRIALS);
        self.evidence_on_path(events.min(trials) as f64, trials as f64)
    }

    /// The evidence of counts that need not be whole: where an expected path of counts would be.
    pub fn evidence_on_path(&self, events: f64, trials: f64) -> f64 {
        let at = Share { x: self.h, y: self.g };
        // The terms in ln(limit) of the posterior and of the prior cancel, which keeps all digits.
        ln_over_prefix(self.a + trials - events, self.b + events, at) - self.prior
    }

    /// The evidence that fewer than the limit are events, for [`Self::below`].
    pub fn evidence_below(&self, events: u64, trials: u64) -> f64 {
        self.evidence(trials.saturating_sub(events), trials)
    }
}
