//! Emergencies for the people at the keyboard: all reasons are kept, every command tells of them, and a clear says what comes
//! back.

use super::api::{Api, FLAG, OTHER, rollout};
use cutover_core::Revision;
use cutover_tests::{
    client::Management,
    command::{CommandOutput, cutover_at, cutover_with_contexts},
    stack::ROOT_TOKEN,
};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// A flag that is disabled.
const OFF: &str = "graphql_reviews_write";

/// A URL at which nobody listens.
const CLOSED: &str = "http://127.0.0.1:9";

impl Api {
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub(super) async fn status(&self) -> Value {
        self.root().get("/status").await.expect(200).body
    }

    async fn flag(&self, name: &str) -> Value {
        self.root().get(&format!("/flags/{name}")).await.expect(200).body
    }

    /// Returns the records of the audit log that a query finds, newest first.
    async fn records(&self, query: &str) -> Vec<Value> {
        let body = self.root().get(&format!("/audit?{query}")).await.expect(200).body;
        body["records"].as_array().unwrap().clone()
    }

    /// Runs `cutover`, which must end with an exit code.
    pub(super) async fn command(&self, arguments: &[&str], code: i32) -> CommandOutput {
        let done = cutover_at(&self.url(), arguments).await;
        assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
        done
    }
}

/// Declares an emergency, on all flags if none is named.
pub(super) async fn declare(caller: &Management, reason: &str, flags: &[&str]) {
    let mut body = json!({ "reason": reason });
    if !flags.is_empty() {
        body["flags"] = json!(flags);
    }
    caller.post("/emergency/rollback", &body).await.expect(200);
}

fn texts(list: &Value, field: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_of_an_emergency_is_kept_and_shown() {
    let api = Api::start(&[]).await;
    let ann = api.person("ann").await;
    declare(api.root(), "errors on checkout", &[FLAG]).await;
    let first = api.status().await["emergency"].clone();
    declare(&ann, "auch zu langsam — überall", &[OTHER]).await;
    declare(&ann, "auch zu langsam — überall", &[OTHER]).await;

    let emergency = api.status().await["emergency"].clone();
    assert_eq!(emergency["flags"], json!([FLAG, OTHER]));
    assert_eq!((&emergency["by"], &emergency["since"]), (&json!("ann"), &first["since"]));
    let declarations = &emergency["declarations"];
    assert_eq!(texts(declarations, "reason"), ["errors on checkout", "auch zu langsam — überall"]);
    assert_eq!(texts(declarations, "by"), ["root", "ann"]);
    assert_eq!([&declarations[0]["flags"], &declarations[1]["flags"]], [&json!([FLAG]), &json!([OTHER])]);
    assert_eq!(declarations[0]["since"], first["since"]);
    let shown = api.command(&["status"], 0).await;
    for part in ["errors on checkout", "auch zu langsam — überall", "ann", FLAG, OTHER] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(
        shown.err.contains("auch zu langsam — überall (cutover status shows all reasons)"),
        "{}",
        shown.err
    );
    let reasons = texts(&json!(api.records("object=emergency").await), "reason");
    let second = "auch zu langsam — überall";
    assert_eq!(reasons, [second, second, "errors on checkout"], "the log has repetitions too");
    let refused = api.root().put(&rollout(OTHER), &json!({ "percentage": 90 })).await.expect(409);
    assert_eq!(refused.body["code"], "emergency_in_force");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_tells_of_the_emergency_in_force() {
    let api = Api::start(&[]).await;
    let lowered = ["rollout", OTHER, "20"];
    let commands: [&[&str]; 14] = [
        &["list"],
        &["get", OTHER],
        &["status"],
        &["status", "--json"],
        &["canary", "list"],
        &["explain", FLAG, "--user", "u1"],
        &["audit", "--limit", "1"],
        &["export"],
        &["metrics"],
        &["compare", "report"],
        &["whoami"],
        &["token", "list"],
        &["changes", "list"],
        &lowered,
    ];
    for command in commands {
        let done = api.command(command, 0).await;
        assert!(!done.err.contains("emergency in force"), "{command:?}: {}", done.err);
    }
    declare(api.root(), "errors on checkout", &[FLAG]).await;
    for command in commands {
        let done = api.command(command, 0).await;
        let says = format!("declared by root: {FLAG} is held on legacy: errors on checkout");
        if command.contains(&"--json") {
            // Standard error is for one JSON object, an error; the status has the emergency.
            assert!(done.err.is_empty() && done.out.contains("errors on checkout"), "{command:?}: {done:?}");
            continue;
        }
        let told: Vec<&str> = done.err.lines().filter(|line| line.contains("emergency in force")).collect();
        assert_eq!(told.len(), 1, "{command:?}: {}", done.err);
        assert!(told[0].contains(&says), "{command:?}: {}", done.err);
        assert!(!done.out.contains("emergency in force"), "{command:?}: {}", done.out);
    }
    let refused = api.command(&["rollout", FLAG, "90"], 6).await;
    assert!(refused.err.contains("emergency in force"), "{}", refused.err);
    // Strangers learn nothing.
    let stranger = api.root().with_token("ctv_0000").get("/flags").await.expect(401);
    assert_eq!((stranger.emergency, api.root().get("/whoami").await.emergency.is_some()), (None, true));

    api.command(&["emergency-clear", "fixed"], 0).await;
    assert!(!api.command(&["list"], 0).await.err.contains("emergency in force"));
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_are_held_show_their_share_in_force() {
    let api = Api::start(&[]).await;
    let shares = async |name: &str| {
        let flag = api.flag(name).await;
        let fields = ["rollout_percentage", "percentage_in_force", "held_by_emergency"];
        fields.map(|field| flag[field].clone())
    };
    assert_eq!(shares(FLAG).await, [json!(50.0), json!(50.0), json!(false)]);
    declare(api.root(), "errors on checkout", &[FLAG]).await;
    assert_eq!(shares(FLAG).await, [json!(50.0), json!(0.0), json!(true)]);
    assert_eq!(shares(OTHER).await, [json!(25.0), json!(25.0), json!(false)]);
    assert_eq!(shares(OFF).await, [json!(0.0), json!(0.0), json!(false)]);
    let list = api.root().get("/flags").await.expect(200).body["flags"].clone();
    let held = list.as_array().unwrap().iter().filter(|flag| flag["held_by_emergency"] == true);
    assert_eq!(held.map(|flag| flag["name"].clone()).collect::<Vec<_>>(), [FLAG]);
    // What was read may be written back.
    api.root().put(&format!("/flags/{FLAG}"), &api.flag(FLAG).await).await.expect(200);

    let listed = api.command(&["list"], 0).await.out;
    assert_eq!(listed.matches("(held at 0)").count(), 1, "{listed}");
    assert!(listed.contains("50.0 (held at 0)"), "{listed}");
    let shown = api.command(&["get", FLAG], 0).await.out;
    assert!(
        shown.contains("held_by_emergency    yes") && shown.contains("percentage_in_force  0.0"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_shows_what_comes_back_and_a_script_needs_a_yes_in_production() {
    let api = Api::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let url = api.url();
    let context =
        ["context", "add", "live", "--url", &url, "--emergency-url", &url, "--production", "--token-stdin"];
    assert_eq!(cutover_with_contexts(folder.path(), &[], &context, ROOT_TOKEN).await.code, 0);
    let run = async |variables: &[(&str, &str)], arguments: &[&str], code: i32| {
        let done = cutover_with_contexts(folder.path(), variables, arguments, "").await;
        assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
        done
    };
    // The variable of another deployment is not used for a context that is named.
    let elsewhere = [("CUTOVER_EMERGENCY_URL", CLOSED)];
    let declared = run(&elsewhere, &["emergency-rollback", "drill", "--context", "live"], 0).await;
    assert!(!declared.err.contains(&format!("{CLOSED} failed")), "{}", declared.err);

    let refused = run(&[], &["emergency-clear", "over"], 2).await;
    let lines =
        [format!("{FLAG}:   0 % -> 50 %"), format!("{OTHER}:  0 % -> 25 %"), format!("{OFF}: 0 % -> 0 %")];
    for line in &lines {
        assert!(refused.err.contains(line), "{line}: {}", refused.err);
    }
    for part in ["live (127.0.0.1:", "users of 2 flags return to the new backend at once", "add --yes"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    assert!(api.status().await["emergency"].is_object(), "nothing was cleared");
    let one = run(&[], &["emergency-clear", "over", "--flag", FLAG], 2).await;
    assert!(one.err.contains("users of 1 flag return") && !one.err.contains(OTHER), "{}", one.err);
    let none = run(&[], &["emergency-clear", "over", "--at", "0"], 2).await;
    assert!(none.err.contains(&format!("{FLAG}:   0 % -> 0 %")), "{}", none.err);
    run(&[], &["emergency-clear", "over", "--yes"], 0).await;
    assert_eq!(api.flag(FLAG).await["percentage_in_force"], 50.0);

    // Elsewhere a script goes on, and the lines are there all the same.
    declare(api.root(), "drill", &[FLAG]).await;
    let cleared = api.command(&["emergency-clear", "over"], 0).await;
    assert!(cleared.err.contains(&format!("{FLAG}: 0 % -> 50 %")), "{}", cleared.err);
    assert!(cleared.out.starts_with("emergency cleared; revision "), "{}", cleared.out);
    api.command(&["emergency-clear", "again", "--yes"], 6).await;
}

/// Runs `cutover` with a folder for contexts, and with the URL and the token of the API as variables beside another one.
async fn command_among(api: &Api, folder: &Path, other: (&str, &str), arguments: &[&str]) -> CommandOutput {
    let url = api.url();
    let variables = [("CUTOVER_URL", url.as_str()), ("CUTOVER_TOKEN", ROOT_TOKEN), other];
    cutover_with_contexts(folder, &variables, arguments, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_is_declared_whatever_is_wrong_around_it() {
    let api = Api::start(&[]).await;
    let (empty, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = broken.path().join("cutover");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("contexts.json"), "{").unwrap();
    fs::set_permissions(folder.join("contexts.json"), Permissions::from_mode(0o600)).unwrap();
    let rollback = ["emergency-rollback", "--reason", "errors on checkout"];
    for (folder, other, fault) in [
        (empty.path(), ("CUTOVER_EMERGENCY_URL", "nonsense"), "the URL \"nonsense\" has no scheme"),
        (empty.path(), ("CUTOVER_CONTEXT", "liv"), "there is no context \"liv\""),
        (broken.path(), ("CUTOVER_CONTEXT", "live"), "contexts.json cannot be read"),
        (broken.path(), ("CUTOVER_EMERGENCY_URL", "nonsense"), "contexts.json cannot be read"),
    ] {
        let done = command_among(&api, folder, other, &rollback).await;
        assert_eq!(done.code, 0, "{other:?}: {}{}", done.out, done.err);
        assert!(
            done.err.contains(fault) && done.err.contains("goes on without it"),
            "{other:?}: {}",
            done.err
        );
        assert!(done.out.contains("all users on legacy; revision "), "{other:?}: {}", done.out);
        // Nothing listens at Workers KV here.
        assert!(done.out.contains("in force within about 6 s; Workers KV follows"), "{}", done.out);
        assert_eq!(api.status().await["emergency"]["reason"], "errors on checkout", "{other:?}");
        api.root().post("/emergency/clear", &json!({ "reason": "fixed" })).await.expect(200);
    }
    // A deployment that is named is meant, and no other, unless options say all about it.
    let named = [&rollback[..], &["--context", "live"]].concat();
    let refused = command_among(&api, broken.path(), ("NO_COLOR", "1"), &named).await;
    assert_eq!((refused.code, api.status().await["emergency"].clone()), (1, Value::Null), "{}", refused.err);
    let url = api.url();
    let stated = [&named[..], &["--url", url.as_str(), "--token", ROOT_TOKEN]].concat();
    let done = cutover_with_contexts(broken.path(), &[], &stated, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(api.status().await["emergency"].is_object(), "{}", done.out);
    let wordless = command_among(&api, empty.path(), ("NO_COLOR", "1"), &["emergency-rollback"]).await;
    assert_eq!(wordless.code, 2, "{}", wordless.err);
    assert!(wordless.err.contains("cutover emergency-rollback 'errors on checkout'"), "{}", wordless.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_ends_at_zero_in_one_change() {
    let api = Api::start(&[]).await;
    api.root().send("POST", &format!("/canary/{FLAG}/start"), &[], None).await.expect(201);
    declare(api.root(), "errors on checkout", &[]).await;
    let before = api.revision().await;
    let at = |percentage: f64| json!({ "reason": "fixed", "percentage": percentage });
    for wrong in [5.0, 100.0, -1.0] {
        let refused = api.root().post("/emergency/clear", &at(wrong)).await.expect(422).body;
        assert_eq!(refused["field"], "percentage", "{refused:#}");
    }
    let cleared = api.root().post("/emergency/clear", &at(0.0)).await.expect(200).body;
    assert_eq!(cleared["emergency"], Value::Null);
    assert!(
        cleared["returned"].as_array().unwrap().iter().all(|flag| flag["percentage"] == 0.0),
        "{cleared:#}"
    );
    assert_eq!(api.revision().await, before + 1, "one change");
    for (flag, enabled) in [(FLAG, true), (OTHER, true), (OFF, false)] {
        let flag = api.flag(flag).await;
        assert_eq!(
            (&flag["rollout_percentage"], &flag["enabled"]),
            (&json!(0.0), &json!(enabled)),
            "{flag:#}"
        );
    }
    let status = api.status().await;
    assert_eq!(status["canaries"][FLAG]["state"], "rolled_back", "{status:#}");
    // An isolate that holds an older snapshot hears of the end and of the shares at once.
    let head = api.platform.store.head().await.unwrap();
    let braked: Vec<String> =
        head.brakes.since(Revision(before)).iter().map(|brake| brake.flag.to_string()).collect();
    assert_eq!((head.emergency, braked), (None, vec![FLAG.to_owned(), OTHER.to_owned()]));
    let record = &api.records("limit=1").await[0];
    assert_eq!((&record["action"], &record["reason"]), (&json!("emergency.clear"), &json!("fixed")));
    for object in ["emergency".to_owned(), format!("feature_flags/{FLAG}"), format!("canary_runs/{FLAG}")] {
        assert!(record["objects"].as_array().unwrap().contains(&json!(object)), "{object}: {record:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_ends_with_the_last_part_of_a_large_change() {
    const FLAGS: usize = 200;
    let api = Api::start(&[]).await;
    let flag = json!({ "enabled": true, "rollout_percentage": 50 });
    let flags = (0..FLAGS).map(|number| (format!("flag_{number:03}"), flag.clone()));
    let file = json!({ "feature_flags": flags.collect::<serde_json::Map<_, _>>() });
    api.root().put("/config", &file).await.expect(200);
    declare(api.root(), "errors on checkout", &[]).await;
    let before = api.revision().await;
    api.root().post("/emergency/clear", &json!({ "reason": "fixed", "percentage": 0 })).await.expect(200);
    assert_eq!(api.revision().await, before + 3, "three parts of at most 97 flags");
    // Newest first: an isolate between two parts still holds all flags.
    let records = api.records("action=emergency.clear").await;
    let ends: Vec<bool> = records
        .iter()
        .map(|record| record["objects"].as_array().unwrap().contains(&json!("emergency")))
        .collect();
    assert_eq!(ends, [true, false, false]);
    let state = api.platform.store.state().await.unwrap();
    assert!(state.head.emergency.is_none());
    assert!(state.config.feature_flags.values().all(|flag| flag.rollout_percentage.get() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flag_is_released_and_the_others_stay_held() {
    let api = Api::start(&[]).await;
    let clear = async |flags: Value| {
        api.root().post("/emergency/clear", &json!({ "reason": "fixed", "flags": flags })).await
    };
    declare(api.root(), "errors on checkout", &[]).await;
    let released = clear(json!([FLAG])).await.expect(200).body;
    assert_eq!(released["returned"], json!([{ "name": FLAG, "percentage": 50.0 }]));
    let held = async |name: &str| api.flag(name).await["held_by_emergency"].clone();
    assert_eq!([held(FLAG).await, held(OTHER).await, held(OFF).await], [false, true, true]);
    let emergency = api.status().await["emergency"].clone();
    assert_eq!(emergency["flags"], json!([OTHER, OFF]));
    assert_eq!(texts(&emergency["declarations"], "reason"), ["errors on checkout"]);
    let status = api.command(&["status"], 0).await.out;
    let row = status.lines().find(|line| line.starts_with("held on legacy")).unwrap_or_default();
    assert!(row.ends_with(&format!("  {OTHER}, {OFF}")), "all were declared, and these are held: {status}");
    assert_eq!(api.records(&format!("flag={FLAG}&limit=1")).await[0]["action"], "emergency.clear");

    assert_eq!(clear(json!([FLAG])).await.expect(409).body["code"], "no_emergency");
    assert_eq!(clear(json!([OTHER, FLAG])).await.expect(409).body["code"], "no_emergency");
    assert_eq!(clear(json!(["nope"])).await.expect(404).body["field"], "flags");
    clear(json!([])).await.expect(422);
    let done = api.command(&["emergency-clear", "fixed", "--flag", OTHER], 0).await;
    let says = format!("released {OTHER}; the emergency still holds {OFF}; revision ");
    assert!(done.out.starts_with(&says), "{}", done.out);
    let done = api.command(&["emergency-clear", "fixed", "--flag", OFF], 0).await;
    assert!(done.out.starts_with("emergency cleared; revision "), "{}", done.out);
    assert_eq!(api.status().await["emergency"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_approves_every_kind_of_clear_as_it_was_shown() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    declare(&one, "errors on checkout", &[]).await;
    let ask = async |more: Value| {
        // Also from a file of several lines.
        let mut body = json!({ "reason": "fixed\nby one" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let asked = one.post("/emergency/clear", &body).await.expect(202).body;
        format!("/changes/{}/approve", asked["change"].as_str().unwrap())
    };
    let (one_flag, at_zero) = (ask(json!({ "flags": [FLAG] })).await, ask(json!({ "percentage": 0 })).await);
    one.send("POST", &one_flag, &[], None).await.expect(403);
    two.send("POST", &one_flag, &[], None).await.expect(200);
    assert_eq!(api.flag(FLAG).await["held_by_emergency"], false);
    // Another one was declared since: its reason was not seen by whoever asked.
    declare(&two, "it is back", &[FLAG]).await;
    let stale = two.send("POST", &at_zero, &[], None).await.expect(409);
    assert_eq!(stale.body["code"], "changed_since_asked");
    let again = ask(json!({ "percentage": 0 })).await;
    two.send("POST", &again, &[], None).await.expect(200);
    assert_eq!((api.share(FLAG).await, api.status().await["emergency"].clone()), (0.0, Value::Null));
}
