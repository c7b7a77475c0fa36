//! Adapters as they are stored, and snapshots that carry them.

use super::*;

#[test]
fn the_example_compiles_and_comes_back_as_it_was_stored() {
    let config = read(CONFIG, ADAPTER, OPERATIONS, SCHEMA).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let stored = serde_json::to_value(&config).unwrap();
    assert!(serde_json::from_value::<Config>(stored.clone()).unwrap() == config);
    // What was stored is a configuration of its own, without the files.
    assert!(Config::from_json(&stored).unwrap() == config);
    let text = serde_json::to_string(&stored).unwrap();
    assert!(!text.contains("isModeratedBy"));
}

#[test]
fn a_snapshot_with_everything_is_read_as_it_was_written() {
    let more = r#"
feature_flags: { graphql: { enabled: true, rollout_percentage: 12.5, user_whitelist: ["a"], salt: other } }
origins: { rest: { url: "http://a", timeout_ms: 1000 }, graphql: { url: "http://b" } }
ab_tests: { t: { name: T, variants: { a: { name: A, traffic_percentage: 40 }, b: { name: B, traffic_percentage: 60 } } } }
routes:
  - id: reviews
    match: { path: "/api/v1/{*rest}" }
    flag: graphql
    legacy: rest
    new: graphql
    adapt: [reviews]
    compare:
      sample: 2.5
      noise: 50
      per_minute: 7
      concurrency: 3
      timeout_ms: 900
      max_bytes: 1000
      max_depth: 9
      headers: [Link]
      mirror: { methods: [PUT], key_header: Idempotency-Key }
      rules:
        - { path: timestamp, ignore: true }
        - { path: "data[].tags", unordered: true }
        - { path: "data[]", key_by: sku }
        - { path: "data[].price", tolerance: 0.01 }
        - { path: "data[].at", normalise: date }
        - { path: "data[].a", normalise: lowercase }
        - { path: "data[].b", normalise: whitespace }
        - { path: "data[].c", normalise: number }
    error_when: { path: result.ok, equals: false }
"#;
    let config = read(&format!("{CONFIG}{more}"), ADAPTER, OPERATIONS, SCHEMA).unwrap();
    assert!(Config::from_json(&serde_json::to_value(&config).unwrap()).unwrap() == config);
    let snapshot = config.clone().snapshot(Revision(7), None);
    let text = snapshot.encode().unwrap();
    assert!(Snapshot::decode(&text).unwrap() == snapshot);
    assert!(
        text.starts_with("{\"schema\":2,"),
        "a Worker of before must not send requests past their adapter"
    );

    let mut plain = snapshot;
    plain.routes.iter_mut().for_each(|route| route.adapt.clear());
    let text = plain.encode().unwrap();
    assert!(text.starts_with("{\"schema\":1,") && Snapshot::decode(&text).unwrap() == plain);
    let later = text.replacen("\"schema\":1", "\"schema\":5", 1);
    assert!(matches!(Snapshot::decode(&later), Err(SnapshotError::Schema(5))));
}

/// A Worker of before ignores fields that it does not know. What it would do without them must not happen.
#[test]
fn a_snapshot_that_an_earlier_worker_would_misread_has_a_later_schema() {
    let schema = |adapter: &str| {
        let text = format!(
            "feature_flags: {{ f: {{ enabled: true }} }}\norigins: {{ o: {{ url: \"http://o\" }} }}\n\
             adapters: {{ a: {{ {adapter} }} }}\n\
             routes: [{{ id: r, match: {{ path: /r }}, flag: f, legacy: o, new: o, adapt: [a] }}]\n"
        );
        let config = Config::from_yaml(&text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let text = config.snapshot(Revision(1), None).encode().unwrap();
        assert!(Snapshot::decode(&text).is_ok());
        text.get(10..11).map(str::to_owned).unwrap()
    };
    let route = |more: &str| {
        format!(
            "routes: [{{ match: {{ method: GET, path: /r }}, backend: {{ method: GET, path: /r }}{more} }}]"
        )
    };
    assert_eq!(schema(&route("")), "2");
    for more in [
        ", root: a.0",
        ", response: { object: { b: { from: c.1 } } }",
        ", variables: { v: { from: query.v, empty: absent } }",
    ] {
        assert_eq!(schema(&route(more)), "3", "{more}");
    }
    for field in
        ["etag: true", "content_type: text/json", "headers: { a: b }", "errors: { headers: { a: b } }"]
    {
        assert_eq!(schema(&format!("{field}, {}", route(""))), "3", "{field}");
    }
    let conditional = "routes: [{ match: { method: GET, path: \"/r/{id}\", where: { id: digits } }, \
                       backend: { method: GET, path: /r } }]";
    assert_eq!(schema(conditional), "3");
}

#[test]
fn a_stored_adapter_may_have_what_is_refused_now() {
    let stored = serde_json::json!({ "adapters": { "a": {
        "version": { "header": "x-version", "absent": false },
        "forward_headers": ["x-a", "X-A"],
        "shapes": { "unused": "x" },
        "errors": {
            "envelope": { "object": { "error": "msg" } },
            "otherwise": { "message": "no {id} {}" },
        },
        "routes": [{
            "match": { "method": "PUT", "path": "/r" },
            "backend": {
                "method": "PUT",
                "path": "/r",
                "body_inverse_of": { "object": { "id": "ids.0" } },
                "lossy": ["nothing"],
            },
            "variables": { "v": { "from": "query.v", "clamp": true, "min": 2, "max": 1 } },
            "status": 204,
            "root": "a[0]",
            "response": { "from": "b[0]", "otherwise": 1 },
        }],
    } } });
    let problems = Config::from_json(&stored).unwrap_err();
    assert!(problems.len() >= 11, "{problems:#?}");
    let config = Config::from_stored(&stored).unwrap();
    let program = config.adapters.values().next().unwrap().program();
    assert_eq!(program.routes[0].root, ["a[0]"]);
}
