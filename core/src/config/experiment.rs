//! Reads experiments and holdouts, and checks them against each other.

mod metrics;
mod success_metrics;
mod variants;

use super::{
    flag::{conditions, description, salt},
    reading::{Cursor, EntryCursor, Fields, Names, Section, Value},
};
use crate::{
    rules::experiment::document::{
        Experiment, ExperimentOutcome, ExperimentState, Holdout, LayerRange, MAX_RUNNING, Slice, Variant,
    },
    vocabulary::{
        names::{ExperimentName, FlagName, VariantKey},
        share::PartsPerMillion,
    },
};
use std::{collections::BTreeMap, fmt, str::FromStr};

const LAYER_HINT: &str = "write layer: { name: checkout, from: 0, to: 50 }";
const OUTCOME_HINT: &str = "write outcome: { decision: ship it, winner: treatment }, or leave the winner out";
const SLICES_HINT: &str = "remove slices, which are computed; an export has them as { from, to, variant }";

/// Largest number of a phase.
const MAX_PHASE: f64 = 1_000_000_000.0;

/// Returns the entries of both sections that experiments can be in, and reports names that are in both.
pub(super) fn both_sections<'n>(
    mut experiments: Vec<EntryCursor<'n>>,
    ab_tests: Vec<EntryCursor<'n>>,
) -> Vec<EntryCursor<'n>> {
    for entry in ab_tests {
        if experiments.iter().any(|other| other.key == entry.key) {
            let message = format!("{} is in experiments and in ab_tests", entry.key);
            entry.key_cursor.report(message, "keep it in one of the two sections; they mean the same");
        }
        experiments.push(entry);
    }
    experiments
}

/// Reads all experiments, and checks that no two of them claim the same users or the same flag, and that no more run than
/// are counted.
pub(super) fn read_all(
    entries: &[EntryCursor<'_>],
    names: &Names<'_>,
) -> BTreeMap<ExperimentName, Experiment> {
    let mut all = BTreeMap::new();
    let mut earlier: Vec<(&str, Experiment)> = Vec::new();
    let mut running = 0;
    for entry in entries {
        let name: Option<ExperimentName> = entry.parse_key();
        let Some(experiment) = read(&entry.value, names) else { continue };
        for (other, held) in &earlier {
            report_conflicts(&entry.value, &experiment, (*other, held));
        }
        // A state that is left open is the one in force, which the control plane knows.
        if experiment.is_running() && !leaves_state_open(&entry.value) {
            running += 1;
            if running > MAX_RUNNING {
                report_one_too_many(&entry.value);
            }
        }
        earlier.push((entry.key, experiment.clone()));
        all.extend(name.map(|name| (name, experiment)));
    }
    all
}

/// Reports a running experiment beyond those that isolates count. A document that was stored earlier may have it.
fn report_one_too_many(cursor: &Cursor<'_>) {
    if !cursor.is_stored() {
        let message = format!("{MAX_RUNNING} other experiments are running, and no more are counted");
        let hint = "pause or stop one of the others first, or write state: draft";
        cursor.field("state").unwrap_or_else(|| cursor.at_field("state")).report(message, hint);
    }
}

/// Returns true if an experiment is written without its state.
pub(super) fn leaves_state_open(cursor: &Cursor<'_>) -> bool {
    cursor.field("state").is_none_or(|state| *state.value() == Value::Null)
}

/// Reads a holdout.
pub(super) fn holdout(cursor: &Cursor<'_>) -> Option<Holdout> {
    let mut fields = cursor.fields("write { percentage: 5 }")?;
    let hint = "write the share of users who take part in no experiment, such as 5";
    let percentage = fields.require("percentage", hint, Cursor::percentage);
    fields.finish();
    Some(Holdout { percentage: percentage? })
}

/// Reads an experiment. `names` has the flags, holdouts and routes that it may name.
pub(super) fn read(cursor: &Cursor<'_>, names: &Names<'_>) -> Option<Experiment> {
    let mut fields = cursor.fields("write name and variants below the experiment")?;
    let name = fields.require("name", "write what the experiment is called", Cursor::string);
    let description = description(&mut fields);
    let state = fields.present("state").and_then(|cursor| {
        cursor.choice(
            &ExperimentState::ALL,
            "is not a state of an experiment",
            "write draft, running, paused or stopped",
        )
    });
    let salt = salt(&mut fields);
    let mut phase = 1;
    fields.set("phase", &mut phase, |cursor| cursor.whole_number_within((1.0, MAX_PHASE), "numbers"));
    let mut traffic_percentage = PartsPerMillion::ALL;
    fields.set("traffic_percentage", &mut traffic_percentage, Cursor::percentage);
    let flag_cursor = fields.present("flag");
    let flag = reference(flag_cursor.as_ref(), names, Section::Flags);
    let holdout = reference(fields.present("holdout").as_ref(), names, Section::Holdouts);
    let layer = fields.present("layer").and_then(|cursor| layer(&cursor));
    let conditions = conditions(&mut fields);
    let variants = variants::read(&mut fields);
    let slices = variants
        .as_ref()
        .map(|variants| {
            slices(&mut fields, |key: &VariantKey| variants.iter().any(|variant| variant.key == *key))
        })
        .unwrap_or_default();
    let (metrics, success_metrics) = metrics::read(&mut fields, names);
    let analysis = metrics::analysis(&mut fields);
    let send_to_client = fields.read("send_to_client", Cursor::bool).unwrap_or_default();
    let outcome_cursor = fields.present("outcome");
    if let Some(cursor) = outcome_cursor.as_ref().filter(|_| state != Some(ExperimentState::Stopped)) {
        cursor.report("only a stopped experiment has an outcome", "remove outcome, or write state: stopped");
    }
    let outcome = outcome_cursor.zip(variants.as_ref());
    let outcome = outcome.and_then(|(cursor, variants)| outcome_of(&cursor, variants));
    // Taken above unless the variants have mistakes.
    fields.expect(&["slices"]);
    fields.finish();
    let variants = variants?;
    report_arms(cursor, flag_cursor.as_ref(), &variants);
    Some(Experiment {
        name: name?,
        description,
        state: state.unwrap_or_default(),
        salt,
        phase,
        flag,
        traffic_percentage,
        layer,
        holdout,
        conditions,
        variants,
        slices,
        success_metrics,
        metrics,
        analysis,
        send_to_client,
        outcome,
    })
}

/// Reads the outcome of an experiment with these variants.
fn outcome_of(cursor: &Cursor<'_>, variants: &[Variant]) -> Option<ExperimentOutcome> {
    let mut fields = cursor.fields(OUTCOME_HINT)?;
    let decision = fields.present("decision").and_then(|cursor| cursor.string()).unwrap_or_default();
    let winner = fields.present("winner").and_then(|cursor| variant_key(&cursor, variants, OUTCOME_HINT));
    fields.finish();
    Some(ExperimentOutcome { decision, winner })
}

/// Reads the key of one of the variants.
fn variant_key(cursor: &Cursor<'_>, variants: &[Variant], hint: &str) -> Option<VariantKey> {
    let key: VariantKey = cursor.parse(hint)?;
    if variants.iter().any(|variant| variant.key == key) {
        return Some(key);
    }
    cursor.refuse(format!("there is no variant {:?}", key.as_str()), hint)
}

/// Reads a name that must be defined in a section of the file, if there is one.
pub(super) fn reference<T: FromStr + AsRef<str>>(
    cursor: Option<&Cursor<'_>>,
    names: &Names<'_>,
    section: Section,
) -> Option<T>
where
    T::Err: fmt::Display,
{
    let cursor = cursor?;
    let name: T = cursor.parse("write the name of an object of this file")?;
    names.must_have(section, name.as_ref(), cursor);
    Some(name)
}

fn layer(cursor: &Cursor<'_>) -> Option<LayerRange> {
    let mut fields = cursor.fields(LAYER_HINT)?;
    let name = fields.require("name", LAYER_HINT, |cursor| cursor.parse(LAYER_HINT));
    let [from, to] = ends(&mut fields, LAYER_HINT);
    fields.finish();
    ascending(cursor, LayerRange { name: name?, from: from?, to: to? }, |range| (range.from, range.to))
}

/// Reads slices, whose variants must be known.
pub(super) fn slices(fields: &mut Fields<'_>, is_known: impl Fn(&VariantKey) -> bool) -> Vec<Slice> {
    let slice = |cursor: &Cursor<'_>| {
        let mut fields = cursor.fields(SLICES_HINT)?;
        let variant = fields.require("variant", SLICES_HINT, |cursor| {
            let key: VariantKey = cursor.parse(SLICES_HINT)?;
            if is_known(&key) {
                return Some(key);
            }
            cursor.refuse(format!("there is no variant {:?}", key.as_str()), SLICES_HINT)
        });
        let [from, to] = ends(&mut fields, SLICES_HINT);
        fields.finish();
        ascending(cursor, Slice { variant: variant?, from: from?, to: to? }, |slice| (slice.from, slice.to))
    };
    fields.list("slices", SLICES_HINT).iter().filter_map(slice).collect()
}

/// Reads both ends of a range.
fn ends(fields: &mut Fields<'_>, hint: &str) -> [Option<PartsPerMillion>; 2] {
    ["from", "to"].map(|name| fields.require(name, hint, Cursor::percentage))
}

/// Returns a range unless it is empty, which is reported.
fn ascending<T>(
    cursor: &Cursor<'_>,
    range: T,
    ends: impl Fn(&T) -> (PartsPerMillion, PartsPerMillion),
) -> Option<T> {
    let (from, to) = ends(&range);
    if from < to {
        return Some(range);
    }
    cursor.refuse(format!("the range from {from} to {to} is empty"), "make from less than to")
}

/// Reports arms without a flag to choose for, variants without an arm beside others with one, and a flag without arms.
fn report_arms(cursor: &Cursor<'_>, flag: Option<&Cursor<'_>>, variants: &[Variant]) {
    let Some(without) = variants.iter().find(|variant| variant.arm.is_none()) else {
        if flag.is_none() {
            let hint = "name the flag that the variants decide for their users, or remove their arms";
            cursor.at_field("flag").report("the variants name arms, but there is no flag", hint);
        }
        return;
    };
    if variants.iter().any(|variant| variant.arm.is_some()) {
        let message = format!("the variant {} names no arm, and others do", without.key);
        let hint = "write arm: legacy or arm: new in every variant, or in none";
        cursor.at_field("variants").report(message, hint);
    } else if let Some(flag) = flag {
        let hint = "write arm: legacy or arm: new in every variant, or remove flag";
        flag.report("no variant names an arm of this flag, so the experiment would not decide it", hint);
    }
}

/// The part of a layer and the flag that an experiment has and another one needs.
pub(super) struct Taken<'e> {
    layer: Option<&'e LayerRange>,
    flag: Option<&'e FlagName>,
}

impl<'e> Taken<'e> {
    /// Returns what `experiment` needs of that which `held` has. A stopped experiment has no part of a layer.
    pub(super) fn of(experiment: &Experiment, held: &'e Experiment) -> Self {
        let is_over = |experiment: &Experiment| experiment.state == ExperimentState::Stopped;
        let layer = held.layer.as_ref().filter(|taken| {
            let overlaps = experiment.layer.as_ref().is_some_and(|own| own.overlaps(taken));
            overlaps && !is_over(experiment) && !is_over(held)
        });
        let flag = held.owned_flag().filter(|taken| experiment.owned_flag() == Some(*taken));
        Self { layer, flag }
    }

    /// Returns true if both experiments can be there together.
    pub(super) fn is_nothing(&self) -> bool {
        self.layer.is_none() && self.flag.is_none()
    }
}

/// Reports users or a flag that an experiment shares with an earlier one, which comes with its name.
fn report_conflicts(cursor: &Cursor<'_>, experiment: &Experiment, (other, held): (&str, &Experiment)) {
    let at = |name: &str| cursor.field(name).unwrap_or_else(|| cursor.at_field(name));
    let taken = Taken::of(experiment, held);
    if let Some(LayerRange { name, from, to }) = taken.layer {
        let message = format!("the experiment {other} has the layer {name} from {from} to {to}");
        at("layer").report(message, "give the experiments of a layer ranges that do not overlap");
    }
    if let Some(flag) = taken.flag {
        let message = format!("the experiment {other} is running and decides the flag {flag} too");
        at("flag").report(message, "write state: stopped or state: draft in one of the two");
    }
}
