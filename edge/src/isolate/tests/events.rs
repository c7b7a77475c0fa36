//! Events that backends, clients and servers report, and the users for whom they count.

use super::snapshot;
use crate::{
    isolate::Isolate,
    settings::Settings,
    test_support::KEY,
    tracking::{MAX_CLIENT_EVENTS_PER_S, ReportedHeader, TrackRefusal},
    wire::{ABSENT, Packed, input_name},
};
use cutover_core::{
    Snapshot, Timestamp,
    measurement::{
        batch::Batch,
        experiments::{ExperimentKey, MAX_ENTRIES, UserOutcome},
        label::ExperimentLabel,
    },
    request::track::InvalidEvent,
    rules::experiment::document::{Experiment, ExperimentState},
};
use serde_json::json;

/// Time of the tests: 2026-01-01T00:00:00Z, in milliseconds.
const NOW: i64 = 1_767_225_600_000;

const PURCHASE: u8 = 0;
const SPENT: u8 = 1;

fn key() -> ExperimentKey {
    ExperimentKey::parse(KEY).unwrap()
}

/// Returns an isolate whose experiment counts the event `purchase` as a conversion and by its value.
fn counting(change: impl FnOnce(&mut Snapshot)) -> Isolate {
    let mut snapshot = snapshot(1, 100.0, 0);
    let mut experiment: Experiment = serde_json::from_value(json!({
        "name": "Colours",
        "variants": [{ "key": "red", "name": "Red", "traffic_percentage": 100.0 }],
        "metrics": [
            { "name": "purchase", "on": { "event": "purchase" } },
            { "name": "spent", "kind": "value", "cap": 1_000_000, "on": { "event": "purchase" } },
        ],
    }))
    .unwrap();
    experiment.state = ExperimentState::Running;
    let label = ExperimentLabel { phase: experiment.phase, key: KEY.to_owned() };
    snapshot.experiments.insert("colours".parse().unwrap(), experiment);
    snapshot.experiment_labels.insert("colours".parse().unwrap(), label);
    change(&mut snapshot);
    let mut isolate = Isolate::default();
    let settings = Settings::read(|name| (name == "INGEST_URL").then(|| "https://ingest.example".to_owned()));
    isolate.configure(settings, NOW);
    isolate.reporting.name("ab".repeat(16));
    isolate.finish_read(NOW, Ok(Some(snapshot.encode().unwrap()))).unwrap();
    isolate
}

/// Packs a request as JavaScript does.
fn packed(isolate: &Isolate, target: &str, headers: &[(&str, &str)]) -> String {
    let mut lines = format!("GET\nhttps://h{target}");
    for input in isolate.inputs() {
        let found = headers.iter().find(|(name, _)| *name == input_name(input));
        lines.push('\n');
        lines.push_str(found.map_or(ABSENT, |(_, value)| value));
    }
    lines
}

/// Returns the outcomes that the isolate reports.
fn outcomes(isolate: &mut Isolate) -> Vec<UserOutcome> {
    let batch = isolate.next_batch(true, 0, NOW + 1_000);
    let batch = batch.map(|text| serde_json::from_str::<Batch>(&text).unwrap());
    batch.into_iter().flat_map(|batch| batch.experiments).flat_map(|part| part.outcomes).collect()
}

fn users_of(outcomes: &[UserOutcome]) -> Vec<u64> {
    let mut users: Vec<u64> = outcomes.iter().map(|outcome| outcome.user).collect();
    users.dedup();
    users
}

#[test]
fn the_events_of_a_header_count_for_the_user_of_the_request() {
    let minted = "0123456789abcdef0123456789abcdef";
    for (headers, minted, user) in [
        (vec![("x-user-id", "u1")], None, Some("u1")),
        (vec![], Some(minted), Some(minted)),
        (vec![], None, None),
    ] {
        let mut isolate = counting(|_| ());
        let lines = packed(&isolate, "/api/x", &headers);
        let reported = ReportedHeader {
            packed: &Packed::new(&lines),
            generation: isolate.generation(),
            minted,
            header: "purchase;value=12.5, that nothing counts",
        };
        assert!(!isolate.note_header(&reported, NOW), "nothing is malformed");
        let expected = user.map(|user| {
            let outcome =
                |metric, value| UserOutcome { user: key().hash(user), metric, after_s: 0, value, id: None };
            vec![outcome(PURCHASE, None), outcome(SPENT, Some(12_500))]
        });
        assert_eq!(outcomes(&mut isolate), expected.unwrap_or_default(), "{headers:?}");
    }
}

#[test]
fn a_header_of_rules_that_are_gone_and_of_no_route_counts_for_nobody() {
    let mut isolate = counting(|_| ());
    let generation = isolate.generation();
    for (target, generation) in [("/elsewhere", generation), ("/api/x", generation + 1)] {
        let lines = packed(&isolate, target, &[("x-user-id", "u1")]);
        let packed = &Packed::new(&lines);
        isolate.note_header(&ReportedHeader { packed, generation, minted: None, header: "purchase" }, NOW);
    }
    assert!(outcomes(&mut isolate).is_empty());
}

#[test]
fn the_first_malformed_header_is_told_and_all_are_counted() {
    let mut isolate = counting(|_| ());
    let lines = packed(&isolate, "/api/x", &[("x-user-id", "u1")]);
    let generation = isolate.generation();
    let mut note = |header| {
        let packed = &Packed::new(&lines);
        isolate.note_header(&ReportedHeader { packed, generation, minted: None, header }, NOW)
    };
    assert_eq!([note("purchase"), note("a;b, purchase, c;d"), note("a;b")], [false, true, false]);
    assert_eq!(isolate.malformed_events, 3);
}

fn track(
    isolate: &mut Isolate,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(), TrackRefusal> {
    let lines = packed(isolate, target, headers);
    let generation = isolate.generation();
    isolate.track_of_client(&Packed::new(&lines), generation, body.as_bytes(), NOW)
}

const EVENT: &str = r#"{"name":"purchase","value":2,"user":"forged","targetingKey":"forged","id":"1"}"#;

#[test]
fn a_client_reports_events_of_its_own_user_whatever_the_body_names() {
    for (headers, user) in [(vec![("x-user-id", "u1")], Some("u1")), (vec![], None)] {
        let mut isolate = counting(|_| ());
        assert_eq!(track(&mut isolate, "/_cutover/track", &headers, EVENT), Ok(()));
        let found = outcomes(&mut isolate);
        let expected: Vec<u64> = user.into_iter().map(|user| key().hash(user)).collect();
        assert_eq!(users_of(&found), expected, "{headers:?}");
        assert!(found.iter().all(|outcome| outcome.id.is_none()), "an id is a server's");
    }
}

/// A second route that knows its users by another header.
fn by_account(snapshot: &mut Snapshot) {
    let mut route = snapshot.routes[0].clone();
    route.id = "accounts".parse().unwrap();
    route.matcher.path = "/accounts/{*rest}".to_owned();
    route.identity = vec!["header:x-account".parse().unwrap()];
    snapshot.routes.push(route);
}

#[test]
fn a_client_names_the_route_if_routes_know_their_users_in_different_ways() {
    let headers = [("x-user-id", "u1"), ("x-account", "a1")];
    for (query, expected) in [
        ("", Err(TrackRefusal::RouteMissing)),
        ("?route=route", Ok("u1")),
        ("?route=accounts", Ok("a1")),
        ("?route=other", Err(TrackRefusal::RouteUnknown)),
    ] {
        let mut isolate = counting(by_account);
        let tracked = track(&mut isolate, &format!("/_cutover/track{query}"), &headers, EVENT);
        assert_eq!(tracked, expected.map(|_| ()), "{query}");
        let users = expected.ok().map(|user| key().hash(user));
        assert_eq!(users_of(&outcomes(&mut isolate)), Vec::from_iter(users), "{query}");
    }
}

#[test]
fn an_event_is_refused_without_rules_or_with_those_of_another_generation() {
    let mut isolate = Isolate::default();
    assert_eq!(track(&mut isolate, "/_cutover/track", &[], EVENT), Err(TrackRefusal::NoRules));
    assert_eq!(isolate.track_of_server(&server("1", NOW), NOW), Err(TrackRefusal::NoRules));
    let mut isolate = counting(|_| ());
    let lines = packed(&isolate, "/_cutover/track", &[("x-user-id", "u1")]);
    let other = isolate.generation() + 1;
    let tracked = isolate.track_of_client(&Packed::new(&lines), other, EVENT.as_bytes(), NOW);
    assert_eq!(tracked, Err(TrackRefusal::NoRules));
    let tracked = track(&mut isolate, "/_cutover/track", &[], "{}");
    assert_eq!(tracked, Err(TrackRefusal::Event(InvalidEvent::Name)));
    assert!(outcomes(&mut isolate).is_empty());
}

#[test]
fn more_events_of_clients_than_an_isolate_takes_are_refused_and_those_of_servers_are_not() {
    let mut isolate = counting(|_| ());
    for _ in 0..MAX_CLIENT_EVENTS_PER_S.get() {
        assert_eq!(track(&mut isolate, "/_cutover/track", &[], EVENT), Ok(()));
    }
    let refused = track(&mut isolate, "/_cutover/track", &[], EVENT);
    assert_eq!(refused.map_err(TrackRefusal::status), Err(429));
    assert_eq!(isolate.track_of_server(&server("1", NOW), NOW), Ok(()));
}

fn server(id: &str, at: i64) -> Vec<u8> {
    server_of("u1", id, at)
}

fn server_of(user: &str, id: &str, at: i64) -> Vec<u8> {
    let at = Timestamp::from_millis(at);
    json!({ "name": "purchase", "value": 2, "user": user, "at": at, "id": id }).to_string().into_bytes()
}

#[test]
fn an_outcome_with_an_id_takes_the_room_of_two_in_a_batch() {
    let mut isolate = counting(|_| ());
    for number in 0..1_300 {
        let event = server_of(&format!("user-{number}"), &format!("order-{number}"), NOW - 60_000);
        assert_eq!(isolate.track_of_server(&event, NOW), Ok(()));
    }
    let found = outcomes(&mut isolate);
    let with_ids = found.iter().filter(|outcome| outcome.id.is_some()).count();
    assert!(found.len() + with_ids <= MAX_ENTRIES, "{} outcomes, {with_ids} with ids", found.len());
    assert!(with_ids > MAX_ENTRIES / 4, "the batch is used: {with_ids}");
}

/// A server sends the event again, and the control plane knows it by its id.
#[test]
fn an_event_of_a_server_without_room_is_refused_and_taken_when_there_is_room_again() {
    let mut isolate = counting(|_| ());
    let event = |number: u64| server_of(&format!("user-{number}"), &format!("order-{number}"), NOW - 60_000);
    let first_refused = (0..10_000).find(|number| isolate.track_of_server(&event(*number), NOW).is_err());
    // A conversion, and a value with its id.
    assert_eq!(first_refused, Some(4_096 / 3));
    let refused = event(4_096 / 3);
    assert_eq!(isolate.track_of_server(&refused, NOW), Err(TrackRefusal::TooMany));
    assert_eq!(isolate.track_of_server(&event(0), NOW), Ok(()), "it is known");
    let batch: Batch = serde_json::from_str(&isolate.next_batch(false, 0, NOW).unwrap()).unwrap();
    assert_eq!(batch.experiments[0].lost, 0, "the server has the event still");
    assert_eq!(isolate.track_of_server(&refused, NOW), Ok(()));
    // A client learns nothing of what is counted, and is not refused.
    for number in 0..2_000 {
        isolate.note_event(&format!("stranger-{number}"), "purchase", None, NOW);
    }
    assert_eq!(track(&mut isolate, "/_cutover/track", &[("x-user-id", "u1")], EVENT), Ok(()));
}

#[test]
fn an_event_of_a_server_counts_at_its_time_and_once_by_its_id() {
    let mut isolate = counting(|_| ());
    for (id, at) in [("order-1", NOW - 7_000), ("order-2", NOW - 7_000), ("order-1", NOW - 7_000)] {
        assert_eq!(isolate.track_of_server(&server(id, at), NOW), Ok(()));
    }
    let batch = isolate.next_batch(true, 0, NOW + 1_000).unwrap();
    let batch: Batch = serde_json::from_str(&batch).unwrap();
    let part = &batch.experiments[0];
    assert_eq!(part.since, NOW / 1_000 - 7);
    let values = part.outcomes.iter().filter(|outcome| outcome.metric == SPENT);
    let mut ids: Vec<_> = values.map(|outcome| (outcome.value, outcome.id, outcome.after_s)).collect();
    ids.sort_unstable();
    let mut expected = ["order-1", "order-2"].map(|id| (Some(2_000), Some(key().hash_event(id)), 0));
    expected.sort_unstable();
    assert_eq!(ids, expected);
    let conversions = part.outcomes.iter().filter(|outcome| outcome.metric == PURCHASE);
    let conversions: Vec<_> = conversions.map(|outcome| (outcome.value, outcome.id)).collect();
    assert_eq!(conversions, [(None, None)], "of a conversion only the time counts");
    assert_eq!(users_of(&part.outcomes), [key().hash("u1")]);
}

#[test]
fn the_clock_of_a_server_may_be_ahead() {
    let mut isolate = counting(|_| ());
    assert_eq!(isolate.track_of_server(&server("1", NOW + 50_000), NOW), Ok(()));
    let batch = isolate.next_batch(true, 0, NOW + 1_000).unwrap();
    let batch: Batch = serde_json::from_str(&batch).unwrap();
    assert_eq!(batch.experiments[0].since, NOW / 1_000);
}
