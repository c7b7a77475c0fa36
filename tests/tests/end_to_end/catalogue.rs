//! A second interface behind an adapter, unlike the reviews: pages with URLs, filters, lists of links, several ids in one
//! segment. Its REST and its GraphQL backend share their data, so the Worker has to answer as the old backend does, to the
//! byte. The adapter is `tests/catalogue/adapter.yaml`.

use crate::adapter::compared;
use cutover_core::{
    config::Config,
    statistics::{Threshold, firing},
    vocabulary::revision::Revision,
};
use cutover_origins::{Backend, Faults, Origin, catalogue_sdl};
use cutover_tests::{
    command::cutover,
    http::{Answer, get, send},
    is_deep, paths,
    proxied::SingleRouteWorker,
    stack::{Options, ROOT_TOKEN, Stack},
    steady::Steady,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

fn adapter() -> PathBuf {
    paths::root().join("tests/catalogue/adapter.yaml")
}

/// The old backend, the new one, and a Worker that sends users to the new one through the adapter.
struct Arms {
    old: Origin,
    _new: Origin,
    worker: SingleRouteWorker,
}

/// Starts a Worker that sends every user to the new backend.
async fn started() -> Arms {
    started_at(100).await
}

/// Starts a Worker that sends so many percent of the users to the new backend.
async fn started_at(percentage: u32) -> Arms {
    let old = Origin::start_catalogue(Backend::Legacy).await;
    let new = Origin::start_catalogue(Backend::New).await;
    let text = format!(
        "feature_flags: {{ catalogue: {{ enabled: true, rollout_percentage: {percentage} }} }}\n\
         origins: {{ rest: {{ url: \"{}\", timeout_ms: 5000 }}, graphql: {{ url: \"{}\", timeout_ms: 5000 }} }}\n\
         adapters: {{ catalogue: \"{}\" }}\n\
         routes: [{{ id: catalogue, match: {{ path: \"/api/{{*rest}}\" }}, flag: catalogue, legacy: rest, \
         new: graphql, adapt: [catalogue] }}]\n",
        old.url(),
        new.url(),
        adapter().display(),
    );
    let files = |name: &str| std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"));
    let config = Config::from_yaml_with(&text, &files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let legacy = old.url();
    let variables = [("LEGACY_ORIGIN", legacy.as_str()), ("DECISION_HEADERS", "arm,reason,revision")];
    let worker = SingleRouteWorker::holding(&config.snapshot(Revision(1), None), &variables).await;
    Arms { old, _new: new, worker }
}

/// Each kind of entry, with the number of its entries and its filters.
const KINDS: [(&str, u32, &[&str]); 3] = [
    (
        "person",
        120,
        &[
            "name=ma",
            "name=MARSH",
            "name=c%C3%A9lia",
            "name=%22red%22+rook",
            "name=a%20n",
            "na%6De=bram",
            "name=a&name=b",
            "name=",
            "name=%25",
            "name=nobody",
            "name[]=a",
            "status=active",
            "status=retired&name=wren",
            "status=",
            "status=gone",
            "status=ACTIVE",
            "genre=satire",
            "genre=%20",
            "genre=writing&status=unknown",
            "role[]=author",
            "role[]=painter&role[]=editor",
            "role%5B%5D=composer",
            "role[]=",
            "role=author",
            "status=active&colour=red&role[]=author&genre=",
        ],
    ),
    (
        "place",
        40,
        &[
            "name=harbour",
            "name=M%C3%A4rkt",
            "type=town",
            "type=",
            "region=the+coast",
            "region=hills&type=city",
            "type=sea",
        ],
    ),
    ("work", 30, &["name=winter", "name=%C3%A9tude", "code=S01", "code=s02w1", "code=X", "name=a&code=S"]),
];

const LISTS: [&str; 13] = [
    "1,2,3",
    "3,1,2",
    "7,7",
    "1%2C2",
    "7%2c8",
    "2,",
    ",2",
    "1,,2",
    ",",
    "1,9999",
    "9998,9999",
    "1,x",
    "02,+3",
];

const ODD_IDS: [&str; 15] = [
    "9999",
    "abc",
    "1abc",
    "%20",
    "1.0",
    "1.5",
    "-1",
    "01",
    "0x1",
    "1e3",
    "99999999999999999999",
    "%C3%A9",
    "1%2F2",
    "null",
    "[1]",
];

const ODD_PAGES: [&str; 20] = [
    "page=abc",
    "page=",
    "page",
    "page=02",
    "page=1.5",
    "page=2.0",
    "page=2e0",
    "page=%202",
    "page=0",
    "page=-1",
    "page=%2B2",
    "page=%32",
    "page=2&page=1",
    "page=x&page=2",
    "page[]=2",
    "page=2147483647",
    "page=2147483648",
    "page=99999999999999999999",
    "page=two&colour=red",
    "&&page=2&",
];

/// Every request of the test, as a method and a target.
fn requests() -> BTreeSet<(&'static str, String)> {
    let mut targets = BTreeSet::new();
    for (kind, count, filters) in KINDS {
        let path = format!("/api/{kind}");
        targets.insert(path.clone());
        targets.extend((0..=count + 1).map(|id| format!("{path}/{id}")));
        targets.extend(LISTS.iter().chain(&ODD_IDS).map(|ids| format!("{path}/{ids}")));
        targets.extend((1..=count / 20 + 3).map(|page| format!("{path}?page={page}")));
        targets.extend(ODD_PAGES.iter().map(|page| format!("{path}?{page}")));
        for filter in filters {
            targets.extend([format!("{path}?{filter}"), format!("{path}?{filter}&page=1")]);
            targets.extend([format!("{path}?page=2&{filter}"), format!("{path}?{filter}&page=3")]);
        }
    }
    let heads: Vec<_> = targets.iter().step_by(15).map(|target| ("HEAD", target.clone())).collect();
    targets.into_iter().map(|target| ("GET", target)).chain(heads).collect()
}

/// Describes the differences between two responses, if there are any. The value of an entity tag is each server's own.
fn difference(got: &Answer, wanted: &Answer) -> Option<String> {
    let [got, wanted] = [got, wanted].map(|answer| {
        let mut headers = compared(answer);
        let is_tagged = headers.remove("etag").is_some();
        (answer.status, headers, is_tagged, String::from_utf8_lossy(&answer.body).into_owned())
    });
    (got != wanted).then(|| format!("\n  got    {got:?}\n  wanted {wanted:?}"))
}

/// Sends a request to the old backend and to the Worker. Returns their differences, and those from the expected arm.
async fn check(old: u16, worker: u16, method: &str, target: &str) -> Option<String> {
    let wanted = send(old, method, target, &[], b"").await;
    let got = send(worker, method, target, &[("x-user-id", "u1")], b"").await;
    let arm = got.header("x-cutover-arm").unwrap_or_default();
    let found = match difference(&got, &wanted) {
        None if arm == "new" => return None,
        None => format!("answered by the arm {arm:?}"),
        Some(found) => found,
    };
    Some(format!("{method} {target}: {found}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_requests_are_answered_by_the_graphql_backend_as_by_the_rest_backend() {
    const TASKS: usize = 8;
    let text = std::fs::read_to_string(adapter()).unwrap();
    assert!(text.lines().count() < 150, "the adapter has {} lines", text.lines().count());

    let Arms { old, _new, worker } = started().await;
    let (old, worker) = (old.port(), worker.port());
    let requests: Vec<_> = requests().into_iter().collect();
    let count = requests.len();
    assert!(count >= 300, "{count} requests");
    let begun = Instant::now();
    let tasks: Vec<_> = requests
        .chunks(count.div_ceil(TASKS))
        .map(|requests| {
            let requests = requests.to_vec();
            tokio::spawn(async move {
                let mut found = Vec::new();
                for (method, target) in requests {
                    found.extend(check(old, worker, method, &target).await);
                }
                found
            })
        })
        .collect();
    let mut found = Vec::new();
    for task in tasks {
        found.extend(task.await.unwrap());
    }
    assert!(found.is_empty(), "{} of {count} requests differ:\n{}", found.len(), found.join("\n"));
    println!(
        "{count} requests answered alike by the old backend and through the adapter, in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_response_already_gets_304_from_either_arm() {
    for (percentage, arm) in [(0, "legacy"), (100, "new")] {
        let Arms { old: _old, _new, worker } = started_at(percentage).await;
        let port = worker.port();
        for target in ["/api/person/7", "/api/place?page=2", "/api/work/1,2"] {
            let first = get(port, target, &[("x-user-id", "u1")]).await;
            assert_eq!(first.status, 200, "{arm} {target}");
            assert_eq!(first.header("x-cutover-arm").as_deref(), Some(arm), "{target}");
            let tag = first.header("etag").unwrap_or_else(|| panic!("{target} has no tag"));
            for method in ["GET", "HEAD"] {
                let headers = [("x-user-id", "u1"), ("if-none-match", tag.as_str())];
                let again = send(port, method, target, &headers, b"").await;
                assert_eq!((again.status, again.body.len()), (304, 0), "{arm} {method} {target}");
                assert_eq!(again.header("x-cutover-arm").as_deref(), Some(arm), "{method} {target}");
                assert_eq!(again.header("etag").as_deref(), Some(tag.as_str()), "{method} {target}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_the_adapter_does_not_know_are_answered_by_the_rest_backend() {
    let Arms { old, _new, worker } = started().await;
    let unknown: [(&str, &str, &[u8]); 4] = [
        ("GET", "/api/nothing", b""),
        ("GET", "/api/person/", b""),
        ("GET", "/api/person/1/works", b""),
        ("POST", "/api/person", b"{}"),
    ];
    for (method, target, body) in unknown {
        let headers = [("x-user-id", "u1"), ("content-type", "application/json")];
        let wanted = send(old.port(), method, target, &headers, body).await;
        let got = send(worker.port(), method, target, &headers, body).await;
        assert_eq!(got.header("x-cutover-reason").as_deref(), Some("UNADAPTED"), "{method} {target}");
        assert_eq!(difference(&got, &wanted), None, "{method} {target}");
    }
}

#[tokio::test]
async fn the_schema_of_the_catalogue_is_the_backends_own() {
    let text = std::fs::read_to_string(paths::root().join("tests/catalogue/schema.graphql")).unwrap();
    assert_eq!(text, catalogue_sdl(), "run `cargo run -p cutover-origins --example schema catalogue`");
}

/// Numbers of the test with canaries.
struct Size {
    /// Limit of the users whose responses may differ.
    limit: f64,
    /// Share of the responses of a new backend in which one field is changed, five times the limit.
    change_rate: f64,
    /// Requests per second, each of another user, half of them to each route. Of every ten seconds a flag's evidence keeps
    /// at most 2 048 compared users.
    per_second: f64,
    /// Seconds after which the test fails.
    patience: u64,
}

/// Returns the number of users without a difference that prove a limit, at the default level of `alpha_promote`: 231 for 2 %,
/// 3 121 for 0.1 %.
fn users_that_prove(limit: f64) -> u64 {
    const ALPHA: f64 = 0.05;
    let test = Threshold::below(limit, ALPHA);
    (1..).find(|users| test.evidence_below(0, *users) >= firing(ALPHA)).unwrap()
}

/// Starts a stack with a route and a canary for works, whose new backend is as it should be, and one of each for persons.
async fn with_canaries(old: &Origin, new: &Origin, changed: &Origin, limit: f64) -> Stack {
    let worker_variables = BTreeMap::from([
        ("SNAPSHOT_SOFT_TTL_MS", "200".to_owned()),
        ("REPORT_INTERVAL_MS", "300".to_owned()),
    ]);
    let stack = Stack::start(Options { worker_variables, ..Options::default() }).await;
    let origin = |name: &str, origin: &Origin| {
        format!("  {name}: {{ url: \"{}\", timeout_ms: 2000 }}\n", origin.url())
    };
    let flag = |name: &str| format!("  {name}: {{ enabled: true, rollout_percentage: 0 }}\n");
    let route = |flag: &str, path: &str, new: &str| {
        format!(
            "  - {{ id: {flag}, match: {{ path: \"{path}/{{*rest}}\" }}, flag: {flag}, legacy: rest, new: {new}, \
             adapt: [catalogue], compare: {{ sample: 100, noise: 0, per_minute: 100000, concurrency: 64 }} }}\n"
        )
    };
    let plan = |flag: &str| {
        format!(
            "  {flag}:\n    initial_percentage: 50\n    promotion_steps: [100]\n    step_duration_minutes: 0.03\n    \
             bake_minutes: 0.02\n    success_criteria: {{ max_error_rate: 0.05, max_response_time_p95: 1000, \
             max_mismatch_rate: {limit} }}\n    \
             rollback_criteria: {{ max_error_rate: 0.1, max_response_time_p95: 1500 }}\n"
        )
    };
    let text = [
        format!("adapters: {{ catalogue: \"{}\" }}\n", adapter().display()),
        "origins:\n".to_owned(),
        [origin("rest", old), origin("graphql", new), origin("changed", changed)].concat(),
        "feature_flags:\n".to_owned(),
        [flag("works"), flag("persons")].concat(),
        "routes:\n".to_owned(),
        [route("works", "/api/work", "graphql"), route("persons", "/api/person", "changed")].concat(),
        "canary_deployments:\n".to_owned(),
        [plan("works"), plan("persons")].concat(),
    ]
    .concat();
    let file = stack.state().join("cutover.yaml");
    std::fs::write(&file, text).unwrap();
    let done = cutover(&stack, ROOT_TOKEN, &["apply", "-f", file.to_str().unwrap()], "").await;
    assert_eq!(done.code, 0, "{}{}", done.out, done.err);
    stack
}

/// Two canaries side by side, of two routes with the same adapter: one is proven and climbs, and one whose new backend
/// changes a field in a few responses does not, although it is given as much time. In the suite the limit is 2 % and the
/// first one climbs one step, which takes the ten seconds of an event window and some more; with `--deep` the limit is
/// 0.1 %, the field is changed in 0.5 % of the responses, and the first one completes.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_backends_agree_climbs_and_one_with_a_changed_field_does_not() {
    let Size { limit, change_rate, per_second, patience } = if is_deep() {
        Size { limit: 0.001, change_rate: 0.005, per_second: 360.0, patience: 300 }
    } else {
        Size { limit: 0.02, change_rate: 0.1, per_second: 160.0, patience: 180 }
    };
    let old = Origin::start_catalogue(Backend::Legacy).await;
    let new = Origin::start_catalogue(Backend::New).await;
    let changed = Origin::start_catalogue(Backend::New).await;
    changed.control().set(Faults { change_rate, ..Faults::default() });
    let stack = with_canaries(&old, &new, &changed, limit).await;
    for flag in ["works", "persons"] {
        let path = format!("/canary/{flag}/start");
        let begun = stack.management().send("POST", &path, &[], None).await.expect(201);
        stack.edge_holds(begun.body["revision"].as_u64().unwrap()).await;
    }
    let enough = users_that_prove(limit);
    let begun = Instant::now();
    let traffic = Steady::start(&stack.edge.ports(), &["/api/work/7", "/api/person/7"], per_second);
    let (works, persons) = loop {
        stack.tick().await;
        let works = stack.management().get("/canary/works").await.expect(200).body;
        let persons = stack.management().get("/canary/persons").await.expect(200).body;
        assert_ne!(works["state"], "rolled_back", "{works:#}");
        assert_eq!(
            (persons["state"].as_str(), persons["step"].as_u64()),
            (Some("running"), Some(0)),
            "{persons:#}"
        );
        // It may have climbed on before enough users of the other one were compared.
        let has_climbed = works["step"].as_u64() >= Some(1);
        let is_done = if is_deep() { works["state"] == "completed" } else { has_climbed };
        if is_done && persons["evidence"]["users"]["compared"].as_u64() >= Some(enough) {
            break (works, persons);
        }
        assert!(begun.elapsed() < Duration::from_secs(patience), "{works:#}\n{persons:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let seen = traffic.stop().await;
    assert!(seen.iter().all(|seen| seen.status == 200));
    assert_eq!(works["evidence"]["users"]["mismatched"], 0, "{works:#}");
    let users = &persons["evidence"]["users"];
    println!(
        "limit {limit}: proven by {enough} users after {:.0} s; {} of {} users with a changed field hold theirs",
        begun.elapsed().as_secs_f64(),
        users["mismatched"],
        users["compared"]
    );
    assert!(users["mismatched"].as_u64() > Some(0), "{persons:#}");
    assert_eq!(persons["next"]["reason"], "not_proven", "{persons:#}");

    let report = stack.management().get("/comparisons").await.expect(200).body;
    let found = |route: &str| -> BTreeSet<(String, String)> {
        let reports = report["comparisons"].as_array().unwrap();
        let held = reports.iter().find(|held| held["route"] == route).unwrap_or_else(|| panic!("{report:#}"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let differences = held["differences"].as_array().unwrap().iter();
        differences.map(|difference| (text(&difference["path"]), text(&difference["kind"]))).collect()
    };
    assert_eq!(found("works"), BTreeSet::new(), "{report:#}");
    assert_eq!(found("persons"), BTreeSet::from([("name".to_owned(), "value".to_owned())]), "{report:#}");
}
