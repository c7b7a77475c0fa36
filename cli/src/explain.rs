//! `cutover explain`: the edge's decision for a user, recomputed by the management API.

use crate::{
    client::{Client, encode},
    failure::Failure,
    output::{self, Format},
};
use clap::Args;

/// Arguments of `cutover explain`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    /// User id.
    #[arg(long)]
    user: Option<String>,
    /// Time of the decision, RFC 3339 [default: now].
    #[arg(long)]
    at: Option<String>,
    /// Property of the request, such as header:x-beta=1, country=NO, path=/api/v1/reviews.
    #[arg(long = "with", value_name = "NAME=VALUE")]
    with: Vec<String>,
}

/// Shows the decision and its reason.
///
/// # Errors
///
/// Fails if a `--with` is not `NAME=VALUE`, or if the management API refuses the request or cannot
/// be reached.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let decision = client.get(&path(options)?)?;
    output::show(format, &decision, || output::fields(&decision));
    Ok(())
}

fn path(options: &Options) -> Result<String, Failure> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    pairs.extend(options.user.as_deref().map(|user| ("user", user)));
    pairs.extend(options.at.as_deref().map(|time| ("at", time)));
    for property in &options.with {
        let pair = property.split_once('=').ok_or_else(|| {
            Failure::Usage(format!(
                "{property:?} is not of the form NAME=VALUE\n  hint: use for example --with header:x-beta=1"
            ))
        })?;
        pairs.push(pair);
    }
    let query: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    Ok(format!("/flags/{}/explain?{}", encode(&options.flag), query.join("&")))
}
