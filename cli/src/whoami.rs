//! `cutover whoami`.

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format},
};

/// Shows the caller's name and role.
///
/// # Errors
///
/// Fails if the management API refuses the token or cannot be reached.
pub fn run(client: &Client, format: Format) -> Result<(), Failure> {
    let caller = client.get("/whoami")?;
    output::show(format, &caller, || output::fields(&caller));
    Ok(())
}
