//! `cutover experiment assign`: the variant of a user, recomputed by the management API.

use super::path::path;
use crate::{
    client::{Client, encode},
    explain::with_pairs,
    failure::Failure,
    output::{self, Format},
};
use clap::Args;

/// Arguments of `cutover experiment assign`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the experiment.
    experiment: String,
    /// User id.
    user: String,
    /// Time of the assignment, RFC 3339 [default: now].
    #[arg(long)]
    at: Option<String>,
    /// Property of the request, such as header:x-beta=1, country=NO, path=/api/v1/reviews.
    #[arg(long = "with", value_name = "NAME=VALUE")]
    with: Vec<String>,
}

/// Shows the variant of a user, or the reason for which the user takes no part.
///
/// # Errors
///
/// Fails if a `--with` is not `NAME=VALUE`, if there is no such experiment, or if the management API refuses the request or
/// cannot be reached.
pub(super) fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let assigned = client.get(&target(options)?)?;
    output::show(format, &assigned, || output::fields(&assigned));
    Ok(())
}

fn target(Options { experiment, user, at, with }: &Options) -> Result<String, Failure> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    pairs.extend(at.as_deref().map(|time| ("at", time)));
    let query = with_pairs(pairs, with)?;
    let query = if query.is_empty() { query } else { format!("?{query}") };
    Ok(path(experiment, &format!("/assign/{}{query}", encode(user))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::CommandLine;
    use clap::Parser;

    #[test]
    fn user_and_properties_are_in_the_target() {
        let target_of = |words: &[&str]| {
            let parsed = CommandLine::<Options>::parse_from([&["assign"][..], words].concat());
            target(&parsed.arguments)
        };
        assert_eq!(target_of(&["e", "u/1"]).unwrap(), "/experiments/e/assign/u%2F1");
        let expected = "/experiments/e/assign/u?header%3Ax-beta=1&country=NO";
        assert_eq!(
            target_of(&["e", "u", "--with", "header:x-beta=1", "--with", "country=NO"]).unwrap(),
            expected
        );
        assert!(target_of(&["e", "u", "--with", "country"]).unwrap_err().to_string().contains("NAME=VALUE"));
    }
}
