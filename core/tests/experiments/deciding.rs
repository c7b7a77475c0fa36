//! Users in experiments, and the flags that experiments decide.

use super::config;
use cutover_core::{
    Arm, Bucket, Facts, PartsPerMillion, Purpose, Reason, Revision, Ruleset, Timestamp, decide,
    decision::{assignments::TestGroups, decide::Decision, input::Input},
    measurement::{answer::Brake, label::CanaryLabel},
    rules::{
        emergency::{Declaration, Emergency},
        experiment::compiled::{CompiledExperiment, Outside},
    },
};

const CONFIG: &str = r#"
feature_flags:
  reviews: { enabled: true, rollout_percentage: 20, user_blacklist: [barred], user_whitelist: [listed] }
holdouts: { forever: { percentage: 10 } }
experiments:
  reviews_test:
    name: Reviews
    flag: reviews
    traffic_percentage: 50
    layer: { name: reading, from: 20, to: 80 }
    holdout: forever
    conditions: [{ type: attribute, name: "header:x-app", op: in, values: [ios, web] }]
    variants: { control: { name: REST, arm: legacy }, treatment: { name: GraphQL, arm: new } }
  colours:
    name: Colours
    salt: paint
    send_to_client: true
    variants: { red: { name: Red, traffic_percentage: 10 }, blue: { name: Blue, traffic_percentage: 90 } }
origins: { rest: { url: "http://legacy.internal" }, graphql: { url: "http://new.internal" } }
routes:
  - { id: reviews, match: { path: "/reviews" }, flag: reviews, legacy: rest, new: graphql }
"#;

fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

fn compiled(text: &str) -> Ruleset {
    Ruleset::compile(&config(text).snapshot(Revision(1), None)).unwrap()
}

/// A request of the app that the experiment is for.
fn request<'f>(headers: &'f [(&'f str, &'f str)]) -> Facts<'f> {
    Facts { method: "GET", path: "/reviews", headers, ..Facts::default() }
}

fn decided<'r>(rules: &'r Ruleset, user: &str) -> Decision<'r> {
    decide(rules, &request(&[("x-app", "web"), ("x-user-id", user)]), now())
}

fn users() -> impl Iterator<Item = String> {
    (0..3_000).map(|user| format!("user-{user}"))
}

fn bucket(purpose: Purpose, salt: &str, user: &str) -> u32 {
    Bucket::of(purpose, salt, user).get()
}

/// The rules of assignment once more, by buckets that are computed for each user.
fn expected(user: &str) -> Result<&'static str, Outside> {
    if bucket(Purpose::Holdout, "forever", user) < 100_000 {
        return Err(Outside::Holdout);
    }
    if !(200_000..800_000).contains(&bucket(Purpose::Layer, "reading", user)) {
        return Err(Outside::Layer);
    }
    if bucket(Purpose::Experiment, "reviews_test", user) >= 500_000 {
        return Err(Outside::Traffic);
    }
    let is_control = bucket(Purpose::Variant, "reviews_test", user) < 500_000;
    Ok(if is_control { "control" } else { "treatment" })
}

fn assigned<'r>(
    experiment: &'r CompiledExperiment,
    user: Option<&str>,
    facts: &Facts<'_>,
) -> Result<&'r str, Outside> {
    experiment.assign(user, facts, now()).map(|variant| variant.key.as_str())
}

#[test]
fn holdout_layer_conditions_and_traffic_decide_in_this_order() {
    let rules = compiled(CONFIG);
    let experiment = rules.experiment("reviews_test").unwrap();
    let facts = request(&[("x-app", "web")]);
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for user in users() {
        let got = assigned(experiment, Some(&user), &facts);
        assert_eq!(got, expected(&user), "{user}");
        // A condition is asked after the layer and before traffic.
        let elsewhere = match expected(&user) {
            Ok(_) | Err(Outside::Traffic) => Outside::Condition,
            Err(outside) => outside,
        };
        assert_eq!(assigned(experiment, Some(&user), &request(&[])), Err(elsewhere), "{user}");
        *seen.entry(format!("{got:?}")).or_default() += 1;
    }
    assert_eq!(seen.len(), 5, "two variants and three reasons: {seen:?}");
    // Nobody is a user of control for want of an id.
    assert_eq!(assigned(experiment, None, &facts), Err(Outside::NoUser));
    for state in ["draft", "paused", "stopped"] {
        let rules = compiled(&CONFIG.replace("name: Reviews", &format!("name: Reviews\n    state: {state}")));
        let experiment = rules.experiment("reviews_test").unwrap();
        assert_eq!(assigned(experiment, Some("user-1"), &facts), Err(Outside::NotRunning), "{state}");
        assert_eq!(decided(&rules, "user-1").verdict.reason, Reason::Rollout, "{state}");
    }
    assert!(rules.experiment("elsewhere").is_none());
    assert_eq!(serde_json::to_value(Outside::NotRunning).unwrap(), "not_running");
    assert_eq!(Outside::NotRunning.to_string(), "not_running");
}

/// Raising the share of users who take part moves nobody who takes part already.
#[test]
fn more_traffic_adds_users_and_moves_none() {
    let more = compiled(&CONFIG.replace("traffic_percentage: 50", "traffic_percentage: 80"));
    let facts = request(&[("x-app", "web")]);
    let mut added = 0;
    for user in users() {
        let after = assigned(more.experiment("reviews_test").unwrap(), Some(&user), &facts);
        match expected(&user) {
            Ok(variant) => assert_eq!(after, Ok(variant), "{user}"),
            Err(Outside::Traffic) => added += u32::from(after.is_ok()),
            Err(outside) => assert_eq!(after, Err(outside), "{user}"),
        }
    }
    assert!(added > 100, "{added}");
}

#[test]
fn the_header_names_the_variant_of_every_experiment_that_a_user_takes_part_in() {
    let rules = compiled(CONFIG);
    let facts = request(&[("x-app", "ios")]);
    let groups = |user: Option<&str>, facts: &Facts<'_>| {
        let mut groups = TestGroups::default();
        rules.assignments(user, facts, now()).for_each(|assignment| groups.add(&assignment));
        (groups.of_backend, groups.of_client)
    };
    for user in users() {
        let colour = if bucket(Purpose::Variant, "paint", &user) < 100_000 { "red" } else { "blue" };
        let colour = format!("colours={colour}");
        let all = match expected(&user) {
            Ok(variant) => format!("{colour}, reviews_test={variant}"),
            Err(_) => colour.clone(),
        };
        assert_eq!(groups(Some(user.as_str()), &facts), (all, colour.clone()), "{user}");
        assert_eq!(groups(Some(user.as_str()), &request(&[])), (colour.clone(), colour), "{user}");
    }
    assert_eq!(groups(None, &facts), (String::new(), String::new()));
}

#[test]
fn the_owner_of_a_flag_decides_it_for_its_users_and_the_percentage_for_the_others() {
    let rules = compiled(CONFIG);
    for user in users() {
        let FlagParts { arm, reason, bucket: place } = FlagParts::of(&decided(&rules, &user));
        let own = bucket(Purpose::Rollout, "reviews", &user);
        assert_eq!(place, Some(own));
        let by_percentage = if own < 200_000 { Arm::New } else { Arm::Legacy };
        let expected = match expected(&user) {
            Ok("treatment") => (Arm::New, Reason::Experiment),
            Ok(_) => (Arm::Legacy, Reason::Experiment),
            Err(_) => (by_percentage, Reason::Rollout),
        };
        assert_eq!((arm, reason), expected, "{user}");
    }
    assert_eq!(decided(&rules, "barred").verdict.reason, Reason::Blacklisted);
    assert_eq!(decided(&rules, "listed").verdict.reason, Reason::Whitelisted);
    // An older reason keeps its code.
    assert_eq!((Reason::Braked as u8, Reason::Experiment as u8), (13, 14));
    assert!(Reason::ALL.iter().enumerate().all(|(code, reason)| *reason as usize == code));
}

/// The parts of a decision that this file compares.
struct FlagParts {
    arm: Arm,
    reason: Reason,
    bucket: Option<u32>,
}

impl FlagParts {
    fn of(decision: &Decision<'_>) -> Self {
        let verdict = decision.verdict;
        Self { arm: verdict.arm, reason: verdict.reason, bucket: verdict.bucket.map(Bucket::get) }
    }
}

/// Returns a user of the treatment, inside or outside of the flag's percentage.
fn treated(is_inside: bool) -> String {
    let is_such = |user: &String| {
        let is_in_share = bucket(Purpose::Rollout, "reviews", user) < 200_000;
        expected(user) == Ok("treatment") && is_in_share == is_inside
    };
    users().find(is_such).unwrap()
}

#[test]
fn emergencies_switches_lists_conditions_and_brakes_go_before_an_experiment() {
    let reason = |rules: &Ruleset| {
        let verdict = decided(rules, &treated(false)).verdict;
        (verdict.arm, verdict.reason)
    };
    let rules = compiled(CONFIG);
    assert_eq!(reason(&rules), (Arm::New, Reason::Experiment));
    let emergency = Emergency::from(Declaration {
        flags: None,
        reason: "fire".to_owned(),
        by: "ann".to_owned(),
        since: now(),
    });
    rules.declare([&emergency]);
    assert_eq!(reason(&rules), (Arm::Legacy, Reason::Emergency));
    rules.declare([]);
    let brake = |enabled: bool, percent: u32| Brake {
        revision: Revision(2),
        flag: "reviews".parse().unwrap(),
        enabled,
        rollout: PartsPerMillion::of_percent(percent),
    };
    for brake in [brake(false, 20), brake(true, 0), brake(true, 19)] {
        rules.brake([&brake]);
        assert_eq!(reason(&rules), (Arm::Legacy, Reason::Braked), "{brake:?}");
    }
    // The brake of an experiment that has ended is at the percentage of its flag, or at a later one: nobody else may change it.
    for percent in [20, 21, 100] {
        rules.brake([&brake(true, percent)]);
        assert_eq!(
            reason(&rules),
            (Arm::Legacy, Reason::Braked),
            "the user is beyond the percentage: {percent}"
        );
    }
    let off = compiled(&CONFIG.replace("enabled: true", "enabled: false"));
    assert_eq!(reason(&off), (Arm::Legacy, Reason::Disabled));
    let condition = "conditions: [{ type: attribute, name: \"header:x-app\", op: equals, values: [ios] }]";
    let narrow =
        compiled(&CONFIG.replace("rollout_percentage: 20", &format!("rollout_percentage: 20, {condition}")));
    assert_eq!(reason(&narrow), (Arm::Legacy, Reason::Condition));
}

/// Users who are sent to legacy whatever their variant is do not get it, and must not count as exposed.
#[test]
fn an_experiment_is_held_while_its_flag_sends_everybody_to_legacy_and_one_without_arms_never() {
    let rules = compiled(CONFIG);
    let held = |rules: &Ruleset| {
        let of = |name: &str| rules.is_held(rules.experiment(name).unwrap());
        (of("reviews_test"), of("colours"))
    };
    let emergency = |flags: Option<&str>| {
        Emergency::from(Declaration {
            flags: flags.map(|flag| vec![flag.parse().unwrap()]),
            reason: "fire".to_owned(),
            by: "ann".to_owned(),
            since: now(),
        })
    };
    let brake = |enabled: bool, percent: u32| Brake {
        revision: Revision(2),
        flag: "reviews".parse().unwrap(),
        enabled,
        rollout: PartsPerMillion::of_percent(percent),
    };
    assert_eq!(held(&rules), (false, false));
    for (flags, expected) in [(None, true), (Some("reviews"), true), (Some("other"), false)] {
        rules.declare([&emergency(flags)]);
        assert_eq!(held(&rules), (expected, false), "{flags:?}");
    }
    rules.declare([]);
    for (brake, expected) in [(brake(false, 20), true), (brake(true, 0), true), (brake(true, 10), false)] {
        rules.brake([&brake]);
        assert_eq!(held(&rules), (expected, false), "{brake:?}");
    }
    assert_eq!(held(&compiled(&CONFIG.replace("enabled: true", "enabled: false"))), (true, false));
    assert_eq!(
        held(&compiled(&CONFIG.replace("rollout_percentage: 20", "rollout_percentage: 0"))),
        (false, false)
    );
}

/// The users of an experiment are on the arm of their variant, which is no sample of the flag's percentage.
#[test]
fn a_request_that_an_experiment_decides_is_no_evidence_for_a_canary() {
    let mut snapshot = config(CONFIG).snapshot(Revision(1), None);
    let label = CanaryLabel {
        run: "r1".parse().unwrap(),
        step: 0,
        slow_success_ms: 100,
        slow_rollback_ms: 200,
        routes: Default::default(),
        key: Some("000102030405060708090a0b0c0d0e0f".to_owned()),
        share: PartsPerMillion::of_percent(20),
    };
    snapshot.canaries.insert("reviews".parse().unwrap(), label);
    let rules = Ruleset::compile(&snapshot).unwrap();
    for user in users() {
        let decision = decided(&rules, &user);
        assert_eq!(decision.evidence.is_some(), decision.verdict.reason == Reason::Rollout, "{user}");
    }
}

#[test]
fn users_without_an_id_get_one_where_an_experiment_decides_and_preflights_stay_on_legacy() {
    for (percent, minted_without) in [(0, false), (100, false), (20, true)] {
        let text = CONFIG.replace("rollout_percentage: 20", &format!("rollout_percentage: {percent}"));
        let stopped = text.replace("name: Reviews", "name: Reviews\n    state: stopped");
        let facts = request(&[("x-app", "web")]);
        assert!(decide(&compiled(&text), &facts, now()).wants_anonymous_id, "{percent}");
        assert_eq!(
            decide(&compiled(&stopped), &facts, now()).wants_anonymous_id,
            minted_without,
            "{percent}"
        );
        let preflight = Facts { method: "OPTIONS", ..facts };
        let (owned, free) = (compiled(&text), compiled(&stopped));
        assert_eq!(decide(&owned, &preflight, now()).verdict.arm, Arm::Legacy, "{percent}");
        let expected = if percent == 100 { Arm::New } else { Arm::Legacy };
        assert_eq!(decide(&free, &preflight, now()).verdict.arm, expected, "{percent}");
        let minted = decide(&owned, &Facts { minted: Some(&treated(true)), ..facts }, now()).verdict;
        assert_eq!((minted.arm, minted.reason), (Arm::New, Reason::Experiment), "{percent}");
    }
}

#[test]
fn the_edge_reads_for_every_request_what_the_conditions_of_running_experiments_need() {
    let by_header = CONFIG.replace("new: graphql }", "new: graphql, identity: [\"header:x-user-id\"] }");
    let rules = compiled(&by_header);
    assert!(rules.inputs().contains(&Input::Header("x-app".into())));
    assert_eq!(rules.cookies_unless(), Some("x-user-id"));
    let by_cookie = by_header.replace("header:x-app", "cookie:app");
    assert_eq!(compiled(&by_cookie).cookies_unless(), None);
    let stopped = compiled(&by_cookie.replace("name: Reviews", "name: Reviews\n    state: stopped"));
    assert_eq!(stopped.cookies_unless(), Some("x-user-id"));
    assert!(!stopped.inputs().contains(&Input::Header("cookie".into())));
}

#[test]
fn assignment_costs_no_allocation() {
    let rules = compiled(CONFIG);
    let experiment = rules.experiment("reviews_test").unwrap();
    let user = treated(true);
    let facts = request(&[("x-app", "web")]);
    let mut groups =
        TestGroups { of_backend: String::with_capacity(200), of_client: String::with_capacity(200) };
    let info = allocation_counter::measure(|| {
        assert!(experiment.assign(Some(&user), &facts, now()).is_ok());
        groups.clear();
        let told = rules.assignments(Some(user.as_str()), &facts, now());
        told.filter(|assignment| !rules.is_held(assignment.experiment)).for_each(|told| groups.add(&told));
        decided(&rules, &user);
    });
    assert_eq!(info.count_total, 0, "{info:?}");
    assert!(groups.of_backend.ends_with("reviews_test=treatment"), "{groups:?}");
}

#[test]
fn an_experiment_that_cannot_be_assigned_is_not_compiled() {
    let refused = |change: fn(&mut cutover_core::Snapshot)| {
        let mut snapshot = config(CONFIG).snapshot(Revision(1), None);
        change(&mut snapshot);
        Ruleset::compile(&snapshot).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|snapshot| snapshot.holdouts.clear()),
        "experiment reviews_test: there is no holdout forever"
    );
    assert_eq!(
        refused(|snapshot| drop(snapshot.experiments.get_mut("colours").unwrap().variants.pop())),
        "experiment colours: the variants do not add up to 100 percent"
    );
}
