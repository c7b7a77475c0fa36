//! A canary on the real stack, under steady traffic: it climbs while the new backend is good, comes back by itself
//! when it is not, and waits when nobody can know.

use cutover_core::{canary::requests_to_roll_back, statistics::calibration};
use cutover_origins::Faults;
use cutover_tests::{
    canary::{Canary, FLAG, PATH, errors, number, plan, slow},
    stack::Options,
    steady::Steady,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Duration of a step of [`plan`]: no two steps of a run are closer to each other.
const STEP: Duration = Duration::from_millis(1_800);

fn state(status: &Value) -> &str {
    status["state"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_backend_climbs_bakes_and_completes() {
    let canary = Canary::start(&plan(1.0, &[1.0, 5.0, 25.0, 50.0, 100.0], ""), Options::default()).await;
    // Whoever is to be told is down at first; that holds nothing up, and nothing is missed.
    canary.webhook.refuse(true);
    let traffic = canary.under_traffic(500.0).await;
    let (_, took) = canary.tick_until("at the second step", 90, |status| status["step"] == 1).await;
    canary.webhook.refuse(false);
    let (done, took_all) = canary.tick_until("complete", 120, |status| state(status) == "completed").await;
    println!("first step {took:.0} s, the rest {took_all:.0} s");
    assert_eq!(done["percentage"], 100.0);
    assert_eq!(canary.shares().await, [5.0, 25.0, 50.0, 100.0, 100.0, 100.0]);
    let seen = traffic.stop().await;
    assert!(seen.iter().all(|seen| seen.status == 200), "somebody noticed");
    assert!(seen.iter().rev().take(100).all(|seen| seen.new), "not everybody arrived");
    let records = canary.replayed(done["run"].as_str().unwrap()).await;
    println!("{} records agree when they are made again", records.len());

    // The notifications that were refused come again after their pause.
    assert!(canary.webhook.refused() > 0, "the receiver was down");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        canary.stack.lambda.tick("promote").await.unwrap();
        let mut advanced: Vec<f64> = canary
            .webhook
            .received()
            .iter()
            .filter(|(event, _)| event == "advance")
            .map(|(_, body)| number(&body["percentage"]))
            .collect();
        advanced.sort_by(f64::total_cmp);
        let complete = canary.webhook.received().iter().any(|(event, _)| event == "complete");
        if advanced == [5.0, 25.0, 50.0, 100.0, 100.0] && complete {
            break;
        }
        assert!(Instant::now() < deadline, "{:#?}", canary.webhook.received());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_at_the_five_percent_step_bring_it_back() {
    let options = Options::default().enforcing();
    let canary = Canary::start(&plan(5.0, &[50.0, 100.0], ""), options).await;
    canary.new_fails(errors(0.3));
    let traffic = canary.under_traffic(400.0).await;
    let (done, took) = canary.tick_until("rolled back", 60, |status| state(status) == "rolled_back").await;
    assert_eq!(done["percentage"], 0.0);
    assert_eq!(canary.shares().await, [0.0]);
    let spent = number(&done["evidence"]["new"]["requests"]);
    // The absolute test of errors has a tenth of the level, and fires on the mean after this many requests. The
    // comparison learns of users when their event window is over, which is later.
    let exact = calibration::threshold(0.3, 0.1, 0.01 * 0.1, 3_000).mean_trials;
    println!(
        "30 % errors at the 5 % step: back at 0 after {spent} canary requests ({took:.1} s, looked at every second) by \
         {}; predicted: absolute test {exact:.0} on the mean, {} on the expected path",
        done["breach"]["test"],
        requests_to_roll_back(0.3, 0.1, 0.01 * 0.1).unwrap(),
    );
    // The evidence that fired is kept, and said in one sentence.
    let sentence = done["breach"]["sentence"].as_str().unwrap();
    println!("{sentence}");
    assert!(sentence.starts_with("Rolled back from 5 %: "), "{sentence}");
    // What fires waits for the users of its window, 10 s, its time limit of 5 s and a report of 8 s; it is looked at
    // once a second, and twenty more requests come each second.
    assert!(spent <= 3.0 * exact + 20.0 * 24.0, "{spent} requests were spent, {exact} predicted");
    let breach = done["breach"]["test"].as_str().unwrap();
    assert!(["errors_above", "errors_detector", "errors_relative"].contains(&breach), "{breach}");
    canary.replayed(done["run"].as_str().unwrap()).await;

    // Nobody is on the new arm any more, and it is not tried again by itself.
    canary.stack.edge_holds(done["version"].as_u64().unwrap()).await;
    let from = Instant::now();
    for _ in 0..4 {
        canary.stack.tick().await;
    }
    assert_eq!(state(&canary.status().await), "rolled_back");
    let seen = traffic.stop().await;
    assert!(seen.iter().filter(|seen| seen.sent > from).all(|seen| !seen.new));
    let told = canary.webhook.received();
    assert!(
        told.iter().any(|(event, body)| event == "rollback" && body["breach"]["test"] == breach),
        "{told:?}"
    );

    // A person may: a retry is a new run that knows nothing of the old one.
    canary.new_fails(errors(0.0));
    let again = canary.steer("retry").await;
    assert_ne!(again["run"], done["run"]);
    let status = canary.status().await;
    assert_eq!((state(&status), &status["evidence"]["new"]["requests"]), ("running", &json!(0)));
    assert_eq!(status["breach"], Value::Null);
    assert_eq!(canary.stack.denied(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_over_the_limit_bring_it_back_also_inside_a_long_step() {
    let canary = Canary::start(&plan(5.0, &[50.0], "").replace("0.03", "60"), Options::default()).await;
    let traffic = canary.under_traffic(300.0).await;
    // A busy machine may give it another reason to wait for a moment.
    let (waiting, _) = canary
        .tick_until("measured and waiting for its step", 60, |status| {
            let requests = number(&status["evidence"]["new"]["requests"]);
            requests > 30.0 && status["next"]["reason"] == "step_time"
        })
        .await;
    assert!(waiting["next"]["not_before"].is_string());
    canary.new_fails(slow(600));
    let (done, took) = canary.tick_until("rolled back", 60, |status| state(status) == "rolled_back").await;
    println!("600 ms at a limit of 500 ms: back at 0 after {took:.1} s of a step of an hour");
    assert_eq!(done["percentage"], 0.0);
    let breach = done["breach"]["test"].as_str().unwrap();
    assert!(["slow_above", "slow_detector", "slow_relative"].contains(&breach), "{done:#}");
    traffic.stop().await;
    canary.replayed(done["run"].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_breaks_only_at_half_the_load_is_caught_there() {
    let canary =
        Canary::start(&plan(20.0, &[50.0, 100.0], "    approval_before: [100]\n"), Options::default()).await;
    let traffic = canary.under_traffic(300.0).await;
    canary.tick_until("at 50 %", 60, |status| status["percentage"] == 50.0).await;
    canary.new_fails(errors(0.2));
    let (done, _) = canary.tick_until("rolled back", 60, |status| state(status) == "rolled_back").await;
    assert_eq!(canary.shares().await, [50.0, 0.0]);
    assert_eq!(done["breach"]["step"], 1);
    traffic.stop().await;
    canary.replayed(done["run"].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_backends_failing_alike_is_a_shared_incident() {
    // By default an incident within a quarter of an hour after a step up is the canary's.
    let more = "    shared_incident_after_step: hold\n";
    let canary = Canary::start(&plan(20.0, &[50.0, 100.0], more), Options::default()).await;
    canary.stack.legacy.control().set(errors(0.3));
    canary.new_fails(errors(0.3));
    let traffic = canary.under_traffic(300.0).await;
    let (held, _) = canary
        .tick_until("held", 60, |status| {
            assert_ne!(state(status), "rolled_back", "{status:#}");
            status["next"]["reason"] == "shared_incident"
        })
        .await;
    assert_eq!((&held["percentage"], &held["next"]["action"]), (&json!(20.0), &json!("hold")));
    for _ in 0..5 {
        canary.stack.tick().await;
    }
    let still = canary.status().await;
    assert_eq!((state(&still), &still["percentage"]), ("running", &json!(20.0)), "{still:#}");
    let told = canary.webhook.received();
    let incidents =
        told.iter().filter(|(event, body)| event == "hold" && body["reason"] == "shared_incident");
    assert_eq!(incidents.count(), 1, "told once: {told:?}");
    traffic.stop().await;
    canary.replayed(held["run"].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_traffic_it_holds_and_pauses_at_the_deadline() {
    let canary = Canary::start(&plan(5.0, &[50.0], "    deadline_minutes: 0.2\n"), Options::default()).await;
    canary.steer("start").await;
    let (held, _) = canary.tick_until("held", 20, |status| status["next"]["reason"] == "no_data").await;
    assert_eq!((state(&held), &held["evidence"]["new"]["error_rate"]), ("running", &Value::Null));
    let (paused, took) = canary.tick_until("paused", 30, |status| state(status) == "paused").await;
    println!("no traffic, deadline 12 s: paused {took:.0} s after it was first held");
    assert_eq!(paused["percentage"], 5.0);
    let told: Vec<(String, Value)> = canary.webhook.received();
    let told: Vec<(&str, &Value)> =
        told.iter().map(|(event, body)| (event.as_str(), &body["reason"])).collect();
    assert!(told.ends_with(&[("hold", &json!("no_data")), ("pause", &json!("no_data"))]), "{told:?}");
    canary.steer("resume").await;
    assert_eq!(state(&canary.status().await), "running");
    canary.replayed(paused["run"].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_twice_late_and_eight_at_once_are_one_step_at_most() {
    let options = Options { scheduled_processes: 8, ..Options::default() };
    let canary = Canary::start(&plan(20.0, &[50.0, 75.0, 100.0], ""), options).await;
    let traffic = canary.under_traffic(300.0).await;
    let lambda = &canary.stack.lambda;
    let mut steps = 0;
    let begun = Instant::now();
    while steps < 3 {
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not climb");
        let looked = Instant::now();
        for function in ["evaluate", "promote"] {
            let mut eight: Vec<_> = Vec::new();
            for _ in 0..8 {
                eight.push(lambda.tick(function));
            }
            for answered in futures_util::future::join_all(eight).await {
                answered.unwrap();
            }
        }
        let now = canary.shares().await.len();
        // One on a machine that makes eight ticks within a step.
        let most = 1 + usize::try_from(looked.elapsed().as_millis() / STEP.as_millis()).unwrap();
        assert!(now <= steps + most, "eight ticks made {} steps, of at most {most}", now - steps);
        steps = now;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(canary.shares().await[..3], [50.0, 75.0, 100.0]);
    traffic.stop().await;
    // No record is lost or doubled: evidence continues from one to the next, and each step has one.
    let records = canary.replayed(canary.status().await["run"].as_str().unwrap()).await;
    let advances: Vec<i64> = records
        .iter()
        .filter(|record| serde_json::to_value(record).unwrap()["decision"]["action"] == "advance")
        .map(|record| record.at.millis())
        .collect();
    assert_eq!(advances.len(), steps);
    let least = i64::try_from(STEP.as_millis()).unwrap();
    assert!(advances.windows(2).all(|pair| pair[1] - pair[0] >= least), "{advances:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn manual_operations_and_refused_ones() {
    let canary =
        Canary::start(&plan(5.0, &[50.0, 100.0], "    approval_before: [50]\n"), Options::default()).await;
    let management = canary.stack.management();
    let post = async |what: &str| {
        management.send("POST", &format!("/canary/{}/{what}", cutover_tests::canary::FLAG), &[], None).await
    };
    let refused = async |what: &str, code: &str| {
        let answer = post(what).await.expect(409);
        assert_eq!(answer.body["code"], code, "{what}: {:#}", answer.body);
        assert!(answer.body["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    };
    for what in ["promote", "pause", "resume", "rollback", "approve", "retry"] {
        refused(what, "canary_not_started").await;
    }
    let started = canary.steer("start").await;
    assert_eq!((&started["percentage"], &started["state"]), (&json!(5.0), &json!("running")));
    assert!(started["warnings"][0].as_str().unwrap().contains("requests a second"), "{started:#}");
    refused("start", "canary_running").await;
    refused("resume", "canary_state").await;
    // The canary owns the share; disabling stays possible, and so does sending the same again.
    let rollout = format!("/flags/{}/rollout", cutover_tests::canary::FLAG);
    let raised = management.put(&rollout, &json!({ "percentage": 60 })).await.expect(409);
    assert_eq!(raised.body["code"], "canary_running");
    management.put(&rollout, &json!({ "percentage": 5 })).await.expect(200);
    canary.steer("pause").await;
    refused("promote", "canary_state").await;
    canary.steer("resume").await;
    refused("promote", "approval_needed").await;
    canary.steer("approve").await;
    let up = canary.steer("promote").await;
    assert_eq!((&up["percentage"], up["step"].as_u64()), (&json!(50.0), Some(1)));

    // An emergency stops everything, pauses the run, and refuses with its reason until it is cleared.
    management.post("/emergency/rollback", &json!({ "reason": "database on fire" })).await.expect(200);
    let answer = post("promote").await.expect(409);
    assert_eq!(answer.body["code"], "emergency_in_force");
    assert!(answer.body["detail"].as_str().unwrap().contains("database on fire"), "{:#}", answer.body);
    // Nobody else is exposed to more either; less is always possible.
    let other = "/flags/graphql_offers_read/rollout";
    let raised = management.put(other, &json!({ "percentage": 60 })).await.expect(409);
    assert_eq!(raised.body["code"], "emergency_in_force");
    management.put(other, &json!({ "percentage": 40 })).await.expect(200);
    management.send("POST", "/flags/graphql_reviews_write/enable", &[], None).await.expect(409);
    canary.stack.tick().await;
    let held = canary.status().await;
    assert_eq!((state(&held), &held["reason"]), ("paused", &json!("an emergency holds the flag on legacy")));
    for what in ["resume", "retry"] {
        refused(what, "emergency_in_force").await;
    }
    management.post("/emergency/clear", &json!({ "reason": "put out" })).await.expect(200);
    canary.steer("resume").await;
    canary.replayed(held["run"].as_str().unwrap()).await;
    let back = canary.steer("rollback").await;
    assert_eq!((&back["percentage"], &back["state"]), (&json!(0.0), &json!("rolled_back")));
    refused("rollback", "canary_state").await;
    let flag = management.get(&format!("/flags/{}", cutover_tests::canary::FLAG)).await.expect(200);
    assert_eq!(flag.body["rollout_percentage"], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_plan_is_another_run_and_a_file_does_not_move_a_running_canary() {
    let canary = Canary::start(&plan(5.0, &[50.0, 100.0], ""), Options::default()).await;
    let management = canary.stack.management();
    let first = canary.steer("start").await;
    canary.steer("promote").await;
    let mut file = management.get("/config").await.expect(200).body;
    let flag = cutover_tests::canary::FLAG;
    file["feature_flags"][flag]["rollout_percentage"] = json!(90.0);
    file["canary_deployments"][flag]["rollback_criteria"]["max_error_rate"] = json!(0.2);
    let applied = management.put("/config", &file).await.expect(200).body;
    let warnings = applied["warnings"].to_string();
    assert!(warnings.contains("its canary is running"), "{applied:#}");
    let status = canary.status().await;
    assert_eq!((&status["percentage"], &status["run"]), (&json!(50.0), &first["run"]));
    assert_eq!(status["next"]["action"], "restart");

    canary.stack.tick().await;
    let status = canary.status().await;
    assert_ne!(status["run"], first["run"], "a limit was changed");
    assert_eq!(
        (state(&status), &status["percentage"], &status["step"]),
        ("running", &json!(50.0), &json!(1))
    );
    assert_eq!(status["plan"]["rollback_criteria"]["max_error_rate"], 0.2);
    canary.replayed(first["run"].as_str().unwrap()).await;
    canary.stack.tick().await;
    assert_eq!(canary.status().await["run"], status["run"], "once");

    // A plan that is gone leaves the run where it is, for a person.
    let mut file = management.get("/config").await.expect(200).body;
    file["canary_deployments"].as_object_mut().unwrap().remove(flag);
    management.put("/config?prune=true", &file).await.expect(200);
    canary.stack.tick().await;
    let status = canary.status().await;
    assert_eq!((state(&status), &status["reason"]), ("paused", &json!("the plan was changed")));
    canary.steer("rollback").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_404_to_everything_is_taken_back_and_so_is_one_that_refuses_tokens() {
    for (status, test) in [(404, "not_found_relative"), (401, "unauthorized_relative")] {
        let plan = plan(20.0, &[50.0, 100.0], "").replace("    min_users: 0\n", "");
        let canary = Canary::start(&plan, Options::default()).await;
        canary.new_fails(Faults { error_rate: 1.0, error_status: status, ..Faults::default() });
        let traffic = canary.under_traffic(100.0).await;
        let (done, took) = canary
            .tick_until("rolled back", 90, |status| {
                assert_eq!(status["step"], 0, "it never climbs: {status:#}");
                state(status) == "rolled_back"
            })
            .await;
        traffic.stop().await;
        let sentence = done["breach"]["sentence"].as_str().unwrap();
        println!("{status} to everything: {sentence} ({took:.0} s)");
        assert_eq!(done["breach"]["test"], test, "{done:#}");
        assert!(sentence.starts_with("Rolled back from 20 %: "), "{sentence}");
        canary.replayed(done["run"].as_str().unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_its_limits_a_canary_that_is_worse_than_legacy_holds_and_says_why() {
    // Longer than the test, which waits until users are known: time alone never lets it climb.
    let plan = plan(50.0, &[100.0], "").replace("step_duration_minutes: 0.03", "step_duration_minutes: 60");
    let canary = Canary::start(&plan, Options::default()).await;
    canary.new_fails(errors(0.03));
    let traffic = canary.under_traffic(200.0).await;
    let (held, took) = canary
        .tick_until("held", 120, |status| {
            assert_ne!(state(status), "rolled_back", "{status:#}");
            status["next"]["reason"] == "worse_than_legacy"
        })
        .await;
    traffic.stop().await;
    println!("3 % errors at a limit of 5 %, legacy has none: held after {took:.0} s: {:#}", held["next"]);
    assert_eq!((state(&held), &held["percentage"]), ("running", &json!(50.0)));
    canary.replayed(held["run"].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_salt_of_the_operators_stays_and_one_of_a_retry_is_shown_exported_and_ends_with_its_flag() {
    let canary = Canary::start(&plan(50.0, &[100.0], ""), Options::default()).await;
    let management = canary.stack.management();
    let flag = cutover_tests::canary::FLAG;
    let path = format!("/flags/{flag}");
    let salt = async || management.get(&path).await.expect(200).body["salt"].as_str().unwrap().to_owned();
    canary.steer("start").await;
    canary.steer("rollback").await;
    assert_eq!(salt().await, flag);
    // A retry deals users anew, and says so wherever somebody looks.
    canary.steer("retry").await;
    let dealt = salt().await;
    assert_ne!(dealt, flag);
    let exported = management.get("/config").await.expect(200).body;
    assert_eq!(exported["feature_flags"][flag]["salt"], dealt.as_str());
    let again = management.put("/config", &exported).await.expect(200).body;
    assert_eq!(again["changes"], json!([]), "what was exported is no change: {again:#}");
    // Another salt would move users in the middle of a step.
    let mut other = exported.clone();
    other["feature_flags"][flag]["salt"] = json!("another");
    assert_eq!(management.put("/config", &other).await.expect(409).body["code"], "canary_running");
    assert_eq!(
        management.put("/config?dry_run=true", &other).await.expect(409).body["code"],
        "canary_running"
    );
    canary.steer("rollback").await;
    // One that an operator has chosen is kept by every retry.
    management.put("/config", &other).await.expect(200);
    assert_eq!(salt().await, "another");
    canary.steer("retry").await;
    assert_eq!(salt().await, "another");
    canary.steer("rollback").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_with_criteria_of_its_own_that_fails_brings_the_flag_back_and_is_named() {
    // Users are not compared, so that the limits decide.
    let canary = Canary::start(&plan(50.0, &[100.0], "    relative: ignore\n"), Options::default()).await;
    let management = canary.stack.management();
    let mut file = management.get("/config").await.expect(200).body;
    let (id, path) = ("reviews.eighth", "/api/v1/reviews/8");
    let matcher = json!({ "methods": ["GET"], "path": path });
    let route = json!({ "id": id, "match": matcher, "flag": FLAG, "legacy": "rest", "new": "graphql" });
    file["routes"].as_array_mut().unwrap().push(route);
    file["canary_deployments"][FLAG]["route_criteria"][id] = json!({
        "success_criteria": { "max_error_rate": 0.05, "max_response_time_p95": 600 },
        "rollback_criteria": { "max_error_rate": 0.1, "max_response_time_p95": 900 },
    });
    let applied = management.put("/config", &file).await.expect(200).body;
    assert!(applied["warnings"].to_string().contains(id), "it needs traffic of its own: {applied:#}");
    // What is exported is no change, and the route cannot go before its criteria.
    let mut exported = management.get("/config").await.expect(200).body;
    assert_eq!(management.put("/config", &exported).await.expect(200).body["changes"], json!([]));
    exported["routes"].as_array_mut().unwrap().retain(|route| route["id"] != id);
    let refused = management.put("/config?prune=true", &exported).await;
    assert!((400..500).contains(&refused.status), "{:#}", refused.body);
    assert!(refused.body.to_string().contains("is not a route of this flag"), "{:#}", refused.body);

    // One request in twenty fails: the pool would keep its rollback limit of 10 %.
    canary.new_fails(Faults { failing_id: 8, ..Faults::default() });
    let started = canary.steer("start").await;
    canary.stack.edge_holds(started["revision"].as_u64().unwrap()).await;
    let paths: Vec<&str> = std::iter::repeat_n(PATH, 19).chain([path]).collect();
    let traffic = Steady::start(&canary.stack.edge.ports(), &paths, 200.0);
    let (done, took) = canary.tick_until("rolled back", 90, |status| state(status) == "rolled_back").await;
    traffic.stop().await;
    let sentence = done["breach"]["sentence"].as_str().unwrap();
    println!("{sentence} ({took:.0} s)");
    assert_eq!(canary.shares().await, [0.0], "it never climbed");
    assert_eq!(done["breach"]["route"], id, "{done:#}");
    assert!(sentence.starts_with(&format!("Rolled back from 50 %: on route {id} ")), "{sentence}");
    assert!(number(&done["evidence"]["routes"][id]["new"]["requests"]) > 0.0, "{done:#}");
    assert!(done["evidence"]["tests"].as_array().unwrap().iter().any(|test| test["route"] == id));
    canary.replayed(done["run"].as_str().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_hangs_is_taken_back_although_its_clients_give_up() {
    let canary = Canary::start(&plan(50.0, &[100.0], ""), Options::default()).await;
    canary.new_fails(slow(20_000));
    let started = canary.steer("start").await;
    canary.stack.edge_holds(started["revision"].as_u64().unwrap()).await;
    let port = canary.stack.edge.port();
    // Each client leaves after a second, which is before the backend's time limit.
    let clients = tokio::spawn(async move {
        for number in 0..u32::MAX {
            tokio::spawn(async move {
                let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                let path = cutover_tests::canary::PATH;
                let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nx-user-id: user-{number}\r\n\r\n");
                let _ = socket.write_all(request.as_bytes()).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let (done, took) = canary.tick_until("rolled back", 120, |status| state(status) == "rolled_back").await;
    clients.abort();
    println!("clients that give up after 1 s: {} ({took:.0} s)", done["breach"]["sentence"]);
    assert_eq!(done["percentage"], 0.0);
    canary.replayed(done["run"].as_str().unwrap()).await;
}
