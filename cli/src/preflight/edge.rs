//! Checks of the Worker: has the current snapshot, decides like the control plane, and reports.

use super::{check::Check, options::Options};
use crate::{
    client::{Client, encode},
    http::unreachable,
    output::field,
};
use reqwest::blocking;
use serde_json::Value;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Longest wait for a revision at the edge: the delay of Workers KV and the soft TTL.
const PROPAGATION: Duration = Duration::from_secs(20);

/// Longest wait for an isolate's report after a request.
const REPORT: Duration = Duration::from_secs(12);

/// Pause between two reads of an isolate's health.
const PAUSE: Duration = Duration::from_millis(500);

struct Edge<'e> {
    http: &'e blocking::Client,
    url: &'e str,
    token: Option<&'e str>,
}

impl Edge<'_> {
    fn get(&self, target: &str, token: Option<&str>) -> Result<(u16, Value), reqwest::Error> {
        let mut request = self.http.get(format!("{}{target}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send()?;
        Ok((response.status().as_u16(), serde_json::from_str(&response.text()?).unwrap_or_default()))
    }

    /// Sends a request to the API itself, which makes the isolate refresh an old snapshot and gives
    /// it something to report. Returns the status of the response.
    fn poke(&self) -> Result<u16, reqwest::Error> {
        let response = self.http.head(format!("{}/", self.url)).send()?;
        Ok(response.status().as_u16())
    }

    /// Reads the health of an isolate until it is as wanted, or until patience runs out.
    fn health_until(&self, patience: Duration, is_wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let begun = Instant::now();
        loop {
            let health = self.get("/_cutover/health", self.token).ok().map(|(_, health)| health);
            if health.as_ref().is_some_and(&is_wanted) || begun.elapsed() > patience {
                return health;
            }
            sleep(PAUSE);
            let _ = self.poke();
        }
    }
}

/// Checks the Worker.
pub fn check(
    options: &Options,
    http: &blocking::Client,
    client: &Client,
    status: Option<&Value>,
    checks: &mut Vec<Check>,
) {
    let Some(url) = options.edge.as_deref().filter(|url| !url.is_empty()) else {
        checks.push(Check::skipped("edge", "set CUTOVER_EDGE_URL or --edge"));
        return;
    };
    let token = options.edge_token.as_deref().filter(|token| !token.is_empty());
    let edge = Edge { http, url: url.trim_end_matches('/'), token };
    let is_holder = match edge.get("/_cutover/health", token) {
        Ok((200, health)) if health.get("status").is_some() => {
            checks.push(Check::ok("edge answers", "yes"));
            settings(&health, checks);
            health.get("kv_reads").is_some()
        }
        Ok((status, _)) => {
            let remedy = "the Worker does not serve this URL; check its route in wrangler.toml";
            checks.push(Check::fail("edge answers", format!("{status} for /_cutover/health"), remedy));
            return;
        }
        Err(error) => {
            let remedy = "check the URL, and that the Worker is deployed (npx wrangler deployments list)";
            checks.push(Check::fail("edge answers", unreachable(&error), remedy));
            return;
        }
    };
    checks.push(unmatched_requests(&edge));
    if is_holder {
        if let Some(status) = status {
            checks.push(revision(&edge, status));
        }
        checks.push(reports(&edge));
    } else {
        // Without the token the Worker says only that it runs.
        for name in ["edge is up to date", "edge reports"] {
            checks.push(Check::skipped(name, "set CUTOVER_EDGE_TOKEN to the Worker's token"));
        }
    }
    checks.push(decisions(&edge, options, client, status.is_some()));
}

fn settings(health: &Value, checks: &mut Vec<Check>) {
    let invalid = field(health, "settings_not_understood");
    if !invalid.is_empty() {
        let remedy = "correct these variables in wrangler.toml; until then they are ignored";
        checks.push(Check::fail("edge settings", format!("invalid: {invalid}"), remedy));
    }
}

/// Checks that a request without a route reaches legacy.
fn unmatched_requests(edge: &Edge<'_>) -> Check {
    let name = "unmatched requests";
    let remedy = "set LEGACY_ORIGIN in wrangler.toml to the old backend, and check that it responds";
    match edge.poke() {
        Ok(status) if status < 500 => Check::ok(name, format!("HEAD / returns {status}")),
        Ok(status) => Check::fail(name, format!("HEAD / returns {status}"), remedy),
        Err(error) => Check::fail(name, unreachable(&error), remedy),
    }
}

fn revision(edge: &Edge<'_>, status: &Value) -> Check {
    let name = "edge is up to date";
    let head = status.get("revision").and_then(Value::as_u64).unwrap_or_default();
    let held = |health: &Value| health.get("revision").and_then(Value::as_u64);
    let health = edge.health_until(PROPAGATION, |health| held(health).is_some_and(|held| held >= head));
    let health = health.unwrap_or_default();
    let refusal = health.get("last_refusal").and_then(Value::as_str).unwrap_or("none");
    match held(&health) {
        Some(revision) if revision >= head => Check::ok(name, format!("revision {revision}")),
        Some(revision) => Check::fail(
            name,
            format!("revision {revision} instead of {head}; last refused snapshot: {refusal}"),
            "compare the id under kv_namespaces in wrangler.toml with CUTOVER_KV_NAMESPACE of the functions",
        ),
        None => Check::fail(
            name,
            format!("no snapshot, so legacy serves everything; last refused snapshot: {refusal}"),
            "bind the namespace that the functions write to: the id under kv_namespaces in wrangler.toml",
        ),
    }
}

fn reports(edge: &Edge<'_>) -> Check {
    let name = "edge reports";
    let number =
        |health: &Value, field: &str| health.pointer(field).and_then(Value::as_u64).unwrap_or_default();
    let health = edge.health_until(REPORT, |health| {
        let is_off = health.pointer("/reporting/enabled").and_then(Value::as_bool) == Some(false);
        let is_told = health.pointer("/reporting/silence_ms").is_some_and(Value::is_number);
        is_off || is_told || number(health, "/reporting/sent") + number(health, "/reporting/failures") > 0
    });
    let health = health.unwrap_or_default();
    let (sent, failures) = (number(&health, "/reporting/sent"), number(&health, "/reporting/failures"));
    let is_off = health.pointer("/reporting/enabled").and_then(Value::as_bool) == Some(false);
    match (sent, failures) {
        (0, 0) if is_off => Check::fail(
            name,
            "reporting is off: no canary can be measured, and the kill switch is as slow as KV",
            "deploy the Worker with --var INGEST_URL:URL (terraform output ingest_url)",
        ),
        // Reports may be a minute apart.
        (0, 0) if health.pointer("/reporting/silence_ms").is_some_and(Value::is_number) => {
            Check::ok(name, "the control plane answers its questions; no report was due yet")
        }
        (0, 0) => Check::warn(
            name,
            "no question and no report was due within twelve seconds",
            "send it some requests and try again",
        ),
        (0, failures) => Check::fail(
            name,
            format!("all {failures} reports were refused or lost"),
            "check INGEST_URL in wrangler.toml, and that CUTOVER_INGEST_SECRET is the same as the functions'",
        ),
        (sent, failures) => Check::ok(name, format!("{sent} reports accepted, {failures} refused or lost")),
    }
}

/// Checks that the edge and the control plane decide the same request alike.
fn decisions(edge: &Edge<'_>, options: &Options, client: &Client, is_known: bool) -> Check {
    let name = "edge and API agree";
    let Some(token) = options.edge_token.as_deref().filter(|token| !token.is_empty()) else {
        return Check::skipped(name, "set CUTOVER_EDGE_TOKEN to the Worker's token");
    };
    let route =
        if is_known { client.get("/config").ok().and_then(|config| first_route(&config)) } else { None };
    let Route { flag, path } = route.unwrap_or_else(|| Route { flag: String::new(), path: "/".to_owned() });
    let target = format!("/_cutover/decide?path={}&user=preflight&method=GET", encode(&path));
    let at_edge = match edge.get(&target, Some(token)) {
        Ok((200, decision)) => decision,
        Ok((status, body)) => {
            let detail = body.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
            let remedy = "npx wrangler secret put CUTOVER_EDGE_TOKEN --env ENVIRONMENT, with the token that is used here";
            return Check::fail(name, format!("{status}: {detail}"), remedy);
        }
        Err(error) => return Check::fail(name, unreachable(&error), "try again"),
    };
    if flag.is_empty() {
        return Check::ok(name, "the token is accepted; there is no route to compare yet");
    }
    let target = format!("/flags/{}/explain?user=preflight&method=GET&path={}", encode(&flag), encode(&path));
    let at_api = match client.get(&target) {
        Ok(decision) => decision,
        Err(failure) => return Check::unanswered(name, &failure),
    };
    for part in ["revision", "arm", "reason", "bucket"] {
        let (edge, api) = (field(&at_edge, part), field(&at_api, part));
        // The API reports the bucket even if it did not matter.
        let is_reported = part != "bucket" || edge != "-";
        if is_reported && edge != api {
            let detail = format!("{part} for {path}: {edge} at the edge, {api} at the API");
            return Check::fail(name, detail, "deploy the Worker and the functions in the same version");
        }
    }
    Check::ok(name, format!("{path} is decided by {flag}, with the same result"))
}

/// A path that a flag decides.
struct Route {
    flag: String,
    path: String,
}

/// Returns the first route for GET, with a path that it matches.
fn first_route(config: &Value) -> Option<Route> {
    let routes = config.get("routes")?.as_array()?;
    let route = routes.iter().find(|route| {
        let methods = route.pointer("/match/methods").and_then(Value::as_array);
        methods.is_none_or(|methods| methods.is_empty() || methods.iter().any(|method| method == "GET"))
    })?;
    let pattern = route.pointer("/match/path")?.as_str()?;
    let path: Vec<&str> =
        pattern.split('/').map(|segment| if segment.starts_with('{') { "1" } else { segment }).collect();
    Some(Route { flag: route.get("flag")?.as_str()?.to_owned(), path: path.join("/") })
}
