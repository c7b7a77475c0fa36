//! Routes with criteria of their own: each is judged by its limits and by them alone, all others
//! together by the plan's.

use super::{
    after, around, counts, events, failing_user, failing_users, known, plan, run_of, users, window,
    with_failing,
};
use cutover_core::{
    RouteId,
    canary::{
        Action, ArmCounts, Assumed, BothArms, Evidence, Forecast, Outlook, Reason, Record, Run, Test,
        Verdict, Window, decide, fold,
        plan::{CanaryPlan, Criteria, RelativePolicy, RouteCriteria},
        replay,
    },
    measurement::batch::{EventKinds, UserWindow},
    statistics::{detector_threshold, firing},
    vocabulary::arm::Arm,
};

fn search() -> RouteId {
    "search".parse().unwrap()
}

/// Gives a plan criteria for the route `search`: the error rates that success and rollback allow.
fn with_search(plan: &mut CanaryPlan, success: f64, rollback: f64) {
    let limits = |max_error_rate, max_response_time_p95| Criteria {
        max_error_rate,
        max_response_time_p95,
        max_mismatch_rate: None,
    };
    let criteria = RouteCriteria {
        success_criteria: limits(success, 1_500.0),
        rollback_criteria: limits(rollback, 3_000.0),
    };
    plan.options.route_criteria.insert(search(), criteria);
}

/// Starts a run without a key at 50 percent, whose alarms wait for no users, and the same run with
/// criteria for `search`.
fn runs(success: f64, rollback: f64) -> [Run; 2] {
    let pooled = Run { key: None, ..run_of(&[50.0]) };
    let mut own = pooled.clone();
    with_search(&mut own.plan, success, rollback);
    [pooled, own]
}

/// Builds a closed arrival window from the counts of `search` and of the other routes on the new arm.
/// Legacy has as many requests, without errors.
fn routed(run: &Run, index: i64, others: ArmCounts, search_counts: ArmCounts) -> Window {
    let mut new = others;
    new.add(search_counts);
    let mut window = window(index, run.step, new, counts(new.requests, 0, 0));
    if run.plan.options.route_criteria.contains_key(&search()) {
        let own = BothArms { new: search_counts, legacy: counts(search_counts.requests, 0, 0) };
        window.steps[0].routes.insert(search(), own);
    }
    window
}

/// Folds one window per minute for twenty minutes.
fn twenty_minutes(run: &Run, others: ArmCounts, search_counts: ArmCounts) -> Evidence {
    let windows: Vec<Window> = (0..20).map(|minute| routed(run, minute * 6, others, search_counts)).collect();
    fold(run, None, &windows)
}

/// A route with 2 % of the traffic that fails entirely: the pool keeps its limit of 10 %, and is even
/// proven to.
#[test]
fn a_small_route_that_fails_entirely_rolls_the_flag_back() {
    let [pooled, own] = runs(0.05, 0.1);
    let (others, failing) = (counts(1_960, 0, 0), counts(40, 40, 0));
    let evidence = twenty_minutes(&pooled, others, failing);
    let decision = decide(&pooled, &evidence, &around(&pooled), after(20));
    assert_eq!((decision.action, decision.reason), (Action::Advance, Reason::Proven), "the pool");

    let evidence = fold(&own, None, &[routed(&own, 0, others, failing)]);
    let decision = decide(&own, &evidence, &around(&own), after(1));
    assert_eq!((decision.action, decision.reason), (Action::RollBack, Reason::Breach));
    let breach = evidence.breach.unwrap();
    assert_eq!((breach.test, &breach.route), (Test::ErrorsDetector, &Some(search())));
    assert_eq!(
        breach.sentence(),
        "Rolled back from 50 %: on route search 40 of 40 requests on new failed (100.0 %, the limit is 10.0 %), 0 of \
         40 on legacy; counted since 2023-11-14T22:13:20Z."
    );
}

/// Reports of users name no route, so no user explains an alarm of a listed route: neither those who fail there, nor heavy
/// ones who fail on another route.
#[test]
fn a_route_that_fails_for_its_users_rolls_the_flag_back() {
    let [_, own] = runs(0.05, 0.1);
    let mut own = Run { key: run_of(&[50.0]).key, ..own };
    own.plan.options.relative = RelativePolicy::Ignore;
    for heavy_errors in [0, 50] {
        let windows: Vec<Window> = (0..20)
            .map(|index| {
                let failing = if index < 12 { 0 } else { 40 };
                // Three users have a few of the errors of the others, within their limits.
                let heavy = (0..3).map(|number| failing_user(Arm::New, number, heavy_errors));
                let heavy = heavy.filter(|user| user.errors > 0);
                let users = heavy.chain(failing_users(Arm::New, 100, index, failing)).collect();
                let window = routed(&own, index, counts(3_000, 3 * heavy_errors, 0), counts(40, failing, 0));
                with_failing(&own, users, window)
            })
            .collect();
        let good = fold(&own, None, &windows[..12]);
        assert_eq!(good.breach, None);
        let breach = fold(&own, Some(&good), &windows[12..15]).breach.expect("within three windows");
        assert_eq!(breach.route, Some(search()), "{heavy_errors} errors of each heavy user");
    }
}

/// A fault that begins after many good minutes is found on one route too.
#[test]
fn the_detector_of_a_route_finds_a_late_fault() {
    let [_, own] = runs(0.05, 0.1);
    let windows: Vec<Window> = (0..310)
        .map(|index| {
            let errors = if index < 300 { 0 } else { 40 };
            routed(&own, index, counts(1_960, 0, 0), counts(40, errors, 0))
        })
        .collect();
    let good = fold(&own, None, &windows[..300]);
    assert_eq!(good.breach, None);
    let breach = fold(&own, Some(&good), &windows[300..]).breach.unwrap();
    assert_eq!((breach.test, &breach.route), (Test::ErrorsDetector, &Some(search())));
    assert!(breach.figures.unwrap().since.is_some(), "the counts are those of the suspect span");
}

#[test]
fn a_route_with_looser_limits_rolls_nothing_back() {
    let [pooled, own] = runs(0.4, 0.5);
    let (others, loose) = (counts(600, 0, 0), counts(400, 120, 0));
    let evidence = twenty_minutes(&pooled, others, loose);
    assert!(evidence.breach.is_some(), "12 % of the pool are above its limit of 10 %");
    let evidence = twenty_minutes(&own, others, loose);
    assert_eq!(evidence.breach, None);
    let decision = decide(&own, &evidence, &around(&own), after(20));
    assert_eq!((decision.action, decision.reason), (Action::Advance, Reason::Proven));
    assert_eq!(evidence.current.counts.new.errors, 2_400, "the counts of the step are those of all routes");

    // The others are judged without it.
    let evidence = twenty_minutes(&own, counts(600, 120, 0), counts(400, 0, 0));
    assert_eq!(evidence.breach.unwrap().route, None);
}

#[test]
fn every_group_must_be_proven_and_the_sentence_names_the_one_that_is_not() {
    let [_, own] = runs(0.05, 0.1);
    let first = routed(&own, 0, counts(500, 0, 0), counts(12, 0, 0));
    let others = (1..20).map(|minute| routed(&own, minute * 6, counts(500, 0, 0), counts(0, 0, 0)));
    let windows: Vec<Window> = std::iter::once(first).chain(others).collect();
    let evidence = fold(&own, None, &windows);
    let decision = decide(&own, &evidence, &around(&own), after(20));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::NotProven));
    assert_eq!(decision.says(), "the success criteria are not proven yet (search: 12 requests so far)");

    let evidence = fold(&own, Some(&evidence), &[routed(&own, 118, counts(0, 0, 0), counts(500, 0, 0))]);
    let decision = decide(&own, &evidence, &around(&own), after(20));
    assert_eq!((decision.action, decision.reason), (Action::Advance, Reason::Proven));
    assert_eq!(decision.says(), Reason::Proven.says());

    let evidence = twenty_minutes(&own, counts(0, 0, 0), counts(500, 0, 0));
    let decision = decide(&own, &evidence, &around(&own), after(20));
    assert_eq!(
        decision.says(),
        "the success criteria are not proven yet (the other routes: 0 requests so far)"
    );
}

/// A comparison that fires holds only while every group keeps its success limit.
#[test]
fn a_backend_that_is_worse_is_rolled_back_when_one_route_is_above_its_success_limit() {
    for (is_own, reason) in [(false, Reason::WorseThanLegacy), (true, Reason::Breach)] {
        let mut run = run_of(&[25.0, 50.0]);
        if is_own {
            with_search(&mut run.plan, 0.05, 0.3);
        }
        let good = known(&run, counts(500, 0, 0), counts(500, 0, 0), 19);
        let failing = events(Arm::New, EventKinds::ERROR, 0, 25).collect();
        let reported = UserWindow { events: failing, ..users(&run, 60) };
        let ill = routed(&run, 114, counts(400, 0, 0), counts(100, 10, 0));
        let evidence = fold(&run, Some(&good), &[Window { users: vec![reported], ..ill }]);
        let decision = decide(&run, &evidence, &around(&run), after(20));
        assert_eq!(decision.reason, reason, "own criteria: {is_own}");
        let found = evidence.breach.or(evidence.current.worse).unwrap();
        assert_eq!((found.test, found.route), (Test::ErrorsRelative, None), "users are those of the flag");
    }
}

/// Builds a window of 500 requests of the other routes and 100 of `search` on each arm, with so many errors: of the
/// others on the new arm, and of `search` on both.
fn incident(run: &Run, index: i64, others: u64, errors: u64) -> Window {
    let mut window = routed(run, index, counts(500, others, 0), counts(100, errors, 0));
    let step = &mut window.steps[0];
    step.legacy.errors = errors;
    step.routes.get_mut(&search()).unwrap().legacy.errors = errors;
    window
}

/// The incidents, the beginnings and their levels are those of a group.
#[test]
fn a_shared_incident_of_a_route_ends_by_itself_while_the_others_go_on() {
    let [_, own] = runs(0.05, 0.1);
    let windows: Vec<Window> =
        (0..150).map(|index| incident(&own, index, 0, if index < 120 { 0 } else { 50 })).collect();
    let mut evidence = fold(&own, None, &windows);
    let decision = decide(&own, &evidence, &around(&own), after(25));
    assert_eq!((decision.action, decision.reason), (Action::Hold, Reason::SharedIncident));
    let alarm = |evidence: &Evidence| evidence.current.routes[&search()].watches.errors.alarm;
    assert!(alarm(&evidence).unwrap().is_held());
    assert_eq!(evidence.current.watches.errors.alarm, None, "the other routes have no incident");
    let breach = fold(&own, Some(&evidence), &[incident(&own, 150, 400, 50)]).breach.unwrap();
    assert_eq!((breach.test, breach.route), (Test::ErrorsDetector, None), "the others are judged meanwhile");

    let mut index = 150;
    while alarm(&evidence).is_some() {
        assert!(index < 170, "an incident ends within 200 seconds of good traffic");
        evidence = fold(&own, Some(&evidence), &[incident(&own, index, 0, 0)]);
        index += 1;
    }
    assert!(index > 160, "it does not end after a few good windows: {index}");
    let step = &evidence.current;
    assert_eq!(step.routes[&search()].watches.errors.beginning.unwrap().number, 1);
    assert_eq!(step.watches.errors.beginning, None, "the other routes keep what they have");
    let decision = decide(&own, &evidence, &around(&own), after(29));
    assert_eq!(decision.says(), "the success criteria are not proven yet (search: 0 requests so far)");

    let windows: Vec<Window> = (index..210).map(|index| incident(&own, index, 5, 1)).collect();
    let evidence = fold(&own, Some(&evidence), &windows);
    assert_eq!((&evidence.breach, alarm(&evidence)), (&None, None));
    let requests = 100 * (210 - index.unsigned_abs());
    let held = &evidence.current.routes[&search()];
    assert_eq!(held.watches.errors.beginning.unwrap().total.counts.new.requests, requests);
    assert_eq!(held.counts.new.requests, 21_000, "the step's own are all kept");
    let decision = decide(&own, &evidence, &around(&own), after(35));
    assert_eq!((decision.action, decision.reason), (Action::Advance, Reason::Proven));
    let fires_at = |route: Option<&RouteId>, test| {
        let mut tests = decision.verdict.tests.iter();
        tests.find(|result| result.test == test && result.route.as_ref() == route).unwrap().fires_at
    };
    let alpha = own.plan.options.alpha_promote;
    assert_eq!(fires_at(Some(&search()), Test::ErrorsBelow), firing(alpha / 2.0));
    assert_eq!(fires_at(None, Test::ErrorsBelow), firing(alpha), "they had no incident");
    let halved = fires_at(Some(&search()), Test::ErrorsAbove) - fires_at(None, Test::ErrorsAbove);
    assert!((halved - firing(0.5)).abs() < 1e-9, "{halved}");
}

/// The detectors of all groups together have one false alarm in `false_alarm_days`.
#[test]
fn the_detectors_of_all_groups_share_the_false_alarms() {
    let [pooled, own] = runs(0.05, 0.1);
    let fires_at = |run: &Run| {
        let tests = Verdict::of(run, &Evidence::none(run)).tests;
        let detectors = tests.into_iter().filter(|result| result.test == Test::ErrorsDetector);
        detectors.map(|result| result.fires_at).collect::<Vec<_>>()
    };
    let days = pooled.plan.options.false_alarm_days;
    assert_eq!(fires_at(&pooled), [detector_threshold(days)]);
    assert_eq!(fires_at(&own), [detector_threshold(2.0 * days); 2]);
}

/// Stored plans, labels, evidence and verdicts of an earlier version are those without routes.
#[test]
fn without_criteria_of_routes_documents_are_as_before() {
    let [pooled, own] = runs(0.05, 0.1);
    let (others, few) = (counts(500, 0, 0), counts(2, 0, 0));
    let documents = |run: &Run| {
        let evidence = twenty_minutes(run, others, few);
        let verdict = Verdict::of(run, &evidence);
        let window = routed(run, 0, others, few);
        serde_json::to_string(&(run, run.label(), &evidence, verdict, window)).unwrap()
    };
    for field in ["route_criteria", "\"routes\"", "\"route\"", "unproven"] {
        assert!(!documents(&pooled).contains(field), "{field}");
        assert!(documents(&own).contains(field), "{field}");
    }
    for run in [&pooled, &own] {
        let evidence = twenty_minutes(run, others, few);
        let text = serde_json::to_string(&evidence).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
        let text = serde_json::to_string(run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), *run);
    }
}

#[test]
fn records_of_a_run_with_criteria_of_routes_can_be_repeated() {
    let [_, own] = runs(0.05, 0.1);
    let windows =
        (0..20).map(|minute| routed(&own, minute * 6, counts(500, 3, 9), counts(12, 1, 2))).collect();
    let (evaluation, evidence) = Record::evaluation(after(20), "test", &own, None, windows);
    let (decision, _) = Record::decision(after(20), "test", &own, &evidence, around(&own));
    let text = serde_json::to_string(&[evaluation, decision]).unwrap();
    let records: Vec<Record> = serde_json::from_str(&text).unwrap();
    assert_eq!(replay(&records), []);
}

/// The edge decides by the label if a response is slow.
#[test]
fn the_label_has_the_limits_of_the_route() {
    let [_, own] = runs(0.05, 0.1);
    let label = own.label().unwrap();
    let limits = |route: &str| {
        let limits = label.limits(&route.parse().unwrap());
        (limits.slow_success_ms, limits.slow_rollback_ms)
    };
    assert_eq!((limits("search"), limits("read")), ((1_500, 3_000), (500, 1_000)));
}

#[test]
fn the_forecast_says_that_a_route_needs_traffic_of_its_own() {
    let mut plan = plan(&[5.0, 100.0]);
    with_search(&mut plan, 0.1, 0.2);
    let assumed = Assumed::alike(0.01, 0.01);
    let says = Forecast::sentence(&Forecast::of(&plan, &assumed));
    assert_eq!(
        says,
        "every step is expected to advance; 5%: the success criteria are proven after about 180 requests on new, and \
         180 of search alone"
    );
    // 360 requests on new, of 20 times as many in ten minutes.
    let first = Forecast::of(&plan, &assumed).remove(0);
    assert!((first.requests_per_second.unwrap() - 12.0).abs() < 1e-9, "{first:?}");
    let warning = |rate| Forecast::warning(&plan, &Assumed { requests_per_second: Some(rate), ..assumed });
    assert!(warning(11.0).unwrap().starts_with("its step of 5% needs at least 12.0 requests a second"));
    assert_eq!(warning(12.5), None);
    // Above the success limit of the route, it is never proven.
    with_search(&mut plan, 0.005, 0.2);
    let first = Forecast::of(&plan, &assumed).remove(0);
    assert_eq!((first.canary_requests, first.outlook), (None, Outlook::Undecided));
}
