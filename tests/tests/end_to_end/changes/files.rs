//! Configuration files from git beside canaries and operators: whom they move, and whom they do not.

use super::api::{Api, FLAG, OTHER, demand};
use cutover_core::{
    PartsPerMillion, Timestamp,
    canary::{Run, RunIdentity, RunState},
};
use cutover_lambda::{
    canary::run::run_write,
    change::{commit::change, demand::Precondition, operation::Operation, proposal::Proposal},
    store::EmergencyChange,
};
use cutover_tests::{
    command::{CommandOutput, cutover_with_contexts},
    stack::ROOT_TOKEN,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Completes a canary of the flag, which leaves it at 100 %.
async fn complete(api: &Api) {
    let demand = demand(Precondition::None);
    let changed = change(&api.platform, &demand, Operation::CanaryPromote, |state| {
        let mut config = state.config.clone();
        let (name, plan) = config.canary_deployments.iter().find(|(name, _)| name.as_str() == FLAG).unwrap();
        let (name, plan) = (name.clone(), plan.clone());
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        let mut run = Run::start(identity, name.clone(), plan, Timestamp::from_millis(0), "root");
        while run.state != RunState::Completed {
            run = run.advanced(Timestamp::from_millis(0), "for this test");
        }
        config.feature_flags.get_mut(&name).unwrap().rollout_percentage = PartsPerMillion::ALL;
        Ok(Proposal {
            config,
            emergency: EmergencyChange::Keep,
            others: vec![(format!("canary_runs/{FLAG}"), run_write(state, &run))],
            answer: Box::new(|_| (axum::http::StatusCode::OK, json!({}))),
        })
    });
    changed.await.unwrap();
}

/// The API with a completed canary, and the file in git, which says 50 % as it did before.
async fn completed() -> (Api, Value) {
    let api = Api::start(&[]).await;
    let file = api.root().get("/config").await.expect(200).body;
    complete(&api).await;
    assert_eq!(
        (api.share(FLAG).await, file["feature_flags"][FLAG]["rollout_percentage"].as_f64()),
        (100.0, Some(50.0))
    );
    (api, file)
}

/// Returns the file without the percentage of the flag.
fn without_share(file: &Value) -> Value {
    let mut file = file.clone();
    file["feature_flags"][FLAG].as_object_mut().unwrap().remove("rollout_percentage");
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_raises_no_flag_that_an_emergency_holds() {
    let api = Api::start(&[]).await;
    let file = api.root().get("/config").await.expect(200).body;
    api.root().post("/emergency/rollback", &json!({ "reason": "errors", "flags": [FLAG] })).await.expect(200);
    let with = |share: f64| {
        let mut file = file.clone();
        file["feature_flags"][FLAG]["rollout_percentage"] = json!(share);
        file
    };
    for path in ["/config", "/config?dry_run=true"] {
        let refused = api.root().put(path, &with(90.0)).await.expect(409).body;
        assert_eq!(refused["code"], "emergency_in_force", "{refused:#}");
    }
    assert_eq!(api.share(FLAG).await, 50.0);
    // The same file again is no change, and a smaller share is allowed.
    api.root().put("/config", &file).await.expect(200);
    api.root().put("/config?allow_moving_users=true", &with(10.0)).await.expect(200);
    assert_eq!(api.share(FLAG).await, 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_moves_nobody_after_a_completed_canary_unless_told_to() {
    let (api, file) = completed().await;
    let revision = api.revision().await;
    let trial = api.root().put("/config?dry_run=true", &file).await.expect(200).body;
    let summary = format!("{FLAG}: 100 % -> 50 %, about 50 % of users go back to legacy");
    let expected = json!([{
        "flag": FLAG, "cause": "percentage", "from": 100.0, "to": 50.0, "back": 50.0, "forward": 0.0, "summary": summary,
    }]);
    assert_eq!((&trial["moves"], &trial["revision"]), (&expected, &json!(revision)));
    let refused = api.root().put("/config", &file).await.expect(409).body;
    assert_eq!(refused["code"], "moves_users_back", "{refused:#}");
    assert!(refused["detail"].as_str().unwrap().contains(&summary), "{refused:#}");
    assert!(refused["hint"].as_str().unwrap().contains("allow_moving_users=true"), "{refused:#}");
    assert_eq!(refused["errors"][0]["field"], format!("feature_flags.{FLAG}.rollout_percentage"));
    assert!(refused["errors"][0]["hint"].as_str().unwrap().contains("leave it out"), "{refused:#}");
    assert_eq!((api.share(FLAG).await, api.revision().await), (100.0, revision));

    let mut open = without_share(&file);
    let kept = api.root().put("/config", &open).await.expect(200).body;
    assert_eq!((&kept["changes"], &kept["moves"]), (&json!([]), &json!([])));
    open["feature_flags"][FLAG]["description"] = json!("new words");
    let kept = api.root().put("/config?prune=true", &open).await.expect(200).body;
    assert_eq!(kept["changes"][0]["fields"].as_object().unwrap().keys().collect::<Vec<_>>(), ["description"]);
    assert_eq!(api.share(FLAG).await, 100.0);
    // A new flag begins at 0.
    open["feature_flags"]["fresh"] = json!({ "enabled": true });
    api.root().put("/config", &open).await.expect(200);
    assert_eq!(api.share("fresh").await, 0.0);

    let told = api.root().put("/config?allow_moving_users=true", &file).await.expect(200).body;
    assert_eq!(told["moves"], expected, "the change says it too");
    assert_eq!(api.share(FLAG).await, 50.0);
    let exported = api.root().get("/config").await.expect(200).body;
    let again = api.root().put("/config?prune=true", &exported).await.expect(200).body;
    assert_eq!((&again["changes"], &again["moves"]), (&json!([]), &json!([])), "a round trip");
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_deleting_and_dealing_anew_by_a_file_move_users_back_too() {
    let api = Api::start(&[]).await;
    let file = api.root().get("/config").await.expect(200).body;
    let with = |name: &str, value: Value| {
        let mut file = file.clone();
        file["feature_flags"][FLAG][name] = value;
        file
    };
    let mut without = file.clone();
    for section in ["feature_flags", "canary_deployments"] {
        without[section].as_object_mut().unwrap().remove(FLAG);
    }
    without["routes"].as_array_mut().unwrap().retain(|route| route["flag"] != FLAG);
    for (query, wanted, cause, back) in [
        ("", with("enabled", json!(false)), "disabled", 50.0),
        ("", with("salt", json!("another")), "salt", 25.0),
        ("", with("rollout_percentage", json!(49.9999)), "percentage", 0.0001),
        ("prune=true&", without, "deleted", 50.0),
    ] {
        let trial = api.root().put(&format!("/config?{query}dry_run=true"), &wanted).await.expect(200).body;
        assert_eq!((&trial["moves"][0]["cause"], &trial["moves"][0]["back"]), (&json!(cause), &json!(back)));
        let refused = api.root().put(&format!("/config?{query}"), &wanted).await.expect(409).body;
        assert_eq!(refused["code"], "moves_users_back", "{cause}: {refused:#}");
        let allowed = format!("/config?{query}allow_moving_users=true");
        api.root().put(&allowed, &wanted).await.expect(200);
        api.root().put(&allowed, &file).await.expect(200);
    }
    // Whom conditions and lists move is not counted, and told.
    let other = with("user_whitelist", json!(["user-1"]));
    let warnings = api.root().put("/config", &other).await.expect(200).body["warnings"].clone();
    let expected = "the file changes user_whitelist, and the users whom that moves are not counted";
    assert_eq!(warnings, json!([format!("{FLAG}: {expected}")]));
    // Others move whom they moved before.
    let up = api.root().put("/config", &with("rollout_percentage", json!(60))).await.expect(200).body;
    assert_eq!((&up["moves"][0]["back"], &up["moves"][0]["forward"]), (&json!(0.0), &json!(10.0)));
    api.root().put(&format!("/flags/{FLAG}/rollout"), &json!({ "percentage": 10 })).await.expect(200);
    api.root().put(&format!("/flags/{OTHER}"), &json!({ "enabled": true })).await.expect(200);
    assert_eq!(api.share(OTHER).await, 0.0, "a percentage that PUT leaves out is 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_never_moves_the_users_of_a_running_canary_and_says_so() {
    let api = Api::start(&[]).await;
    let file = api.root().get("/config").await.expect(200).body;
    api.root().send("POST", &format!("/canary/{FLAG}/start"), &[], None).await.expect(201);
    assert_eq!(api.share(FLAG).await, 5.0);
    let applied = api.root().put("/config", &file).await.expect(200).body;
    assert_eq!((&applied["changes"], &applied["moves"]), (&json!([]), &json!([])));
    let kept = format!("{FLAG} stays at 5%: its canary is running, so the file's 50% is not applied");
    assert_eq!(applied["warnings"], json!([kept]));
    let applied = api.root().put("/config", &without_share(&file)).await.expect(200).body;
    assert_eq!((api.share(FLAG).await, &applied["warnings"]), (5.0, &json!([])));
    // Off is off, also for a canary.
    let mut off = without_share(&file);
    off["feature_flags"][FLAG]["enabled"] = json!(false);
    assert_eq!(api.root().put("/config", &off).await.expect(409).body["code"], "moves_users_back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_parts_says_whom_all_of_it_moves_and_warns_by_line() {
    const FLAGS: usize = 150;
    let api = Api::start(&[]).await;
    let flags =
        (0..FLAGS).map(|number| format!("  f{number}: {{ enabled: true, rollout_percentage: 10 }}\n"));
    let window = "  over:\n    conditions:\n      - { type: time_window, end: \"2020-01-01T00:00:00Z\" }\n";
    let file = format!("feature_flags:\n{window}{}", flags.collect::<String>());
    let applied = api.root().apply(&file).await.expect(200).body;
    assert!(applied["revision"].as_u64().unwrap() > 2, "it has parts");
    assert_eq!(applied["moves"].as_array().unwrap().len(), FLAGS);
    let warnings: Vec<&str> =
        applied["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect();
    assert!(
        warnings[0].starts_with(
            "4:9: feature_flags.over.conditions[0]: the time window ended at 2020-01-01T00:00:00Z"
        ),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("no route uses the flags f0, f1, ") && warnings.len() == 2,
        "{warnings:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_one_revision_is_approved_although_other_objects_change_meanwhile() {
    let api = Api::start(&[("CUTOVER_TWO_PERSON", "true")]).await;
    let (one, two) = (api.person("one").await, api.person("two").await);
    let tag = api.root().get("/config").await.expect(200).etag.unwrap();
    let file =
        json!({ "feature_flags": { FLAG: { "enabled": true, "rollout_percentage": 60 } } }).to_string();
    let put = async |tag: &str| one.send("PUT", "/config", &[("if-match", tag)], Some(&file)).await;
    put("\"0\"").await.expect(412);
    let asked = put(&tag).await.expect(202).body;
    api.root().put(&format!("/flags/{OTHER}/rollout"), &json!({ "percentage": 30 })).await.expect(200);
    let approve = format!("/changes/{}/approve", asked["change"].as_str().unwrap());
    let made = two.send("POST", &approve, &[], None).await.expect(200).body;
    assert_eq!(made["moves"][0]["forward"], 10.0, "{made:#}");
    assert_eq!((api.share(FLAG).await, api.share(OTHER).await), (60.0, 30.0));
}

/// An operator at the command line, with a folder for files.
struct Operator {
    url: String,
    folder: tempfile::TempDir,
}

impl Operator {
    fn of(api: &Api) -> Self {
        Self { url: format!("http://{}", api.server.address), folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, value: &Value) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path
    }

    /// Runs a command that must end with an exit code.
    async fn expect(&self, code: i32, editor: &str, arguments: &[&str]) -> CommandOutput {
        let variables = [
            ("CUTOVER_URL", self.url.as_str()),
            ("CUTOVER_TOKEN", ROOT_TOKEN),
            ("EDITOR", editor),
            ("VISUAL", ""),
        ];
        let done = cutover_with_contexts(self.folder.path(), &variables, arguments, "").await;
        assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
        done
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_and_apply_move_nobody_after_a_completed_canary_unless_told_to() {
    let (api, file) = completed().await;
    let operator = Operator::of(&api);
    let run = async |code: i32, words: &[&str]| operator.expect(code, "", words).await;
    let summary = format!("users of {FLAG}: 100 % -> 50 %, about 50 % of users go back to legacy");
    let (git, open) = (operator.file("git.yaml", &file), operator.file("open.yaml", &without_share(&file)));
    let (git, open) = (git.to_str().unwrap(), open.to_str().unwrap());

    let different = run(12, &["diff", git]).await;
    let field = format!("~ feature_flags/{FLAG}\n    rollout_percentage: 100.0 -> 50.0\n");
    assert!(different.out.starts_with(&field) && different.out.contains(&summary), "{}", different.out);
    assert!(
        different.err.contains("refuses to move users back without --allow-moving-users"),
        "{}",
        different.err
    );
    assert!(different.err.ends_with("1 object differs from the file\n"), "{}", different.err);
    run(0, &["apply", "-f", git, "--dry-run"]).await;
    run(12, &["apply", "-f", git, "--dry-run", "--exit-status"]).await;
    let refused = run(6, &["apply", "-f", git]).await;
    assert!(refused.err.contains("or add --allow-moving-users"), "{}", refused.err);
    assert!(refused.err.contains("write rollout_percentage: 100, or leave it out"), "{}", refused.err);
    assert_eq!((refused.out.as_str(), api.share(FLAG).await), ("", 100.0));

    let same = run(0, &["diff", open]).await;
    assert_eq!(same.out, "no change; the configuration is at revision 2\n");
    run(0, &["apply", "-f", open, "--if-revision", "2"]).await;
    let stale = run(6, &["apply", "-f", git, "--if-revision", "1", "--allow-moving-users"]).await;
    assert!(
        stale.err.contains("at revision 2, not 1") && stale.err.contains("cutover diff"),
        "{}",
        stale.err
    );
    assert_eq!(api.share(FLAG).await, 100.0);
    let told = run(0, &["apply", "-f", git, "--if-revision", "2", "--allow-moving-users"]).await;
    assert!(told.out.contains(&summary), "{}", told.out);
    assert_eq!(api.share(FLAG).await, 50.0);

    // A creation shows its fields; so does everything else that is nested.
    let mut more = file.clone();
    more["origins"]["other"] = json!({ "url": "http://other.internal", "headers": { "x-a": "b" } });
    let more = operator.file("more.yaml", &more);
    let created = run(12, &["diff", more.to_str().unwrap()]).await.out;
    for line in ["+ origins/other", "    + url: \"http://other.internal\"", "    + headers.x-a: \"b\""] {
        assert!(created.lines().any(|shown| shown == line), "{line:?} is missing: {created}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_are_created_edited_and_deleted_at_the_command_line() {
    let api = Api::start(&[]).await;
    let operator = Operator::of(&api);
    let words = ["flag", "create", "fresh", "--description", "for a test", "--rollout", "25%", "--enabled"];
    let made = operator.expect(0, "", &words).await;
    assert!(made.out.contains("fresh") && made.out.contains("done; revision 2"), "{}", made.out);
    let taken = operator.expect(6, "", &["flag", "create", "fresh"]).await;
    assert!(taken.err.contains("cutover flag edit fresh"), "{}", taken.err);
    assert_eq!(api.share("fresh").await, 25.0);
    assert_eq!(
        operator.expect(0, "", &["flag", "list"]).await.out,
        operator.expect(0, "", &["list"]).await.out
    );

    let edit = ["flag", "edit", "fresh"];
    let idle = operator.expect(2, "true", &edit).await;
    assert!(idle.err.contains("was not edited; nothing was changed"), "{}", idle.err);
    operator.expect(2, "false", &edit).await;
    operator.expect(0, "sed -i s/25[.0]*/30.5/", &edit).await;
    assert_eq!(api.share("fresh").await, 30.5);
    operator.expect(0, "sed -i /rollout_percentage/d", &edit).await;
    assert_eq!(api.share("fresh").await, 30.5, "a percentage that is left out stays");
    let mistaken = operator.expect(3, "sed -i s/enabled/enable/", &edit).await;
    assert!(mistaken.err.contains("enable is not a field"), "{}", mistaken.err);
    let (_, kept) = mistaken.err.split_once("your text is kept in ").unwrap();
    let kept = Path::new(kept.lines().next().unwrap());
    assert!(std::fs::read_to_string(kept).unwrap().contains("enable: true"));
    std::fs::remove_file(kept).unwrap();

    let gone = operator.expect(0, "", &["flag", "delete", "fresh"]).await;
    assert!(gone.out.contains("deleted fresh; revision "), "{}", gone.out);
    operator.expect(5, "", &["flag", "get", "fresh"]).await;
    operator.expect(6, "", &["flag", "delete", FLAG]).await;
}
