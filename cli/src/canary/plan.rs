//! Plans of canaries: from a file that need not be applied yet, or from the management API.

use super::path::path;
use crate::{client::Client, configuration, failure::Failure};
use clap::Args;
use cutover_core::{FlagName, canary::plan::CanaryPlan};
use std::path::PathBuf;

/// Arguments that name a plan.
#[derive(Debug, Args)]
pub struct Source {
    /// Name of the flag.
    flag: String,
    /// Read the plan from this file instead of the management API; - for standard input.
    #[arg(short, long)]
    file: Option<PathBuf>,
}

/// Reads the plan. Calls `connect` only if no file is given.
///
/// # Errors
///
/// Fails if the flag has no plan, or if the file or the management API cannot be read.
pub(super) fn read(
    source: &Source,
    connect: impl FnOnce() -> Result<Client, Failure>,
) -> Result<CanaryPlan, Failure> {
    let missing = |place: &str| {
        let flag = &source.flag;
        Failure::Usage(format!(
            "no canary plan for {flag} in {place}\n  hint: add canary_deployments.{flag}, or check the spelling"
        ))
    };
    if let Some(file) = &source.file {
        let (_, config) = configuration::load(file)?;
        let flag: Option<FlagName> = source.flag.parse().ok();
        return flag
            .and_then(|flag| config.canary_deployments.get(&flag).cloned())
            .ok_or_else(|| missing(&file.display().to_string()));
    }
    let response = connect()?.get(&path(&source.flag, ""))?;
    let plan = response.get("plan").cloned().ok_or_else(|| missing("the management API"))?;
    serde_json::from_value(plan)
        .map_err(|error| Failure::Io(format!("the management API sent a plan that cannot be read: {error}")))
}
