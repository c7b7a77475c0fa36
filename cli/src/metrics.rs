//! `cutover metrics`.

use crate::{
    client::{Client, encode},
    failure::Failure,
    output,
};
use clap::Args;

/// Arguments of `cutover metrics`.
#[derive(Debug, Args)]
pub struct Options {
    /// Only the counts of this flag.
    #[arg(long, value_name = "NAME")]
    flag: Option<String>,
}

/// Prints the counts for programs; there is no table of them.
///
/// # Errors
///
/// Fails if there is no such flag, or if the management API refuses the request or cannot be reached.
pub fn run(Options { flag }: &Options, client: &Client) -> Result<(), Failure> {
    let query = flag.as_deref().map(|flag| format!("?flag={}", encode(flag))).unwrap_or_default();
    output::document(&client.get(&format!("/metrics{query}"))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering;

    #[test]
    fn the_metrics_of_one_flag_are_asked_for_by_its_name() {
        let (url, paths) = answering(200, "{}");
        let client = Client::new(&url, "t", None).unwrap();
        for flag in [None, Some("reviews read".to_owned())] {
            run(&Options { flag }, &client).unwrap();
        }
        assert_eq!(
            *paths.lock().unwrap(),
            ["/api/migration/metrics", "/api/migration/metrics?flag=reviews%20read"]
        );
    }
}
