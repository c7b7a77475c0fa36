//! Designs, the metrics of established files, and the users that an experiment needs.

use super::design;
use cutover_core::{
    config::Config,
    experiment::{Design, InvalidDesign, needed_users},
    rules::experiment::metric::{
        Direction, Metric, MetricKind, ResponseTrigger, Role, SLOW_MS, StatusRange, Trigger,
    },
};

const ESTABLISHED: &str = r#"experiments: { graphql_migration_test: { name: "GraphQL vs REST", traffic_percentage: 50.0, variants: { treatment: "GraphQL API", control: "REST API" }, success_metrics: [response_time, error_rate, user_satisfaction, clicks] } }"#;

#[test]
fn an_established_file_has_two_guardrails_and_its_events() {
    let config = Config::from_yaml(ESTABLISHED).unwrap();
    let design = Design::of(config.ab_tests.values().next().unwrap());
    assert_eq!(design.check(), Ok(()));
    assert_eq!(design.variants[usize::from(design.control)].key.as_str(), "control");
    let expected = [
        ("response_time", Trigger::Slow { over_ms: SLOW_MS }, Role::Guardrail, Direction::Decrease),
        ("error_rate", Trigger::Error, Role::Guardrail, Direction::Decrease),
        (
            "user_satisfaction",
            Trigger::Event("user_satisfaction".to_owned()),
            Role::Primary,
            Direction::Increase,
        ),
        ("clicks", Trigger::Event("clicks".to_owned()), Role::Secondary, Direction::Increase),
    ];
    assert_eq!(design.metrics.len(), expected.len());
    for (metric, (name, on, role, direction)) in design.metrics.iter().zip(expected) {
        assert_eq!((metric.name.as_str(), &metric.on, metric.role), (name, &on, role));
        assert_eq!((metric.direction, metric.kind, metric.cap), (direction, MetricKind::Conversion, None));
    }
}

#[test]
fn a_metric_is_written_as_it_is_read() {
    let text =
        r#"{"name":"checkout","on":{"response":{"route":"orders","methods":["POST"]}},"role":"primary"}"#;
    let metric: Metric = serde_json::from_str(text).unwrap();
    let Trigger::Response(response) = &metric.on else { panic!("{metric:?}") };
    let success = StatusRange { from: 200, to: 299 };
    let expected = ResponseTrigger {
        route: "orders".parse().unwrap(),
        methods: vec!["POST".to_owned()],
        status: success,
    };
    assert_eq!(*response, expected);
    for (method, status, is_counted) in [
        ("POST", 200, true),
        ("POST", 299, true),
        ("POST", 300, false),
        ("POST", 199, false),
        ("GET", 200, false),
    ] {
        assert_eq!(response.matches(method, status), is_counted, "{method} {status}");
    }
    assert!(ResponseTrigger { methods: Vec::new(), ..expected }.matches("GET", 204));
    let again = serde_json::to_string(&metric).unwrap();
    assert_eq!(serde_json::from_str::<Metric>(&again).unwrap(), metric, "{again}");
    let design = design(&[50, 50]);
    let text = serde_json::to_string(&design).unwrap();
    assert_eq!(serde_json::from_str::<Design>(&text).unwrap(), design, "{text}");
}

#[test]
fn designs_that_cannot_be_judged_are_refused() {
    let good = design(&[50, 50]);
    assert_eq!(good.check(), Ok(()));
    let with = |change: &dyn Fn(&mut Design)| {
        let mut design = good.clone();
        change(&mut design);
        design.check()
    };
    assert_eq!(with(&|design| design.control = 2), Err(InvalidDesign::NoControl));
    let uncapped = with(&|design| design.metrics[1].cap = None);
    assert_eq!(uncapped, Err(InvalidDesign::Uncapped("spent".to_owned())));
    let ratio = with(&|design| design.metrics[2].role = Role::Primary);
    assert_eq!(ratio, Err(InvalidDesign::UntestedRatio("latency".to_owned())));
    let many = with(&|design| design.metrics = vec![design.metrics[0].clone(); 17]);
    assert_eq!(many, Err(InvalidDesign::TooManyMetrics(17)));
}

/// The one-look rule by hand, and the conversions as computed from log-gamma functions by another program.
#[test]
fn the_needed_users_are_known_before_the_start() {
    let needed = needed_users(0.05, 0.08, 0.5, 0.05).unwrap();
    assert!((needed.users_of_one_look as i64 - 95_000).abs() <= 1, "47,500 of each: {needed:?}");
    for (share, lift, conversions) in [
        (0.5, 0.5, 513.0),
        (0.5, 0.25, 1_317.0),
        (0.5, 0.1, 6_741.0),
        (0.5, 0.05, 27_446.0),
        (0.1, 0.25, 3_086.0),
    ] {
        let needed = needed_users(0.05, lift, share, 0.05).unwrap();
        let part = needed.conversions as f64 / conversions;
        assert!((0.99..1.01).contains(&part), "{share} {lift}: {needed:?}, not {conversions}");
        let rate = 0.05 * (1.0 - share) + 0.05 * share * (1.0 + lift);
        assert!((needed.users as f64 * rate - needed.conversions as f64).abs() < 1.0, "{needed:?}");
        assert!(needed.factor > 1.5, "{needed:?}");
    }
    let down = needed_users(0.05, -0.1, 0.5, 0.05).unwrap();
    assert!((5_000..8_000).contains(&down.conversions), "a loss needs as many: {down:?}");
    for (rate, lift, share) in [
        (0.0, 0.1, 0.5),
        (0.5, 1.0, 0.5),
        (0.1, 0.0, 0.5),
        (0.1, 0.1, 0.0),
        (0.1, 0.1, 1.0),
        (0.1, -1.0, 0.5),
    ] {
        assert_eq!(needed_users(rate, lift, share, 0.05), None, "{rate} {lift} {share}");
    }
    assert_eq!(needed_users(0.1, 1e-6, 0.5, 0.05), None, "never found");
}
