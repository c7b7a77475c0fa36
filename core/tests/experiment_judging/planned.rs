//! Plans, checked against the judge: what is planned for is found in four of five experiments if the evidence remembers its users,
//! and seldom if it does not.

use super::{BEGAN, SPENT, design, exposure, is_deep, outcome, part, tick};
use cutover_core::{
    experiment::{Design, Evidence, Judgement, Plan, TestKind, TestResult},
    rules::experiment::metric::Role,
    statistics::{firing, split_mix::SplitMix64},
};

/// Looks while users come, and looks after them until all have converted.
const LOOKS: u64 = 20;
const LATER_LOOKS: u64 = 5;

/// Seconds between two looks.
const LOOK_S: u32 = 60;

/// Age at which an experiment may be ready, in seconds.
const AGE_S: i64 = 30 * 24 * 60 * 60;

/// Conversion rate of control.
const RATE: f64 = 0.2;

/// An experiment in which the last variant has `1 + lift` times the conversion rate of the others.
struct Scenario {
    weights: &'static [u32],
    /// True if a second metric is primary, in which nobody has an event.
    has_second_metric: bool,
    lift: f64,
}

impl Scenario {
    fn design(&self) -> Design {
        let mut design = design(self.weights);
        if self.has_second_metric {
            design.metrics[usize::from(SPENT)].role = Role::Primary;
        }
        design
    }

    /// Returns the users that are planned for.
    fn users(&self) -> u64 {
        Plan::of(&self.design()).unwrap().needed(RATE, self.lift).unwrap().users
    }

    /// Returns the part of the experiments that find the difference of the last variant at some look, if so many users take part
    /// and at most `capacity` are remembered.
    fn found(&self, users: u64, capacity: u64, runs: u64) -> f64 {
        let capacity = u32::try_from(capacity).unwrap();
        let found = (0..runs).filter(|run| self.is_found(users, capacity, &mut SplitMix64::new(*run)));
        let part = found.count() as f64 / runs as f64;
        println!("{:?}, {users} users of whom {capacity} are remembered: {part:.3}", self.weights);
        part
    }

    fn is_found(&self, users: u64, capacity: u32, random: &mut SplitMix64) -> bool {
        let (design, last) = (self.design(), self.weights.len() - 1);
        let mut evidence = Evidence::none(&design, capacity);
        let mut conversions = vec![Vec::new(); usize::try_from(LOOKS + LATER_LOOKS).unwrap()];
        let mut begun = 0;
        for look in 0..LOOKS + LATER_LOOKS {
            let after_s = LOOK_S * u32::try_from(look).unwrap();
            let mut exposures = Vec::new();
            while look < LOOKS && begun < users * (look + 1) / LOOKS {
                begun += 1;
                let (user, variant) = (random.draw(), self.variant(random));
                exposures.push(exposure(user, u8::try_from(variant).unwrap(), after_s));
                let rate = if variant == last { RATE * (1.0 + self.lift) } else { RATE };
                if uniform(random) < rate {
                    let later = usize::try_from(look + random.draw() % LATER_LOOKS).unwrap();
                    conversions[later].push(user);
                }
            }
            let converted = &conversions[usize::try_from(look).unwrap()];
            let outcomes = converted.iter().map(|user| outcome(*user, 0, after_s + 1, None)).collect();
            let now = i64::from(after_s) + 2;
            tick(&mut evidence, &design, vec![part(exposures, outcomes)], now);
            let tests = Judgement::of(&design, evidence.figures(), AGE_S).tests;
            let is_it = |test: &&TestResult| {
                test.kind == TestKind::Primary && usize::from(test.variant) == last && test.metric == Some(0)
            };
            if tests.iter().find(is_it).is_some_and(|test| test.fires) {
                return true;
            }
        }
        false
    }

    fn variant(&self, random: &mut SplitMix64) -> usize {
        let mut place = uniform(random) * 100.0;
        let weights = self.weights.iter().position(|weight| {
            place -= f64::from(*weight);
            place < 0.0
        });
        weights.unwrap_or_default()
    }
}

fn uniform(random: &mut SplitMix64) -> f64 {
    (random.draw() >> 11) as f64 / (1_u64 << 53) as f64
}

#[test]
fn four_of_five_experiments_of_the_planned_size_find_the_difference() {
    let scenario =
        |weights: &'static [u32], has_second_metric, lift| Scenario { weights, has_second_metric, lift };
    let mut scenarios = vec![
        scenario(&[50, 50], false, 0.5),
        scenario(&[40, 30, 30], true, 0.5),
        scenario(&[90, 10], false, 0.5),
    ];
    if is_deep() {
        scenarios.push(scenario(&[50, 50], false, 0.2));
        scenarios.push(scenario(&[50, 50], false, -0.3));
        scenarios.push(scenario(&[60, 20, 20], true, 0.3));
    }
    // Three standard deviations of chance around .80 to .84.
    let (runs, low, high) = if is_deep() { (1_000, 0.76, 0.88) } else { (100, 0.68, 0.96) };
    for scenario in scenarios {
        let users = scenario.users();
        let found = scenario.found(users, 2 * users, runs);
        assert!((low..high).contains(&found), "{:?}, {users} users: {found}", scenario.weights);
    }
}

/// Users who are forgotten before they convert are missing, so a plan holds for evidence that remembers all of them.
#[test]
fn evidence_that_forgets_users_finds_less_than_was_planned() {
    let scenario = Scenario { weights: &[50, 50], has_second_metric: false, lift: 0.5 };
    let users = scenario.users();
    let runs = if is_deep() { 1_000 } else { 100 };
    assert!(scenario.found(users, users / 4, runs) < 0.3);
}

#[test]
fn a_plan_has_the_levels_of_the_judge() {
    let designs: [(&'static [u32], bool, usize); 4] =
        [(&[50, 50], false, 1), (&[40, 30, 30], false, 2), (&[40, 30, 30], true, 4), (&[60, 40, 0], true, 2)];
    for (weights, has_second_metric, tests) in designs {
        let design = Scenario { weights, has_second_metric, lift: 0.5 }.design();
        let plan = Plan::of(&design).unwrap();
        assert_eq!((plan.tests, plan.primary_metrics), (tests, if has_second_metric { 2 } else { 1 }));
        let evidence = Evidence::none(&design, 10);
        let judged = Judgement::of(&design, evidence.figures(), BEGAN).tests;
        let primary: Vec<_> = judged.iter().filter(|test| test.kind == TestKind::Primary).collect();
        assert_eq!(primary.len(), tests, "{weights:?}");
        for test in primary {
            assert!((test.fires_at - firing(plan.level)).abs() < 1e-12, "{weights:?}: {test:?}, {plan:?}");
        }
    }
}

#[test]
fn a_plan_counts_the_users_of_all_variants() {
    let needed = |weights: &[u32]| Plan::of(&design(weights)).unwrap().needed(0.1, 0.5).unwrap();
    // Half of the users are in neither the variant that is decided last nor control.
    let (four, two) = (needed(&[25, 25, 25, 25]), needed(&[50, 50]));
    assert!(four.users > 2 * two.users && four.conversions > two.conversions, "{four:?}, {two:?}");
    assert!(needed(&[40, 50, 10]).users > needed(&[40, 30, 30]).users, "the rarest variant is decided last");
    let mut without = design(&[50, 50]);
    without.metrics.retain(|metric| metric.role != Role::Primary);
    let plan = Plan::of(&without).unwrap();
    assert_eq!((plan.primary_metrics, plan.tests), (0, 1), "the plan is for one that is added");
    assert_eq!(Plan::of(&design(&[100])), None);
    assert_eq!(Plan::of(&design(&[0, 100])).unwrap().needed(0.1, 0.5), None, "control has no users");
}
