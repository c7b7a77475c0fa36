//! `cutover export`: the configuration as a file.

use crate::{
    client::Client,
    encoding::{self, Encoding},
    failure::Failure,
    output::{self, Format},
};
use cutover_core::config::Config;

/// Prints the configuration as YAML that `cutover apply` accepts.
///
/// # Errors
///
/// Fails if the management API refuses the request, cannot be reached, or sends a configuration
/// that this version cannot read.
pub fn run(client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.get("/config")?;
    // As YAML it is the file in any case.
    if format == Format::Json && encoding::chosen() != Encoding::Yaml {
        output::document(&response);
        return Ok(());
    }
    let unreadable = |error: String| {
        Failure::Io(format!("the management API sent a configuration that cannot be read: {error}"))
    };
    let config = Config::from_stored(&response).map_err(|problems| {
        unreadable(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let document = config.written().map_err(|error| unreadable(error.to_string()))?;
    output::data(&serde_saphyr::to_string(&document).map_err(|error| unreadable(error.to_string()))?);
    Ok(())
}
