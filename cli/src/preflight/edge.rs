//! The Worker: whether it holds what is true, decides as the control plane says it does, and reports.

use super::{Check, Options, unreachable};
use crate::{
    client::{Client, encode},
    output::cell,
};
use reqwest::blocking;
use serde_json::Value;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// How long the edge may take to hold a revision: KV's own delay, and the soft TTL.
const ARRIVES: Duration = Duration::from_secs(20);

/// How long an isolate may take to report after a request.
const REPORTS: Duration = Duration::from_secs(12);

const PAUSE: Duration = Duration::from_millis(500);

struct Edge<'e> {
    http: &'e blocking::Client,
    url: &'e str,
}

impl Edge<'_> {
    fn get(&self, target: &str, token: Option<&str>) -> Result<(u16, Value), reqwest::Error> {
        let mut request = self.http.get(format!("{}{target}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&answer.text()?).unwrap_or_default()))
    }

    /// A request that belongs to the API, so that the isolate looks whether its snapshot is old, and has something to
    /// report.
    fn poke(&self) -> Result<u16, reqwest::Error> {
        let answer = self.http.head(format!("{}/", self.url)).send()?;
        Ok(answer.status().as_u16())
    }

    /// Asks for the state of an isolate until it is as wanted, or time is over.
    fn health_until(&self, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let begun = Instant::now();
        loop {
            let health = self.get("/_cutover/health", None).ok().map(|(_, health)| health);
            if health.as_ref().is_some_and(&wanted) || begun.elapsed() > patience {
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
        checks.push(Check::skipped("edge", "say where it is: CUTOVER_EDGE_URL or --edge"));
        return;
    };
    let edge = Edge { http, url: url.trim_end_matches('/') };
    match edge.get("/_cutover/health", None) {
        Ok((200, health)) if health.get("kv_reads").is_some() => {
            checks.push(Check::ok("edge answers", "yes"));
            settings(&health, checks);
        }
        Ok((status, _)) => {
            let remedy = "the Worker does not stand before this URL; check its route in wrangler.toml";
            checks.push(Check::fail("edge answers", format!("{status} at /_cutover/health"), remedy));
            return;
        }
        Err(error) => {
            let remedy = "check the URL, and that the Worker is deployed (npx wrangler deployments list)";
            checks.push(Check::fail("edge answers", unreachable(&error), remedy));
            return;
        }
    }
    checks.push(beside_routes(&edge));
    if let Some(status) = status {
        checks.push(revision(&edge, status));
    }
    checks.push(reports(&edge));
    checks.push(decisions(&edge, options, client, status.is_some()));
}

fn settings(health: &Value, checks: &mut Vec<Check>) {
    let not_understood = health.get("settings_not_understood").map(cell).unwrap_or_default();
    if !not_understood.is_empty() {
        let remedy = "correct these variables in wrangler.toml; until then they count as not written";
        checks.push(Check::fail("edge settings", format!("not understood: {not_understood}"), remedy));
    }
}

/// What no route is for goes to legacy.
fn beside_routes(edge: &Edge<'_>) -> Check {
    let name = "what no route is for";
    let remedy = "set LEGACY_ORIGIN in wrangler.toml to the old backend, and see that it answers";
    match edge.poke() {
        Ok(status) if status < 500 => Check::ok(name, format!("HEAD / is answered with {status}")),
        Ok(status) => Check::fail(name, format!("HEAD / is answered with {status}"), remedy),
        Err(error) => Check::fail(name, unreachable(&error), remedy),
    }
}

fn revision(edge: &Edge<'_>, status: &Value) -> Check {
    let name = "edge holds what is true";
    let head = status.get("revision").and_then(Value::as_u64).unwrap_or_default();
    let held = |health: &Value| health.get("revision").and_then(Value::as_u64);
    let health = edge.health_until(ARRIVES, |health| held(health).is_some_and(|held| held >= head));
    let health = health.unwrap_or_default();
    let refusal = health.get("last_refusal").and_then(Value::as_str).unwrap_or("none");
    match held(&health) {
        Some(revision) if revision >= head => Check::ok(name, format!("revision {revision}")),
        Some(revision) => Check::fail(
            name,
            format!("it holds revision {revision}, and {head} is true; its last refusal: {refusal}"),
            "compare the id under kv_namespaces in wrangler.toml with CUTOVER_KV_NAMESPACE of the functions",
        ),
        None => Check::fail(
            name,
            format!("it holds no snapshot, so legacy answers everything; its last refusal: {refusal}"),
            "bind the namespace that the functions write to: the id under kv_namespaces in wrangler.toml",
        ),
    }
}

fn reports(edge: &Edge<'_>) -> Check {
    let name = "edge reports";
    let number =
        |health: &Value, field: &str| health.pointer(field).and_then(Value::as_u64).unwrap_or_default();
    let health = edge.health_until(REPORTS, |health| {
        let is_off = health.pointer("/reporting/enabled").and_then(Value::as_bool) == Some(false);
        is_off || number(health, "/reporting/sent") + number(health, "/reporting/failures") > 0
    });
    let health = health.unwrap_or_default();
    let (sent, failures) = (number(&health, "/reporting/sent"), number(&health, "/reporting/failures"));
    let is_silent = health.pointer("/reporting/enabled").and_then(Value::as_bool) == Some(false);
    match (sent, failures) {
        (0, 0) if is_silent => Check::fail(
            name,
            "it reports nothing: no canary can be measured, and the kill switch is as slow as KV",
            "set INGEST_URL in wrangler.toml (terraform output ingest_url), and deploy the Worker again",
        ),
        (0, 0) => {
            Check::warn(name, "nothing was due in twelve seconds", "send it some requests, and look again")
        }
        (0, failures) => Check::fail(
            name,
            format!("none of its {failures} reports was taken"),
            "check INGEST_URL in wrangler.toml, and that its CUTOVER_INGEST_SECRET is the functions'",
        ),
        (sent, failures) => Check::ok(name, format!("{sent} reports taken, {failures} refused or lost")),
    }
}

/// The edge and the control plane answer one question alike.
fn decisions(edge: &Edge<'_>, options: &Options, client: &Client, is_known: bool) -> Check {
    let name = "edge decides alike";
    let Some(token) = options.edge_token.as_deref().filter(|token| !token.is_empty()) else {
        return Check::skipped(name, "say the Worker's token: CUTOVER_EDGE_TOKEN");
    };
    let route =
        if is_known { client.get("/config").ok().and_then(|config| first_route(&config)) } else { None };
    let (flag, path) = route.unwrap_or_else(|| (String::new(), "/".to_owned()));
    let target = format!("/_cutover/decide?path={}&user=preflight&method=GET", encode(&path));
    let there = match edge.get(&target, Some(token)) {
        Ok((200, decided)) => decided,
        Ok((status, body)) => {
            let detail = body.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
            let remedy = "npx wrangler secret put CUTOVER_EDGE_TOKEN, with the token that is used here";
            return Check::fail(name, format!("{status}: {detail}"), remedy);
        }
        Err(error) => return Check::fail(name, unreachable(&error), "try again"),
    };
    if flag.is_empty() {
        return Check::ok(name, "the token opens it; there is no route yet to compare");
    }
    let question =
        format!("/flags/{}/explain?user=preflight&method=GET&path={}", encode(&flag), encode(&path));
    let here = match client.get(&question) {
        Ok(explained) => explained,
        Err(failure) => return Check::unanswered(name, &failure),
    };
    for field in ["revision", "arm", "reason", "bucket"] {
        let part = |of: &Value| of.get(field).map(cell).unwrap_or_default();
        let (there, here) = (part(&there), part(&here));
        // The control plane tells the bucket also where it did not matter.
        let is_told = field != "bucket" || there != "-";
        if is_told && there != here {
            let found = format!("{field} for {path}: the edge says {there}, the control plane {here}");
            return Check::fail(name, found, "deploy an edge and functions that belong together");
        }
    }
    Check::ok(name, format!("{path} is decided by {flag}, the same here and there"))
}

/// A flag that has a route for GET, and a path that the route is for.
fn first_route(config: &Value) -> Option<(String, String)> {
    let routes = config.get("routes")?.as_array()?;
    let route = routes.iter().find(|route| {
        let methods = route.pointer("/match/methods").and_then(Value::as_array);
        methods.is_none_or(|methods| methods.is_empty() || methods.iter().any(|method| method == "GET"))
    })?;
    let pattern = route.pointer("/match/path")?.as_str()?;
    let path: Vec<&str> =
        pattern.split('/').map(|segment| if segment.starts_with('{') { "1" } else { segment }).collect();
    Some((route.get("flag")?.as_str()?.to_owned(), path.join("/")))
}
