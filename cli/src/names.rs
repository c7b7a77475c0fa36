//! `cutover __names`: names of objects, one per line, for the completions of shells.

use crate::{
    client::{Client, encode},
    connection::Connection,
    context::ContextFile,
    encoding::name_field,
    failure::Failure,
    output,
};
use clap::{Args, ValueEnum};

/// Arguments of `cutover __names`.
#[derive(Debug, Args)]
pub struct Options {
    /// Kind of the names.
    kind: Kind,
    /// Flag whose runs are meant.
    flag: Option<String>,
}

/// Kinds of objects with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Feature flags.
    Flags,
    /// Flags with a canary.
    Canaries,
    /// Ids of the runs of a flag's canary.
    Runs,
    /// Names of experiments.
    Experiments,
    /// Names of flags with values.
    Values,
    /// Names of segments.
    Segments,
    /// Ids of routes.
    Routes,
    /// Ids of tokens.
    Tokens,
    /// Ids of pending changes.
    Changes,
    /// Contexts of this machine.
    Contexts,
}

/// Prints the names of a kind. Only contexts are known without the management API.
///
/// # Errors
///
/// Fails if the contexts cannot be read, or if the management API refuses the request or cannot be reached.
pub fn run(options: &Options, connection: &Connection) -> Result<(), Failure> {
    let names: Vec<String> = if options.kind == Kind::Contexts {
        ContextFile::of_user()?.read()?.contexts.into_keys().collect()
    } else {
        // A shell waits for them.
        names(options, &connection.connect_for_completions()?.without_banner().reading_once())?
    };
    for name in names {
        output::data(&format!("{name}\n"));
    }
    Ok(())
}

fn names(Options { kind, flag }: &Options, client: &Client) -> Result<Vec<String>, Failure> {
    let runs = format!("/canary/{}/runs", encode(flag.as_deref().unwrap_or_default()));
    let (path, items) = match kind {
        Kind::Flags => ("/flags", "flags"),
        Kind::Canaries => ("/canary", "canaries"),
        Kind::Runs => (runs.as_str(), "runs"),
        Kind::Experiments => ("/experiments", "experiments"),
        Kind::Values => ("/value-flags", "value_flags"),
        Kind::Segments => ("/segments", "segments"),
        Kind::Routes => ("/routes", "routes"),
        Kind::Tokens => ("/tokens", "tokens"),
        Kind::Changes => ("/changes", "changes"),
        Kind::Contexts => return Ok(Vec::new()),
    };
    let name = name_field(items);
    Ok(client.all(path, items)?.iter().map(|item| output::text(item, name).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering;

    #[test]
    fn each_kind_is_read_from_its_list() {
        let body = r#"{"flags":[{"name":"f"}],"runs":[{"run":"r7"}],"routes":[{"id":"reviews"}],"experiments":[{"experiment":"checkout"}],"value_flags":[{"name":"button"}],"segments":[{"name":"staff"}]}"#;
        let (url, paths) = answering(200, body);
        let client = Client::new(&url, "t", None).unwrap();
        for (kind, flag, expected) in [
            (Kind::Flags, None, "f"),
            (Kind::Runs, Some("f"), "r7"),
            (Kind::Routes, None, "reviews"),
            (Kind::Experiments, None, "checkout"),
            (Kind::Values, None, "button"),
            (Kind::Segments, None, "staff"),
        ] {
            let options = Options { kind, flag: flag.map(str::to_owned) };
            assert_eq!(names(&options, &client).unwrap(), [expected]);
        }
        let expected = ["flags", "canary/f/runs", "routes", "experiments", "value-flags", "segments"];
        let expected = expected.map(|path| format!("/api/migration/{path}"));
        assert_eq!(*paths.lock().unwrap(), expected);
    }
}
