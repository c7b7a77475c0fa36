//! Arguments of `cutover preflight`.

use crate::context::Context;
use clap::{Args, ValueEnum};

/// Addresses and secrets of the parts to check. A part whose address is missing is skipped.
#[derive(Debug, Args)]
pub struct Options {
    /// URL of the Worker, as users call it.
    #[arg(long, env = "CUTOVER_EDGE_URL")]
    pub(super) edge: Option<String>,
    /// CUTOVER_EDGE_TOKEN of the Worker.
    #[arg(long, env = "CUTOVER_EDGE_TOKEN", hide_env_values = true)]
    pub(super) edge_token: Option<String>,
    /// URL of the ingest function.
    #[arg(long, env = "CUTOVER_INGEST_URL")]
    pub(super) ingest: Option<String>,
    /// URL of the ask function.
    #[arg(long, env = "CUTOVER_ASK_URL")]
    pub(super) ask: Option<String>,
    /// Secret with which isolates sign their reports.
    #[arg(long, env = "CUTOVER_INGEST_SECRET", hide_env_values = true)]
    pub(super) ingest_secret: Option<String>,
    /// URL of the function for emergencies.
    #[arg(long, env = "CUTOVER_EMERGENCY_URL")]
    pub(super) emergency: Option<String>,
    /// Phase to check for [default: the current one].
    #[arg(long, value_enum)]
    pub(super) phase: Option<Phase>,
}

impl Options {
    /// Fills in the addresses that are missing from a context.
    pub fn or_of(self, context: &Context) -> Self {
        Self {
            edge: self.edge.or_else(|| context.edge_url.clone()),
            ingest: self.ingest.or_else(|| context.ingest_url.clone()),
            ask: self.ask.or_else(|| context.ask_url.clone()),
            emergency: self.emergency.or_else(|| context.emergency_url.clone()),
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
