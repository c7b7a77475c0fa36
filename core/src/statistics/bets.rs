//! Bets against a limit: for each of six multiples of it, the likelihood ratio of a number of
//! requests if their rate of events were that multiple, against a rate at the limit. While every
//! request's rate is within the limit, whatever happened before, the mean of each is at most 1.

use crate::statistics::{
    levels::log_sum_exp,
    threshold::{CLOSEST, MAX_TRIALS},
};

/// Multiples of the limit that are bet on, with equal weights.
const MULTIPLES: [f64; 6] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Upper bound of a logarithm, which keeps sums finite. No real count comes near.
const CEILING: f64 = 1e15;

/// A natural logarithm for each bet.
pub(super) type Bets = [f64; MULTIPLES.len()];

/// Returns the logarithm of each likelihood ratio. `None` if there is nothing to learn: no
/// requests, or a limit that is not a number.
pub(super) fn log_ratios(events: u64, requests: u64, limit: f64) -> Option<Bets> {
    if requests == 0 || limit.is_nan() {
        return None;
    }
    let p = limit.clamp(CLOSEST, 1.0 - CLOSEST);
    let requests = requests.min(MAX_TRIALS);
    let events = events.min(requests);
    let (events, others) = (events as f64, (requests - events) as f64);
    Some(MULTIPLES.map(|multiple| {
        // A bet stays a probability.
        let bet = (multiple * p).min(0.5 * (1.0 + p));
        events * libm::log(bet / p) + others * (libm::log1p(-bet) - libm::log1p(-p))
    }))
}

/// Multiplies bet by bet: adds the logarithms.
pub(super) fn multiplied(mut ratios: Bets, wealth: Bets) -> Bets {
    for (ratio, before) in ratios.iter_mut().zip(wealth) {
        *ratio = (*ratio + before).min(CEILING);
    }
    ratios
}

/// Returns the logarithm of the mean over the bets.
pub(super) fn log_mean(logs: &Bets) -> f64 {
    log_sum_exp(logs) - libm::log(logs.len() as f64)
}
