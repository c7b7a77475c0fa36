//! Intervals around the difference of two variants that hold at all times together: an asymptotic confidence sequence
//! (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences",
//! arXiv 2103.06476, equation 9). To show how large an effect may be, not to decide: tests decide.

use crate::statistics::estimate::Estimate;

/// Fewest users of a variant for an interval: the central limit theorem needs some.
pub const MIN_INTERVAL_USERS: u64 = 100;

/// Scale of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Treatment less control.
    Absolute,
    /// Treatment less control, divided by control.
    Relative,
}

/// A difference with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// The difference as observed.
    pub difference: f64,
    /// Upper end.
    pub high: f64,
}

/// Settings of an interval, fixed before the experiment begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntervalSettings {
    /// Probability, at most, that the interval ever misses the true difference.
    pub level: f64,
    /// Number of users of both variants at which the interval is the narrowest for its level.
    pub tuned_for: u64,
    /// Scale of the difference.
    pub scale: Scale,
}

impl Interval {
    /// Returns the interval of the difference. `None` if a variant has fewer than [`MIN_INTERVAL_USERS`] users, if nothing
    /// varies, or if the mean of control is 0 and the scale relative.
    pub fn between(control: &Estimate, treatment: &Estimate, settings: IntervalSettings) -> Option<Self> {
        (control.users.min(treatment.users) >= MIN_INTERVAL_USERS).then_some(())?;
        Self::at_any_size(control, treatment, settings)
    }

    /// Returns the interval of the difference for any number of users.
    pub fn at_any_size(control: &Estimate, treatment: &Estimate, settings: IntervalSettings) -> Option<Self> {
        let difference = treatment.mean - control.mean;
        let (of_control, of_treatment) =
            (control.variance / control.users as f64, treatment.variance / treatment.users as f64);
        let (difference, variance) = match settings.scale {
            Scale::Absolute => (difference, of_control + of_treatment),
            Scale::Relative => {
                let base = control.uncorrected_mean;
                let ratio = treatment.uncorrected_mean / base;
                (difference / base, (of_treatment + of_control * ratio * ratio) / (base * base))
            }
        };
        let half = half_width(variance, control.users + treatment.users, settings);
        // Not so for what is not a number.
        (variance > 0.0 && half.is_finite()).then_some(Self {
            low: difference - half,
            difference,
            high: difference + half,
        })
    }
}

/// Returns half of the width of the interval around an estimate of this variance from so many users.
fn half_width(variance: f64, users: u64, settings: IntervalSettings) -> f64 {
    let n = users as f64;
    let level = -2.0 * libm::log(settings.level);
    let rho_squared = (level + libm::log1p(level)) / settings.tuned_for.max(1) as f64;
    let growth = n * rho_squared + 1.0;
    let bound = 2.0 * growth * libm::log(libm::sqrt(growth) / settings.level) / (n * n * rho_squared);
    libm::sqrt(variance * n * bound)
}
