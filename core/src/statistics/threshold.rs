//! Threshold test: is a proportion above or below a limit? The one-sided beta-binomial mixture of
//! Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics 49(2) 2021 (arXiv 1810.08240): exact
//! for any number of trials, valid for rates that drift, and for any number of looks.

use crate::statistics::beta::{Share, ln_over_prefix};

/// Number of trials that the mixture is tuned for.
const TUNED_FOR: f64 = 500.0;

/// Distance that limits keep from 0 and 1, about which nothing could ever be proven.
pub(super) const CLOSEST: f64 = 1e-6;

/// Largest number of trials; larger numbers are clamped to it.
pub(super) const MAX_TRIALS: u64 = 1_000_000_000_000;

/// A test of a proportion against a limit.
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

    /// Tests the null hypothesis that at least this proportion of the trials are events. It counts
    /// the trials that are no events; [`Self::evidence_below`] converts.
    pub fn below(limit: f64, alpha: f64) -> Self {
        let h = limit.clamp(CLOSEST, 1.0 - CLOSEST);
        Self::new(1.0 - h, h, alpha)
    }

    fn new(g: f64, h: f64, alpha: f64) -> Self {
        let variance = g * h * TUNED_FOR;
        let level = -libm::log(2.0 * alpha);
        let rho = variance / (2.0 * level + libm::log1p(2.0 * level));
        Self::mixture(g, h, (rho - g * h).max(1e-3 * g * h))
    }

    /// Builds the test of a proportion against the limit `g`, where `h = 1 - g`. The larger `r` is,
    /// the nearer to the limit are the alternatives that the mixture favours.
    pub(super) fn mixture(g: f64, h: f64, r: f64) -> Self {
        let (a, b) = (r / g, r / h);
        Self { g, h, a, b, prior: ln_over_prefix(a, b, Share { x: h, y: g }) }
    }

    /// Returns the evidence that the proportion of events is above the limit, for a test made by
    /// [`Self::above`].
    pub fn evidence(&self, events: u64, trials: u64) -> f64 {
        // Below 2^53, so that both conversions are exact; no real count comes near.
        let trials = trials.min(MAX_TRIALS);
        self.evidence_on_path(events.min(trials) as f64, trials as f64)
    }

    /// Returns the evidence of fractional counts, as on the expected path of the counts.
    pub fn evidence_on_path(&self, events: f64, trials: f64) -> f64 {
        let point = Share { x: self.h, y: self.g };
        // The terms in ln(limit) of the posterior and of the prior cancel, which keeps all digits.
        ln_over_prefix(self.a + trials - events, self.b + events, point) - self.prior
    }

    /// Returns the evidence that the proportion of events is below the limit, for a test made by
    /// [`Self::below`].
    pub fn evidence_below(&self, events: u64, trials: u64) -> f64 {
        self.evidence(trials.saturating_sub(events), trials)
    }
}
