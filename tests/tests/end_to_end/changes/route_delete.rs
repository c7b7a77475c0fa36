//! The end of a route: it is deleted as it was read, unless a canary needs it or an emergency holds its flag.

use super::api::{Api, FLAG};
use cutover_tests::{
    client::{Answer, Management},
    command::cutover_at,
};
use serde_json::{Value, json};

/// A route whose flag has no canary.
const ROUTE: &str = "reviews.write";

async fn delete(client: &Management, route: &str, headers: &[(&str, &str)]) -> Answer {
    client.send("DELETE", &format!("/routes/{route}"), headers, None).await
}

/// Returns the ids of the routes.
async fn ids(api: &Api) -> Vec<Value> {
    let listed = api.root().get("/routes").await.expect(200).body;
    listed["routes"].as_array().unwrap().iter().map(|route| route["id"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_deleted_unless_it_is_needed() {
    let api = Api::start(&[]).await;
    let root = api.root();
    let used = delete(root, "offers.reviews", &[]).await.expect(409).body;
    assert_eq!(used["code"], "route_in_use");
    let needs = format!("the route offers.reviews is used by the canary of {FLAG}");
    assert_eq!(used["detail"], needs, "it is the only route of its flag");
    let missing = delete(root, "reviews.writes", &[]).await.expect(404).body;
    assert_eq!(
        (&missing["code"], &missing["hint"]),
        (&json!("not_found"), &json!("did you mean reviews.write?"))
    );
    let malformed = delete(root, "a%20b", &[]).await.expect(422).body;
    assert_eq!(malformed["field"], "id");
    let stale = delete(root, ROUTE, &[("if-match", "\"0\"")]).await.expect(412).body;
    assert_eq!(stale["code"], "changed_meanwhile");
    let reason = json!({ "reason": "drill" });
    root.post("/emergency/rollback", &reason).await.expect(200);
    assert_eq!(delete(root, ROUTE, &[]).await.expect(409).body["code"], "emergency_in_force");
    root.post("/emergency/clear", &reason).await.expect(200);
    assert_eq!(ids(&api).await, ["offers.reviews", "reviews.read", ROUTE], "nothing is deleted so far");

    let path = format!("/routes/{ROUTE}");
    let read = root.get(&path).await.expect(200);
    assert_eq!((&read.body["flag"], &read.body["version"]), (&json!("graphql_reviews_write"), &json!(1)));
    let tag = read.etag.unwrap();
    let headers = [("if-match", tag.as_str()), ("idempotency-key", "d1"), ("x-cutover-reason", "done")];
    let deleted = delete(root, ROUTE, &headers).await.expect(200);
    assert_eq!((&deleted.body["deleted"], deleted.replayed), (&json!(ROUTE), false));
    let again = delete(root, ROUTE, &headers).await.expect(200);
    assert_eq!((&again.body["revision"], again.replayed), (&deleted.body["revision"], true));
    root.get(&path).await.expect(404);
    delete(root, ROUTE, &[]).await.expect(404);
    assert_eq!(ids(&api).await, ["offers.reviews", "reviews.read"]);

    let record = root.get("/audit?limit=1").await.expect(200).body["records"][0].clone();
    assert_eq!((&record["action"], &record["reason"]), (&json!("route.delete"), &json!("done")));
    assert_eq!(record["objects"], json!([format!("routes/{ROUTE}")]));
    // Nothing is left that uses its flag.
    root.send("DELETE", "/flags/graphql_reviews_write", &[], None).await.expect(200);
}

/// Else the stored configuration would have a metric without its route, and every later change would be refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_an_experiment_counts_is_not_deleted() {
    let api = Api::start(&[]).await;
    let root = api.root();
    let variant = |key: &str| json!({ "key": key, "name": key, "traffic_percentage": 50 });
    let metric = json!({ "name": "written", "on": { "response": { "route": ROUTE } } });
    let experiment =
        json!({ "name": "E", "variants": [variant("control"), variant("treatment")], "metrics": [metric] });
    root.put("/experiments/e", &experiment).await.expect(201);
    let used = delete(root, ROUTE, &[]).await.expect(409).body;
    let needs = format!("the route {ROUTE} is used by the experiment e");
    assert_eq!((&used["code"], &used["detail"]), (&json!("route_in_use"), &json!(needs)));
    root.send("DELETE", "/experiments/e", &[], None).await.expect(200);
    delete(root, ROUTE, &[]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_and_deletes_routes() {
    let api = Api::start(&[]).await;
    let url = format!("http://{}", api.server.address);
    let listed = cutover_at(&url, &["route", "list"]).await;
    assert_eq!(listed.code, 0, "{}", listed.err);
    assert!(listed.out.contains("POST, PUT, DELETE  /api/v1/reviews/{*rest}"), "{}", listed.out);
    assert_eq!(cutover_at(&url, &["__names", "routes"]).await.out.lines().count(), 3);
    let done = cutover_at(&url, &["route", "delete", ROUTE]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.starts_with("deleted reviews.write; revision 2, not published yet"), "{}", done.out);
    let used = cutover_at(&url, &["route", "delete", "offers.reviews"]).await;
    assert_eq!(used.code, 6, "{}", used.err);
    let gone = cutover_at(&url, &["route", "delete", ROUTE]).await;
    assert_eq!(gone.code, 5, "{}", gone.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_route_needs_an_admin_and_a_second_person() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let operator = api.person("one").await;
    assert_eq!(delete(&operator, ROUTE, &[]).await.expect(403).body["code"], "role_too_low");
    let mut admins = Vec::new();
    for name in ["lead", "head"] {
        let made = api.root().post("/tokens", &json!({ "name": name, "role": "admin" })).await.expect(201);
        admins.push(api.root().with_token(made.body["token"].as_str().unwrap()));
    }
    let asked = delete(&admins[0], ROUTE, &[]).await.expect(202).body;
    assert_eq!(asked["action"], "route.delete");
    let path = format!("/routes/{ROUTE}");
    operator.get(&path).await.expect(200);
    let approve = format!("/changes/{}/approve", asked["change"].as_str().unwrap());
    admins[1].send("POST", &approve, &[], None).await.expect(200);
    operator.get(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_route_tells_whom_it_moves() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let root = api.root();
    let at = async |percentage: u32| {
        let flag = json!({ "enabled": true, "rollout_percentage": percentage });
        root.put("/flags/graphql_reviews_write", &flag).await.expect(200);
    };
    let moves = |percentage: u32| {
        format!(
            "graphql_reviews_write: {percentage} % -> 0 % (route {ROUTE} deleted), about {percentage} % of users go back to legacy"
        )
    };
    at(40).await;
    let mut admins = Vec::new();
    for name in ["lead", "head"] {
        let made = root.post("/tokens", &json!({ "name": name, "role": "admin" })).await.expect(201);
        admins.push(root.with_token(made.body["token"].as_str().unwrap()));
    }
    let shown = |percentage: u32| json!({ "section": "routes", "name": ROUTE, "moves": moves(percentage) });
    let approve = async |asked: &Value| {
        let path = format!("/changes/{}/approve", asked["change"].as_str().unwrap());
        admins[1].send("POST", &path, &[], None).await
    };
    // A second person agrees to the users who move, and to no others.
    let asked = delete(&admins[0], ROUTE, &[]).await.expect(202).body;
    assert!(asked["changes"].as_array().unwrap().contains(&shown(40)), "{asked:#}");
    at(50).await;
    let refused = approve(&asked).await.expect(409).body;
    assert_eq!(
        (&refused["code"], &refused["difference"]["now"]),
        (&json!("changed_since_asked"), &json!([shown(50)]))
    );

    // A file that leaves the route out moves them too.
    let mut file = root.get("/config").await.expect(200).body;
    file["routes"].as_array_mut().unwrap().retain(|route| route["id"] != ROUTE);
    let refused = root.put("/config?prune=true", &file).await.expect(409).body;
    assert_eq!(refused["code"], "moves_users_back");
    assert_eq!(refused["errors"][0]["field"], format!("routes.{ROUTE}"), "{refused:#}");

    let asked = delete(&admins[0], ROUTE, &[]).await.expect(202).body;
    let made = approve(&asked).await.expect(200).body;
    assert_eq!(made["moves"][0]["summary"], moves(50), "{made:#}");
    assert_eq!((&made["moves"][0]["cause"], &made["moves"][0]["back"]), (&json!("route"), &json!(50.0)));
    assert_eq!(made["moves"][0]["route"], ROUTE);
}
