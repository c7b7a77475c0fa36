//! The judgement of figures, its conclusions, and its records.

use super::{ERRORS, LATENCY, PURCHASE, SPENT, TREATMENT, design, exposure, outcome, part, tick};
use cutover_core::{
    Timestamp,
    experiment::{
        Conclusion, Design, Evidence, Figures, Judgement, MetricSums, PhaseIdentity, PrimaryFinding, Record,
        TestKind, TestResult, VariantSums, Waiting, replay,
    },
    rules::experiment::metric::{Direction, MetricKind, Role},
    statistics::{Estimate, Interval, IntervalSettings, Scale, Sums, event_evidence, firing, split_mix::mix},
};

const DAY_S: i64 = 24 * 60 * 60;

/// A time at which an experiment may end, and does not have to.
const DAY_10: i64 = 10 * DAY_S;

/// Figures of variants with so many users each, of whom nobody had an event.
fn of_users(design: &Design, users: &[u64]) -> Figures {
    let metrics = vec![MetricSums::default(); design.metrics.len()];
    let variant = |users: &u64| VariantSums { users: *users, metrics: metrics.clone() };
    let variants: Vec<VariantSums> = users.iter().map(variant).collect();
    Figures { running: variants.clone(), matured: variants, ..Figures::default() }
}

/// Sets the users with an event of a metric, variant by variant; all outcomes are final.
fn set_events(figures: &mut Figures, metric: u8, users: &[u64]) {
    for lists in [&mut figures.running, &mut figures.matured] {
        for (variant, users) in lists.iter_mut().zip(users) {
            variant.metrics[usize::from(metric)].with_event = *users;
        }
    }
}

fn test_of(judgement: &Judgement, kind: TestKind, variant: u8) -> &TestResult {
    judgement.tests.iter().find(|test| test.kind == kind && test.variant == variant).unwrap()
}

fn near(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-8, "{actual}, not {expected}");
}

fn going_on(because: Waiting) -> Conclusion {
    Conclusion::Continue { because }
}

#[test]
fn the_tests_have_their_golden_values() {
    for (users, all, percent, expected) in [
        (100, 2_000, 5, -0.550_420_16),
        (160, 2_000, 5, 10.587_052_34),
        (1_100, 2_000, 50, 6.124_368_60),
        (20, 1_000, 1, 1.636_920_80),
        (500_000, 1_000_000, 50, -3.454_627_14),
    ] {
        let design = design(&[100 - percent, percent]);
        let judgement = Judgement::of(&design, &of_users(&design, &[all - users, users]), DAY_10);
        let ratio = test_of(&judgement, TestKind::SampleRatio, TREATMENT);
        near(ratio.evidence, expected);
        near(ratio.fires_at, 6.907_755_278_982_137);
        assert_eq!((ratio.users, ratio.all, ratio.fires), (users, all, expected > 6.9));
    }
    let design = design(&[50, 50]);
    for (users, all, expected) in [(60, 100, 0.242_707_46), (1_300, 2_400, 6.025_070_69)] {
        let mut figures = of_users(&design, &[10_000, 10_000]);
        set_events(&mut figures, PURCHASE, &[all - users, users]);
        let judgement = Judgement::of(&design, &figures, DAY_10);
        let primary = test_of(&judgement, TestKind::Primary, TREATMENT);
        near(primary.evidence, expected);
        near(primary.fires_at, firing(0.05));
        assert_eq!((primary.users, primary.all, primary.is_better), (users, all, Some(true)));
    }
}

#[test]
fn a_primary_metric_is_ready_after_the_shortest_time_and_never_before() {
    let design = design(&[50, 50]);
    for (events, is_better) in [([100, 200], true), ([200, 100], false)] {
        let mut figures = of_users(&design, &[2_000, 2_000]);
        set_events(&mut figures, PURCHASE, &events);
        let early = Judgement::of(&design, &figures, 7 * DAY_S - 1);
        assert_eq!(early.conclusion, going_on(Waiting::MinDays));
        assert!(test_of(&early, TestKind::Primary, TREATMENT).fires, "it is shown");
        let finding = PrimaryFinding { variant: TREATMENT, metric: PURCHASE, is_better };
        let ready = Conclusion::Ready { findings: vec![finding] };
        assert_eq!(Judgement::of(&design, &figures, 7 * DAY_S).conclusion, ready);
        assert_eq!(Judgement::of(&design, &figures, 90 * DAY_S).conclusion, ready);
    }
}

#[test]
fn of_several_variants_the_different_one_is_found() {
    let mut design = design(&[40, 30, 30]);
    let mut figures = of_users(&design, &[2_000, 1_500, 1_500]);
    set_events(&mut figures, PURCHASE, &[100, 75, 180]);
    let judgement = Judgement::of(&design, &figures, DAY_10);
    let finding = PrimaryFinding { variant: 2, metric: PURCHASE, is_better: true };
    assert_eq!(judgement.conclusion, Conclusion::Ready { findings: vec![finding] });
    near(test_of(&judgement, TestKind::Primary, 1).fires_at, firing(0.025));
    // A variant of weight 0 is compared with nothing, and takes no part of the level.
    design.variants[1].weight = cutover_core::PartsPerMillion::ZERO;
    let judgement = Judgement::of(&design, &figures, DAY_10);
    assert!(judgement.tests.iter().all(|test| test.variant == 2), "{judgement:?}");
    near(test_of(&judgement, TestKind::Primary, 2).fires_at, firing(0.05));
}

#[test]
fn a_guardrail_switches_off_at_once_and_only_for_harm() {
    let mut design = design(&[50, 50]);
    let mut figures = of_users(&design, &[300, 300]);
    set_events(&mut figures, ERRORS, &[0, 12]);
    let judgement = Judgement::of(&design, &figures, 0);
    assert_eq!(judgement.conclusion, Conclusion::Off { variant: TREATMENT, metric: ERRORS });
    let guardrail = test_of(&judgement, TestKind::Guardrail, TREATMENT);
    near(guardrail.evidence, event_evidence(0.5, 1.0, 12, 12));
    assert_eq!((guardrail.is_better, guardrail.fires), (Some(false), true));
    // Fewer errors than control are no harm.
    set_events(&mut figures, ERRORS, &[12, 0]);
    assert_eq!(Judgement::of(&design, &figures, 0).conclusion, going_on(Waiting::MinDays));
    // Of a metric that must not fall, fewer events are.
    design.metrics[usize::from(ERRORS)].direction = Direction::Increase;
    let off = Conclusion::Off { variant: TREATMENT, metric: ERRORS };
    assert_eq!(Judgement::of(&design, &figures, 0).conclusion, off);
    // Three users at least, whatever the level.
    design.rules.alpha_guardrail = 0.9;
    set_events(&mut figures, ERRORS, &[2, 0]);
    let few = Judgement::of(&design, &figures, 0);
    let guardrail = test_of(&few, TestKind::Guardrail, TREATMENT);
    assert!(guardrail.evidence >= guardrail.fires_at && !guardrail.fires, "{guardrail:?}");
}

#[test]
fn a_wrong_split_hides_the_results_but_not_a_guardrail() {
    let design = design(&[50, 50]);
    let mut figures = of_users(&design, &[2_000, 2_600]);
    set_events(&mut figures, PURCHASE, &[100, 300]);
    let hidden = Judgement::of(&design, &figures, DAY_10);
    assert_eq!(hidden.conclusion, Conclusion::Hidden { variant: TREATMENT });
    assert!(hidden.effects.is_empty(), "{hidden:?}");
    let is_result = |test: &TestResult| matches!(test.kind, TestKind::Primary | TestKind::Secondary);
    assert!(!hidden.tests.iter().any(is_result), "{hidden:?}");
    set_events(&mut figures, ERRORS, &[0, 30]);
    let off = Judgement::of(&design, &figures, DAY_10).conclusion;
    assert_eq!(off, Conclusion::Off { variant: TREATMENT, metric: ERRORS });
}

#[test]
fn alike_variants_make_no_practical_difference_or_end_at_the_longest_time() {
    let mut design = design(&[50, 50]);
    let mut figures = of_users(&design, &[1_000_000, 1_000_000]);
    set_events(&mut figures, PURCHASE, &[500_000, 500_100]);
    let judgement = Judgement::of(&design, &figures, DAY_10);
    assert_eq!(judgement.conclusion, Conclusion::NoPracticalDifference);
    let range = judgement.effects[0].relative.unwrap();
    assert!(
        range.low < 0.0 && range.high > 0.0 && range.is_within(0.02) && !range.is_within(0.001),
        "{range:?}"
    );
    design.rules.practical_difference = 0.001;
    assert_eq!(Judgement::of(&design, &figures, DAY_10).conclusion, going_on(Waiting::Undecided));
    assert_eq!(Judgement::of(&design, &figures, 60 * DAY_S - 1).conclusion, going_on(Waiting::Undecided));
    assert_eq!(Judgement::of(&design, &figures, 60 * DAY_S).conclusion, Conclusion::Inconclusive);
    // Nothing but errors is measured: neither is there a difference nor none.
    design.metrics[usize::from(PURCHASE)].role = Role::Secondary;
    design.rules.practical_difference = 0.02;
    assert_eq!(Judgement::of(&design, &figures, DAY_10).conclusion, going_on(Waiting::Undecided));
}

#[test]
fn few_users_or_events_have_no_interval() {
    let design = design(&[50, 50]);
    for (users, events, is_too_few) in [(99, 30, true), (100, 9, true), (100, 10, false)] {
        let mut figures = of_users(&design, &[users, users]);
        set_events(&mut figures, PURCHASE, &[events, events]);
        let judgement = Judgement::of(&design, &figures, DAY_10);
        assert_eq!(judgement.effects[0].is_too_few(), is_too_few, "{users} {events}");
        let because = if is_too_few { Waiting::TooFew } else { Waiting::Undecided };
        assert_eq!(judgement.conclusion, going_on(because));
    }
}

/// Users with a known value, through the fold: the effects are those of the estimates on the plain values.
#[test]
fn effects_are_the_intervals_of_users_whose_window_is_over() {
    let design = design(&[50, 50]);
    let mut evidence = Evidence::none(&design, 10_000);
    let (mut exposures, mut outcomes, mut sums) = (Vec::new(), Vec::new(), [Sums::default(); 2]);
    for user in 0..1_000_u64 {
        let (variant, value) = ((user % 2) as u8, mix(user) % 40_000 + u64::from(user % 2 == 1) * 2_000);
        exposures.push(exposure(mix(user), variant, 0));
        outcomes.push(outcome(mix(user), SPENT, 10, Some(value)));
        outcomes.push(outcome(mix(user), LATENCY, 10, Some(value)));
        sums[usize::from(variant)].add(value as f64 / 1_000.0);
        // Beyond the window, and not exposed for long enough.
        outcomes.push(outcome(mix(user), SPENT, 1_000, Some(9_000)));
        exposures.push(exposure(mix(user + 5_000), variant, 500));
    }
    tick(&mut evidence, &design, vec![part(exposures, outcomes)], 1_200);
    let judgement = Judgement::of(&design, evidence.figures(), DAY_10);
    let [control, treatment] = sums.map(|sums| Estimate::of_mean(&sums).unwrap());
    for metric in [SPENT, LATENCY] {
        let effect = judgement.effects.iter().find(|effect| effect.metric == metric).unwrap();
        assert_eq!((effect.users, effect.control_users), (500, 500));
        for (scale, range) in [(Scale::Absolute, effect.absolute), (Scale::Relative, effect.relative)] {
            let settings = IntervalSettings { level: 0.05, tuned_for: 10_000, scale };
            let expected = Interval::between(&control, &treatment, settings).unwrap();
            let range = range.unwrap();
            // Every user has one request, so the ratio is the mean.
            near(range.difference, expected.difference);
            near(range.low, expected.low);
            near(range.high, expected.high);
        }
    }
}

#[test]
fn secondary_metrics_share_their_false_discoveries() {
    let mut design = design(&[50, 50]);
    let secondary = design.metrics[usize::from(SPENT)].clone();
    design.metrics.extend((0..3).map(|_| secondary.clone()));
    let mut figures = of_users(&design, &[9_000, 9_000]);
    // Four tests: ln(4/.05) is 4.38, and two discoveries need 3.69 each. The ratio has no test.
    set_events(&mut figures, SPENT, &[300, 455]);
    let test = |figures: &Figures| -> Vec<TestResult> {
        let judgement = Judgement::of(&design, figures, DAY_10);
        judgement.tests.into_iter().filter(|test| test.kind == TestKind::Secondary).collect()
    };
    let alone = test(&figures);
    assert_eq!(alone.iter().map(|test| test.metric.unwrap()).collect::<Vec<_>>(), [SPENT, 4, 5, 6]);
    let fires: Vec<bool> = alone.iter().map(|test| test.fires).collect();
    assert_eq!(fires, [true, false, false, false]);
    near(alone[0].fires_at, firing(0.05 / 4.0));
    // Evidence of 4.04 is a discovery only beside another one.
    let middling = |figures: &mut Figures, metric: u8| set_events(figures, metric, &[1_000, 1_161]);
    let mut one = of_users(&design, &[9_000, 9_000]);
    middling(&mut one, 4);
    let only = test(&one);
    assert!((3.69..4.38).contains(&only[1].evidence) && !only[1].fires, "{only:?}");
    middling(&mut one, 5);
    assert!(test(&one)[1].fires && test(&one)[2].fires, "{:?}", test(&one));
    assert_eq!(design.metrics[usize::from(LATENCY)].kind, MetricKind::Ratio);
}

fn identity() -> PhaseIdentity {
    let began = Timestamp::from_millis(super::BEGAN * 1_000);
    PhaseIdentity { experiment: super::experiment(), phase: 1, began }
}

#[test]
fn records_replay_to_the_last_bit() {
    let design = design(&[40, 30, 30]);
    let mut evidence = Evidence::none(&design, 10_000);
    let mut records = Vec::new();
    for day in 1..=9_u64 {
        let users = day * 1_000..day * 1_000 + 900;
        let variant = |user: u64| [0, 0, 0, 0, 1, 1, 1, 2, 2, 2][(user % 10) as usize];
        let exposures = users.clone().map(|user| exposure(mix(user), variant(user), 0)).collect();
        let bought = users.filter(|user| variant(*user) == 2 || user % 3 == 0);
        let outcomes = bought.map(|user| outcome(mix(user), PURCHASE, 0, None)).collect();
        let since = super::BEGAN + day as i64 * DAY_S;
        let part =
            cutover_core::measurement::experiments::ExperimentPart { since, ..part(exposures, outcomes) };
        tick(&mut evidence, &design, vec![part], day as i64 * DAY_S + 5_000);
        let now = Timestamp::from_millis((since + 5_000) * 1_000);
        records.push(Record::judged(now, "1.0.0", identity(), &design, &evidence));
    }
    let conclusion = &records[8].judgement.conclusion;
    let Conclusion::Ready { findings } = conclusion else { panic!("{conclusion:?}") };
    assert_eq!(findings, &[PrimaryFinding { variant: 2, metric: PURCHASE, is_better: true }]);
    assert_eq!(records[0].judgement.conclusion, going_on(Waiting::MinDays));

    let text = serde_json::to_string(&records).unwrap();
    let stored: Vec<Record> = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, records);
    assert!(replay(&stored).is_empty(), "{:?}", replay(&stored));
    let said = |change: &dyn Fn(&mut Record)| {
        let mut changed = records.clone();
        change(&mut changed[4]);
        replay(&changed).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let other = "record 4: judging again gives a different judgement";
    assert_eq!(said(&|record| record.figures.running[1].users += 1), other);
    assert_eq!(said(&|record| record.judgement.conclusion = Conclusion::Inconclusive), other);
    assert_eq!(said(&|record| record.identity.phase = 2), "record 4: the record belongs to another phase");
    assert!(said(&|record| record.design.rules.max_days = 90).contains("the design changed"));
}
