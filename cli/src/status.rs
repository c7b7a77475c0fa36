//! `cutover status`: progress and health of the migration.

use crate::{
    banner,
    client::Client,
    failure::Failure,
    output::{self, Format, cell},
};
use serde_json::Value;

/// Rows of the table, each with the JSON pointer of its value.
const ROWS: [(&str, &str); 11] = [
    ("phase", "/migration_progress/phase"),
    ("percent complete", "/migration_progress/completion_percentage"),
    ("active flags", "/migration_progress/active_flags"),
    ("health", "/health/status"),
    ("error rate", "/health/error_rate"),
    ("response time ms", "/health/avg_response_time"),
    ("requests, last 5 min", "/measurement/requests"),
    ("unknown isolates, last hour", "/measurement/unknown_isolates"),
    ("revision", "/revision"),
    ("published revision", "/published_revision"),
    ("emergency", "/emergency/reason"),
];

/// Shows the status.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub fn run(client: &Client, format: Format) -> Result<(), Failure> {
    let status = client.get("/status")?;
    output::show(format, &status, || {
        let value = |pointer: &str| status.pointer(pointer).map_or_else(|| "-".to_owned(), cell);
        let rows = ROWS.map(|(name, pointer)| vec![name.to_owned(), value(pointer)]);
        output::table(&["MIGRATION", ""], &rows);
        let declared = banner::declarations(status.get("emergency").unwrap_or(&Value::Null));
        if !declared.is_empty() {
            println!();
            output::table(&["EMERGENCY DECLARED", "BY", "FLAGS", "REASON"], &declared);
        }
    });
    Ok(())
}
