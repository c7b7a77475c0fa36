//! The judgement of a phase: every test with its evidence, the effects, and the conclusion. All tests are anytime-valid, so
//! it may be made at any time and as often as one likes.

use crate::{
    experiment::{
        circumstances::Reached,
        conclusion::Conclusion,
        design::{Compared, Design},
        effect::Effect,
        figures::{Figures, VariantSums},
        guardrails::PeriodFigures,
        test::{TestKind, TestResult},
    },
    rules::experiment::metric::{Direction, Role},
    statistics::{
        MIN_EVENT_USERS, calibration::experiments::CONVERSION_STRENGTH, discoveries, event_evidence, firing,
        split_evidence,
    },
};
use serde::{Deserialize, Serialize};

/// Level of the test of the sample ratio, for each pair of a variant and control.
const ALPHA_SAMPLE_RATIO: f64 = 0.001;

/// Number of users that the mixture of the sample ratio test stands for.
const SAMPLE_RATIO_STRENGTH: f64 = 1_000.0;

/// Judgement of a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Tests that were made. While users are not split as configured, only those and the guardrails.
    pub tests: Vec<TestResult>,
    /// Effects with their intervals. None while users are not split as configured.
    pub effects: Vec<Effect>,
    /// The conclusion.
    pub conclusion: Conclusion,
}

impl Judgement {
    /// Judges the figures of a phase that began `age_s` seconds ago, and has come to no conclusion before.
    pub fn of(design: &Design, figures: &Figures, age_s: i64) -> Self {
        Self::after(&Reached::default(), design, figures, age_s)
    }

    /// Judges the figures of a phase that began `age_s` seconds ago, after the conclusions that it has come to.
    pub fn after(reached: &Reached, design: &Design, figures: &Figures, age_s: i64) -> Self {
        let judge = Judge { design, figures, reached };
        let mut tests = judge.sample_ratios();
        let is_hidden = tests.iter().any(|test| test.fires);
        tests.extend(judge.guardrails());
        let mut effects = Vec::new();
        if !is_hidden {
            tests.extend(judge.primary());
            tests.extend(judge.secondary());
            effects = judge.effects();
        }
        let conclusion = Conclusion::of(design, &tests, &effects, age_s, reached);
        Self { tests, effects, conclusion }
    }

    /// Returns true if users are not split as configured, so that no result is shown.
    pub fn is_hidden(&self) -> bool {
        self.tests.iter().any(|test| test.kind == TestKind::SampleRatio && test.fires)
    }

    /// Returns the variants whose number of users does not fit that of control.
    pub(crate) fn misfits(design: &Design, figures: &Figures) -> impl Iterator<Item = u8> {
        let judge = Judge { design, figures, reached: &Reached::default() };
        judge.sample_ratios().into_iter().filter(|test| test.fires).map(|test| test.variant)
    }
}

/// A design with its figures.
struct Judge<'j> {
    design: &'j Design,
    figures: &'j Figures,
    reached: &'j Reached,
}

/// Number of users of a variant, and of the variant and control together.
struct Pair {
    treatment: u64,
    all: u64,
    /// Share of the variant by the weights.
    share: f64,
}

impl Pair {
    /// Returns the evidence that the users are not divided by the weights.
    fn split(&self, strength: f64) -> f64 {
        split_evidence(self.treatment, self.all, self.share, strength)
    }
}

impl Judge<'_> {
    fn sample_ratios(&self) -> Vec<TestResult> {
        let fires_at = firing(ALPHA_SAMPLE_RATIO);
        let test = |variant: u8| {
            let pair = self.pair(variant, |sums| sums.users);
            let evidence = pair.split(SAMPLE_RATIO_STRENGTH);
            TestResult {
                kind: TestKind::SampleRatio,
                variant,
                metric: None,
                period: None,
                users: pair.treatment,
                all: pair.all,
                evidence,
                fires_at,
                // More users can make a wrong split look right; it was wrong.
                fires: evidence >= fires_at || self.reached.misfits.contains(&variant),
                is_better: None,
            }
        };
        self.design.treatments().map(test).collect()
    }

    /// Tests if users of a variant have a harmful outcome more often, or a good one less often, as canaries do:
    /// sensitive to strong faults. If a guardrail is judged by periods too, half of its level is for the whole phase,
    /// and half for the periods. Of these tests, the one that fires or is nearest to it stands for all.
    fn guardrails(&self) -> Vec<TestResult> {
        let level = self.level_of_each(Role::Guardrail, self.design.rules.alpha_guardrail);
        let test = |compared: Compared<'_>| {
            let recent = self.figures.guardrails.as_ref().filter(|recent| recent.judges(compared.metric));
            let of_half = if recent.is_some() { level / 2.0 } else { level };
            let of_phase = guardrail(compared, &self.with_event(compared), firing(of_half));
            let periods = recent.into_iter().flat_map(|recent| &recent.periods);
            let of_period = |period: &PeriodFigures| {
                let pair = self.pair_of(compared.variant, |variant| period.users(variant, compared.position));
                let result = guardrail(compared, &pair, firing(period.level(of_half)));
                TestResult { period: Some(period.number), ..result }
            };
            periods.map(of_period).fold(of_phase, TestResult::or_nearer)
        };
        self.tested_as(Role::Guardrail).map(test).collect()
    }

    fn primary(&self) -> Vec<TestResult> {
        self.conversions(TestKind::Primary, Role::Primary, self.design.rules.alpha_primary)
    }

    fn secondary(&self) -> Vec<TestResult> {
        let level = self.design.rules.alpha_secondary;
        let mut tests = self.conversions(TestKind::Secondary, Role::Secondary, level);
        let evidence: Vec<f64> = tests.iter().map(|test| test.evidence).collect();
        for (test, fires) in tests.iter_mut().zip(discoveries(&evidence, level)) {
            test.fires = fires;
        }
        tests
    }

    /// Tests if the users with an event are divided by the weights.
    fn conversions(&self, kind: TestKind, role: Role, level: f64) -> Vec<TestResult> {
        let fires_at = firing(self.level_of_each(role, level));
        let test = |compared: Compared<'_>| {
            let pair = self.with_event(compared);
            result(kind, compared, &pair, pair.split(CONVERSION_STRENGTH), fires_at)
        };
        self.tested_as(role).map(test).collect()
    }

    fn effects(&self) -> Vec<Effect> {
        // All variants together keep the level.
        let level = self.design.rules.alpha_primary / self.design.treatments().count().max(1) as f64;
        let effect = |compared: Compared<'_>| Effect::of(self.design, self.figures, compared, level);
        self.design.comparisons().into_iter().map(effect).collect()
    }

    fn tested_as(&self, role: Role) -> impl Iterator<Item = Compared<'_>> {
        self.design.comparisons().into_iter().filter(move |compared| compared.is_tested_as(role))
    }

    /// Returns the level of one test, if those of all variants and metrics of a role share a level.
    fn level_of_each(&self, role: Role, level: f64) -> f64 {
        level / self.tested_as(role).count().max(1) as f64
    }

    /// Returns the users with an event of a metric.
    fn with_event(&self, compared: Compared<'_>) -> Pair {
        self.pair(compared.variant, |sums| sums.metric(compared.position).with_event)
    }

    fn pair(&self, variant: u8, users: impl Fn(&VariantSums) -> u64) -> Pair {
        self.pair_of(variant, |variant| users(&self.figures.running_of(variant)))
    }

    fn pair_of(&self, variant: u8, users: impl Fn(u8) -> u64) -> Pair {
        let (treatment, control) = (users(variant), users(self.design.control));
        Pair { treatment, all: treatment.saturating_add(control), share: self.design.share(variant) }
    }
}

/// Returns the result of a test of a guardrail.
fn guardrail(compared: Compared<'_>, pair: &Pair, fires_at: f64) -> TestResult {
    // The users whom harm would show: those of the variant with an event, or those of control if events are good.
    let (shown, share) = match compared.metric.direction {
        Direction::Decrease => (pair.treatment, pair.share),
        Direction::Increase => (pair.all - pair.treatment, 1.0 - pair.share),
    };
    let evidence = event_evidence(share, 1.0, shown, pair.all);
    let result = result(TestKind::Guardrail, compared, pair, evidence, fires_at);
    TestResult { fires: result.fires && shown >= MIN_EVENT_USERS, ..result }
}

/// Returns the result of the test of a metric.
fn result(kind: TestKind, compared: Compared<'_>, pair: &Pair, evidence: f64, fires_at: f64) -> TestResult {
    let is_more = pair.treatment as f64 > pair.share * pair.all as f64;
    TestResult {
        kind,
        variant: compared.variant,
        metric: Some(compared.position),
        period: None,
        users: pair.treatment,
        all: pair.all,
        evidence,
        fires_at,
        fires: evidence >= fires_at,
        is_better: Some(is_more == (compared.metric.direction == Direction::Increase)),
    }
}
