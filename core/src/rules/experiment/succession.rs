//! An experiment that is saved in the place of an earlier one: slices, salt and phase that it takes over.

use crate::{
    rules::experiment::{
        division::{division, slices},
        document::{Experiment, ExperimentState, Slice, Variant},
    },
    vocabulary::names::ExperimentName,
};

/// Returns the experiment to save for the one that an operator has written, in the place of `old`.
///
/// Slices, salt and phase come from the old one: a salt that is left out stays, and users move as little as the weights
/// allow. A change of the weights, the variants, their order, the flag, the conditions, the salt, the metrics or the analysis
/// begins the next phase, unless the old one is a draft; so does the way back to a draft. Traffic, layer, holdout, names and
/// descriptions can change within a phase: none of them moves a user from one variant to another. The outcome of a stopped
/// experiment stays until it is replaced, or the experiment goes on.
///
/// Without an old experiment its slices and its phase are those that it brings, as an export does.
pub fn next(name: &ExperimentName, old: Option<&Experiment>, new: &Experiment) -> Experiment {
    let Some(old) = old else { return divided(new.clone(), &new.slices) };
    let salt = new.salt.clone().or_else(|| old.salt.clone());
    // Whatever goes on has no outcome yet, and one that is left out stays.
    let outcome = new.outcome.clone().or_else(|| old.outcome.clone());
    let outcome = outcome.filter(|_| new.state == ExperimentState::Stopped);
    let next = Experiment { salt, outcome, phase: old.phase, ..new.clone() };
    if old.state == ExperimentState::Draft {
        return divided(next, &[]);
    }
    let is_dealt_anew = next.salt_or(name) != old.salt_or(name);
    let begins_phase = is_dealt_anew || next.state == ExperimentState::Draft || !is_alike(old, &next);
    let phase = next.phase.saturating_add(u32::from(begins_phase));
    // Another salt moves users at random, so there is nothing to keep.
    let held = if is_dealt_anew { Vec::new() } else { division(old) };
    divided(Experiment { phase, ..next }, &held)
}

/// Returns the experiment with its buckets divided after `held`. The division in order is left out, so that what is
/// exported equals what was applied.
fn divided(experiment: Experiment, held: &[Slice]) -> Experiment {
    let division = slices(held, &experiment.variants);
    let is_in_order = division == slices(&[], &experiment.variants);
    Experiment { slices: if is_in_order { Vec::new() } else { division }, ..experiment }
}

/// Returns true if users who take part get the same of both experiments, as far as the salt does not decide, and the same is
/// counted and judged of them.
fn is_alike(old: &Experiment, new: &Experiment) -> bool {
    let are_judged_alike = old.all_metrics() == new.all_metrics() && old.analysis == new.analysis;
    are_judged_alike
        && old.flag == new.flag
        && old.conditions == new.conditions
        && effects(old) == effects(new)
}

/// Returns the variants without their display names. Their order decides no variant of a user, but reports name variants by their
/// positions.
fn effects(experiment: &Experiment) -> Vec<Variant> {
    let unnamed = |variant: &Variant| Variant { name: String::new(), ..variant.clone() };
    experiment.variants.iter().map(unnamed).collect()
}
