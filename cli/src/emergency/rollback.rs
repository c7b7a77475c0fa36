//! `cutover emergency-rollback`: declares an emergency, which holds flags on legacy until it is cleared.

use super::{
    reason::Reason,
    way::{Change, Way, to_standard_error},
};
use crate::{
    connection::Connection,
    failure::Failure,
    output::{self, Format, cell},
    publication,
};
use clap::Args;
use serde_json::json;

/// Arguments of `cutover emergency-rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    reason: Reason,
    /// Roll back only these flags [default: all].
    #[arg(long = "flag", value_name = "FLAG")]
    flags: Vec<String>,
    #[command(flatten)]
    way: Way,
}

/// Declares an emergency.
///
/// # Errors
///
/// Fails without a reason, or if the management API refuses the change or cannot be reached.
pub fn run(rollback: &Rollback, connection: &Connection, format: Format) -> Result<(), Failure> {
    let reason = rollback.reason.given(connection, "emergency-rollback 'errors on checkout'")?;
    let mut body = json!({ "reason": reason });
    if let (Some(fields), false) = (body.as_object_mut(), rollback.flags.is_empty()) {
        fields.insert("flags".to_owned(), json!(rollback.flags));
    }
    // What it holds does not depend on what was seen before.
    let change = Change { path: "/emergency/rollback", body, tag: None };
    let response = rollback.way.open(connection)?.send(&change, &mut to_standard_error)?;
    // The whole emergency: an earlier one may cover more flags than this command named.
    let flags = response.pointer("/emergency/flags").map_or_else(|| "all flags".to_owned(), cell);
    output::show(format, &response, || {
        println!("{flags}: all users on legacy; {}", publication::of_emergency(&response));
    });
    Ok(())
}
