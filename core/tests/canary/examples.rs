//! Examples: the order of the checks in a tick, and breaches that are kept.

use super::{after, around, counts, crowd, identity, known, percent, reported, run, window};
use cutover_core::{
    PartsPerMillion, Timestamp,
    canary::{
        Action, ArmCounts, Evidence, Reason, Run, RunState, StepCounts, Test, TickContext, Window, decide,
        fold,
        plan::{AfterStepPolicy, OnNoData, RelativePolicy},
    },
    measurement::batch::{StepLoss, UserWindow, WINDOW_MS},
};

fn check(
    name: &str,
    run: &Run,
    around: &TickContext,
    evidence: &Evidence,
    minute: i64,
    expected: (Action, Reason),
) {
    let decision = decide(run, evidence, around, after(minute));
    assert_eq!((decision.action, decision.reason), expected, "{name}");
}

#[test]
fn breaches_and_pauses_are_checked_before_everything_else() {
    let (good, bad) = (counts(500, 0, 0), counts(500, 250, 0));
    let base = run();
    let proven = known(&base, good, good, 20);
    let breached = known(&base, bad, good, 20);
    let emergency = TickContext { emergency: true, ..around(&base) };
    let paused = base.paused("p");
    let name = "an emergency pauses, before anything else";
    check(name, &base, &emergency, &breached, 20, (Action::Pause, Reason::Emergency));
    let name = "a breach is checked before a pause";
    check(name, &paused, &around(&base), &breached, 20, (Action::RollBack, Reason::Breach));
    let name = "a breach is checked before the step's time";
    // The second window makes the users of the first one known.
    let early = known(&base, bad, good, 2);
    check(name, &base, &around(&base), &early, 2, (Action::RollBack, Reason::Breach));
    let off = TickContext { enabled: false, ..around(&base) };
    check("a disabled flag holds", &base, &off, &proven, 20, (Action::Hold, Reason::FlagDisabled));
    check("pause holds", &paused, &around(&base), &proven, 20, (Action::Hold, Reason::Paused));
}

#[test]
fn missing_data_holds_and_after_the_deadline_pauses() {
    let (good, quiet) = (counts(500, 0, 0), ArmCounts::default());
    let base = run();
    let starved = known(&base, quiet, good, 10);
    let name = "only legacy receives requests";
    check(name, &base, &around(&base), &starved, 10, (Action::Hold, Reason::CanaryStarved));
    let nothing = Evidence::none(&base);
    check("no requests", &base, &around(&base), &nothing, 10, (Action::Hold, Reason::NoData));
    check("the deadline", &base, &around(&base), &nothing, 30, (Action::Pause, Reason::NoData));
}

/// Nobody misses requests of a flag that was disabled: it has the whole deadline again when it is enabled.
#[test]
fn missing_data_counts_from_the_time_at_which_the_flag_was_enabled() {
    let base = run();
    let early = known(&base, counts(2, 0, 0), counts(500, 0, 0), 5);
    for on_no_data in [OnNoData::Pause, OnNoData::Rollback] {
        let mut base = base.clone();
        base.plan.options.on_no_data = on_no_data;
        let enabled = TickContext { flag_changed: Some(after(60)), ..around(&base) };
        let off = TickContext { enabled: false, ..around(&base) };
        check("disabled", &base, &off, &early, 60, (Action::Hold, Reason::FlagDisabled));
        check("just enabled", &base, &enabled, &early, 61, (Action::Hold, Reason::StepTime));
        check("a quarter of the deadline", &base, &enabled, &early, 68, (Action::Hold, Reason::NoData));
        let action = if on_no_data == OnNoData::Pause { Action::Pause } else { Action::RollBack };
        check("the deadline", &base, &enabled, &early, 90, (action, Reason::NoData));
        check("never changed", &base, &around(&base), &early, 61, (action, Reason::NoData));
    }
    // After an emergency, which paused it, a run is resumed.
    let resumed = base.paused("emergency").resumed(after(60), "resumed");
    check("resumed", &resumed, &around(&base), &early, 61, (Action::Hold, Reason::StepTime));
}

/// The proof of yesterday, or the hours of a flag that was disabled, advance and complete nothing: the step's time counts from
/// the change of the flag, and the new arm must have had requests since.
#[test]
fn a_flag_that_was_just_enabled_does_not_climb() {
    let good = counts(500, 0, 0);
    let base = run();
    let mut baking = base.clone();
    for _ in 0..3 {
        baking = baking.advanced(after(0), "");
    }
    let mut base = base;
    base.plan.step_duration_minutes = 2.0;
    baking.plan.options.bake_minutes = 2.0;
    for (run, early, goes_on) in [
        (&base, Reason::StepTime, (Action::Advance, Reason::Proven)),
        (&baking, Reason::Baking, (Action::Complete, Reason::Baked)),
    ] {
        let proven = known(run, good, good, 20);
        let enabled = TickContext { flag_changed: Some(after(600)), ..around(run) };
        check("just enabled", run, &enabled, &proven, 601, (Action::Hold, early));
        check("no request since", run, &enabled, &proven, 603, (Action::Hold, Reason::NoData));
        let evidence = fold(run, Some(&proven), &[window(3_601, run.step, good, good)]);
        check("requests since", run, &enabled, &evidence, 601, (Action::Hold, early));
        check("requests since", run, &enabled, &evidence, 603, goes_on);
    }
}

/// Contexts in records of an earlier version have no time of a change.
#[test]
fn stored_circumstances_of_an_earlier_version_load() {
    let around = around(&run());
    let text = serde_json::to_string(&around).unwrap();
    assert!(!text.contains("flag_changed"), "{text}");
    assert_eq!(serde_json::from_str::<TickContext>(&text).unwrap(), around);
}

#[test]
fn a_step_advances_when_its_evidence_suffices() {
    let good = counts(500, 0, 0);
    let base = run();
    let proven = known(&base, good, good, 20);
    let short = known(&base, good, good, 5);
    check("the step's time", &base, &around(&base), &short, 5, (Action::Hold, Reason::StepTime));
    check("proven", &base, &around(&base), &proven, 20, (Action::Advance, Reason::Proven));
    let few = known(&base, counts(2, 0, 0), good, 20);
    check("not proven", &base, &around(&base), &few, 20, (Action::Hold, Reason::NotProven));

    let mut strict = base.clone();
    strict.plan.options.approval_before = vec![percent(25.0)];
    let known_strict = known(&strict, good, good, 20);
    let name = "approval is checked last";
    check(name, &strict, &around(&strict), &known_strict, 20, (Action::Hold, Reason::Approval));
    let approved = Run { approved: Some(1), ..strict.clone() };
    check("approved", &approved, &around(&strict), &known_strict, 20, (Action::Advance, Reason::Proven));
}

/// 180 requests of three users say nothing about the others.
#[test]
fn a_step_with_few_users_is_not_proven() {
    let good = counts(500, 0, 0);
    let base = run();
    let windows: Vec<_> = (0..20).map(|minute| window(minute * 6, 0, good, good)).collect();
    let evidence = fold(&base, None, &windows);
    check("few users", &base, &around(&base), &evidence, 20, (Action::Hold, Reason::FewUsers));
    let keyless = Run { key: None, ..base.clone() };
    let name = "nobody reports the users of a run of an earlier version";
    check(name, &keyless, &around(&base), &evidence, 20, (Action::Advance, Reason::Proven));
}

/// A fault that began after the criteria were proven.
#[test]
fn a_recent_fault_casts_doubt() {
    let good = counts(500, 0, 0);
    let base = run();
    let proven = known(&base, good, good, 19);
    let late = fold(&base, Some(&proven), &[window(19 * 6, 0, counts(500, 40, 0), good)]);
    check("doubt", &base, &around(&base), &late, 20, (Action::Hold, Reason::Doubt));
}

#[test]
fn diverted_requests_hold_for_ten_minutes() {
    let good = counts(500, 0, 0);
    let base = run();
    let diverted = ArmCounts { diverted: 1, ..ArmCounts::default() };
    let evidence = known(&base, good, good, 19);
    let evidence = fold(&base, Some(&evidence), &[window(114, 0, diverted, good)]);
    check("diverted", &base, &around(&base), &evidence, 20, (Action::Hold, Reason::Diverted));
    let evidence = fold(&base, Some(&evidence), &[window(174, 0, good, good)]);
    check("ten minutes later", &base, &around(&base), &evidence, 30, (Action::Advance, Reason::Proven));
}

/// A report that was refused had outcomes and users of both arms; without either the step is not proven.
#[test]
fn evidence_that_was_lost_holds_for_ten_minutes() {
    let good = counts(500, 0, 0);
    let base = run();
    let proven = known(&base, good, good, 19);
    let lost = |step, outcomes, users| {
        let loss = StepLoss { flag: base.flag.clone(), canary: (base.id.clone(), step), outcomes, users };
        Window { losses: vec![loss], ..window(114, 0, good, good) }
    };
    for (outcomes, users) in [(0, 3), (9, 0), (9, 3)] {
        let evidence = fold(&base, Some(&proven), &[lost(0, outcomes, users)]);
        assert_eq!((evidence.current.outcomes_lost, evidence.current.users_lost), (outcomes, users));
        check("lost", &base, &around(&base), &evidence, 20, (Action::Hold, Reason::EvidenceLost));
        let evidence = fold(&base, Some(&evidence), &[window(174, 0, good, good)]);
        check("ten minutes later", &base, &around(&base), &evidence, 30, (Action::Advance, Reason::Proven));
    }
    let evidence = fold(&base, Some(&proven), &[lost(7, 9, 3)]);
    check("those of another step", &base, &around(&base), &evidence, 20, (Action::Advance, Reason::Proven));
}

#[test]
fn old_evidence_never_advances() {
    let good = counts(500, 0, 0);
    let base = run();
    let evidence = known(&base, good, good, 20);
    let through = |age_ms: i64| {
        let through = Timestamp::from_millis(after(20).millis() - age_ms);
        TickContext { through: Some(through), ..around(&base) }
    };
    let behind = (Action::Hold, Reason::EvidenceBehind);
    check("minutes behind", &base, &through(4 * 60_000), &evidence, 20, behind);
    check("behind by more than a few passes", &base, &through(32_001), &evidence, 20, behind);
    check("not behind", &base, &through(32_000), &evidence, 20, (Action::Advance, Reason::Proven));
}

/// M15: a bake is not complete on evidence from before its last half minute.
#[test]
fn old_evidence_never_completes_a_bake() {
    let good = counts(500, 0, 0);
    let base = run();
    let mut baking = base.clone();
    for _ in 0..3 {
        baking = baking.advanced(after(0), "");
    }
    let watched = known(&baking, good, ArmCounts::default(), 60);
    let through = |seconds: i64| {
        let through = Timestamp::from_millis(after(60).millis() - seconds * 1_000);
        TickContext { through: Some(through), ..around(&base) }
    };
    check("behind", &baking, &through(60), &watched, 60, (Action::Hold, Reason::EvidenceBehind));
    check("not behind", &baking, &through(30), &watched, 60, (Action::Complete, Reason::Baked));
}

#[test]
fn after_the_last_step_the_run_bakes() {
    let (good, quiet) = (counts(500, 0, 0), ArmCounts::default());
    let base = run();
    let mut baking = base.clone();
    for _ in 0..3 {
        baking = baking.advanced(after(0), "");
    }
    assert_eq!((baking.state, baking.step), (RunState::Baking, 3));
    let watched = known(&baking, good, quiet, 20);
    check("baking", &baking, &around(&base), &watched, 20, (Action::Hold, Reason::Baking));
    let watched = known(&baking, good, quiet, 60);
    check("baked", &baking, &around(&base), &watched, 60, (Action::Complete, Reason::Baked));
    let failed = known(&baking, counts(500, 250, 0), quiet, 20);
    check("a breach", &baking, &around(&base), &failed, 20, (Action::RollBack, Reason::Breach));
    let fair = known(&baking, counts(100, 5, 2), quiet, 60);
    assert!(fair.breach.is_none());
}

#[test]
fn a_changed_plan_begins_a_new_run() {
    let good = counts(500, 0, 0);
    let base = run();
    let proven = known(&base, good, good, 20);
    let mut other = base.plan.clone();
    other.rollback_criteria.max_error_rate = 0.2;
    let changed = TickContext { plan: Some(other.clone()), ..around(&base) };
    check("changed", &base, &changed, &proven, 20, (Action::Restart, Reason::PlanChanged));
    let mut climbed = base.advanced(after(0), "");
    let under = climbed.under(&other, identity("r2"), after(5)).unwrap();
    assert_eq!((under.step, under.share(), under.id.as_str()), (1, climbed.share(), "r2"));
    other.initial_percentage = PartsPerMillion::ALL;
    climbed.plan.initial_percentage = PartsPerMillion::ALL;
    assert!(base.under(&other, identity("r3"), after(5)).is_none(), "never more than before");
    let name = "no step of the new plan is low enough";
    let changed = TickContext { plan: Some(other), ..around(&base) };
    check(name, &base, &changed, &proven, 20, (Action::Pause, Reason::PlanChanged));
}

/// B2: a breach keeps the counts that made it fire. Without a key it needs nothing but counts.
#[test]
fn b2_a_breach_stays_with_its_counts() {
    let base = Run { key: None, ..run() };
    let bad = fold(&base, None, &[window(0, 0, counts(60, 40, 0), counts(70, 1, 0))]);
    let diluted = fold(&base, Some(&bad), &[window(60, 0, counts(1_000_000, 0, 0), counts(600, 0, 0))]);
    let decision = decide(&base, &diluted, &around(&base), after(20));
    assert_eq!(decision.action, Action::RollBack);
    let breach = decision.verdict.breach.unwrap();
    let figures = breach.figures.unwrap();
    assert_eq!((breach.test, breach.step), (Test::ErrorsDetector, 0));
    assert_eq!((figures.new.requests, figures.new.errors, figures.legacy.requests), (60, 40, 70));
    assert!(figures.evidence >= figures.fires_at);
    assert_eq!(
        breach.sentence(),
        "Rolled back from 1 %: 40 of 60 requests on new failed (66.7 %, the limit is 10.0 %), 1 of 70 on legacy; counted \
         since 2023-11-14T22:13:20Z."
    );
}

/// B2: also if it is found after the run has left the step.
#[test]
fn b2_late_counts_of_the_step_before_can_still_be_a_breach() {
    let mut base = run();
    base.plan.options.relative = RelativePolicy::Ignore;
    let first = known(&base, counts(500, 0, 0), counts(500, 0, 0), 20);
    let next = base.advanced(after(20), "");
    // The users are those of the step before too.
    let late = reported(&base, window(130, 0, counts(300, 300, 0), counts(300, 0, 0)));
    let evidence = fold(&next, Some(&first), &[late, Window::nothing(super::START + 132 * WINDOW_MS)]);
    assert_eq!(evidence.current.counts.new.requests, 0, "a new step is not diluted by the last");
    let decision = decide(&next, &evidence, &around(&next), after(21));
    let breach = decision.verdict.breach.unwrap();
    assert_eq!((decision.action, breach.step), (Action::RollBack, 0));
    assert_eq!(breach.test, Test::ErrorsDetector);
    assert_eq!(breach.figures.unwrap().share, percent(1.0));
}

/// A flag that is behind learns after a resume what came before it, and an operator has resumed nevertheless.
#[test]
fn counts_from_before_a_resume_are_no_evidence_of_the_resumed_step() {
    let (good, bad) = (counts(500, 0, 0), counts(500, 400, 0));
    let base = run();
    let resumed = base.paused("").resumed(after(20), "");
    let mut ill: Vec<Window> = (100..118).map(|index| reported(&base, window(index, 0, bad, good))).collect();
    let loss = StepLoss { flag: base.flag.clone(), canary: (base.id.clone(), 0), outcomes: 9, users: 3 };
    ill[0].losses.push(loss);
    let healthy: Vec<Window> =
        (120..124).map(|index| reported(&base, window(index, 0, good, good))).collect();
    let both: Vec<Window> = ill.iter().chain(&healthy).cloned().collect();
    // The run was at its first step before; some of its users have not been added then.
    let known = fold(&base, None, &ill[..1]);
    for before in [None, Some(&known)] {
        let evidence = fold(&resumed, before.filter(|held| held.breach.is_none()), &both);
        assert!(evidence.breach.is_none(), "{:?}", evidence.breach);
        assert_eq!(evidence.current, fold(&resumed, None, &healthy).current);
    }
    assert!(fold(&base, None, &both).breach.is_some(), "without a resume they are");
}

/// A breach of an earlier version has no figures, and is still readable.
#[test]
fn stored_runs_of_an_earlier_version_load() {
    let mut run = serde_json::to_value(run()).unwrap();
    run["breach"] = serde_json::json!({ "test": "bake_errors", "step": 3 });
    run["plan"]["max_relative_risk"] = 2.0.into();
    run.as_object_mut().unwrap().remove("key");
    let read: Run = serde_json::from_value(run).unwrap();
    let breach = read.breach.clone().unwrap();
    assert_eq!((breach.test, breach.route.clone()), (Test::ErrorsDetector, None));
    assert_eq!(read.plan.options.tolerated_risk.errors, 2.0);
    assert!(breach.sentence().starts_with("Rolled back: "));
    assert_eq!(read.label().unwrap().key, None);
}

#[test]
fn the_label_has_key_and_share() {
    let label = run().advanced(after(1), "").label().unwrap();
    assert_eq!((label.step, label.share), (1, percent(25.0)));
    assert_eq!(label.key.unwrap().len(), 32);
    assert!(run().rolled_back(None, "").label().is_none());
}

#[test]
fn a_shared_incident_holds_until_the_deadline_and_then_pauses() {
    let (good, bad) = (counts(500, 0, 0), counts(500, 250, 0));
    let mut base = run();
    let soon = known(&base, bad, bad, 20);
    let name = "soon after a step up the canary may have broken legacy";
    check(name, &base, &around(&base), &soon, 20, (Action::RollBack, Reason::Breach));
    base.plan.options.shared_incident_after_step = AfterStepPolicy::Hold;
    let held = known(&base, bad, bad, 20);
    check("held", &base, &around(&base), &held, 20, (Action::Hold, Reason::SharedIncident));
    let long = known(&base, bad, bad, 31);
    check("the deadline", &base, &around(&base), &long, 31, (Action::Pause, Reason::SharedIncident));
    let resumed = base.resumed(after(31), "");
    let name = "an operator who resumes has the whole deadline again";
    check(name, &resumed, &around(&base), &long, 32, (Action::Hold, Reason::SharedIncident));

    let later = run();
    let evidence = known(&later, good, good, 20);
    let ill = |index| window(index, 0, counts(500, 250, 0), counts(500, 250, 0));
    let ill: Vec<Window> = (120..=124).map(ill).collect();
    let evidence = fold(&later, Some(&evidence), &ill);
    check("later", &later, &around(&later), &evidence, 21, (Action::Hold, Reason::SharedIncident));
}

/// A resume, and a plan that was changed, expose nobody anew: an incident of both backends soon after is held like any other
/// that begins later than a step up.
#[test]
fn a_shared_incident_soon_after_a_resume_is_held() {
    let (good, bad) = (counts(500, 0, 0), counts(500, 250, 0));
    let base = run();
    let resumed = base.paused("paused").resumed(after(20), "resumed");
    let mut plan = base.plan.clone();
    plan.step_duration_minutes += 1.0;
    let changed = base.under(&plan, identity("r2"), after(20)).unwrap();
    let advanced = base.advanced(after(20), "");
    let held = (Action::Hold, Reason::SharedIncident);
    let rolled_back = (Action::RollBack, Reason::Breach);
    for (name, run, expected) in [
        ("resumed", &resumed, held),
        ("resumed twice", &resumed.resumed(after(20), "resumed"), held),
        ("a changed plan", &changed, held),
        ("a step up", &advanced, rolled_back),
        ("a step up, resumed", &advanced.resumed(after(20), "resumed"), rolled_back),
        (
            "a new run",
            &Run { started_at: after(20), step_started_at: after(20), ..base.clone() },
            rolled_back,
        ),
    ] {
        let windows: Vec<Window> = (121..126).map(|index| window(index, run.step, bad, bad)).collect();
        let evidence = fold(run, None, &windows);
        check(name, run, &around(run), &evidence, 21, expected);
        let text = serde_json::to_string(run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), *run, "{name}");
    }
    let later = fold(&base, None, &[window(0, 0, good, good)]);
    assert_eq!(later.current.stepped_up, None);
}

/// The edge names a user as seen or compared once in a step. After a resume it names nobody again.
#[test]
fn users_who_were_named_before_a_pause_are_known_after_it() {
    let good = counts(500, 0, 0);
    let base = run();
    let mut before = window(0, 0, good, good);
    let compared = (0..20).map(|number| (super::hash(number), number == 0)).collect();
    before.users.push(UserWindow { compared, ..crowd(&base, 0) });
    let before = fold(&base, None, &[before, window(6, 0, good, good)]);
    let resumed = base.paused("paused").resumed(after(5), "resumed");
    let windows: Vec<Window> = (5..20).map(|minute| window(minute * 6, 0, good, good)).collect();
    let evidence = fold(&resumed, Some(&before), &windows);
    assert_eq!(evidence.current.counts.new.requests, 15 * 500, "the counts begin anew");
    assert_eq!(
        (evidence.current.seen.count, evidence.current.compared.compared),
        (before.current.seen.count, 20)
    );
    check("resumed", &resumed, &around(&base), &evidence, 20, (Action::Advance, Reason::Proven));
}

#[test]
fn counts_of_discarded_steps_are_reported() {
    let mut third = run();
    for _ in 0..2 {
        third = third.advanced(after(0), "");
    }
    let mut mixed = window(0, 2, counts(5, 0, 0), counts(0, 0, 0));
    mixed.steps.insert(0, StepCounts { new: counts(7, 7, 0), ..StepCounts::default() });
    let evidence = fold(&third, None, &[mixed]);
    assert_eq!((evidence.too_late, evidence.current.counts.new.requests), (7, 5));
    assert_eq!(evidence.through, Some(Timestamp::from_millis(super::START + 10_000).millis()));
}
