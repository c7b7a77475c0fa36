//! `cutover emergency-rollback`: declares an emergency, which holds flags on legacy until it is cleared.

use super::way::{Way, to_standard_error};
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
    /// Reason, recorded in the audit log.
    #[arg(value_name = "REASON")]
    cause: String,
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
/// Fails if the management API refuses the change or cannot be reached.
pub fn run(rollback: &Rollback, connection: &Connection, format: Format) -> Result<(), Failure> {
    let mut body = json!({ "reason": rollback.cause });
    if let (Some(fields), false) = (body.as_object_mut(), rollback.flags.is_empty()) {
        fields.insert("flags".to_owned(), json!(rollback.flags));
    }
    let response = rollback.way.send(connection, "/emergency/rollback", &body, &mut to_standard_error)?;
    // The whole emergency: an earlier one may cover more flags than this command named.
    let flags = response.pointer("/emergency/flags").map_or_else(|| "all flags".to_owned(), cell);
    output::show(format, &response, || {
        println!("{flags}: all users on legacy; {}", publication::revision(&response));
    });
    Ok(())
}
