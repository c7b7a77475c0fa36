//! The options that locate the management API and authenticate with it.

use crate::{client::Client, failure::Failure};
use clap::Args;

/// Options of every command.
#[derive(Debug, Args)]
pub struct Connection {
    /// URL of the management function, without /api/migration.
    #[arg(long, env = "CUTOVER_URL", global = true)]
    url: Option<String>,
    /// Bearer token.
    #[arg(long, env = "CUTOVER_TOKEN", global = true, hide_env_values = true)]
    token: Option<String>,
    /// Sign requests for a function URL with AWS_IAM, with the AWS keys of the environment.
    #[arg(long, env = "CUTOVER_AWS_IAM", global = true)]
    aws_iam: bool,
    /// Do not send a change again after a failure that may pass by itself.
    #[arg(long, env = "CUTOVER_NO_RETRY", global = true)]
    no_retry: bool,
    /// Reason for the change, recorded in the audit log.
    #[arg(long, global = true)]
    reason: Option<String>,
}

impl Connection {
    /// Builds a client of the management API. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// Fails if the URL, the token or (with `--aws-iam`) the AWS keys are missing.
    pub fn connect(&self) -> Result<Client, Failure> {
        let missing = |option: &str, variable: &str| {
            Failure::Usage(format!("no {option} given\n  hint: set {variable}, or see cutover --help"))
        };
        let url = self.url.as_deref().ok_or_else(|| missing("URL of the management API", "CUTOVER_URL"))?;
        let token = self.token.as_deref().ok_or_else(|| missing("token", "CUTOVER_TOKEN"))?;
        Client::new(url, token, self.reason.clone(), self.aws_iam)
            .map(|client| client.retrying(!self.no_retry))
    }
}
