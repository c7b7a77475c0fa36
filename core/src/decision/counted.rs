//! Experiments whose users the edge counts: the key of their phase, and the metrics that a response or an event counts for.

use crate::{
    measurement::{
        counts::{Outcome, kinds},
        event_kinds::EventKinds,
        experiments::ExperimentKey,
        label::{ExperimentLabel, SlowLimits},
    },
    rules::{
        experiment::{
            document::{Experiment, Variant},
            metric::{Direction, Metric, MetricKind, ResponseTrigger, Role, Trigger},
        },
        route::Route,
    },
    vocabulary::names::{ExperimentName, VariantKey},
};
use std::ops::{BitOr, BitOrAssign};

/// A set of metrics of an experiment, by their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MetricSet(u16);

impl MetricSet {
    /// Returns the set of the metric at a position. [`MAX_METRICS`](crate::rules::experiment::metric::MAX_METRICS) fit; one
    /// beyond them is left out.
    pub fn of(position: u8) -> Self {
        Self(1_u16.checked_shl(u32::from(position)).unwrap_or_default())
    }

    /// Returns true if the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns true if the metric at a position is in the set.
    pub fn has(self, position: u8) -> bool {
        self.0 & Self::of(position).0 != 0
    }

    /// Returns the set as bits by the positions.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Returns the metrics that are in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the positions of the metrics in the set.
    pub fn positions(self) -> impl Iterator<Item = u8> {
        (0..16).filter(move |position| self.has(*position))
    }
}

impl BitOr for MetricSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for MetricSet {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// A running experiment with the label of its phase.
#[derive(Debug)]
pub struct CountedExperiment {
    /// Name under which the experiment is configured.
    pub name: ExperimentName,
    /// The phase that is counted.
    pub phase: u32,
    /// Key of the phase's user hashes.
    pub key: ExperimentKey,
    variants: Vec<VariantKey>,
    metrics: Vec<CountedMetric>,
    guardrails: MetricSet,
}

/// A metric with its route resolved to a position.
#[derive(Debug)]
struct CountedMetric {
    metric: Metric,
    /// Position of the route whose responses count; `None` for any other metric, and without such a route.
    route: Option<usize>,
}

impl CountedExperiment {
    /// Compiles a running experiment with its label. Returns `None` if its users are not counted: it does not run, the label is
    /// that of another phase, or the key is none. `routes` are those of the snapshot.
    pub fn new(
        name: &ExperimentName,
        experiment: &Experiment,
        label: &ExperimentLabel,
        routes: &[Route],
    ) -> Option<Self> {
        let is_counted = experiment.is_running() && label.phase == experiment.phase;
        let key = ExperimentKey::parse(&label.key).filter(|_| is_counted)?;
        let counted = |metric: Metric| {
            let id = response_of(&metric).map(|trigger| &trigger.route);
            let route = id.and_then(|id| routes.iter().position(|route| route.id == *id));
            CountedMetric { metric, route }
        };
        let metrics: Vec<CountedMetric> = experiment.all_metrics().into_iter().map(counted).collect();
        let is_guardrail = |(_, counted): &(u8, &CountedMetric)| {
            let Metric { role, direction, .. } = &counted.metric;
            (*role, *direction) == (Role::Guardrail, Direction::Decrease)
        };
        let guardrails = (0..=u8::MAX).zip(&metrics).filter(is_guardrail);
        Some(Self {
            name: name.clone(),
            phase: label.phase,
            key,
            variants: experiment.variants.iter().map(|variant| variant.key.clone()).collect(),
            guardrails: guardrails
                .fold(MetricSet::default(), |set, (position, _)| set | MetricSet::of(position)),
            metrics,
        })
    }

    /// Returns the position of a variant; `None` for one beyond those that a report can name.
    pub fn position_of(&self, variant: &Variant) -> Option<u8> {
        let position = self.variants.iter().position(|key| *key == variant.key)?;
        u8::try_from(position).ok()
    }

    /// Returns the kind of the metric at a position.
    pub fn kind(&self, position: u8) -> Option<MetricKind> {
        self.metrics.get(usize::from(position)).map(|counted| counted.metric.kind)
    }

    /// Returns the guardrails whose events are harm: those that are judged by hours too.
    pub fn guardrails(&self) -> MetricSet {
        self.guardrails
    }

    /// Returns the metrics that count responses of a request to the route at a position, as far as it can be told before the
    /// response.
    pub fn selected(&self, route: usize, method: &str) -> MetricSet {
        self.metrics_with(|counted| {
            let trigger = response_of(&counted.metric).filter(|_| counted.route == Some(route));
            trigger.is_some_and(|trigger| trigger.selects(method))
        })
    }

    /// Returns those of the [`selected`](Self::selected) metrics that count a response with the status.
    pub fn responded(&self, selected: MetricSet, status: u16) -> MetricSet {
        let mut counting = MetricSet::default();
        for position in selected.positions() {
            let counted = self.metrics.get(usize::from(position));
            let trigger = counted.and_then(|counted| response_of(&counted.metric));
            if trigger.is_some_and(|trigger| trigger.status.contains(status)) {
                counting |= MetricSet::of(position);
            }
        }
        counting
    }

    /// Returns the metrics of errors and of slow responses that count the end of a request, by the rules by which canaries
    /// find them.
    pub fn ended(&self, outcome: Outcome, ms: u32) -> MetricSet {
        self.metrics_with(|counted| match counted.metric.on {
            Trigger::Error => kinds(outcome, ms, None).contains(EventKinds::ERROR),
            Trigger::Slow { over_ms } => {
                let limits = SlowLimits { slow_success_ms: over_ms, slow_rollback_ms: over_ms };
                kinds(outcome, ms, Some(limits)).contains(EventKinds::SLOW)
            }
            Trigger::Response(_) | Trigger::Event(_) => false,
        })
    }

    /// Returns the metrics that count events of a name.
    pub fn named(&self, event: &str) -> MetricSet {
        self.metrics_with(|counted| matches!(&counted.metric.on, Trigger::Event(name) if name == event))
    }

    fn metrics_with(&self, counts: impl Fn(&CountedMetric) -> bool) -> MetricSet {
        let mut set = MetricSet::default();
        for (position, counted) in (0..=u8::MAX).zip(&self.metrics) {
            if counts(counted) {
                set |= MetricSet::of(position);
            }
        }
        set
    }
}

fn response_of(metric: &Metric) -> Option<&ResponseTrigger> {
    match &metric.on {
        Trigger::Response(trigger) => Some(trigger),
        Trigger::Event(_) | Trigger::Error | Trigger::Slow { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config, decision::ruleset::Ruleset, snapshot::Snapshot, vocabulary::revision::Revision,
    };

    const KEY: &str = "000102030405060708090a0b0c0d0e0f";

    const CONFIG: &str = r#"
feature_flags: { f: { enabled: true } }
origins: { a: { url: "http://a.internal", timeout_ms: 1000 }, b: { url: "http://b.internal", timeout_ms: 7000 } }
routes:
  - { id: orders, match: { path: /orders }, flag: f, legacy: a, new: b }
  - { id: other, match: { path: /other }, flag: f, legacy: a, new: b }
experiments:
  draft: { name: D, state: draft, variants: { a: A, b: B } }
  t:
    name: T
    variants: { a: A, b: B }
    metrics:
      - name: ordered
        role: guardrail
        on: { response: { route: orders, methods: [POST], status: { from: 200, to: 201 } } }
      - { name: answered, on: { response: { route: orders } } }
      - { name: clicks, kind: value, cap: 1000, on: { event: click } }
      - { name: errors, on: error, role: guardrail, direction: decrease }
      - { name: slow, on: { slow: { over_ms: 800 } } }
"#;

    fn snapshot(phase: u32, key: &str) -> Snapshot {
        let mut snapshot = Config::from_yaml(CONFIG).unwrap().snapshot(Revision(1), None);
        for name in ["draft", "t", "unknown"] {
            let label = ExperimentLabel { phase, key: key.to_owned() };
            snapshot.experiment_labels.insert(name.parse().unwrap(), label);
        }
        snapshot
    }

    fn set(positions: &[u8]) -> MetricSet {
        positions.iter().fold(MetricSet::default(), |set, position| set | MetricSet::of(*position))
    }

    #[test]
    fn only_a_running_experiment_with_the_key_of_its_phase_is_counted() {
        for (phase, key, is_counted) in [(1, KEY, true), (2, KEY, false), (1, "no key", false)] {
            let rules = Ruleset::compile(&snapshot(phase, key)).unwrap();
            let names: Vec<&str> = rules.counted().iter().map(|counted| counted.name.as_str()).collect();
            assert_eq!(names, if is_counted { vec!["t"] } else { vec![] }, "{phase} {key}");
        }
        let rules = Ruleset::compile(&snapshot(1, KEY)).unwrap();
        assert_eq!(rules.counted_at("t").map(|(position, _)| position), Some(0));
        assert!(rules.counted_at("draft").is_none());
        assert_eq!(rules.longest_timeout_of_all_ms(), 7_000);
    }

    #[test]
    fn each_metric_counts_what_it_names() {
        let rules = Ruleset::compile(&snapshot(1, KEY)).unwrap();
        let counted = &rules.counted()[0];
        let orders = rules.routes().iter().position(|route| route.id.as_str() == "orders").unwrap();
        let other = rules.routes().iter().position(|route| route.id.as_str() == "other").unwrap();
        assert_eq!(counted.selected(orders, "POST"), set(&[0, 1]));
        assert_eq!(counted.selected(orders, "GET"), set(&[1]));
        assert_eq!(counted.selected(other, "POST"), set(&[]));
        assert_eq!(counted.responded(set(&[0, 1]), 201), set(&[0, 1]));
        assert_eq!(counted.responded(set(&[0, 1]), 204), set(&[1]));
        assert_eq!(counted.responded(set(&[1]), 201), set(&[1]), "only those that were selected");
        assert_eq!(counted.named("click"), set(&[2]));
        assert_eq!(counted.named("clicks"), set(&[]));
        assert_eq!(counted.ended(Outcome::Status(200), 800), set(&[]));
        assert_eq!(counted.ended(Outcome::Status(404), 801), set(&[4]));
        assert_eq!(counted.ended(Outcome::Status(500), 1), set(&[3]));
        assert_eq!(counted.ended(Outcome::Unreachable, 1), set(&[3, 4]), "without a response it is slow too");
        assert_eq!(
            (counted.kind(0), counted.kind(2)),
            (Some(MetricKind::Conversion), Some(MetricKind::Value))
        );
        assert_eq!(counted.kind(5), None);
        assert_eq!(counted.guardrails(), set(&[3]), "there should be many orders");
        assert_eq!((counted.guardrails().and(set(&[3, 4])), set(&[3, 4]).bits()), (set(&[3]), 0b11000));
    }

    #[test]
    fn sixteen_metrics_are_a_set() {
        let all = (0..=u8::MAX).fold(MetricSet::default(), |set, position| set | MetricSet::of(position));
        assert!(all.positions().eq(0_u8..16));
    }
}
