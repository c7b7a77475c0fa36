//! Counting and judging of experiments: batches, the folding of users, figures, tests, conclusions and records.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod batches;
mod designs;
mod folding;
mod guarded;
mod identified;
mod judging;
mod phases;
mod planned;
mod simulated;
mod truth;

use cutover_core::{
    ExperimentName, PartsPerMillion,
    experiment::{Arrivals, Design, DesignVariant, Evidence, StoppingRules},
    measurement::{
        batch::Batch,
        experiments::{ExperimentPart, Exposure, UserOutcome},
    },
    rules::experiment::metric::{Direction, Metric, MetricKind, Role, Trigger},
};

/// Start of the phase, in seconds since 1970.
const BEGAN: i64 = 1_767_225_600;

/// Positions of the metrics of [`design`].
const PURCHASE: u8 = 0;
const SPENT: u8 = 1;
const LATENCY: u8 = 2;
const ERRORS: u8 = 3;

const CONTROL: u8 = 0;
const TREATMENT: u8 = 1;

fn metric(name: &str, kind: MetricKind, role: Role) -> Metric {
    Metric {
        name: name.to_owned(),
        kind,
        on: Trigger::Event(name.to_owned()),
        cap: (kind != MetricKind::Conversion).then_some(100_000),
        role,
        direction: Direction::Increase,
    }
}

/// A design of variants with these weights, in percent; the first one is control. Windows last 1,000 seconds, and reports
/// take 100.
fn design(weights: &[u32]) -> Design {
    let variant = |(position, weight): (usize, &u32)| DesignVariant {
        key: format!("v{position}").parse().unwrap(),
        weight: PartsPerMillion::of_percent(*weight),
    };
    let errors = Metric {
        on: Trigger::Error,
        direction: Direction::Decrease,
        ..metric("errors", MetricKind::Conversion, Role::Guardrail)
    };
    Design {
        variants: weights.iter().enumerate().map(variant).collect(),
        control: CONTROL,
        metrics: vec![
            metric("purchase", MetricKind::Conversion, Role::Primary),
            metric("spent", MetricKind::Value, Role::Secondary),
            metric("latency", MetricKind::Ratio, Role::Secondary),
            errors,
        ],
        rules: StoppingRules { window_s: 1_000, settle_s: 100, ..StoppingRules::default() },
    }
}

fn experiment() -> ExperimentName {
    "checkout".parse().unwrap()
}

fn part(exposures: Vec<Exposure>, outcomes: Vec<UserOutcome>) -> ExperimentPart {
    ExperimentPart { exposures, outcomes, ..ExperimentPart::empty(experiment(), 1, BEGAN) }
}

fn exposure(user: u64, variant: u8, after_s: u32) -> Exposure {
    Exposure { user, variant, after_s }
}

fn outcome(user: u64, metric: u8, after_s: u32, value: Option<u64>) -> UserOutcome {
    UserOutcome { user, metric, after_s, value, id: None }
}

/// An event that a server may repeat.
fn identified(user: u64, metric: u8, after_s: u32, value: Option<u64>, id: u64) -> UserOutcome {
    UserOutcome { id: Some(id), ..outcome(user, metric, after_s, value) }
}

fn batch(isolate: u64, sequence: u64, part: ExperimentPart) -> Batch {
    Batch { experiments: vec![part], ..Batch::empty(format!("{isolate:032x}"), sequence) }
}

fn arrivals<'b>(batches: impl IntoIterator<Item = &'b Batch>) -> Arrivals {
    let mut arrivals = Arrivals::new(experiment(), 1);
    batches.into_iter().for_each(|batch| arrivals.add(batch));
    arrivals
}

/// Folds parts into evidence in one tick, each from an isolate of its own. `after_s` is the time of the tick.
fn tick(evidence: &mut Evidence, design: &Design, parts: Vec<ExperimentPart>, after_s: i64) {
    let batches: Vec<Batch> = (1..).zip(parts).map(|(isolate, part)| batch(isolate, 1, part)).collect();
    evidence.fold(design, &arrivals(&batches), BEGAN + after_s);
}

fn is_deep() -> bool {
    std::env::var_os("CUTOVER_DEEP").is_some()
}
