//! The mistakes in their order.

use super::mistake::{Attempt, Mistake};
use crate::command_line::scene::{Step, Who, ann, root};

fn run(number: &'static str, line: &'static [&'static str], code: i32) -> Mistake {
    Mistake::of(number, Attempt::Command(line), code)
}

fn piped(number: &'static str, line: &'static [&'static str]) -> Mistake {
    Mistake::of(number, Attempt::Head(line), 0).never(&["Broken pipe"])
}

/// Creates a request to change the share of the flag whose run was rolled back.
fn rollout(number: &'static str, tag: &'static str, body: &'static str, status: i32) -> Mistake {
    let (method, path) = ("PUT", "/flags/graphql_offers_read/rollout");
    let header = if tag.is_empty() { ("accept", "application/json") } else { ("if-match", tag) };
    Mistake::of(number, Attempt::Request { method, path, header, body }, status)
}

/// Disables the flag without a canary, at 0 percent.
fn off() -> Step {
    root("PUT", "/flags/graphql_reviews_write", r#"{"enabled":false,"rollout_percentage":0}"#)
}

fn share(body: &'static str) -> Step {
    root("PUT", "/flags/graphql_offers_read/rollout", body)
}

/// Has an operator request a change that waits for another one.
fn requested() -> [Step; 2] {
    let request = ann("PUT", "/flags/graphql_offers_read/rollout", r#"{"percentage":10}"#);
    [share(r#"{"percentage":0}"#), request]
}

fn clear() -> Step {
    root("POST", "/emergency/clear", r#"{"reason":"over"}"#)
}

fn addresses_and_tokens() -> Vec<Mistake> {
    vec![
        run("1", &["CUTOVER_URL=", "list"], 2).says(&["no URL", "cutover context add", "CUTOVER_URL"]),
        run("2", &["CUTOVER_TOKEN=", "list"], 2)
            .says(&["no token given", "cutover login", "CUTOVER_TOKEN"])
            .never(&["not known"]),
        run("3", &["list", "--token", "wrong"], 4)
            .says(&["is unknown or was revoked", "cutover login"])
            .never(&["Authorization"]),
        run("4a", &["CUTOVER_TOKEN={root}\n", "list"], 0).says(&["graphql_reviews_read"]),
        run("4b", &["CUTOVER_TOKEN=two\nlines", "list"], 2)
            .says(&["the token contains a line break", "copy the token again"])
            .never(&["could not be reached"]),
        run("5", &["list", "--url", "{host}"], 2)
            .says(&["has no scheme", "https://{host}"])
            .never(&["could not be reached"]),
        run("6", &["list", "--no-retry", "--url", "https://{host}/lambda-url/management"], 7)
            .says(&["TLS", "check the scheme"])
            .never(&["no connection"]),
        run("7", &["list", "--url", "{url}/api/migration"], 0)
            .says(&["graphql_reviews_read"])
            .never(&["/api/migration/api/migration"]),
        run("8a", &["list", "--url", "{edge}"], 5)
            .says(&["no management API answers at {edge}", "not that of the edge or of a backend"]),
        run("8b", &["list", "--url", "{legacy}"], 5)
            .says(&["no management API answers at {legacy}", "not that of the edge or of a backend"]),
        run("9", &["list", "--no-retry", "--url", "http://127.0.0.1:1"], 7)
            .says(&["could not be reached: no connection", "check the URL"]),
        run("10", &["list", "--no-retry", "--url", "{silent}"], 7)
            .says(&["could not be reached: no response in time", "check the URL"])
            .slow(),
    ]
}

fn arguments() -> Vec<Mistake> {
    vec![
        run("11a", &["rolout", "graphql_reviews_read", "5"], 2)
            .says(&["unrecognized subcommand 'rolout'", "'rollout'"]),
        run("11b", &["rollback", "graphql_reviews_read"], 2)
            .says(&["cutover canary rollback FLAG", "cutover disable FLAG"])
            .never(&["rollout"]),
        run("11c", &["canary", "abort", "graphql_reviews_read"], 2).says(&["cutover canary rollback FLAG"]),
        run("12", &["rollout", "graphql_reviews_read", "150"], 3).says(&["not between 0 and 100"]),
        run("13a", &["rollout", "graphql_reviews_write", "25%"], 0).after([off()]).says(&["25.0"]),
        run("13b", &["rollout", "graphql_reviews_write", "12,5"], 2).says(&["write it with a point: 12.5"]),
        run("14a", &["rollout", "graphql_reviews_write", "-5"], 2)
            .says(&["a percentage is 0 to 100"])
            .never(&["unexpected argument", "-- -5"]),
        run("14b", &["canary", "promote", "graphql_reviews_read", "--to", "150"], 2)
            .says(&["a percentage is 0 to 100"])
            .never(&["of its users"]),
        run("15", &["rollout", "graphql_reviews_read", "1.23456"], 3)
            .says(&["more than four decimals", "the finest step is 0.0001 percent"]),
        run("16", &["get", "graphql_review_read"], 5).says(&[
            "there is no flag",
            "did you mean graphql_reviews_read?",
            "cutover list",
        ]),
        run("17a", &["canary", "status", "nope"], 5)
            .says(&["add canary_deployments.nope to the configuration", "cutover canary list"]),
        run("17b", &["canary", "start", "graphql_reviews_write"], 5)
            .says(&["add canary_deployments.graphql_reviews_write to the configuration"]),
        run("18", &["canary", "replay", "graphql_offers_read", "r999"], 5)
            .says(&["r999", "cutover canary runs graphql_offers_read"]),
        run("19", &["explain", "nosuch"], 5).says(&["there is no flag", "cutover list"]).never(&["DISABLED"]),
        run("20a", &["audit", "--since", "yesterday", "--limit", "1"], 0).says(&["REVISION"]),
        run("20b", &["audit", "--since", "1h", "--limit", "1"], 0).says(&["REVISION"]),
        run("20c", &["audit", "--since", "lately"], 2)
            .says(&["use a duration before now such as 90m", "yesterday"]),
        run("20d", &["audit", "--limit", "some"], 2).says(&["it is not a whole number"]),
        run("21", &["explain", "graphql_reviews_read", "--with", "country"], 2)
            .says(&["NAME=VALUE", "--with header:x-beta=1"])
            .never(&["is not a fact"]),
        run("22a", &["token", "create", "eve", "--role", "boss"], 2)
            .says(&["possible values: viewer, operator, admin"]),
        run("22b", &["token", "create", "eve", "--role", "viewer", "--expires", "tomorrow"], 2)
            .says(&["\"tomorrow\" is not a duration", "with s, m, h or d"]),
        run("23", &["rollout", "graphql_reviews_write", "5"], 4).by(Who::Vic).says(&[
            "vic",
            "viewer",
            "operator",
            "cutover whoami",
        ]),
        run("24", &["CUTOVER_TOKEN={expired}", "list"], 4).says(&[
            "has expired",
            "cutover token rotate",
            "cutover login",
        ]),
    ]
}

fn files() -> Vec<Mistake> {
    vec![
        run("25", &["apply", "--file", "many.yaml"], 3).says(&[
            "many.yaml:2:17: feature_flags.a.enabled: expected true or false",
            "many.yaml:3:",
            "many.yaml:4:",
            "did you mean rollout_percentage?",
            "many.yaml:5:",
            "did you mean origins?",
            "4 mistakes in many.yaml",
            "nothing was changed",
        ]),
        run("26a", &["apply", "--file", "tabs.yaml"], 3).says(&["tabs.yaml:2:", "hint: "]),
        run("26b", &["apply", "--file", "indented.yaml"], 3).says(&["indented.yaml:3:", "hint: "]),
        run("26c", &["apply", "--file", "twice.yaml"], 3).says(&["twice.yaml:3:", "hint: "]),
        run("26d", &["apply", "--file", "latin1.yaml"], 1).says(&["latin1.yaml cannot be read", "UTF-8"]),
        run("26e", &["apply", "--file", "reviews"], 1).says(&["reviews cannot be read", "irectory"]),
        run("26f", &["apply", "--file", "nowhere.yaml"], 1)
            .says(&["nowhere.yaml cannot be read", "check the path"]),
        run("27", &["apply", "--file", "share.yaml"], 3).says(&["5 is out of range", "0.05 for 5 %"]),
    ]
}

fn states() -> Vec<Mistake> {
    let declared = root(
        "POST",
        "/emergency/rollback",
        r#"{"reason":"errors on checkout","flags":["graphql_offers_read"]}"#,
    );
    let paused = root("POST", "/canary/graphql_reviews_read/pause", "");
    vec![
        run("28", &["rollout", "graphql_reviews_read", "30"], 6).says(&[
            "cutover canary promote graphql_reviews_read",
            "cutover canary rollback graphql_reviews_read",
        ]),
        run("29", &["rollout", "graphql_offers_read", "60"], 6).after([declared]).says(&[
            "emergency",
            "root",
            "errors on checkout",
            "cutover emergency-clear",
        ]),
        run("30a", &["canary", "promote", "graphql_reviews_read"], 6)
            .after([clear(), paused])
            .says(&["is paused", "cutover canary resume graphql_reviews_read"]),
        run("30b", &["canary", "pause", "graphql_offers_read"], 6)
            .says(&["is rolled_back", "cutover canary retry graphql_offers_read"]),
        run("31", &["emergency-rollback", "--reason", "foo", "--flag", "graphql_offers_read"], 0)
            .says(&["graphql_offers_read: all users on legacy"]),
    ]
}

fn requests() -> Vec<Mistake> {
    let tokens = Attempt::Request {
        method: "POST",
        path: "/tokens",
        header: ("accept", "application/json"),
        body: r#"{"name":"eve","role":"boss"}"#,
    };
    vec![
        rollout("32", "\"139\"", r#"{"percentage":30}"#, 412)
            .after([clear()])
            .says(&["changed_meanwhile", "read the object again"]),
        rollout("33", "139", r#"{"percentage":30}"#, 400).says(&["if_match_malformed", "quote it"]),
        rollout("34a", "", r#"{"percentage":"abc"}"#, 422).says(&["expected a number", "send a number"]),
        rollout("34b", "", "{}", 422).says(&["percentage"]),
        Mistake::of("34c", tokens, 422).says(&["viewer", "operator", "admin"]),
    ]
}

fn approvals_and_repetitions() -> Vec<Mistake> {
    let [before, request] = requested();
    vec![
        run("35", &["changes", "approve", "{made}"], 4)
            .by(Who::Ann)
            .after(requested())
            .says(&["cannot approve it"]),
        run("36", &["changes", "approve", "{made}"], 6)
            .by(Who::Bob)
            .after([before, request, share(r#"{"percentage":20}"#)])
            .says(&["cutover changes withdraw {made}", "rollout_percentage"]),
        run("37", &["rollout", "graphql_offers_read", "10"], 0)
            .after([share(r#"{"percentage":10}"#)])
            .says(&["unchanged; revision"])
            .never(&["done;"]),
        run("38", &["rollout", "graphql_reviews_write", "10"], 0)
            .after([off()])
            .says(&["is disabled, so nobody moves until cutover enable graphql_reviews_write"]),
        piped("39a", &["list"]),
        piped("39b", &["list", "--json"]),
        piped("39c", &["audit", "--all"]),
        piped("39d", &["metrics"]),
        piped("39e", &["completions", "bash"]),
        piped("39f", &["canary", "watch", "graphql_offers_read", "--json"]),
    ]
}

/// Returns all mistakes, in the order in which they are made.
pub(super) fn mistakes() -> Vec<Mistake> {
    let groups =
        [addresses_and_tokens(), arguments(), files(), states(), requests(), approvals_and_repetitions()];
    groups.into_iter().flatten().collect()
}
