//! `cutover adapter try`, `test` and `init`, against the two backends of the reviews service and of the catalogue. They
//! need no Worker: the command runs the adapter itself.

use cutover_origins::{Backend, Data, Origin};
use cutover_tests::{
    command::{CommandOutput, cutover_alone},
    paths,
};
use serde_json::Value;
use std::{path::Path, sync::Arc};

/// Both backends over the same data.
struct Backends {
    old: Origin,
    new: Origin,
}

impl Backends {
    async fn start() -> Self {
        let data = Arc::new(Data::default());
        Self {
            old: Origin::start(Backend::Legacy, Arc::clone(&data)).await,
            new: Origin::start(Backend::New, data).await,
        }
    }

    async fn start_catalogue() -> Self {
        let old = Origin::start_catalogue(Backend::Legacy).await;
        Self { old, new: Origin::start_catalogue(Backend::New).await }
    }

    /// Runs `adapter try` with the new backend, compared with the old one up to the time of the response.
    async fn compared(&self, adapter: &Path, request: &[&str]) -> CommandOutput {
        let (new, old) = (self.new.url(), self.old.url());
        let adapter = adapter.to_str().unwrap();
        let mut arguments =
            vec!["adapter", "try", "--adapter", adapter, "--backend", &new, "--against", &old];
        arguments.extend(["--ignore", "timestamp"]);
        arguments.extend(request);
        cutover_alone(&arguments, "").await
    }
}

fn reviews() -> std::path::PathBuf {
    paths::root().join("tests/reviews")
}

/// Copies an example into a folder, with one change to its mappings.
fn changed(example: &str, folder: &Path, from: &str, to: &str) -> std::path::PathBuf {
    let example = paths::root().join(example);
    for name in ["schema.graphql", "operations.graphql"] {
        std::fs::copy(example.join(name), folder.join(name)).unwrap();
    }
    let text = std::fs::read_to_string(example.join("adapter.yaml")).unwrap();
    assert!(text.contains(from), "{from}");
    let file = folder.join("adapter.yaml");
    std::fs::write(&file, text.replace(from, to)).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_tried_step_by_step_and_compared_with_legacy() {
    let backends = Backends::start().await;
    let adapter = reviews().join("adapter.yaml");
    let tried = backends.compared(&adapter, &["--request", "GET /api/v1/reviews/7"]).await;
    assert_eq!((tried.code, tried.err.as_str()), (0, ""), "{tried:?}");
    for part in [
        "route      GET /api/v1/reviews/{id} of ",
        "operation  Review\n",
        "/graphql\n",
        "variables  {\"id\":\"7\"}\n",
        "backend    200 {\"data\":{\"review\":{",
        "answer     200\n",
        "content-type: application/json\n",
        "x-backend: new\n",
        "    \"id\": 7,\n",
        "legacy     200\n",
        "same: legacy and the adapter give the same response\n",
    ] {
        assert!(tried.out.contains(part), "{part}\n{}", tried.out);
    }
    // Pages with their links, bodies, headers that are forwarded, and errors are the same too.
    let body = r#"{"rating": 9}"#;
    for request in [
        &["--request", "GET /api/v1/reviews?page=2&limit=7"][..],
        &["--request", "GET /api/v1/users/user-3/reviews?page=2&limit=1"],
        &["--request", "GET /api/v1/reviews/4711"],
        &["--request", "GET /api/v1/reviews/seven"],
        &["--request", "PUT /api/v1/reviews/7", "--body", body],
        &["--request", "GET /api/v1/reviews/7", "--header", "Authorization: Bearer expired"],
    ] {
        let tried = backends.compared(&adapter, request).await;
        assert_eq!(tried.code, 0, "{request:?}: {}{}", tried.out, tried.err);
    }
    let missing = backends.compared(&adapter, &["--request", "GET /api/v1/reviews/4711"]).await;
    assert!(missing.out.contains("reason     review is null or absent"), "{}", missing.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_links_lists_of_ids_and_messages_of_errors_are_compared_too() {
    let backends = Backends::start_catalogue().await;
    let adapter = paths::root().join("tests/catalogue/adapter.yaml");
    for (target, route) in [
        ("/api/person?page=2&status=active", "GET /api/person of "),
        ("/api/person?page=99", "GET /api/person of "),
        ("/api/person/1,2,3", "GET /api/person/{ids} of "),
        ("/api/person/7", "GET /api/person/{id} of "),
        ("/api/person/abc", "GET /api/person/{id} of "),
        ("/api/work/4711", "GET /api/work/{id} of "),
    ] {
        let tried = backends.compared(&adapter, &["--request", &format!("GET {target}")]).await;
        assert_eq!(tried.code, 0, "{target}: {}{}", tried.out, tried.err);
        assert!(tried.out.contains(&format!("route      {route}")), "{target}: {}", tried.out);
        assert!(tried.out.contains("content-type: application/json; charset=utf-8\n"), "{}", tried.out);
        assert!(tried.out.contains("access-control-allow-origin: *\n"), "{}", tried.out);
    }
    // A response that does not fit is told with its place, and is different for that reason alone.
    let folder = tempfile::tempdir().unwrap();
    let wrong = changed(
        "tests/catalogue",
        folder.path(),
        "      role: role",
        "      role: { from: role, as: number }",
    );
    let tried = backends.compared(&wrong, &["--request", "GET /api/person/7"]).await;
    assert_eq!(tried.code, 1, "{tried:?}");
    assert!(tried.out.contains("(adapter) role  type"), "{}", tried.out);
    let reason = "does not fit, which counts as an error: GET /api/person/{id}: role: expected a number";
    assert!(tried.out.contains(reason), "{}", tried.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_mapping_is_different_and_it_is_said_where() {
    let backends = Backends::start().await;
    let folder = tempfile::tempdir().unwrap();
    let wrong =
        changed("tests/reviews", folder.path(), "rating: rating", "rating: { from: rating, as: string }");
    let tried = backends.compared(&wrong, &["--request", "GET /api/v1/reviews/7"]).await;
    assert_eq!(tried.code, 1, "{tried:?}");
    assert!(tried.out.contains("DIFFERENT    KIND  LEGACY  ADAPTER\n"), "{}", tried.out);
    assert!(tried.out.contains("data.rating  type  3       \"3\"\n"), "{}", tried.out);
    assert!(tried.err.contains("the responses have 1 difference"), "{}", tried.err);

    let json = backends.compared(&wrong, &["--request", "GET /api/v1/reviews/7", "--json"]).await;
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["differences"][0]["path"], "data.rating", "{report:#}");
    assert_eq!(report["calls"][0]["request"]["operation"], "Review", "{report:#}");

    let new = backends.new.url();
    let adapter = wrong.to_str().unwrap();
    let try_with = async |adapter: &str, more: &[&str]| {
        let mut arguments = vec!["adapter", "try", "--adapter", adapter, "--backend", &new];
        arguments.extend(more);
        cutover_alone(&arguments, "").await
    };
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--request", "GET /api/v2/reviews"], 2, "legacy would answer it, with the reason UNADAPTED"),
        (&["--request", "reviews"], 2, "is not a method and a path"),
        (&["--request", "GET /api/v1/reviews", "--claims", "u1"], 2, "is not a JSON object"),
        (&["--request", "GET /api/v1/reviews", "--header", "x"], 2, "is not a header"),
        (&["--request", "GET /api/v1/reviews", "--header", "X A: 1"], 2, "is not a header"),
        (
            &["--request", "GET /api/v1/reviews/7", "--body", "{}"],
            0,
            "warning: the request is GET and has a body",
        ),
    ];
    for (more, code, says) in cases {
        let tried = try_with(adapter, more).await;
        assert_eq!(tried.code, code, "{more:?}: {tried:?}");
        assert!(tried.err.contains(says), "{more:?}: {}", tried.err);
    }
    // A mistake in the adapter is told with its line, and is not taken for a difference.
    let text = std::fs::read_to_string(&wrong).unwrap();
    std::fs::write(&wrong, text.replace("author_id: authorId", "author_id: autorId")).unwrap();
    let mistaken = try_with(adapter, &["--request", "GET /api/v1/reviews/7"]).await;
    assert_eq!(mistaken.code, 2, "{mistaken:?}");
    assert!(mistaken.err.contains("adapter.yaml:13:"), "{}", mistaken.err);
    assert!(mistaken.err.contains("did you mean authorId?"), "{}", mistaken.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_is_chosen_from_a_configuration_with_its_comparison() {
    let backends = Backends::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cutover.yaml");
    let adapter = reviews().join("adapter.yaml");
    let text = format!(
        "feature_flags: {{ graphql: {{ enabled: true, rollout_percentage: 100 }} }}\n\
         origins: {{ rest: {{ url: \"{old}\" }}, graphql: {{ url: \"{new}\" }} }}\n\
         adapters: {{ reviews: \"{}\" }}\n\
         routes:\n  - {{ id: reviews, match: {{ path: \"/api/v1/{{*rest}}\" }}, flag: graphql, legacy: rest, new: graphql, \
         adapt: [reviews], compare: {{ sample: 1, rules: [{{ path: timestamp, ignore: true }}] }} }}\n",
        adapter.display(),
        old = backends.old.url(),
        new = backends.new.url(),
    );
    std::fs::write(&file, text).unwrap();
    let (new, old) = (backends.new.url(), backends.old.url());
    let try_with = async |name: &[&str]| {
        let file = file.to_str().unwrap();
        let mut arguments = vec!["adapter", "try", "-f", file, "--request", "GET /api/v1/reviews?limit=2"];
        arguments.extend(["--backend", &new, "--against", &old]);
        arguments.extend(name);
        cutover_alone(&arguments, "").await
    };
    let tried = try_with(&[]).await;
    assert_eq!(tried.code, 0, "{tried:?}");
    assert!(tried.out.starts_with("route      GET /api/v1/reviews of reviews\n"), "{}", tried.out);
    // A request goes where the edge would send it, and a file of the other kind is recognized.
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("adapt: [reviews],", "")).unwrap();
    let plain = try_with(&[]).await;
    assert_eq!(plain.code, 2, "{plain:?}");
    let expected = "route reviews has no adapt: the request goes to the new backend as it is";
    assert!(plain.err.contains(expected), "{}", plain.err);
    std::fs::write(&file, text.replace("/api/v1/{*rest}", "/api/v2/{*rest}")).unwrap();
    let unrouted = try_with(&[]).await;
    assert_eq!(unrouted.code, 2, "{unrouted:?}");
    assert!(unrouted.err.contains("cutover.yaml matches GET /api/v1/reviews?limit=2"), "{}", unrouted.err);
    let named = try_with(&["--name", "reviews"]).await;
    assert!(named.out.starts_with("route      GET /api/v1/reviews of reviews\n"), "{named:?}");
    std::fs::write(&file, &text).unwrap();
    let adapter = adapter.to_str().unwrap();
    for (option, other, says) in [
        ("--adapter", file.to_str().unwrap(), "is a configuration, not an adapter\n  hint: use -f "),
        ("-f", adapter, "is an adapter, not a configuration\n  hint: use --adapter "),
    ] {
        let request = ["--request", "GET /api/v1/reviews", "--backend", &new];
        let exchanged = cutover_alone(&[&["adapter", "try", option, other][..], &request].concat(), "").await;
        assert_eq!(exchanged.code, 2, "{exchanged:?}");
        assert!(exchanged.err.contains(says), "{}", exchanged.err);
    }
    let unknown = try_with(&["--name", "review"]).await;
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.err.contains("use --name with one of: reviews"), "{}", unknown.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_pairs_are_tested() {
    let backends = Backends::start().await;
    let (new, old) = (backends.new.url(), backends.old.url());
    let requests = "rules: [{ path: timestamp, ignore: true }]\n\
                    pairs:\n\
                    - GET /api/v1/reviews/7\n\
                    - GET /api/v1/reviews?page=2&limit=7\n\
                    - GET /api/v1/reviews/4711\n\
                    - { request: PUT /api/v1/reviews/7, body: { rating: 0 } }\n\
                    - { request: DELETE /api/v1/reviews/9 }\n";
    let recorded = cutover_alone(&["adapter", "test", "-", "--record", &old], requests).await;
    assert_eq!((recorded.code, recorded.err.as_str()), (0, ""), "{recorded:?}");
    let folder = tempfile::tempdir().unwrap();
    let pairs = folder.path().join("pairs.yaml");
    std::fs::write(&pairs, &recorded.out).unwrap();
    let pairs = pairs.to_str().unwrap();

    let example = reviews().join("adapter.yaml");
    let test = async |adapter: &Path, more: &[&str]| {
        let adapter = adapter.to_str().unwrap();
        let mut arguments = vec!["adapter", "test", pairs, "--adapter", adapter, "--backend", &new];
        arguments.extend(more);
        cutover_alone(&arguments, "").await
    };
    let passed = test(&example, &[]).await;
    assert_eq!((passed.code, passed.err.as_str()), (0, ""), "{passed:?}\n{}", recorded.out);
    assert!(passed.out.ends_with("5 pairs: 5 ok, 0 different\n"), "{}", passed.out);

    let wrong = changed("tests/reviews", folder.path(), "text: text\n", "text: { const: nothing }\n");
    let failed = test(&wrong, &[]).await;
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.out.contains("\n    data[].text: value"), "{}", failed.out);
    assert!(
        failed.out.contains("    data.text: value, \"Would buy again.\" -> \"nothing\"\n"),
        "{}",
        failed.out
    );
    assert!(failed.out.ends_with("5 pairs: 3 ok, 2 different\n"), "{}", failed.out);
    let report: Value = serde_json::from_str(&test(&wrong, &["--json"]).await.out).unwrap();
    assert_eq!((&report["ok"], &report["different"]), (&3.into(), &2.into()), "{report:#}");

    // Legacy itself can be the expectation, and a route that the adapter does not have is a difference.
    let live = "rules: [{ path: timestamp, ignore: true }]\n\
                pairs:\n\
                - { request: GET /api/v1/reviews/7, expect: legacy }\n\
                - { request: GET /api/v1/nothing, expect: { status: 404 } }\n";
    std::fs::write(pairs, live).unwrap();
    let unknown = test(&example, &[]).await;
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(
        unknown.err.contains("pairs.yaml:3: legacy is expected of GET /api/v1/reviews/7"),
        "{}",
        unknown.err
    );
    let compared = test(&example, &["--against", &old]).await;
    assert_eq!(compared.code, 1, "{compared:?}");
    assert!(compared.out.contains("ok            3  GET /api/v1/reviews/7\n"), "{}", compared.out);
    assert!(compared.out.contains("no route of "), "{}", compared.out);
    std::fs::write(pairs, "- { request: GET /a, expect: { state: 200 } }\n").unwrap();
    let mistaken = test(&example, &[]).await;
    assert_eq!(mistaken.code, 2, "{mistaken:?}");
    assert!(mistaken.err.contains("pairs.yaml:1:"), "{}", mistaken.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_pairs_is_refused_and_a_record_goes_to_a_new_file() {
    let backends = Backends::start().await;
    let old = backends.old.url();
    let adapter = reviews().join("adapter.yaml");
    let arguments = ["adapter", "test", "-", "--adapter", adapter.to_str().unwrap(), "--backend", &old];
    let empty = cutover_alone(&arguments, "pairs: []\n").await;
    assert_eq!(empty.code, 2, "{empty:?}");
    assert!(
        empty.err.contains("no pairs in standard input\n  hint: record some with --record URL"),
        "{empty:?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pairs.yaml");
    let record = async |url: &str| {
        let arguments = ["adapter", "test", "-", "--record", url, "--output", file.to_str().unwrap()];
        cutover_alone(&arguments, "[GET /api/v1/reviews/7, GET /api/v1/reviews/8]").await
    };
    // The file is there before legacy is asked, and an existing one is kept.
    let broken = record(DEAD).await;
    assert_eq!(broken.code, 7, "{broken:?}");
    assert!(broken.err.contains("0 of 2 pairs were recorded before"), "{broken:?}");
    assert_eq!(record(&old).await.code, 2);
    std::fs::remove_file(&file).unwrap();
    let recorded = record(&old).await;
    assert_eq!((recorded.code, recorded.out.as_str()), (0, ""), "{recorded:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("- ")).count(), 2, "{text}");
}

/// A URL at which nothing listens: the port is reserved.
const DEAD: &str = "http://127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_told_with_its_url_and_its_cause() {
    let backends = Backends::start().await;
    let new = backends.new.url();
    let adapter = reviews().join("adapter.yaml");
    let run = async |more: &[&str]| {
        let mut arguments = vec!["adapter", "try", "--adapter", adapter.to_str().unwrap()];
        arguments.extend(["--request", "GET /api/v1/reviews/7"]);
        arguments.extend(more);
        cutover_alone(&arguments, "").await
    };
    let dead = run(&["--backend", DEAD]).await;
    assert_eq!(dead.code, 7, "{dead:?}");
    assert!(dead.out.contains("request    POST http://127.0.0.1:1/graphql\n"), "{}", dead.out);
    assert!(dead.err.contains("POST http://127.0.0.1:1/graphql: Connection refused"), "{}", dead.err);
    // The adapter's own result is shown although legacy is dead.
    let alone = run(&["--backend", &new, "--against", DEAD]).await;
    assert_eq!(alone.code, 7, "{alone:?}");
    assert!(alone.out.contains("answer     200\n") && !alone.out.contains("legacy"), "{}", alone.out);
    assert!(alone.err.contains("GET http://127.0.0.1:1/api/v1/reviews/7: "), "{}", alone.err);
    let no_url = cutover_alone(&["adapter", "schema", "nourl"], "").await;
    assert_eq!(no_url.code, 2, "{no_url:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_ends_every_command_quietly() {
    let backends = Backends::start().await;
    let new = backends.new.url();
    let adapter = reviews().join("adapter.yaml");
    let adapter = adapter.to_str().unwrap();
    let tried =
        ["adapter", "try", "--adapter", adapter, "--request", "GET /api/v1/reviews/7", "--backend", &new];
    let commands: [(&[&str], i32); 3] = [(&tried, 141), (&["completions", "bash"], 141), (&["--help"], 141)];
    for (arguments, code) in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(paths::root().join("target/debug/cutover"));
        command.args(arguments).stdout(writer).stderr(std::process::Stdio::piped());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.as_str()), (Some(code), ""), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_adapter_is_written_from_both_documents() {
    let backends = Backends::start().await;
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("adapter");
    let (openapi, schema) = (reviews().join("openapi.yaml"), reviews().join("schema.graphql"));
    let init = async |more: &[&str]| {
        let mut arguments = vec!["adapter", "init", "--openapi", openapi.to_str().unwrap()];
        arguments.extend(["--output", output.to_str().unwrap()]);
        arguments.extend(more);
        cutover_alone(&arguments, "").await
    };
    let from_file = ["--schema", schema.to_str().unwrap()];
    let written = init(&from_file).await;
    assert_eq!((written.code, written.err.as_str()), (0, ""), "{written:?}");
    assert!(written.out.contains("6 routes are adapted, 1 left to legacy\n"), "{}", written.out);
    assert!(written.out.contains("  GET /api/v1/users/{id}/reviews: "), "{}", written.out);
    assert!(written.out.contains("decisions are left to you, marked DECIDE in "), "{}", written.out);

    // It answers up to the envelope: what the old response has in `data` is there, field by field.
    let adapter = output.join("adapter.yaml");
    for request in
        ["GET /api/v1/reviews/7", "GET /api/v1/reviews?page=2&limit=7", "GET /api/v1/offers/3/reviews"]
    {
        let more = ["--request", request, "--ignore", "success", "--json"];
        let tried = backends.compared(&adapter, &more).await;
        assert_eq!(tried.code, 0, "{request}: {}{}", tried.out, tried.err);
        let report: Value = serde_json::from_str(&tried.out).unwrap();
        let body: Value = serde_json::from_str(report["answer"]["body"].as_str().unwrap()).unwrap();
        assert!(body["data"].is_object() || body["data"].is_array(), "{request}: {body:#}");
    }

    // Nothing is overwritten unless it is asked for; the schema may come from the backend itself.
    let refused = init(&from_file).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("adapter.yaml") && refused.err.contains("--force"), "{}", refused.err);
    let url = format!("{}/graphql", backends.new.url());
    let again = init(&["--schema", &url, "--force", "--json"]).await;
    assert_eq!(again.code, 0, "{again:?}");
    let report: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((&report["routes"], report["left"].as_array().unwrap().len()), (&6.into(), 1), "{report:#}");
    assert_eq!(report["files"].as_array().unwrap().len(), 3, "{report:#}");
    let other = reviews().join("adapter.yaml");
    let no_document =
        cutover_alone(&["adapter", "init", "--openapi", other.to_str().unwrap(), "--schema", &url], "").await;
    assert_eq!(no_document.code, 2, "{no_document:?}");
    assert!(no_document.err.contains("this is no OpenAPI document"), "{}", no_document.err);
}
