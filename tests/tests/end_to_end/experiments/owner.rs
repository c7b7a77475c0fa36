//! Experiments that decide a flag, beside one that only gives out values: conditions, emergencies, and users without an id.

use super::{Seen, Told, assigned, compiled};
use cutover_core::Ruleset;
use cutover_tests::{
    crowd,
    http::{self, EDGE_TOKEN},
};
use serde_json::{Value, json};

const CONFIG: &str = r#"
feature_flags:
  reading: { enabled: true, rollout_percentage: 0, user_blacklist: [barred] }
experiments:
  arms:
    name: Arms
    flag: reading
    traffic_percentage: 60
    variants: { control: { name: REST, arm: legacy }, treatment: { name: GraphQL, arm: new } }
  colours:
    name: Colours
    conditions: [{ type: attribute, name: "header:x-app", op: equals, values: [web] }]
    variants: { red: Red, blue: Blue }
origins: { rest: { url: "LEGACY_URL" }, graphql: { url: "NEW_URL" } }
routes:
  - { id: named, match: { path: "/named/{*rest}" }, flag: reading, legacy: rest, new: graphql, identity: ["header:x-user-id"] }
  - { id: anyone, match: { path: "/anyone/{*rest}" }, flag: reading, legacy: rest, new: graphql }
"#;

const TREATMENT: &str = "arms=treatment";

/// Returns a user whom the core assigns these variants, for requests without headers.
fn user_with(rules: &Ruleset, groups: &str) -> String {
    crowd::users("user", 1_000).into_iter().find(|user| assigned(rules, user).of_backend == groups).unwrap()
}

async fn ask(told: &Told, path: &str, headers: &[(&str, &str)]) -> Seen {
    Seen::of(&http::get(told.stack.edge.port(), path, headers).await)
}

/// Returns the decision that the edge would make for a request without headers.
async fn decision(told: &Told, query: &str) -> Value {
    let bearer = format!("Bearer {EDGE_TOKEN}");
    let target = format!("/_cutover/decide?{query}");
    http::get(told.stack.edge.port(), &target, &[("authorization", &bearer)]).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_flag_decides_the_arm_of_its_users() {
    let told = Told::start().await;
    let rules = told.apply(CONFIG).await;
    let users = crowd::users("user", 300);
    for (user, seen) in told.ask("/named/x", &users).await {
        let groups = assigned(&rules, &user).of_backend;
        let expected = match groups.as_str() {
            TREATMENT => ("new", "EXPERIMENT"),
            "arms=control" => ("legacy", "EXPERIMENT"),
            _ => ("legacy", "ROLLOUT"),
        };
        assert_eq!((seen.backend.as_str(), seen.reason.as_str()), expected, "{user}");
        assert_eq!(seen.told, groups, "{user}");
    }
    assert_eq!(ask(&told, "/named/x", &[("x-user-id", "barred")]).await.reason, "BLACKLISTED");

    // A condition that holds brings the other experiment.
    let treated = user_with(&rules, TREATMENT);
    let web = ask(&told, "/named/x", &[("x-user-id", &treated), ("x-app", "web")]).await;
    assert!(web.told.starts_with("arms=treatment, colours="), "{web:?}");

    // The edge says as much about a request without headers.
    let decided = decision(&told, &format!("path=/named/x&user={treated}")).await;
    assert_eq!((&decided["arm"], &decided["reason"]), (&json!("new"), &json!("EXPERIMENT")));
    let [arms, colours] = ["arms", "colours"].map(|name| json!({ "experiment": name }));
    let with = |experiment: &Value, field: &str, value: &str| {
        let mut with = experiment.clone();
        with[field] = json!(value);
        with
    };
    let expected = json!([with(&arms, "variant", "treatment"), with(&colours, "outside", "condition")]);
    assert_eq!(decided["experiments"], expected);
    let nobody = decision(&told, "path=/named/x").await;
    let expected = json!([with(&arms, "outside", "no_user"), with(&colours, "outside", "no_user")]);
    assert_eq!((&nobody["reason"], &nobody["experiments"]), (&json!("NO_KEY"), &expected));
    assert_eq!(decision(&told, "path=/nowhere&user=user-1").await["experiments"], json!([]));
    let users = crowd::users("user", 1_000);
    let outside = users.iter().find(|user| assigned(&rules, user).of_backend.is_empty()).unwrap();
    let decided = decision(&told, &format!("path=/named/x&user={outside}")).await;
    assert_eq!(decided["experiments"][0], with(&arms, "outside", "traffic"));
}

/// A user of the treatment whom an emergency sends to legacy does not get the treatment.
#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_sends_everybody_to_legacy_and_no_variant_of_its_flag_is_told() {
    let told = Told::start().await;
    let rules = told.apply(CONFIG).await;
    let treated = user_with(&rules, TREATMENT);
    let web = [("x-user-id", treated.as_str()), ("x-app", "web")];
    let before = ask(&told, "/named/x", &web).await;
    assert_eq!((before.backend.as_str(), before.reason.as_str()), ("new", "EXPERIMENT"));
    let (arms, colours) = before.told.split_once(", ").unwrap();
    assert_eq!(arms, TREATMENT);

    let management = told.stack.management();
    let body = json!({ "reason": "drill" });
    let declared = management.post("/emergency/rollback", &body).await.expect(200);
    told.stack.edge_holds(declared.body["revision"].as_u64().unwrap()).await;
    let during = ask(&told, "/named/x", &web).await;
    assert_eq!((during.backend.as_str(), during.reason.as_str()), ("legacy", "EMERGENCY"));
    assert_eq!(during.told, colours, "an experiment without arms goes on");

    let cleared = management.post("/emergency/clear", &body).await.expect(200);
    told.stack.edge_holds(cleared.body["revision"].as_u64().unwrap()).await;
    assert_eq!(ask(&told, "/named/x", &web).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_an_id_gets_one_or_takes_no_part() {
    let told = Told::start().await;
    let rules = told.apply(CONFIG).await;
    // A route without ids of the edge's own: outside, and not in control.
    let nobody = ask(&told, "/named/x", &[]).await;
    assert_eq!(
        (nobody.backend.as_str(), nobody.reason.as_str(), nobody.told.as_str()),
        ("legacy", "NO_KEY", "")
    );
    let port = told.stack.edge.port();
    let mut seen = [0; 2];
    for _ in 0..40 {
        let first = http::get(port, "/anyone/x", &[]).await;
        let cookie = first.header("set-cookie").unwrap();
        let cookie = cookie.split(';').next().unwrap();
        let id = cookie.strip_prefix("cutover_uid=").unwrap();
        let first = Seen::of(&first);
        assert_eq!(first.told, assigned(&rules, id).of_backend, "{id}");
        assert_eq!(ask(&told, "/anyone/y", &[("cookie", cookie)]).await, first, "{id}");
        seen[usize::from(first.told == TREATMENT)] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");

    // An experiment that decides nothing is no reason to give anybody an id.
    let values_only = CONFIG.replace("    name: Arms\n", "    name: Arms\n    state: paused\n").replace(
        "    conditions: [{ type: attribute, name: \"header:x-app\", op: equals, values: [web] }]\n",
        "",
    );
    assert!(!assigned(&compiled(&told.configuration(&values_only)), "user-1").of_backend.is_empty());
    told.apply_and_move(&values_only).await;
    let answer = http::get(port, "/anyone/x", &[]).await;
    assert_eq!((answer.header("set-cookie"), Seen::of(&answer).told.as_str()), (None, ""));
}
