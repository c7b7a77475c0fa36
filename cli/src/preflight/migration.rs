//! Checks of the migration itself: the origins, and the check list of its phase.

use super::{check::Check, options::Phase};
use crate::{client::Client, http::unreachable, output::cell};
use reqwest::blocking;
use serde_json::Value;
use std::time::Instant;

/// Sends one request to every origin.
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
        let remedy = "add both backends to a configuration file, then cutover apply -f FILE";
        checks.push(Check::warn("origins", "none are configured", remedy));
    }
    for (name, origin) in origins.into_iter().flatten() {
        let url = origin.get("url").and_then(Value::as_str).unwrap_or_default();
        checks.push(probe(http, name, url));
    }
}

fn probe(http: &blocking::Client, name: &str, url: &str) -> Check {
    let check = format!("origin {name}");
    let begun = Instant::now();
    match http.get(url).send() {
        Ok(response) if response.status().is_server_error() => {
            let detail = format!("{url} returns {}", response.status().as_u16());
            Check::fail(&check, detail, "repair this backend before sending it users")
        }
        Ok(response) => {
            let ms = begun.elapsed().as_millis();
            Check::ok(
                &check,
                format!("reachable: {url} returns {} after {ms} ms", response.status().as_u16()),
            )
        }
        Err(error) => Check::fail(
            &check,
            format!("{url}: {}", unreachable(&error)),
            "check the URL in the configuration, DNS, the certificate and the firewall; the Worker connects over the \
             internet too",
        ),
    }
}

/// Makes the checks of a phase; without one, of the phase that the migration is in.
pub fn check(phase: Option<Phase>, client: &Client, status: &Value, checks: &mut Vec<Check>) {
    let reported = status.pointer("/migration_progress/phase").and_then(Value::as_str);
    let phase = phase.unwrap_or(match reported {
        Some("preparation") => Phase::Before,
        Some("full" | "completed") => Phase::After,
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
            let remedy = "once its cause is fixed: cutover emergency-clear REASON";
            Check::fail("emergency", format!("in force: {}", cell(reason)), remedy)
        }
        None => Check::ok("emergency", "none"),
    }
}

/// Returns the names of the flags that match.
fn named<'f>(flags: &'f [Value], matches: impl Fn(&Value) -> bool + 'f) -> Vec<&'f str> {
    let matching = flags.iter().filter(move |flag| matches(flag));
    matching.filter_map(|flag| flag.get("name").and_then(Value::as_str)).collect()
}

/// Returns the percentage of users that a flag sends to the new backend.
fn share(flag: &Value) -> f64 {
    let is_on = flag.get("enabled").and_then(Value::as_bool) == Some(true);
    let share = flag.get("rollout_percentage").and_then(Value::as_f64).unwrap_or_default();
    if is_on { share } else { 0.0 }
}

fn before(client: &Client, flags: &[Value], checks: &mut Vec<Check>) {
    let name = "before: all users on legacy";
    let moved = named(flags, |flag| share(flag) > 0.0);
    checks.push(if moved.is_empty() {
        Check::ok(name, format!("{} flags at 0", flags.len()))
    } else {
        Check::warn(
            name,
            format!("not at 0: {}", moved.join(", ")),
            "cutover rollout FLAG 0, unless intended",
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
        Check::warn(name, format!("none for {}", idle.join(", ")), "add routes for them, or delete them")
    });
    let name = "before: every routed flag has a canary";
    let mut bare: Vec<&str> =
        routed.iter().copied().filter(|flag| !has("canary_deployments", flag)).collect();
    bare.dedup();
    checks.push(if bare.is_empty() {
        Check::ok(name, "yes")
    } else {
        let remedy = "add plans for them (docs/canaries.md), or be ready to roll them back by hand";
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
            "check that the edge reports and that evaluate runs; without measurements no canary moves";
        Check::warn("during: requests are measured", "none in the last five minutes", remedy)
    });
    let lost = number("/measurement/unknown_isolates");
    checks.push(if lost == 0 {
        Check::ok("during: no unknown counts", "no isolate lost in the last hour")
    } else {
        let remedy = "a few are normal; many mean that ingest was down (docs/OPERATIONS.md#isolates-lost)";
        Check::warn("during: no unknown counts", format!("{lost} isolates lost in the last hour"), remedy)
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
        Check::ok("during: canaries", "none paused or rolled back")
    } else {
        let remedy = "cutover canary status FLAG shows the reason; then retry, resume or roll back";
        Check::warn("during: canaries", stopped.join(", "), remedy)
    });
}

fn after(status: &Value, flags: &[Value], checks: &mut Vec<Check>) {
    let name = "after: all users on the new backend";
    let behind = named(flags, |flag| share(flag) < 100.0);
    checks.push(if behind.is_empty() {
        Check::ok(name, format!("{} flags at 100", flags.len()))
    } else {
        Check::warn(
            name,
            format!("not at 100: {}", behind.join(", ")),
            "complete these, or keep legacy for them",
        )
    });
    let name = "after: no user is excluded";
    let is_filled = |flag: &Value, field: &str| {
        flag.get(field).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
    };
    let excluding = named(flags, |flag| is_filled(flag, "user_blacklist") || is_filled(flag, "conditions"));
    checks.push(if excluding.is_empty() {
        Check::ok(name, "no blacklists or conditions left")
    } else {
        let remedy = "remove their blacklists and conditions before switching legacy off";
        Check::warn(name, format!("some users of {}", excluding.join(", ")), remedy)
    });
    let name = "after: legacy serves nothing";
    let requests = status.pointer("/measurement/requests").and_then(Value::as_u64).unwrap_or_default();
    let rest = status.pointer("/migration_progress/traffic_distribution/rest").and_then(Value::as_f64);
    checks.push(match rest {
        Some(share) if requests > 0 && share > 0.0 => Check::warn(
            name,
            format!("it served {share} % of the last {requests} requests"),
            "cutover metrics lists the routes and reasons; move them before switching legacy off",
        ),
        _ if requests == 0 => {
            Check::warn(name, "no requests measured in the last five minutes", "run this again under traffic")
        }
        _ => Check::ok(name, format!("none of the last {requests} requests")),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake_server::answering, http::client};
    use std::time::Duration;

    #[test]
    fn an_origin_that_has_nothing_at_its_url_is_reachable() {
        let (url, _) = answering(404, "");
        let http = client(Duration::from_secs(5), Duration::from_secs(5)).unwrap();
        let found = probe(&http, "old", &url).detail;
        assert!(found.starts_with(&format!("reachable: {url} returns 404 after ")), "{found}");
    }
}
