//! Callers of OFREP: tokens, their flags and their pace, callers without one, and pages of other origins.

use super::{Evaluating, FLAGS, SERVER, TOKENS, USER, VALUES, WEB, backend, keys};
use cutover_core::{Revision, config::Config};
use cutover_tests::{
    http::{self, Answer},
    patience::until,
    proxied::{SingleRouteWorker, single_route},
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_needs_a_token_in_one_of_two_headers() {
    let edge = Evaluating::start("").await;
    let bearer = |token: &str| format!("Bearer {token}");
    let (right, wrong) = (bearer(SERVER), bearer("other"));
    for (headers, status) in [
        (vec![("authorization", right.as_str())], 200),
        (vec![("authorization", "bearer server-token")], 200),
        (vec![("x-api-key", SERVER)], 200),
        (vec![("authorization", right.as_str()), ("x-api-key", "other")], 200),
        (vec![], 401),
        (vec![("authorization", wrong.as_str())], 401),
        (vec![("authorization", "Bearer")], 401),
        (vec![("authorization", "Basic c2VydmVyLXRva2Vu")], 401),
        (vec![("x-api-key", "")], 401),
        // The hash is in the configuration, and opens nothing.
        (vec![("x-api-key", "92e6f5d9714df393665cfceda28fad274ac294a2614e6ba3aebbcfae133a16c2")], 401),
    ] {
        let answer = edge.send("POST", FLAGS, &headers, USER).await;
        assert_eq!(answer.status, status, "{headers:?}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.as_deref(), (status == 401).then_some("Bearer"), "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_evaluates_its_flags_and_no_others() {
    let edge = Evaluating::start("").await;
    assert_eq!(keys(&edge.post(FLAGS, WEB, USER).await), ["colour", "shop.discount", "shop.split"]);
    for (key, status) in
        [("colour", 200), ("shop.discount", 200), ("limits", 403), ("none", 403), ("shop.none", 404)]
    {
        let answer = edge.post(&format!("{FLAGS}/{key}"), WEB, USER).await;
        assert_eq!(answer.status, status, "{key}");
        assert!(status != 403 || answer.body.is_empty(), "a refusal tells nothing of the flag");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_needs_a_token_if_the_configuration_says_so() {
    let edge = Evaluating::start("  anonymous: true\n").await;
    assert_eq!(keys(&edge.send("POST", FLAGS, &[], USER).await).len(), 6);
    assert_eq!(keys(&edge.post(FLAGS, WEB, USER).await).len(), 3);
    assert_eq!(edge.post(FLAGS, "other", USER).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_over_its_pace_is_told_when_to_come_again() {
    let edge = Evaluating::start("  requests_per_second: 1\n").await;
    // Two requests in one second: the first of any three in a row may fall into the second before.
    let mut answers: Vec<Answer> = Vec::new();
    while answers.len() < 20 && !answers.iter().any(|answer| answer.status == 429) {
        answers.push(edge.post(FLAGS, SERVER, USER).await);
    }
    assert_eq!(answers[0].status, 200);
    let refused = answers.last().unwrap();
    assert_eq!((refused.status, refused.header("retry-after").as_deref()), (429, Some("1")));
    assert_eq!(edge.post(FLAGS, WEB, USER).await.status, 200, "another token has a pace of its own");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(edge.post(FLAGS, SERVER, USER).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_named_origins_can_read_the_answers() {
    let edge = Evaluating::start("  origins: [\"https://app.example\"]\n").await;
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,if-none-match"),
    ];
    let allowed = edge.send("OPTIONS", FLAGS, &preflight, "").await;
    assert_eq!(allowed.status, 204);
    let header = |name: &str| allowed.header(name).unwrap_or_default();
    assert_eq!(header("access-control-allow-origin"), "https://app.example");
    assert_eq!(header("access-control-allow-methods"), "POST");
    assert_eq!(
        header("access-control-allow-headers"),
        "authorization, content-type, if-none-match, x-api-key"
    );
    assert_eq!(header("vary"), "origin");
    let strange = edge.send("OPTIONS", FLAGS, &[("origin", "https://evil.example")], "").await;
    assert_eq!((strange.status, strange.header("access-control-allow-origin")), (204, None));

    let headers = [("origin", "https://app.example"), ("x-api-key", WEB)];
    let answer = edge.send("POST", FLAGS, &headers, USER).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin").as_deref(), Some("https://app.example"));
    assert_eq!(answer.header("access-control-expose-headers").as_deref(), Some("etag, retry-after"));
    // A 304 without the header would be an error to the browser.
    let tag = answer.header("etag").unwrap();
    let held = [headers[0], headers[1], ("if-none-match", tag.as_str())];
    let same = edge.send("POST", FLAGS, &held, USER).await;
    assert_eq!((same.status, same.header("access-control-allow-origin").is_some()), (304, true));
    let refused = edge.send("POST", FLAGS, &headers[..1], USER).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin").is_some()), (401, true));
}

/// The Worker copies its responses from earlier ones, and knows the origin of a page by its position: the next
/// configuration has another one there.
#[tokio::test(flavor = "multi_thread")]
async fn pages_that_a_new_configuration_names_are_allowed_and_no_others() {
    const FIRST: &str = "https://first.example";
    const SECOND: &str = "https://second.example";
    const THIRD: &str = "https://third.example";
    let backend = backend().await;
    let flag = "enabled: true, rollout_percentage: 100";
    let route = single_route(&backend.url(), &backend.url(), 5_000, flag, "");
    let yaml = |pages: [&str; 2]| format!("{route}{VALUES}ofrep:\n  {TOKENS}\n  origins: {pages:?}\n");
    let variables = [("SNAPSHOT_SOFT_TTL_MS", "100")];
    let edge = SingleRouteWorker::configured(&yaml([FIRST, SECOND]), &variables).await;
    let allowed = async |page: &str| {
        let headers = [("origin", page), ("x-api-key", WEB)];
        let answer = http::send(edge.port(), "POST", FLAGS, &headers, USER.as_bytes()).await;
        assert_eq!(answer.status, 200);
        answer.header("access-control-allow-origin")
    };
    let pages = async || [allowed(FIRST).await, allowed(SECOND).await, allowed(THIRD).await];
    let named = |page: &str| Some(page.to_owned());
    for _ in 0..2 {
        assert_eq!(pages().await, [named(FIRST), named(SECOND), None]);
    }
    let config = Config::from_yaml(&yaml([SECOND, THIRD])).unwrap_or_else(|problems| panic!("{problems:?}"));
    edge.kv.put("snapshot", config.snapshot(Revision(2), None).encode().unwrap());
    until(Duration::from_secs(30), "allowed", async || allowed(THIRD).await.is_some()).await;
    for _ in 0..2 {
        assert_eq!(pages().await, [None, named(SECOND), named(THIRD)]);
    }
}

/// A backend keeps paths that it has already, also those that are no endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn paths_below_ofrep_reach_the_backend_unless_they_are_endpoints() {
    let details = |answer: &Answer| answer.json()["errorDetails"].clone();
    let closed = Evaluating::configured(VALUES, "").await;
    let answer = closed.post(FLAGS, SERVER, USER).await;
    assert_eq!((answer.status, details(&answer)), (404, "from the backend".into()));
    let open = Evaluating::start("").await;
    for path in
        ["/ofrep/v1/evaluate/flags/", "/ofrep/v1/configuration", "/ofrep/v1/evaluate/flags/a/b", "/ofrep"]
    {
        let answer = open.post(path, SERVER, USER).await;
        assert_eq!((answer.status, details(&answer)), (404, "from the backend".into()), "{path}");
    }
    assert_eq!(open.post(FLAGS, SERVER, USER).await.status, 200);
}

/// The Worker knows most addresses of its endpoints at a glance; the others are what a backend would get.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_another_form_is_that_of_the_path_that_it_means() {
    let edge = Evaluating::start("").await;
    // The second request finds the table of the first one in force.
    for _ in 0..2 {
        assert_eq!(edge.post(FLAGS, SERVER, USER).await.status, 200);
    }
    for (path, status, is_of_backend) in [
        ("/ofrep/v1/evaluate/flags?a=/b", 200, false),
        ("/ofrep/v1/evaluate/flags/colour?a", 200, false),
        ("/ofrep/v1/evaluate/flags/%63olour", 200, false),
        ("/ofrep/v1/x/../evaluate/flags", 200, false),
        ("/ofrep/v1/evaluate/./flags/colour", 200, false),
        ("/ofrep/v1/evaluate/flags/.colour", 404, false),
        ("/ofrep/v1/evaluate/flags/a%2Fb", 404, false),
        ("/ofrep/v1/evaluate/flags/..", 404, true),
        ("/ofrep/v1/evaluate/flags/%2E%2e", 404, true),
        ("/ofrep/v1/evaluate/flags/colour/..", 404, true),
        ("/ofrep/v1/evaluate/flags/a\\b", 404, true),
        ("/OFREP/v1/evaluate/flags", 404, true),
        ("/a/ofrep/v1/evaluate/flags", 404, true),
    ] {
        let answer = edge.post(path, SERVER, USER).await;
        assert_eq!(answer.status, status, "{path}");
        let details = &answer.json()["errorDetails"];
        assert_eq!(*details == "from the backend", is_of_backend, "{path}: {details}");
    }
}
