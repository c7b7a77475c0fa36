//! `cutover canary list`.

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format, pick},
};

/// Lists all canaries.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub(super) fn run(client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.get("/canary")?;
    output::show(format, &response, || {
        let names = ["flag", "state", "run", "percentage", "reason"];
        let rows: Vec<_> = output::list(&response, "canaries").map(|canary| pick(canary, &names)).collect();
        output::table(&["FLAG", "STATE", "RUN", "PERCENT", "REASON"], &rows);
    });
    Ok(())
}
