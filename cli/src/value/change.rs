//! `cutover value edit`, `enable`, `disable` and `delete`.

use super::{path::path, show};
use crate::{
    client::Client, confirm::Confirmation, failure::Failure, in_force::Wait, object_deletion::Deletion,
    object_edit::Edit, output::Format,
};
use clap::Args;
use reqwest::Method;

/// Fields that are edited, in their order in the text.
const FIELDS: [&str; 11] = [
    "type",
    "description",
    "enabled",
    "variants",
    "default",
    "off",
    "rules",
    "prerequisites",
    "schedule",
    "permanent",
    "salt",
];

/// Arguments of the commands that change a flag and ask first.
#[derive(Debug, Args)]
pub struct Change {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Arguments of `cutover value disable`.
#[derive(Debug, Args)]
pub struct Disable {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    wait: Wait,
}

/// Opens a flag in the editor, and replaces it if it is still the one that was opened.
pub(super) fn edit(options: &Change, client: &Client, format: Format) -> Result<(), Failure> {
    let Change { flag, confirmation, wait } = options;
    let edit = Edit {
        kind: "flag",
        name: flag,
        path: &path(flag, ""),
        fields: &FIELDS,
        concerned: "its users may get other values",
        command: "cutover value edit",
        shown: show::change,
    };
    let response = edit.run(*confirmation, client, format)?;
    wait.until_in_force(client, &response, format)
}

/// Enables a flag.
pub(super) fn enable(options: &Change, client: &Client, format: Format) -> Result<(), Failure> {
    let Change { flag, confirmation, wait } = options;
    let moved = "its users get the variants of its rules and its default";
    confirmation.confirm(client.environment(), &format!("enable {flag}"), moved)?;
    let response = client.send(Method::POST, &path(flag, "/enable"), None)?;
    show::change(&response, format);
    wait.until_in_force(client, &response, format)
}

/// Disables a flag. Nothing is asked or read before: it is the way out.
pub(super) fn disable(options: &Disable, client: &Client, format: Format) -> Result<(), Failure> {
    let Disable { flag, wait } = options;
    let response = client.send(Method::POST, &path(flag, "/disable"), None)?;
    show::change(&response, format);
    wait.until_in_force(client, &response, format)
}

/// Deletes a flag as it is shown.
pub(super) fn delete(options: &Change, client: &Client, format: Format) -> Result<(), Failure> {
    let Change { flag, confirmation, wait } = options;
    let deletion = Deletion {
        kind: "flag",
        name: flag,
        path: &path(flag, ""),
        lost: |_| {
            "applications that evaluate it fall back to the default in their code, and its rules are lost"
                .to_owned()
        },
    };
    let response = deletion.run(*confirmation, client, format)?;
    wait.until_in_force(client, &response, format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command_line::CommandLine,
        environment::Environment,
        fake_server::{answering, answering_tags},
    };
    use clap::Parser;

    const FLAG: &str = r#"{"name":"f","type":"boolean","enabled":true,"variants":[],"default":{"variant":"on"},"version":3,
        "revision":4,"published":true}"#;

    #[test]
    fn a_flag_is_deleted_as_it_was_read() {
        let (url, tags) = answering_tags(200, FLAG);
        let client = Client::new(&url, "t", None).unwrap();
        let parsed = CommandLine::<Change>::parse_from(["delete", "f", "--yes"]);
        delete(&parsed.arguments, &client, Format::Json).unwrap();
        assert_eq!(*tags.lock().unwrap(), ["", "\"3\""]);
    }

    #[test]
    fn a_deletion_says_what_applications_get() {
        let (url, paths) = answering(200, FLAG);
        let client = Client::new(&url, "t", None).unwrap();
        let client = client.in_environment(Environment::of_context("live", &url, true));
        let parsed = CommandLine::<Change>::parse_from(["delete", "f"]);
        let refused = delete(&parsed.arguments, &client, Format::Json).unwrap_err().to_string();
        assert!(refused.contains("fall back to the default in their code"), "{refused}");
        assert_eq!(paths.lock().unwrap().len(), 1, "it is read, and not deleted");
    }

    #[test]
    fn a_way_out_is_one_request_and_a_way_in_is_asked_about_in_production() {
        let (url, paths) = answering(200, FLAG);
        let client = Client::new(&url, "t", None).unwrap();
        let client = client.in_environment(Environment::of_context("live", &url, true));
        let parsed = CommandLine::<Disable>::parse_from(["disable", "f"]).arguments;
        disable(&parsed, &client, Format::Json).unwrap();
        let parsed = CommandLine::<Change>::parse_from(["enable", "f"]).arguments;
        let refused = enable(&parsed, &client, Format::Json).unwrap_err();
        assert_eq!(refused.json()["exit_code"], 2, "{refused}");
        let parsed = CommandLine::<Change>::parse_from(["enable", "f", "--yes"]).arguments;
        enable(&parsed, &client, Format::Json).unwrap();
        let sent = ["/api/migration/value-flags/f/disable", "/api/migration/value-flags/f/enable"];
        assert_eq!(*paths.lock().unwrap(), sent);
    }
}
