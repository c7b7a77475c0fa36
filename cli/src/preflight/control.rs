//! The control plane: who the caller is, what time it is there, whether what is true is published, whether the schedule
//! lives.

use super::Check;
use crate::{client::Client, clock::now, failure::Failure, output::cell};
use cutover_core::Timestamp;
use reqwest::Method;
use serde_json::Value;

/// Clocks may lie this far apart; signatures bear five minutes, and nobody should need them. In milliseconds.
const CLOCKS_MS: i64 = 30_000;

/// A schedule of one minute that is silent for longer than this is dead, in milliseconds.
const SILENT_MS: i64 = 180_000;

/// A token that ends sooner than this should be rotated, in milliseconds.
const SOON_MS: i64 = 14 * 24 * 3_600_000;

/// Checks the control plane, and returns its status if it gave one.
pub fn check(client: &Client, checks: &mut Vec<Check>) -> Option<Value> {
    let me = match client.get("/whoami") {
        Ok(me) => me,
        Err(failure @ Failure::Refused { status: 401 | 403, .. }) => {
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
    checks.push(token(&me));
    let status = match client.get("/status") {
        Ok(status) => status,
        Err(failure) => {
            checks.push(Check::unanswered("status", &failure));
            return None;
        }
    };
    checks.push(clocks(&status));
    checks.push(publication(client, &me));
    for function in ["evaluate", "promote"] {
        checks.push(schedule(&status, function));
    }
    Some(status)
}

fn moment(value: Option<&Value>) -> Option<i64> {
    value.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::millis)
}

fn token(me: &Value) -> Check {
    let name = me.get("name").map(cell).unwrap_or_default();
    let found = format!("{name}, {}", me.get("role").map(cell).unwrap_or_default());
    let end = moment(me.get("expires_at"));
    if name == "root" {
        let remedy = "make an admin token (cutover token create NAME --role admin), use it, and switch the root token \
                      off: root_token = false in infra/environments";
        return Check::warn(
            "token",
            format!("{found}: the token of the first start is still honoured"),
            remedy,
        );
    }
    match end {
        Some(end) if end - now() < SOON_MS => {
            let remedy = "rotate it: cutover token list, cutover token rotate ID";
            Check::warn("token", format!("{found}, and ends in {} days", (end - now()) / 86_400_000), remedy)
        }
        _ => Check::ok("token", found),
    }
}

fn clocks(status: &Value) -> Check {
    let Some(there) = moment(status.get("now")) else {
        let remedy = "deploy functions and a command line that belong together";
        return Check::fail("clocks", "the management API does not say what time it is", remedy);
    };
    let apart = there - now();
    if apart.abs() > CLOCKS_MS {
        let found = format!("they lie {} s apart: here and at the management API", apart.abs() / 1_000);
        let remedy = "set the clock of this machine (NTP); signatures are refused beyond five minutes";
        return Check::fail("clocks", found, remedy);
    }
    Check::ok("clocks", format!("{} ms apart", apart.abs()))
}

/// Writes what is true to Workers KV and reads it back, as far as the caller may.
fn publication(client: &Client, me: &Value) -> Check {
    let name = "KV round trip";
    let may_write = me.get("role").and_then(Value::as_str) != Some("viewer");
    let (method, what) =
        if may_write { (Method::POST, "written and read back") } else { (Method::GET, "read") };
    match client.send(method, "/publication", None) {
        Err(failure) => Check::unanswered(name, &failure),
        Ok(answer) if answer.get("published").and_then(Value::as_bool) == Some(true) => {
            Check::ok(name, format!("revision {} {what}", answer.get("held").map(cell).unwrap_or_default()))
        }
        Ok(answer) => {
            let part = |field: &str| answer.get(field).map(cell).unwrap_or_default();
            let found = format!("KV holds revision {}, and {} is true", part("held"), part("revision"));
            Check::fail(name, found, "look at the log of promote, and check who else writes to the namespace")
        }
    }
}

fn schedule(status: &Value, function: &str) -> Check {
    let name = format!("schedule of {function}");
    let remedy = "look at the schedule in EventBridge Scheduler (is it enabled?), at the function's log for \
                  tick_failed, and at the dead letter queue";
    match moment(status.pointer(&format!("/schedule/{function}"))) {
        None => Check::fail(&name, "it never came to its end", remedy),
        Some(at) if now() - at > SILENT_MS => {
            Check::fail(&name, format!("it last came to its end {} s ago", (now() - at) / 1_000), remedy)
        }
        Some(at) => Check::ok(&name, format!("{} s ago", (now() - at).max(0) / 1_000)),
    }
}
