//! The watch after the last step: a detector that restarts at every window and sums over all starts
//! (an e-detector, Shin, Ramdas and Rinaldo, arXiv 2203.03532). With a threshold of `1/alpha` it
//! raises a false alarm on average at most once in `1/alpha` windows while the rate stays within
//! its limit.

/// Multiples of the limit that the detector bets on, with equal weights.
pub const BAKE_GRID: [f64; 6] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Upper bound of the states, which keeps them finite. It is far above every alarm threshold.
const CEILING: f64 = 1e12;

/// Adds a window to the detector: `M <- L (M + 1)` for every bet.
pub fn bake(states: &mut [f64; BAKE_GRID.len()], events: u64, trials: u64, limit: f64) {
    let limit = limit.clamp(1e-6, 1.0 - 1e-6);
    let (events, others) = (events.min(trials) as f64, trials.saturating_sub(events) as f64);
    for (state, multiple) in states.iter_mut().zip(BAKE_GRID) {
        // A bet stays a probability.
        let bet = (limit * multiple).min(0.5 * (1.0 + limit));
        let gained = events * libm::log(bet / limit) + others * (libm::log1p(-bet) - libm::log1p(-limit));
        *state = (libm::exp(gained.min(60.0)) * (*state + 1.0)).min(CEILING);
    }
}
