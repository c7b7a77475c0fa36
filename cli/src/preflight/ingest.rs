//! Checks of the functions that isolates talk to: each answers a signed question, and refuses a wrong signature.

use super::{check::Check, gate, options::Options};
use crate::{clock, http::unreachable};
use cutover_core::{Epoch, Revision, measurement::question::Question, signature};
use reqwest::blocking;
use serde_json::Value;

/// Checks the ingest function, which answers questions too, and the function ask if its URL is given.
pub fn check(options: &Options, http: &blocking::Client, checks: &mut Vec<Check>) {
    let given = |url: &Option<String>| url.clone().filter(|url| !url.is_empty());
    match given(&options.ingest) {
        None => checks.push(Check::skipped("ingest", "set CUTOVER_INGEST_URL or --ingest")),
        Some(url) => check_function(Function { name: "ingest", url: &url }, options, http, checks),
    }
    if let Some(url) = given(&options.ask) {
        check_function(Function { name: "ask", url: &url }, options, http, checks);
    }
}

/// A function that answers questions.
#[derive(Clone, Copy)]
struct Function<'f> {
    name: &'f str,
    url: &'f str,
}

fn check_function(
    Function { name, url }: Function<'_>,
    options: &Options,
    http: &blocking::Client,
    checks: &mut Vec<Check>,
) {
    let url = format!("{}/v1/questions", url.trim_end_matches('/'));
    let answers = format!("{name} answers");
    match send(http, &url, "a-secret-in-use-nowhere") {
        Err(error) => {
            let remedy = format!("check the URL (terraform output {name}_url), and that the function runs");
            checks.push(Check::fail(&answers, unreachable(&error), remedy));
            return;
        }
        Ok((401 | 429, _)) => checks.push(Check::ok(&answers, "and refuses a wrong signature")),
        Ok((status, body)) => {
            let remedy =
                format!("this is not the {name} function; check CUTOVER_{}_URL", name.to_uppercase());
            let detail = format!("{status} instead of 401 for a wrong signature");
            let closed = gate::closed(&answers, status, &body);
            checks.push(closed.unwrap_or_else(|| Check::fail(&answers, detail, remedy)));
            return;
        }
    }
    let signed = format!("{name} signature");
    let Some(secret) = options.ingest_secret.as_deref().filter(|secret| !secret.is_empty()) else {
        checks.push(Check::skipped(&signed, "set CUTOVER_INGEST_SECRET"));
        return;
    };
    checks.push(match send(http, &url, secret) {
        Ok((200, body)) => {
            let revision = body.get("revision").and_then(Value::as_u64).unwrap_or_default();
            Check::ok(&signed, format!("accepted; the control plane is at revision {revision}"))
        }
        Ok((status, body)) => {
            let detail = body.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
            let remedy = "use the same secret here, in the Worker (wrangler secret put CUTOVER_INGEST_SECRET) and in \
                          Secrets Manager, and set this machine's clock";
            Check::fail(&signed, format!("{status}: {detail}"), remedy)
        }
        Err(error) => Check::fail(&signed, unreachable(&error), "try again"),
    });
}

/// Sends a question, of which nothing is stored. Returns the status and the body of the response.
fn send(http: &blocking::Client, url: &str, secret: &str) -> Result<(u16, Value), reqwest::Error> {
    // Higher than any revision, so that the answer carries no snapshot.
    let body = Question { epoch: Epoch(u64::MAX >> 12), ..Question::since(Revision(u64::MAX >> 12)) };
    let body = body.encode();
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
