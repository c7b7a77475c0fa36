//! The options that locate the management API and authenticate with it.

use crate::{
    client::{Client, Limits},
    failure::Failure,
};
use clap::Args;
use std::time::Duration;

/// Time limits of an attempt to declare an emergency. A response that waits for Workers KV for longer is lost, and the next
/// attempt with the same key is answered at once.
const EMERGENCY: Limits = Limits { connection: Duration::from_secs(2), response: Duration::from_secs(6) };

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
        let url = self.url.as_deref().ok_or_else(|| missing("URL of the management API", "CUTOVER_URL"))?;
        self.connect_to(url)
    }

    /// Builds the clients that can declare an emergency, in the order in which they are tried: the function for
    /// emergencies, if its URL is given, and management. Their time limits are short. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// Fails like [`Connection::connect`], except that one URL is enough.
    pub fn connect_for_emergency(&self, emergency: Option<&str>) -> Result<Vec<Client>, Failure> {
        let urls: Vec<&str> =
            [emergency, self.url.as_deref()].into_iter().flatten().filter(|url| !url.is_empty()).collect();
        if urls.is_empty() {
            return Err(missing("URL of the management API", "CUTOVER_EMERGENCY_URL or CUTOVER_URL"));
        }
        urls.into_iter().map(|url| self.connect_to(url)?.within(EMERGENCY)).collect()
    }

    fn connect_to(&self, url: &str) -> Result<Client, Failure> {
        let token = self.token.as_deref().ok_or_else(|| missing("token", "CUTOVER_TOKEN"))?;
        Client::new(url, token, self.reason.clone(), self.aws_iam)
            .map(|client| client.retrying(!self.no_retry))
    }
}

fn missing(option: &str, variable: &str) -> Failure {
    Failure::Usage(format!("no {option} given\n  hint: set {variable}, or see cutover --help"))
}
