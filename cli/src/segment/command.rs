//! The commands below `cutover segment`, and those of them that change a segment that is there.

use super::{create, show};
use crate::{
    client::Client, confirm::Confirmation, failure::Failure, in_force::Wait, object_deletion::Deletion,
    object_edit::Edit, output::Format,
};
use clap::{Args, Subcommand};

/// Fields that are edited, in their order in the text.
const FIELDS: [&str; 4] = ["description", "conditions", "include", "exclude"];

/// Commands on segments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all segments.
    List,
    /// Show a segment, with the flags that name it.
    Get(Segment),
    /// Create a segment.
    Create(create::Options),
    /// Edit a segment as YAML in your editor (VISUAL or EDITOR).
    Edit(Change),
    /// Delete a segment that no rule names.
    Delete(Change),
}

/// Arguments of the commands on one segment.
#[derive(Debug, Args)]
pub struct Segment {
    /// Name of the segment.
    segment: String,
}

/// Arguments of the commands that change a segment.
#[derive(Debug, Args)]
pub struct Change {
    /// Name of the segment.
    segment: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Runs a command.
///
/// # Errors
///
/// Fails if a change is not confirmed, or if the management API refuses the request or cannot be reached.
pub fn run(command: &Command, client: &Client, format: Format) -> Result<(), Failure> {
    match command {
        Command::List => show::list(client, format),
        Command::Get(Segment { segment }) => show::get(segment, client, format),
        Command::Create(options) => create::run(options, client, format),
        Command::Edit(change) => edit(change, client, format),
        Command::Delete(change) => delete(change, client, format),
    }
}

fn edit(
    Change { segment, confirmation, wait }: &Change,
    client: &Client,
    format: Format,
) -> Result<(), Failure> {
    let edit = Edit {
        kind: "segment",
        name: segment,
        path: &show::path(segment),
        fields: &FIELDS,
        concerned: "users of the flags that name it may get other values",
        command: "cutover segment edit",
        shown: show::change,
    };
    let response = edit.run(*confirmation, client, format)?;
    wait.until_in_force(client, &response, format)
}

/// Deletes a segment as it is shown.
fn delete(
    Change { segment, confirmation, wait }: &Change,
    client: &Client,
    format: Format,
) -> Result<(), Failure> {
    let deletion = Deletion {
        kind: "segment",
        name: segment,
        path: &show::path(segment),
        lost: |_| "its lists and conditions are lost".to_owned(),
    };
    let response = deletion.run(*confirmation, client, format)?;
    wait.until_in_force(client, &response, format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, fake_server::answering_tags};
    use clap::Parser;

    #[test]
    fn a_segment_is_deleted_as_it_was_read() {
        let (url, tags) = answering_tags(200, r#"{"name":"staff","version":3,"revision":4}"#);
        let client = Client::new(&url, "t", None).unwrap();
        let parsed = CommandLine::<Change>::parse_from(["delete", "staff", "--yes"]);
        delete(&parsed.arguments, &client, Format::Json).unwrap();
        assert_eq!(*tags.lock().unwrap(), ["", "\"3\""]);
    }
}
