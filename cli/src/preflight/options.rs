//! Arguments of `cutover preflight`.

use crate::{address, connection::Connection, context::Context, failure::Failure};
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
    ///
    /// # Errors
    ///
    /// Fails if the Worker's token would travel unencrypted over a network.
    pub fn with_addresses(self, connection: &Connection, context: Option<&Context>) -> Result<Self, Failure> {
        let of = |option: &Option<String>, variable: &str, stored: fn(&Context) -> Option<&String>| {
            connection.url_of_part(option.as_deref(), variable, context.and_then(stored))
        };
        let filled = Self {
            edge: of(&self.edge, "CUTOVER_EDGE_URL", |context| context.edge_url.as_ref()),
            ingest: of(&self.ingest, "CUTOVER_INGEST_URL", |context| context.ingest_url.as_ref()),
            ask: of(&self.ask, "CUTOVER_ASK_URL", |context| context.ask_url.as_ref()),
            emergency: of(&self.emergency, "CUTOVER_EMERGENCY_URL", |context| context.emergency_url.as_ref()),
            ..self
        };
        let is_plain_http_allowed =
            connection.is_plain_http_allowed() || context.is_some_and(|context| context.insecure_http);
        let is_given = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        if let Some(edge) = filled.edge.as_ref().filter(|url| !url.is_empty() && is_given(&filled.edge_token))
        {
            address::checked(edge, is_plain_http_allowed)?;
        }
        Ok(filled)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::CommandLine;
    use clap::Parser;

    /// Returns the outcome of these arguments.
    fn outcome(words: &[&str]) -> Result<Options, Failure> {
        let parsed = CommandLine::<Options>::parse_from([&["preflight"][..], words].concat());
        parsed.arguments.with_addresses(&parsed.connection, None)
    }

    #[test]
    fn the_token_of_the_edge_is_not_sent_unencrypted() {
        let plain = ["--edge", "http://edge.example", "--edge-token", "t"];
        let refused = outcome(&plain).unwrap_err().to_string();
        assert!(refused.contains("is not encrypted, so that others could read the token"), "{refused}");
        assert!(outcome(&[&plain[..], &["--insecure-http"]].concat()).is_ok());
        assert!(outcome(&["--edge", "https://edge.example", "--edge-token", "t"]).is_ok());
        assert!(outcome(&["--edge", "http://127.0.0.1:8787", "--edge-token", "t"]).is_ok());
        assert!(outcome(&["--edge", "http://edge.example", "--edge-token", ""]).is_ok(), "no token is sent");
    }
}
