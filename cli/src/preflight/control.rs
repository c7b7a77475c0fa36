//! Checks of the control plane: token, clock, publication and schedules.

use super::{check::Check, gate};
use crate::{client::Client, clock::now, failure::Failure, output::field};
use cutover_core::Timestamp;
use reqwest::{Method, blocking};
use serde_json::Value;

/// Largest accepted difference between two clocks, in milliseconds. Signatures tolerate five
/// minutes, which a healthy clock never needs.
const MAX_CLOCK_SKEW_MS: i64 = 30_000;

/// Age at which the last run of a schedule of one minute counts as missed, in milliseconds.
const MAX_SILENCE_MS: i64 = 180_000;

/// Remaining lifetime below which a token should be rotated, in milliseconds.
const MIN_LIFETIME_MS: i64 = 14 * 24 * 3_600_000;

/// Checks the control plane, and returns its status if it gave one.
pub fn check(client: &Client, http: &blocking::Client, checks: &mut Vec<Check>) -> Option<Value> {
    let caller = match client.get("/whoami") {
        Ok(caller) => caller,
        Err(failure @ Failure::Refused { status: 401 | 403, .. }) => {
            if let Some(closed) = closed(client, http) {
                checks.push(closed);
                return None;
            }
            checks.push(Check::ok("management answers", "yes"));
            checks.push(Check::unanswered("token", &failure));
            return None;
        }
        Err(failure) => {
            checks.push(Check::unanswered("management answers", &failure));
            return None;
        }
    };
    checks.push(Check::ok("management answers", "yes"));
    checks.push(token(&caller));
    let status = match client.get("/status") {
        Ok(status) => status,
        Err(failure) => {
            checks.push(Check::unanswered("status", &failure));
            return None;
        }
    };
    checks.push(clocks(&status));
    checks.push(publication(client, &caller));
    for function in ["evaluate", "promote"] {
        checks.push(schedule(&status, function));
    }
    Some(status)
}

/// Asks management without a token, for what AWS says if it does not let callers through.
fn closed(client: &Client, http: &blocking::Client) -> Option<Check> {
    let (status, body) = gate::ask(http, client.base()).ok()?;
    gate::closed("management answers", status, &body)
}

/// Parses a timestamp. Returns milliseconds since 1970.
fn millis(value: Option<&Value>) -> Option<i64> {
    value.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::millis)
}

fn token(caller: &Value) -> Check {
    let name = field(caller, "name");
    let owner = format!("{name}, {}", field(caller, "role"));
    if name == "root" {
        let remedy = "create an admin token (cutover token create NAME --role admin), use it, and switch off the root \
                      token: root_token = false in infra/environments";
        return Check::warn("token", format!("{owner}: the bootstrap token is still accepted"), remedy);
    }
    match millis(caller.get("expires_at")) {
        Some(end) if end - now() < MIN_LIFETIME_MS => {
            let remedy = "rotate it: cutover token list, cutover token rotate ID";
            let days = (end - now()) / 86_400_000;
            Check::warn("token", format!("{owner}, expires in {days} days"), remedy)
        }
        _ => Check::ok("token", owner),
    }
}

fn clocks(status: &Value) -> Check {
    let Some(remote) = millis(status.get("now")) else {
        let remedy = "deploy the functions in the version of this command";
        return Check::fail("clocks", "the management API does not report its time", remedy);
    };
    let skew = (remote - now()).abs();
    if skew > MAX_CLOCK_SKEW_MS {
        let detail = format!("this machine and the management API are {} s apart", skew / 1_000);
        let remedy = "set the clock of this machine (NTP); signatures are refused beyond five minutes";
        return Check::fail("clocks", detail, remedy);
    }
    Check::ok("clocks", format!("{skew} ms apart"))
}

/// Writes the current snapshot to Workers KV and reads it back; a viewer may only read it.
fn publication(client: &Client, caller: &Value) -> Check {
    let name = "KV round trip";
    let may_write = caller.get("role").and_then(Value::as_str) != Some("viewer");
    let (method, action) =
        if may_write { (Method::POST, "written and read back") } else { (Method::GET, "read") };
    match client.send_once(method, "/publication", None) {
        Err(failure) => Check::unanswered(name, &failure),
        Ok(response) if response.get("published").and_then(Value::as_bool) == Some(true) => {
            Check::ok(name, format!("revision {} {action}", field(&response, "held")))
        }
        Ok(response) => {
            let (held, current) = (field(&response, "held"), field(&response, "revision"));
            let detail = format!("KV has revision {held} instead of {current}");
            Check::fail(name, detail, "see the log of promote, and check for other writers to the namespace")
        }
    }
}

fn schedule(status: &Value, function: &str) -> Check {
    let name = format!("schedule of {function}");
    let remedy = "check that the schedule is enabled in EventBridge Scheduler, the function's log for tick_failed, and \
                  the dead letter queue";
    match millis(status.pointer(&format!("/schedule/{function}"))) {
        None => Check::fail(&name, "never completed", remedy),
        Some(last) if now() - last > MAX_SILENCE_MS => {
            Check::fail(&name, format!("last completed {} s ago", (now() - last) / 1_000), remedy)
        }
        Some(last) => Check::ok(&name, format!("{} s ago", (now() - last).max(0) / 1_000)),
    }
}
