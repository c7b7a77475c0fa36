//! Checks of ingest: accepts a signed batch, refuses a wrong signature.

use super::{check::Check, gate, options::Options};
use crate::{clock, http::unreachable};
use cutover_core::{Revision, measurement::batch::Batch, signature};
use reqwest::blocking;
use serde_json::Value;

/// Checks the ingest function.
pub fn check(options: &Options, http: &blocking::Client, checks: &mut Vec<Check>) {
    let Some(url) = options.ingest.as_deref().filter(|url| !url.is_empty()) else {
        checks.push(Check::skipped("ingest", "set CUTOVER_INGEST_URL or --ingest"));
        return;
    };
    let url = format!("{}/v1/batches", url.trim_end_matches('/'));
    match send(http, &url, "a-secret-in-use-nowhere") {
        Err(error) => {
            let remedy = "check the URL (terraform output ingest_url), and that the function runs";
            checks.push(Check::fail("ingest answers", unreachable(&error), remedy));
            return;
        }
        Ok((401 | 429, _)) => checks.push(Check::ok("ingest answers", "and refuses a wrong signature")),
        Ok((status, body)) => {
            let remedy = "this is not the ingest function; check CUTOVER_INGEST_URL";
            let detail = format!("{status} instead of 401 for a wrong signature");
            let closed = gate::closed("ingest answers", status, &body);
            checks.push(closed.unwrap_or_else(|| Check::fail("ingest answers", detail, remedy)));
            return;
        }
    }
    let Some(secret) = options.ingest_secret.as_deref().filter(|secret| !secret.is_empty()) else {
        checks.push(Check::skipped("ingest signature", "set CUTOVER_INGEST_SECRET"));
        return;
    };
    checks.push(match send(http, &url, secret) {
        Ok((200, body)) => {
            let revision = body.get("revision").and_then(Value::as_u64).unwrap_or_default();
            Check::ok("ingest signature", format!("accepted; the control plane is at revision {revision}"))
        }
        Ok((status, body)) => {
            let detail = body.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
            let remedy = "use the same secret here, in the Worker (wrangler secret put CUTOVER_INGEST_SECRET) and in \
                          Secrets Manager, and set this machine's clock";
            Check::fail("ingest signature", format!("{status}: {detail}"), remedy)
        }
        Err(error) => Check::fail("ingest signature", unreachable(&error), "try again"),
    });
}

/// Sends an empty batch, as an isolate does that has nothing to report. Ingest stores nothing.
/// Returns the status and the body of the response.
fn send(http: &blocking::Client, url: &str, secret: &str) -> Result<(u16, Value), reqwest::Error> {
    let batch = Batch {
        // Higher than any revision, so that the response carries no snapshot.
        revision: Revision(u64::MAX >> 12),
        idle: true,
        ..Batch::empty("00000000000000000000707265666c69".to_owned(), 0)
    };
    let body = serde_json::to_string(&batch).unwrap_or_default();
    let now = clock::now();
    let response = http
        .post(url)
        .header(signature::TIMESTAMP, now.to_string())
        .header(signature::SIGNATURE, signature::sign(secret, now, body.as_bytes()))
        .header("content-type", "application/json")
        .body(body)
        .send()?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_str(&response.text()?).unwrap_or_default()))
}
