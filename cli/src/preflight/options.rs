//! Arguments of `cutover preflight`.

use crate::{connection::Connection, context::Context};
use clap::{Args, ValueEnum};

/// Addresses and secrets of the parts to check. A part whose address is missing is skipped.
#[derive(Debug, Args)]
pub struct Options {
    /// URL of the Worker, as users call it [env: CUTOVER_EDGE_URL].
    #[arg(long, value_name = "URL")]
    pub(super) edge: Option<String>,
    /// CUTOVER_EDGE_TOKEN of the Worker.
    #[arg(long, env = "CUTOVER_EDGE_TOKEN", hide_env_values = true)]
    pub(super) edge_token: Option<String>,
    /// URL of the ingest function [env: CUTOVER_INGEST_URL].
    #[arg(long, value_name = "URL")]
    pub(super) ingest: Option<String>,
    /// URL of the ask function [env: CUTOVER_ASK_URL].
    #[arg(long, value_name = "URL")]
    pub(super) ask: Option<String>,
    /// Secret with which isolates sign their reports.
    #[arg(long, env = "CUTOVER_INGEST_SECRET", hide_env_values = true)]
    pub(super) ingest_secret: Option<String>,
    /// URL of the function for emergencies [env: CUTOVER_EMERGENCY_URL].
    #[arg(long, value_name = "URL")]
    pub(super) emergency: Option<String>,
    /// Phase to check for [default: the current one].
    #[arg(long, value_enum)]
    pub(super) phase: Option<Phase>,
}

impl Options {
    /// Fills in the addresses that are missing, from environment variables and the context in use.
    pub fn with_addresses(self, connection: &Connection, context: Option<&Context>) -> Self {
        let of = |option: &Option<String>, variable: &str, stored: fn(&Context) -> Option<&String>| {
            connection.url_of_part(option.as_deref(), variable, context.and_then(stored))
        };
        Self {
            edge: of(&self.edge, "CUTOVER_EDGE_URL", |context| context.edge_url.as_ref()),
            ingest: of(&self.ingest, "CUTOVER_INGEST_URL", |context| context.ingest_url.as_ref()),
            ask: of(&self.ask, "CUTOVER_ASK_URL", |context| context.ask_url.as_ref()),
            emergency: of(&self.emergency, "CUTOVER_EMERGENCY_URL", |context| context.emergency_url.as_ref()),
            ..self
        }
    }
}

/// Phase of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// No user is on the new backend.
    Before,
    /// Some users are on the new backend.
    During,
    /// All users are on the new backend.
    After,
}
