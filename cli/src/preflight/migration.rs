//! The migration itself: whether both backends answer, and the check list of the phase it is in.

use super::{Check, Phase, unreachable};
use crate::{client::Client, output::cell};
use reqwest::blocking;
use serde_json::Value;
use std::time::Instant;

/// Asks every origin once.
pub fn origins(client: &Client, http: &blocking::Client, checks: &mut Vec<Check>) {
    let config = match client.get("/config") {
        Ok(config) => config,
        Err(failure) => {
            checks.push(Check::unanswered("configuration", &failure));
            return;
        }
    };
    let origins = config.get("origins").and_then(Value::as_object);
    if origins.is_none_or(serde_json::Map::is_empty) {
        let remedy = "write both backends into a file and apply it: cutover apply -f FILE";
        checks.push(Check::warn("origins", "there are none", remedy));
    }
    for (name, origin) in origins.into_iter().flatten() {
        let url = origin.get("url").and_then(Value::as_str).unwrap_or_default();
        checks.push(origin_answers(http, name, url));
    }
}

fn origin_answers(http: &blocking::Client, name: &str, url: &str) -> Check {
    let what = format!("origin {name}");
    let begun = Instant::now();
    match http.get(url).send() {
        Ok(answer) if answer.status().is_server_error() => {
            let found = format!("{url} answers with {}", answer.status().as_u16());
            Check::fail(&what, found, "look at this backend before anybody is sent there")
        }
        Ok(answer) => {
            let ms = begun.elapsed().as_millis();
            Check::ok(&what, format!("{} after {ms} ms", answer.status().as_u16()))
        }
        Err(error) => Check::fail(
            &what,
            format!("{url}: {}", unreachable(&error)),
            "check the URL in the configuration, DNS, certificate and firewall; the Worker reaches it over the \
             internet, as this machine does",
        ),
    }
}

/// The check list of a phase.
pub fn check(phase: Option<Phase>, client: &Client, status: &Value, checks: &mut Vec<Check>) {
    let told = status.pointer("/migration_progress/phase").and_then(Value::as_str);
    let phase = phase.unwrap_or(match told {
        Some("not_started") => Phase::Before,
        Some("complete") => Phase::After,
        _ => Phase::During,
    });
    checks.push(emergency(status));
    let flags = client.all("/flags", "flags");
    let flags = match flags {
        Ok(flags) => flags,
        Err(failure) => {
            checks.push(Check::unanswered("flags", &failure));
            return;
        }
    };
    match phase {
        Phase::Before => before(client, &flags, checks),
        Phase::During => during(status, checks),
        Phase::After => after(status, &flags, checks),
    }
}

fn emergency(status: &Value) -> Check {
    match status.pointer("/emergency/reason") {
        Some(reason) => {
            let remedy = "when its cause is gone: cutover emergency-clear REASON";
            Check::fail("emergency", format!("one is in force: {}", cell(reason)), remedy)
        }
        None => Check::ok("emergency", "none"),
    }
}

/// The names of the flags for which something holds.
fn named<'f>(flags: &'f [Value], holds: impl Fn(&Value) -> bool + 'f) -> Vec<&'f str> {
    let held = flags.iter().filter(move |flag| holds(flag));
    held.filter_map(|flag| flag.get("name").and_then(Value::as_str)).collect()
}

fn share(flag: &Value) -> f64 {
    let is_on = flag.get("enabled").and_then(Value::as_bool) == Some(true);
    let share = flag.get("rollout_percentage").and_then(Value::as_f64).unwrap_or_default();
    if is_on { share } else { 0.0 }
}

fn before(client: &Client, flags: &[Value], checks: &mut Vec<Check>) {
    let name = "before: everybody on legacy";
    let moved = named(flags, |flag| share(flag) > 0.0);
    checks.push(if moved.is_empty() {
        Check::ok(name, format!("{} flags at 0", flags.len()))
    } else {
        Check::warn(
            name,
            format!("not at 0: {}", moved.join(", ")),
            "cutover rollout FLAG 0, unless it is meant so",
        )
    });
    let config = client.get("/config").unwrap_or_default();
    let has = |section: &str, flag: &str| config.pointer(&format!("/{section}/{flag}")).is_some();
    let routed: Vec<&str> = config
        .get("routes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|route| route.get("flag").and_then(Value::as_str))
        .collect();
    let name = "before: every flag has a route";
    let idle = named(flags, |flag| {
        flag.get("name").and_then(Value::as_str).is_some_and(|name| !routed.contains(&name))
    });
    checks.push(if idle.is_empty() {
        Check::ok(name, "yes")
    } else {
        Check::warn(name, format!("none for {}", idle.join(", ")), "write routes for them, or remove them")
    });
    let name = "before: every routed flag has a canary";
    let mut bare: Vec<&str> =
        routed.iter().copied().filter(|flag| !has("canary_deployments", flag)).collect();
    bare.dedup();
    checks.push(if bare.is_empty() {
        Check::ok(name, "yes")
    } else {
        let remedy = "write a plan for them (docs/canaries.md), or be ready to take them back by hand";
        Check::warn(name, format!("none for {}", bare.join(", ")), remedy)
    });
}

fn during(status: &Value, checks: &mut Vec<Check>) {
    let number = |field: &str| status.pointer(field).and_then(Value::as_u64).unwrap_or_default();
    let requests = number("/measurement/requests");
    checks.push(if requests > 0 {
        Check::ok("during: requests are measured", format!("{requests} in the last five minutes"))
    } else {
        let remedy =
            "see that the edge reports and that evaluate runs; a canary without measurements does not move";
        Check::warn("during: requests are measured", "none in the last five minutes", remedy)
    });
    let lost = number("/measurement/unknown_isolates");
    checks.push(if lost == 0 {
        Check::ok("during: nothing is unknown", "no isolate was lost in the last hour")
    } else {
        let remedy =
            "a few are what isolates do; many mean that ingest was down (docs/OPERATIONS.md#isolates-lost)";
        Check::warn(
            "during: nothing is unknown",
            format!("{lost} isolates were lost in the last hour"),
            remedy,
        )
    });
    let stopped: Vec<String> = status
        .get("canaries")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, run)| {
            let state = run.get("state").and_then(Value::as_str);
            matches!(state, Some("paused" | "rolled_back"))
        })
        .map(|(flag, run)| format!("{flag} is {}", run.get("state").map(cell).unwrap_or_default()))
        .collect();
    checks.push(if stopped.is_empty() {
        Check::ok("during: canaries", "none is paused or was taken back")
    } else {
        let remedy = "cutover canary status FLAG says why; then retry, resume or roll back";
        Check::warn("during: canaries", stopped.join(", "), remedy)
    });
}

fn after(status: &Value, flags: &[Value], checks: &mut Vec<Check>) {
    let name = "after: everybody on the new backend";
    let behind = named(flags, |flag| share(flag) < 100.0);
    checks.push(if behind.is_empty() {
        Check::ok(name, format!("{} flags at 100", flags.len()))
    } else {
        Check::warn(
            name,
            format!("not at 100: {}", behind.join(", ")),
            "finish these, or keep legacy for them",
        )
    });
    let name = "after: nobody is kept back";
    let is_filled = |flag: &Value, field: &str| {
        flag.get(field).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
    };
    let kept = named(flags, |flag| is_filled(flag, "user_blacklist") || is_filled(flag, "conditions"));
    checks.push(if kept.is_empty() {
        Check::ok(name, "no blacklist and no condition is left")
    } else {
        let remedy = "remove their blacklists and conditions before legacy is switched off";
        Check::warn(name, format!("some users of {}", kept.join(", ")), remedy)
    });
    let name = "after: legacy serves nothing";
    let requests = status.pointer("/measurement/requests").and_then(Value::as_u64).unwrap_or_default();
    let rest = status.pointer("/migration_progress/traffic_distribution/rest").and_then(Value::as_f64);
    checks.push(match rest {
        Some(share) if requests > 0 && share > 0.0 => Check::warn(
            name,
            format!("it served {share} % of the last {requests} requests"),
            "cutover metrics names the routes and reasons; give them routes before legacy is switched off",
        ),
        _ if requests == 0 => {
            Check::warn(name, "nothing was measured in the last five minutes", "look again under traffic")
        }
        _ => Check::ok(name, format!("none of the last {requests} requests")),
    });
}
