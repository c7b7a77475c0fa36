//! The parts of batches for experiments that are counted. Every user whom an isolate sees for the first time is exposed in each of
//! them, as if nobody were left out: the most that experiments can cost.

use cutover_core::{
    ExperimentName,
    measurement::experiments::{ExperimentPart, Exposure, MAX_ENTRIES, UserOutcome},
    statistics::split_mix::mix,
};

/// Of so many users one converts.
const USERS_PER_CONVERSION: u64 = 25;

/// Positions of the metrics in the configuration of [`yaml`].
const ORDER: u8 = 0;
const ERROR: u8 = 1;
const SLOW: u8 = 2;

/// An experiment that is counted.
pub(super) struct CountedExperiment {
    /// Name of the experiment.
    pub(super) name: ExperimentName,
    /// Number of its phase.
    pub(super) phase: u32,
}

/// A user whom an isolate sees for the first time.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewUser {
    /// Number from which the hashes of the user are drawn.
    pub(super) user: u64,
    /// Time of the first request, in seconds since 1970.
    pub(super) at: i64,
    /// True if the user had an error.
    pub(super) has_error: bool,
    /// True if the user had a slow response.
    pub(super) is_slow: bool,
}

/// Returns the configuration of so many running experiments; nothing without any.
pub(super) fn yaml(experiments: u64) -> String {
    let experiment = |number: u64| {
        format!(
            "  experiment_{number:02}: {{ name: Experiment, success_metrics: [order, error_rate, response_time], \
             variants: {{ control: Old, treatment: New }} }}\n"
        )
    };
    let head = if experiments > 0 { "experiments:\n" } else { "" };
    head.to_owned() + &(0..experiments).map(experiment).collect::<String>()
}

/// Builds the parts of a batch with these users.
pub(super) fn parts(experiments: &[CountedExperiment], users: &[NewUser]) -> Vec<ExperimentPart> {
    let Some(since) = users.iter().map(|user| user.at).min() else { return Vec::new() };
    let part = |(seed, counted): (u64, &CountedExperiment)| {
        let mut part = ExperimentPart::empty(counted.name.clone(), counted.phase, since);
        for new in users {
            // Each phase has a key of its own for the hashes of users.
            let user = mix(new.user ^ mix(seed));
            let after_s = u32::try_from(new.at - since).expect("a minute");
            let variant = u8::from(mix(user).is_multiple_of(2));
            part.exposures.push(Exposure { user, variant, after_s });
            let converts = mix(user ^ 1).is_multiple_of(USERS_PER_CONVERSION);
            let metrics = [(ORDER, converts), (ERROR, new.has_error), (SLOW, new.is_slow)];
            for (metric, _) in metrics.into_iter().filter(|(_, has_event)| *has_event) {
                part.outcomes.push(UserOutcome { user, metric, after_s, value: None, id: None });
            }
        }
        part
    };
    let parts: Vec<ExperimentPart> = (1..).zip(experiments).map(part).collect();
    // An isolate would leave the rest to its next batches.
    let entries: usize = parts.iter().map(ExperimentPart::entries).sum();
    assert!(entries <= MAX_ENTRIES, "a batch has {entries} entries, and room for {MAX_ENTRIES}");
    parts
}
