//! `cutover __names`: names of objects, one per line, for the completions of shells.

use crate::{client::Client, failure::Failure, output};
use clap::ValueEnum;

/// Kinds of objects with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Feature flags.
    Flags,
    /// Flags with a canary.
    Canaries,
    /// Ids of routes.
    Routes,
    /// Ids of tokens.
    Tokens,
    /// Ids of pending changes.
    Changes,
}

/// Prints the names of a kind.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub fn run(kind: Kind, client: &Client) -> Result<(), Failure> {
    let (path, items, name) = match kind {
        Kind::Flags => ("/flags", "flags", "name"),
        Kind::Canaries => ("/canary", "canaries", "flag"),
        Kind::Routes => ("/routes", "routes", "id"),
        Kind::Tokens => ("/tokens", "tokens", "id"),
        Kind::Changes => ("/changes", "changes", "change"),
    };
    for item in client.all(path, items)? {
        println!("{}", output::text(&item, name));
    }
    Ok(())
}
