//! `cutover metrics`.

use crate::{client::Client, failure::Failure, output};

/// Prints the counts as JSON; there is no table of them.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub fn run(client: &Client) -> Result<(), Failure> {
    output::json(&client.get("/metrics")?);
    Ok(())
}
