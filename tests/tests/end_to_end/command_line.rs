//! `cutover`, as an operator and as a script use it.

mod aws_keys;
mod device_login;
mod documents;
mod encodings;
mod every_command;
mod head;
mod masks;
mod mistakes;
mod rows;
mod scene;

use cutover_tests::{
    command::{CommandOutput, cutover as cutover_as},
    fault_proxy::{Fault, FaultProxy},
    stack::{Options, ROOT_TOKEN, Stack},
};

async fn cutover(stack: &Stack, arguments: &[&str], input: &str) -> CommandOutput {
    cutover_as(stack, ROOT_TOKEN, arguments, input).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_works_through_a_migration() {
    let stack = Stack::start(Options::default()).await;
    let run = async |arguments: &[&str]| {
        let done = cutover(&stack, arguments, "").await;
        assert_eq!(done.code, 0, "{arguments:?}: {}{}", done.out, done.err);
        assert_eq!(done.err, "", "{arguments:?}");
        done.out
    };
    let file = stack.state().join("cutover.yaml");
    std::fs::write(&file, stack.dev_configuration()).unwrap();
    let file = file.to_str().unwrap();
    assert!(
        run(&["apply", "-f", file, "--dry-run"])
            .await
            .contains("11 objects would change; nothing was written")
    );
    assert!(run(&["apply", "-f", file]).await.contains("11 objects changed; revision 1, published"));
    assert!(run(&["apply", "-f", file]).await.contains("no change; the configuration is at revision 1"));

    let exported = run(&["export"]).await;
    let again = cutover(&stack, &["apply", "-f", "-", "--dry-run"], &exported).await;
    assert_eq!((again.code, again.out.as_str()), (0, "no change; the configuration is at revision 1\n"));

    assert!(
        run(&["rollout", "graphql_reviews_read", "50%"])
            .await
            .contains("done; revision 2, published; in force within about 6 s")
    );
    assert!(run(&["rollout", "graphql_reviews_read", "50"]).await.contains("unchanged; revision 2"));
    assert!(
        run(&["disable", "graphql_reviews_read", "--reason", "looking closer"]).await.contains("no  50.0")
    );
    // Right behind it, when the newest revision is that of the flag.
    assert!(run(&["disable", "graphql_reviews_read"]).await.contains("unchanged; revision 3"));
    assert!(run(&["enable", "graphql_reviews_read"]).await.contains("yes  50.0"));
    assert!(run(&["list"]).await.lines().count() == 4);
    assert!(run(&["get", "graphql_reviews_read"]).await.contains("rollout_percentage"));
    let explained = run(&["explain", "graphql_reviews_read", "--user", "u1", "--with", "header:x-a=1"]).await;
    assert!(explained.contains("bucket 425861 of 1000000 is inside the rollout of 50%"), "{explained}");
    let mistyped = cutover(&stack, &["explain", "graphql_reviews_raed"], "").await;
    assert_eq!((mistyped.code, mistyped.out.as_str()), (5, ""));
    assert!(mistyped.err.contains("did you mean graphql_reviews_read?"), "{}", mistyped.err);
    assert!(run(&["status"]).await.contains("read_operations"));
    let audit = run(&["audit", "--flag", "graphql_reviews_read", "--limit", "2"]).await;
    assert!(audit.contains("flag.enable") && audit.contains("looking closer"), "{audit}");
    run(&["emergency-rollback", "errors on checkout", "--flag", "graphql_reviews_read"]).await;
    let told = cutover(&stack, &["status"], "").await;
    assert!(
        told.out.contains("errors on checkout") && told.err.contains("emergency in force"),
        "{}",
        told.err
    );
    let cleared = cutover(&stack, &["emergency-clear", "fixed"], "").await;
    let expected = (0, "graphql_reviews_read: 0 % -> 50 %\n");
    assert_eq!((cleared.code, cleared.err.as_str()), expected);

    let json: serde_json::Value = serde_json::from_str(&run(&["list", "--json"]).await).unwrap();
    assert_eq!(json["flags"].as_array().unwrap().len(), 3);
    assert!(json["revision"].as_u64().unwrap() > 2 && json["next_after"].is_null(), "{json}");
    assert!(run(&["completions", "bash"]).await.contains("emergency-rollback"));
    assert_eq!(run(&["list", "-o", "name"]).await.lines().count(), 3);
    let yaml = run(&["get", "graphql_reviews_read", "-o", "yaml"]).await;
    assert!(yaml.lines().any(|line| line == "name: graphql_reviews_read"), "{yaml}");
    // For the completions of names.
    assert_eq!(run(&["__names", "flags"]).await.lines().count(), 3);
    let waiting = cutover(&stack, &["rollout", "graphql_reviews_write", "10"], "").await;
    assert!(
        waiting.err.contains("nobody moves until cutover enable graphql_reviews_write"),
        "{}",
        waiting.err
    );
    let started = cutover(&stack, &["start-canary", "graphql_offers_read"], "").await;
    assert_eq!(started.code, 0, "{}", started.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_can_tell_failures_apart() {
    let stack = Stack::start(Options::default()).await;
    let mistaken = stack.state().join("mistaken.yaml");
    std::fs::write(&mistaken, "feature_flags:\n  a: { enabled: maybe }\norigin: {}\n").unwrap();
    let mistaken = mistaken.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 15] = [
        (&["frobnicate"], 2, "unrecognized subcommand"),
        (&["rollout", "x", "much"], 2, "invalid value"),
        (&["rollout", "x", "12,5"], 2, "write it with a point: 12.5"),
        (&["rollout", "x", "-5"], 2, "a percentage is 0 to 100"),
        (&["create-ab-test", "x", "words", "--traffic-percentage", "12,5"], 2, "write it with a point: 12.5"),
        (&["experiment", "get", "nope"], 5, "there is no experiment \"nope\""),
        (&["canary", "status", "nope"], 5, "add canary_deployments.nope to the configuration"),
        (&["explain", "x", "--with", "nonsense"], 2, "NAME=VALUE"),
        (&["explain", "nope", "--user", "u1"], 5, "there is no flag \"nope\""),
        (&["apply", "-f", mistaken], 3, ":2:17: feature_flags.a.enabled: expected true or false"),
        (&["apply", "-f", mistaken], 3, "error: 2 mistakes in"),
        (&["rollout", "x", "101"], 3, "not between 0 and 100"),
        (&["list", "--token", "wrong"], 4, "is unknown or was revoked"),
        (&["get", "nope"], 5, "there is no flag \"nope\""),
        (&["emergency-clear", "why not"], 6, "no emergency is in force"),
    ];
    for (arguments, code, text) in cases {
        let done = cutover(&stack, arguments, "").await;
        assert_eq!(done.code, code, "{arguments:?}: {}", done.err);
        assert!(done.err.contains(text), "{arguments:?}: {}", done.err);
        assert_eq!(done.out, "", "{arguments:?}: standard output is for data");
    }
    // For programs: as the API gave it, with the exit code.
    let refused = cutover(&stack, &["get", "nope", "--json"], "").await;
    let failure: serde_json::Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!((&failure["code"], &failure["exit_code"]), (&"not_found".into(), &5.into()), "{failure}");
    let refused = cutover(&stack, &["rollout", "x", "101", "--json"], "").await;
    let failure: serde_json::Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!((&failure["field"], &failure["exit_code"]), (&"percentage".into(), &3.into()), "{failure}");
    let gone = cutover(&stack, &["list", "--url", "http://127.0.0.1:1"], "").await;
    assert_eq!(gone.code, 7);
    assert!(gone.err.contains("could not be reached"), "{}", gone.err);
    let unreadable = cutover(&stack, &["apply", "-f", "nowhere.yaml"], "").await;
    assert_eq!(unreadable.code, 1);
}

/// The first way makes the change and loses its response. The second one has the same key, and gives the response again.
#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_that_is_sent_on_two_ways_is_declared_and_cleared_once() {
    let stack = Stack::start(Options::default()).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    let management = stack.lambda.url("management");
    let (address, path) = management.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let proxy = FaultProxy::start(address.parse().unwrap()).await;
    proxy.on_writes(Some(Fault::Lost));
    let lossy = format!("{}/{path}", proxy.url());
    for (command, revision) in [("emergency-rollback", 2), ("emergency-clear", 3)] {
        let done = cutover(&stack, &[command, "why", "--emergency-url", &lossy], "").await;
        assert_eq!(done.code, 0, "{command}: {}", done.err);
        assert!(done.out.contains(&format!("revision {revision}")), "{command}: {}", done.out);
        assert!(done.err.contains(&format!("{lossy} failed\n")), "{command}: {}", done.err);
        assert!(done.err.contains(&format!("{management} made the change")), "{command}: {}", done.err);
    }
    assert_eq!(proxy.writes(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_watches_a_canary() {
    use cutover_tests::canary::{Canary, FLAG, plan};
    let canary = Canary::start(&plan(50.0, &[100.0], ""), Options::default()).await;
    let stack = &canary.stack;
    let run = async |arguments: &[&str], code: i32| {
        let done = cutover(stack, arguments, "").await;
        assert_eq!(done.code, code, "{arguments:?}: {}{}", done.out, done.err);
        done
    };
    // Before anybody is exposed, and without asking anybody.
    let file = stack.state().join("plan.yaml");
    std::fs::write(&file, stack.management().get("/config").await.expect(200).body.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let needed = run(&["canary", "plan", FLAG, "-f", file], 0).await;
    assert!(needed.out.contains("50%   180") && needed.out.contains("100%  180"), "{}", needed.out);
    let good = run(&["canary", "simulate", FLAG, "-f", file, "--runs", "20"], 0).await;
    assert!(good.out.contains("completed  100.0 %"), "{}", good.out);
    assert!(good.out.contains("10 requests/s of 20000 users; 20 runs with seed 1"), "{}", good.out);
    let bad = run(&["canary", "simulate", FLAG, "-f", file, "--runs", "20", "--error-rate", "0.5"], 0).await;
    assert!(bad.out.contains("rolled_back at 50%"), "{}", bad.out);
    run(&["canary", "simulate", FLAG, "-f", file, "--error-rate", "7"], 2).await;
    run(&["canary", "plan", "nothing", "-f", file], 2).await;

    assert!(run(&["canary", "list"], 0).await.out.contains("not_started"));
    let started = run(&["canary", "start", FLAG], 0).await;
    assert!(started.out.contains("is running at 50%, published"), "{}", started.out);
    assert!(started.err.contains("requests a second"), "{}", started.err);
    run(&["canary", "start", FLAG], 6).await;
    run(&["canary", "approve", FLAG], 0).await;
    run(&["canary", "pause", FLAG], 0).await;
    assert!(run(&["canary", "status", FLAG], 0).await.out.contains("paused by root"));
    run(&["canary", "resume", FLAG, "--reason", "lunch is over"], 0).await;
    let traffic =
        cutover_tests::steady::Steady::start(&stack.edge.ports(), &[cutover_tests::canary::PATH], 200.0);
    canary.tick_until("at the second step", 120, |status| status["step"] == 1).await;
    let status = run(&["canary", "status", FLAG], 0).await.out;
    assert!(status.contains("50% > [100%] > bake") && status.contains("PROGRESS"), "{status}");
    // Whoever watches is let go when the run is over.
    let watching = async { run(&["canary", "watch", FLAG, "--every", "1"], 0).await };
    let (watched, _) =
        tokio::join!(watching, canary.tick_until("complete", 120, |status| status["state"] == "completed"));
    assert!(watched.out.contains("Completed at 100%"), "{}", watched.out);
    traffic.stop().await;
    // The file still says 0 %, and moves nobody unless told to.
    let different = run(&["diff", file], 12).await;
    assert!(different.out.contains(&format!("users of {FLAG}: 100 % -> 0 %")), "{}", different.out);
    assert!(run(&["apply", "-f", file], 6).await.err.contains("--allow-moving-users"));
    assert!(run(&["get", FLAG], 0).await.out.contains("100.0"));
    let replayed = run(&["canary", "replay", FLAG], 0).await;
    assert!(replayed.err.contains("decisions reproduced, 0 differ"), "{}", replayed.err);
    assert!(
        replayed.out.contains("advanced")
            && replayed.out.contains("  100%  ")
            && replayed.out.contains("evaluated"),
        "{}",
        replayed.out
    );
    let again = run(&["canary", "retry", FLAG], 0).await;
    assert!(again.out.contains("is running at 50%"), "{}", again.out);
    assert!(run(&["canary", "rollback", FLAG], 0).await.out.contains("rolled_back at 0%"));
    // A change by hand names the run, and who is exposed now.
    let noted = run(&["disable", FLAG], 0).await.err;
    assert!(noted.contains(&format!("note: the canary of {FLAG} is rolled_back at 0%")), "{noted}");
    assert!(noted.contains("all flags, last 5 min: ") && noted.contains(" on the new backend"), "{noted}");
    assert!(run(&["metrics"], 0).await.out.contains("\"batches\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_rotated_and_ended() {
    let stack = Stack::start(Options::default()).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    // The secret alone goes to standard output.
    let made =
        cutover(&stack, &["token", "create", "ann", "--role", "operator", "--expires", "12h"], "").await;
    assert_eq!(made.code, 0, "{}", made.err);
    let ann = made.out.trim().to_owned();
    assert!(ann.starts_with("ctv_") && ann.len() == 68, "{ann}");
    assert!(made.err.contains("its secret is shown only once"), "{}", made.err);
    let me = cutover_as(&stack, &ann, &["whoami", "--json"], "").await;
    let me: serde_json::Value = serde_json::from_str(&me.out).unwrap();
    assert_eq!((&me["name"], &me["role"]), (&"ann".into(), &"operator".into()));
    let listed = cutover(&stack, &["token", "list"], "").await.out;
    assert!(listed.contains("ann") && !listed.contains("ctv_"), "{listed}");
    let id = listed.lines().find(|line| line.contains("ann")).unwrap().split_whitespace().next().unwrap();
    let rotated = cutover(&stack, &["token", "rotate", id, "--grace", "0s"], "").await;
    assert!(rotated.err.contains("it replaces"), "{}", rotated.err);
    let refused = cutover_as(&stack, &ann, &["list"], "").await;
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(refused.err.contains("has expired") && refused.err.contains("hint: "), "{}", refused.err);
    cutover_as(&stack, rotated.out.trim(), &["list"], "").await;
    for wrong in [
        &["token", "create", "x", "--role", "viewer", "--expires", "soon"][..],
        &["token", "create", "x", "--role", "king"],
        &["token", "rotate", id, "--grace", "1 day"],
    ] {
        assert_eq!(cutover(&stack, wrong, "").await.code, 2, "{wrong:?}");
    }
    assert_eq!(cutover(&stack, &["token", "revoke", "nobody"], "").await.code, 5);
    assert_eq!(cutover(&stack, &["token", "revoke", id], "").await.code, 0);
    // The whole log, one JSON object a line, newest first.
    let log = cutover(&stack, &["audit", "--all", "--action", "token.rotate"], "").await.out;
    let records: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 1, "{log}");
    assert_eq!(records[0]["objects"][0], "tokens/ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_waits_says_so_and_how_it_goes_on() {
    let function_variables = std::collections::BTreeMap::from([("CUTOVER_TWO_PERSON", "true".to_owned())]);
    let stack = Stack::start(Options { function_variables, ..Options::default() }).await;
    stack.management().apply(&stack.dev_configuration()).await.expect(200);
    let mut people = Vec::new();
    for name in ["one", "two"] {
        let made = cutover(&stack, &["token", "create", name, "--role", "operator"], "").await;
        people.push(made.out.trim().to_owned());
    }
    let asked = cutover_as(&stack, &people[0], &["rollout", "graphql_reviews_read", "40"], "").await;
    assert_eq!((asked.code, asked.out.as_str()), (8, ""), "{}", asked.err);
    let id = asked.err.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(asked.err.contains("nothing has changed yet"), "{}", asked.err);
    let listed = cutover_as(&stack, &people[1], &["changes", "list"], "").await.out;
    assert!(listed.contains(&id) && listed.contains("flag.rollout") && listed.contains("one"), "{listed}");
    let shown = cutover_as(&stack, &people[1], &["changes", "show", &id], "").await.out;
    assert!(shown.contains("requested by one\n"), "{shown}");
    assert!(
        shown.contains("~ feature_flags/graphql_reviews_read\n    rollout_percentage: 25.0 -> 40.0\n"),
        "{shown}"
    );
    let json = cutover_as(&stack, &people[1], &["changes", "show", &id, "--json"], "").await.out;
    assert!(json.contains("\"requested_by\": \"one\""), "{json}");
    let alone = cutover_as(&stack, &people[0], &["changes", "approve", &id], "").await;
    assert_eq!(alone.code, 4, "{}", alone.err);
    let agreed = cutover_as(&stack, &people[1], &["changes", "approve", &id], "").await;
    assert_eq!((agreed.code, agreed.out.contains("approved and applied")), (0, true), "{}", agreed.err);
    assert_eq!(cutover_as(&stack, &people[1], &["changes", "approve", &id], "").await.code, 5);
    let asked = cutover_as(&stack, &people[0], &["canary", "start", "graphql_offers_read"], "").await;
    assert_eq!(asked.code, 8, "{}", asked.err);
    let id = asked.err.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(cutover_as(&stack, &people[0], &["changes", "withdraw", &id], "").await.code, 0);
    assert_eq!(cutover_as(&stack, &people[1], &["changes", "approve", &id], "").await.code, 5);
}
