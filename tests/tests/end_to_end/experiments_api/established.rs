//! The established files, endpoints and command lines about flags and experiments, to the letter.

use cutover_core::{Facts, Revision, Ruleset, Timestamp, config::Config};
use cutover_tests::{
    client::Management,
    command::cutover,
    stack::{Options, ROOT_TOKEN, Stack},
};
use serde_json::{Value, json};

/// The established configuration of experiments, with two equal variants.
const EXPERIMENTS: &str = r#"
experiments:
  graphql_migration_test:
    name: "GraphQL vs REST Performance"
    traffic_percentage: 50.0
    variants:
      control: "REST API"
      treatment: "GraphQL API"
    success_metrics:
      - response_time
      - error_rate
      - user_satisfaction
"#;

/// The established file of flags, with the weights of each variant.
const FEATURE_FLAGS: &str = r#"
# feature-flags.yaml
feature_flags:
  graphql_reviews_read:
    enabled: true
    rollout_percentage: 25.0
    description: "Enable GraphQL for reading reviews"
    user_whitelist: ["user-123"]
    user_blacklist: []
    conditions:
      - type: "time_window"
        start: "2024-01-01T00:00:00Z"
        end: "2024-12-31T23:59:59Z"

canary_deployments:
  graphql_reviews_read:
    initial_percentage: 1.0
    promotion_steps: [1, 5, 10, 25, 50, 75, 100]
    step_duration_minutes: 60
    success_criteria:
      max_error_rate: 0.05
      max_response_time_p95: 500
    rollback_criteria:
      max_error_rate: 0.1
      max_response_time_p95: 1000

ab_tests:
  graphql_migration_test:
    name: "GraphQL Migration Effectiveness"
    variants:
      control: { name: "REST API", traffic_percentage: 50.0 }
      treatment: { name: "GraphQL API", traffic_percentage: 50.0 }
"#;

/// Origins and a route, which the established file leaves to the router.
const ROUTES: &str = r#"
origins: { rest: { url: "LEGACY_URL" }, graphql: { url: "NEW_URL" } }
routes:
  - { id: reviews.read, match: { methods: [GET], path: "/api/v1/reviews/{*rest}" },
      flag: graphql_reviews_read, legacy: rest, new: graphql }
"#;

/// The established body of `GET /api/migration/flags`.
const FLAGS: &str = r#"
{
  "flags": [
    {
      "name": "graphql_reviews_read",
      "enabled": true,
      "rollout_percentage": 25.0,
      "description": "Enable GraphQL for reading reviews",
      "user_whitelist": ["user-123"],
      "user_blacklist": []
    }
  ]
}
"#;

/// The established body of `GET /api/migration/status`, without measurements.
const STATUS: &str = r#"
{
  "migration_progress": {
    "phase": "read_operations",
    "completion_percentage": 25.0,
    "active_flags": ["graphql_reviews_read"],
    "traffic_distribution": {
      "graphql": 25.0,
      "rest": 75.0
    }
  },
  "health": {
    "status": "healthy"
  }
}
"#;

const ASSIGN: &str = "/experiments/graphql_migration_test/assign/user-123";

/// Asserts that a value is the expected one. Objects may have further fields.
fn assert_has(shown: &Value, expected: &Value, context: &str) {
    match (shown, expected) {
        (Value::Object(shown), Value::Object(expected)) => {
            for (name, expected) in expected {
                let context = format!("{context}.{name}");
                assert_has(shown.get(name).unwrap_or(&Value::Null), expected, &context);
            }
        }
        (Value::Array(shown), Value::Array(expected)) => {
            assert_eq!(shown.len(), expected.len(), "{context}: {shown:?}");
            for (index, (shown, expected)) in shown.iter().zip(expected).enumerate() {
                assert_has(shown, expected, &format!("{context}[{index}]"));
            }
        }
        _ => assert_eq!(shown, expected, "{context}"),
    }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// Returns the established experiment as the API shows it.
fn experiment(name: &str, traffic_percentage: f64, success_metrics: &[&str]) -> Value {
    json!({
        "experiment": "graphql_migration_test",
        "name": name,
        "state": "running",
        "traffic_percentage": traffic_percentage,
        "variants": [
            { "key": "control", "name": "REST API", "traffic_percentage": 50.0 },
            { "key": "treatment", "name": "GraphQL API", "traffic_percentage": 50.0 },
        ],
        "success_metrics": success_metrics,
    })
}

/// Returns the variant that the core assigns `user-123` by the experiment of a file.
fn variant(file: &str) -> Value {
    let config = Config::from_yaml(file).unwrap_or_else(|problems| panic!("{problems:?}"));
    let rules = Ruleset::compile(&config.snapshot(Revision(1), None)).unwrap();
    let experiment = rules.experiment("graphql_migration_test").unwrap();
    let assigned = experiment.assign(Some("user-123"), &Facts::default(), Timestamp::from_millis(0));
    assigned.map_or(Value::Null, |variant| json!(variant.key))
}

/// Asserts that the experiment of a file is listed, and assigns `user-123` as the core does.
async fn assert_experiment(management: &Management, file: &str, expected: &Value) {
    let listed = management.get("/experiments").await.expect(200).body;
    assert_has(&listed, &json!({ "experiments": [expected] }), "GET /experiments");
    let assigned = management.get(ASSIGN).await.expect(200).body;
    let expected = json!({
        "experiment": "graphql_migration_test",
        "user": "user-123",
        "variant": variant(file),
    });
    assert_has(&assigned, &expected, "GET /experiments/:name/assign/:user");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_established_files_endpoints_and_command_lines_work_to_the_letter() {
    let stack = Stack::start(Options::default()).await;
    let management = stack.management();
    management.apply(EXPERIMENTS).await.expect(200);
    let metrics = ["response_time", "error_rate", "user_satisfaction"];
    let first = experiment("GraphQL vs REST Performance", 50.0, &metrics);
    assert_experiment(&management, EXPERIMENTS, &first).await;

    let routes = ROUTES.replace("LEGACY_URL", &stack.legacy.url()).replace("NEW_URL", &stack.new.url());
    management.apply(&format!("{FEATURE_FLAGS}{routes}")).await.expect(200);
    let second = experiment("GraphQL Migration Effectiveness", 100.0, &[]);
    assert_experiment(&management, FEATURE_FLAGS, &second).await;

    call_endpoints(&management).await;
    run_command_lines(&stack).await;
    assert_has(&management.get("/status").await.expect(200).body, &emergency(), "after the last command");
}

/// Returns fields of the status while an emergency holds all flags.
fn emergency() -> Value {
    json!({ "migration_progress": { "phase": "emergency", "active_flags": [] } })
}

/// Returns fields of the metrics of a deployment that has lost nothing.
fn nothing_lost() -> Value {
    json!({
        "batches": { "late": 0, "unreadable": 0 },
        "behind": {},
        "gaps": {},
        "outcomes_lost": 0,
        "users_lost": 0,
        "isolates_lost": 0,
    })
}

async fn call_endpoints(management: &Management) {
    let percentage = json!({ "percentage": 25.0 });
    let reason = json!({ "reason": "High error rate detected" });
    // Of all flags, because the request names none.
    let declared = json!({ "reason": "High error rate detected", "by": "root", "flags": null });
    let returned = json!({ "name": "graphql_reviews_read", "percentage": 0.0 });
    let calls = [
        ("GET", "/flags", None, 200, parsed(FLAGS)),
        ("GET", "/flags/graphql_reviews_read", None, 200, parsed(FLAGS)["flags"][0].clone()),
        ("GET", "/status", None, 200, parsed(STATUS)),
        ("POST", "/flags/graphql_reviews_read/disable", None, 200, json!({ "enabled": false })),
        ("POST", "/flags/graphql_reviews_read/enable", None, 200, json!({ "enabled": true })),
        (
            "PUT",
            "/flags/graphql_reviews_read/rollout",
            Some(&percentage),
            200,
            json!({ "rollout_percentage": 25.0 }),
        ),
        ("POST", "/canary/graphql_reviews_read/start", None, 201, json!({ "percentage": 1.0 })),
        ("POST", "/canary/graphql_reviews_read/promote", None, 200, json!({ "percentage": 5.0 })),
        ("GET", "/flags/graphql_reviews_read", None, 200, json!({ "rollout_percentage": 5.0 })),
        ("POST", "/canary/graphql_reviews_read/rollback", None, 200, json!({ "state": "rolled_back" })),
        ("GET", "/flags/graphql_reviews_read", None, 200, json!({ "rollout_percentage": 0.0 })),
        ("GET", "/metrics", None, 200, nothing_lost()),
        ("POST", "/emergency/rollback", Some(&reason), 200, json!({ "emergency": declared })),
        ("GET", "/status", None, 200, emergency()),
        ("GET", "/flags/graphql_reviews_read", None, 200, json!({ "held_by_emergency": true })),
        (
            "POST",
            "/emergency/clear",
            Some(&reason),
            200,
            json!({ "emergency": null, "returned": [returned] }),
        ),
        ("GET", "/flags/graphql_reviews_read", None, 200, json!({ "held_by_emergency": false })),
    ];
    for (method, path, body, status, expected) in calls {
        let content = [("content-type", "application/json")];
        let text = body.map(Value::to_string);
        let headers = if text.is_some() { &content[..] } else { &[] };
        let answer = management.send(method, path, headers, text.as_deref()).await.expect(status);
        assert_has(&answer.body, &expected, &format!("{method} {path}"));
    }
}

/// Runs the established lines, with words that their output has.
async fn run_command_lines(stack: &Stack) {
    let lines: [(&[&str], &str); 8] = [
        (&["list"], "graphql_reviews_read"),
        (&["enable", "graphql_reviews_read"], "graphql_reviews_read"),
        (&["rollout", "graphql_reviews_read", "25.0"], "graphql_reviews_read yes 25.0"),
        (&["start-canary", "graphql_reviews_read"], "graphql_reviews_read: run"),
        (&["status"], "read_operations"),
        (&["create-ab-test", "ab_default", "Half of the users"], "ab_default draft 50.0"),
        (&["create-ab-test", "ab_stated", "A fifth of the users", "20.0"], "ab_stated draft 20.0"),
        (&["emergency-rollback", "High error rate detected"], "all users on legacy"),
    ];
    for (arguments, expected) in lines {
        let done = cutover(stack, ROOT_TOKEN, arguments, "").await;
        assert_eq!(done.code, 0, "{arguments:?}: {}{}", done.out, done.err);
        let words = done.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(expected), "{arguments:?}: {words} instead of {expected}");
    }
}
