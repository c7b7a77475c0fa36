//! Time and allocations of one evaluation with two conditions, and the time of a guard, on the host. Run it with `cargo
//! bench -p cutover-core`.
#![allow(clippy::panic, missing_docs, reason = "a benchmark should fail loudly")]

use criterion::{Criterion, criterion_group, criterion_main};
use cutover_core::{
    Facts, Ruleset, Snapshot, Timestamp,
    config::Config,
    decide, decide_flag,
    graphql::{Guard, GuardedRequest, inspect},
    vocabulary::revision::Revision,
};
use std::hint::black_box;

const CONFIG: &str = r##"
feature_flags:
  graphql_reviews_read:
    enabled: true
    rollout_percentage: 25
    user_whitelist: [user-123]
    user_blacklist: [user-666]
    conditions:
      - { type: time_window, start: "2024-01-01T00:00:00Z" }
      - { type: attribute, name: "header:x-client", op: in, values: [web, ios, android] }
segments: { staff: { include: [user-123], conditions: [
  { type: attribute, name: "header:x-client", op: equals, values: [intranet] }] } }
flags:
  button:
    type: string
    enabled: true
    variants: { blue: "#00f", green: "#0f0" }
    default: { weights: { blue: 90, green: 10 } }
    off: blue
    rules: [{ segment: staff, variant: green }]
origins:
  rest: { url: "http://legacy.internal" }
  graphql: { url: "http://new.internal" }
routes:
  - { id: reviews, match: { methods: [GET], path: "/api/v1/reviews/{*rest}" },
      flag: graphql_reviews_read, legacy: rest, new: graphql }
"##;

fn evaluation(criterion: &mut Criterion) {
    let config = Config::from_yaml(CONFIG).unwrap_or_else(|problems| panic!("{problems:?}"));
    let snapshot: Snapshot = config.snapshot(Revision(1), None);
    let rules = Ruleset::compile(&snapshot).unwrap_or_else(|error| panic!("{error}"));
    let headers = [("x-client", "ios"), ("x-user-id", "user-4711")];
    let facts = Facts { method: "GET", path: "/api/v1/reviews/17", headers: &headers, ..Facts::default() };
    let now = Timestamp::from_millis(1_800_000_000_000);
    let flag = rules.flag("graphql_reviews_read");

    let one_flag = || decide_flag(black_box(flag), black_box(Some("user-4711")), black_box(&facts), now);
    let whole = || decide(black_box(&rules), black_box(&facts), now).verdict;
    let value = || rules.evaluate(black_box("button"), black_box(Some("user-4711")), black_box(&facts), now);
    for (name, count) in [
        (
            "decide_flag",
            allocation_counter::measure(|| {
                let _ = black_box(one_flag());
            })
            .count_total,
        ),
        (
            "decide",
            allocation_counter::measure(|| {
                let _ = black_box(whole());
            })
            .count_total,
        ),
        (
            "evaluate",
            allocation_counter::measure(|| {
                let _ = black_box(value());
            })
            .count_total,
        ),
    ] {
        println!("{name}: {count} allocations");
        assert_eq!(count, 0, "{name} allocates");
    }
    criterion.bench_function("decide_flag, two conditions", |bencher| bencher.iter(one_flag));
    criterion.bench_function("decide: route, user, flag", |bencher| bencher.iter(whole));
    criterion.bench_function("evaluate: segment, split", |bencher| bencher.iter(value));
}

/// Returns a query of two kilobytes.
fn query() -> String {
    let fields =
        (0..42).map(|field| format!("  field{field}(first: {field}, after: $cursor) {{ id name }}\n"));
    format!("query Q($cursor: String) {{\n  viewer {{\n{}  }}\n}}\n", fields.collect::<String>())
}

/// The check of a guarded request: the body read as JSON, and its document scanned.
fn guard(criterion: &mut Criterion) {
    let query = query();
    let body = serde_json::json!({ "query": query, "variables": { "cursor": "abc" } }).to_string();
    let guard = Guard::default();
    let request = GuardedRequest {
        method: "POST",
        query: "",
        content_type: Some("application/json"),
        content_encoding: None,
        body: Some(body.as_bytes()),
    };
    let check = || inspect(black_box(&request), black_box(&guard), |_| [0; 32]);
    assert!(check().is_ok(), "{:?}", check());
    criterion.bench_function("guard: a query of 2 KB", |bencher| bencher.iter(check));
}

criterion_group!(benches, evaluation, guard);
criterion_main!(benches);
