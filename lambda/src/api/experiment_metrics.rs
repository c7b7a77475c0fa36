//! Metrics of the experiments that are counted: users, conversions and evidence of the present phase.

use crate::{
    api::{measured, metrics_page::Page},
    clock,
    platform::Platform,
    store::{State, error::StoreError},
};
use cutover_core::{
    ExperimentName,
    experiment::{Design, Figures, Judgement, Phase, TestKind},
};

/// A phase with its judgement of now.
struct Judged<'n> {
    experiment: &'n str,
    design: Design,
    figures: Figures,
    judgement: Judgement,
    remembered_share: f64,
}

impl Judged<'_> {
    fn variant(&self, position: u8) -> &str {
        self.design
            .variants
            .get(usize::from(position))
            .map(|variant| variant.key.as_str())
            .unwrap_or_default()
    }

    fn metric(&self, position: Option<u8>) -> &str {
        let metric = position.and_then(|position| self.design.metrics.get(usize::from(position)));
        metric.map(|metric| metric.name.as_str()).unwrap_or_default()
    }

    /// Returns each variant with its users, and each metric with the users who had an event.
    fn variants(&self) -> impl Iterator<Item = (&str, u64, Vec<(&str, u64)>)> {
        self.design.variants.iter().zip(&self.figures.running).map(move |(variant, sums)| {
            let metrics = self.design.metrics.iter().zip(&sums.metrics);
            let events = metrics.map(|(metric, sums)| (metric.name.as_str(), sums.with_event));
            (variant.key.as_str(), sums.users, events.collect())
        })
    }
}

/// Adds the metrics of all experiments that are counted. One whose ledger cannot be decoded has none; `evaluate` says so.
pub(super) async fn add(page: &mut Page, platform: &Platform, state: &State) -> Result<(), StoreError> {
    let mut experiments = Vec::new();
    for name in state.phases.keys() {
        match measured::phase(platform, state, name).await {
            Ok(Some(measured)) => experiments.push(judged(name, measured.phase)),
            Ok(None) | Err(StoreError::Item(_) | StoreError::Later(_) | StoreError::Restless) => {}
            Err(error) => return Err(error),
        }
    }
    render(page, &experiments);
    Ok(())
}

fn judged(name: &ExperimentName, phase: Phase) -> Judged<'_> {
    let record = phase.judged(clock::now(), crate::VERSION);
    Judged {
        experiment: name.as_str(),
        design: record.design,
        figures: record.figures,
        judgement: record.judgement,
        remembered_share: phase.evidence.remembered_share(),
    }
}

fn render(page: &mut Page, experiments: &[Judged<'_>]) {
    let name = "cutover_experiment_users";
    page.family(name, "gauge", "Users of the present phase by experiment and variant.");
    each(experiments, |experiment, variant, users, _| {
        page.sample(name, &[("experiment", experiment), ("variant", variant)], users as f64);
    });
    let name = "cutover_user_adoption_ratio";
    page.family(name, "gauge", "Share of the users of an experiment who were served by a variant.");
    for judged in experiments {
        let all: u64 = judged.figures.running.iter().map(|sums| sums.users).sum();
        for (variant, users, _) in judged.variants().filter(|_| all > 0) {
            let labels = [("experiment", judged.experiment), ("variant", variant)];
            page.sample(name, &labels, users as f64 / all as f64);
        }
    }
    let name = "cutover_experiment_remembered_share";
    page.family(
        name,
        "gauge",
        "Share of the users of an experiment whose later events count; below 1, users are left out.",
    );
    for judged in experiments {
        page.sample(name, &[("experiment", judged.experiment)], judged.remembered_share);
    }
    let is_shown = |judged: &&Judged<'_>| !measured::is_hidden(&judged.judgement);
    let shown: Vec<&Judged<'_>> = experiments.iter().filter(is_shown).collect();
    let name = "cutover_experiment_conversions_total";
    page.family(name, "counter", "Users with an event by experiment, variant and metric; none while users are not split as configured.");
    conversions(&shown, |labels, _, converted| page.sample(name, labels, converted as f64));
    let name = "cutover_experiment_conversion_rate";
    page.family(
        name,
        "gauge",
        "Share of the users of a variant with an event; none while users are not split as configured.",
    );
    conversions(&shown, |labels, users, converted| {
        if users > 0 {
            page.sample(name, labels, converted as f64 / users as f64);
        }
    });
    let name = "cutover_experiment_evidence_ratio";
    page.family(name, "gauge", "Evidence of each test of an experiment; a test fires at 1.");
    for judged in experiments {
        for test in measured::shown_tests(&judged.judgement) {
            let labels = [
                ("experiment", judged.experiment),
                ("test", kind(test.kind)),
                ("variant", judged.variant(test.variant)),
                ("event", judged.metric(test.metric)),
            ];
            page.sample(name, &labels, test.percent() / 100.0);
        }
    }
}

fn each(experiments: &[Judged<'_>], mut sample: impl FnMut(&str, &str, u64, &[(&str, u64)])) {
    for judged in experiments {
        for (variant, users, events) in judged.variants() {
            sample(judged.experiment, variant, users, &events);
        }
    }
}

fn conversions(experiments: &[&Judged<'_>], mut sample: impl FnMut(&[(&str, &str)], u64, u64)) {
    for judged in experiments {
        for (variant, users, events) in judged.variants() {
            for (event, converted) in events {
                let labels = [("experiment", judged.experiment), ("variant", variant), ("event", event)];
                sample(&labels, users, converted);
            }
        }
    }
}

fn kind(kind: TestKind) -> &'static str {
    match kind {
        TestKind::SampleRatio => "sample_ratio",
        TestKind::Guardrail => "guardrail",
        TestKind::Primary => "primary",
        TestKind::Secondary => "secondary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{
        Timestamp,
        config::Config,
        experiment::{Arrivals, DEFAULT_CAPACITY, PhaseIdentity},
        measurement::{
            batch::Batch,
            experiments::{ExperimentPart, Exposure, UserOutcome},
        },
    };

    /// A phase with this many users of control and treatment, of whom each second one of treatment converted.
    fn phase(control: u64, treatment: u64) -> Phase {
        let text = "experiments: { e: { name: E, success_metrics: [order], variants: { control: C, treatment: T } } }";
        let config = Config::from_yaml(text).unwrap();
        let (name, experiment) = config.ab_tests.first_key_value().unwrap();
        let began = Timestamp::from_millis(0);
        let identity = PhaseIdentity { experiment: name.clone(), phase: 1, began };
        let mut phase = Phase::begin(identity, Design::of(experiment), DEFAULT_CAPACITY);
        let mut part = ExperimentPart::empty(name.clone(), 1, 10);
        for (variant, users) in [(0, control), (1, treatment)] {
            for number in 0..users {
                let user = 1 + number + 100_000 * u64::from(variant);
                part.exposures.push(Exposure { user, variant, after_s: 0 });
                if variant == 1 && number % 2 == 0 {
                    part.outcomes.push(UserOutcome { user, metric: 0, after_s: 1, value: None, id: None });
                }
            }
        }
        let mut arrivals = Arrivals::new(name.clone(), 1);
        arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) });
        phase.fold(&arrivals, Timestamp::from_millis(60_000));
        phase
    }

    fn page(phase: Phase) -> String {
        let name: ExperimentName = "e".parse().unwrap();
        let mut page = Page::default();
        render(&mut page, &[judged(&name, phase)]);
        page.text
    }

    #[test]
    fn users_conversions_and_rates_are_shown_by_variant() {
        let text = page(phase(30, 10));
        for expected in [
            "cutover_experiment_users{experiment=\"e\",variant=\"treatment\"} 10",
            "cutover_user_adoption_ratio{experiment=\"e\",variant=\"treatment\"} 0.25",
            "cutover_experiment_conversions_total{experiment=\"e\",variant=\"treatment\",event=\"order\"} 5",
            "cutover_experiment_conversion_rate{experiment=\"e\",variant=\"treatment\",event=\"order\"} 0.5",
            "cutover_experiment_conversion_rate{experiment=\"e\",variant=\"control\",event=\"order\"} 0\n",
            "cutover_experiment_evidence_ratio{experiment=\"e\",test=\"primary\",variant=\"treatment\",event=\"order\"}",
            "cutover_experiment_remembered_share{experiment=\"e\"} 1\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn a_phase_that_leaves_users_out_shows_the_share_that_counts() {
        let mut thinned = phase(30, 10);
        assert!(thinned.halve_users());
        let text = page(thinned);
        assert!(text.contains("cutover_experiment_remembered_share{experiment=\"e\"} 0.5\n"), "{text}");
    }

    #[test]
    fn conversions_are_hidden_while_users_are_not_split_as_configured() {
        let text = page(phase(1_000, 10));
        assert!(
            text.contains("cutover_experiment_users{experiment=\"e\",variant=\"control\"} 1000"),
            "{text}"
        );
        assert!(!text.contains("cutover_experiment_conversions_total{"), "{text}");
        assert!(!text.contains("test=\"primary\""), "{text}");
    }
}
