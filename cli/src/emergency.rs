//! `cutover emergency-rollback` and `cutover emergency-clear`.

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format, cell},
    publication,
};
use clap::Args;
use reqwest::Method;
use serde_json::json;

/// Arguments of `cutover emergency-rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Reason, recorded in the audit log.
    #[arg(value_name = "REASON")]
    cause: String,
    /// Roll back only these flags [default: all].
    #[arg(long = "flag", value_name = "FLAG")]
    flags: Vec<String>,
}

/// Arguments of `cutover emergency-clear`.
#[derive(Debug, Args)]
pub struct Clear {
    /// Reason, recorded in the audit log.
    #[arg(value_name = "REASON")]
    cause: String,
}

/// Declares an emergency, which holds flags on legacy until it is cleared.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached.
pub fn roll_back(rollback: &Rollback, client: &Client, format: Format) -> Result<(), Failure> {
    let mut body = json!({ "reason": rollback.cause });
    if let (Some(fields), false) = (body.as_object_mut(), rollback.flags.is_empty()) {
        fields.insert("flags".to_owned(), json!(rollback.flags));
    }
    let response = client.send_json(Method::POST, "/emergency/rollback", &body)?;
    // The whole emergency: an earlier one may cover more flags than this command named.
    let flags = response.pointer("/emergency/flags").map_or_else(|| "all flags".to_owned(), cell);
    output::show(format, &response, || {
        println!("{flags}: all users on legacy; {}", publication::revision(&response));
    });
    Ok(())
}

/// Ends the emergency.
///
/// # Errors
///
/// Fails if no emergency is in force, or if the management API cannot be reached.
pub fn clear(clear: &Clear, client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.send_json(Method::POST, "/emergency/clear", &json!({ "reason": clear.cause }))?;
    output::show(format, &response, || {
        println!("emergency cleared; {}", publication::revision(&response));
    });
    Ok(())
}
