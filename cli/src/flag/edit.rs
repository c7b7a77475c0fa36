//! `cutover flag edit`: a flag as YAML in an editor.

use super::editor::Draft;
use crate::{
    client::{Body, Client},
    confirm::Confirmation,
    etag,
    experiment::moved_by_owner,
    failure::Failure,
    flags,
    in_force::Wait,
    output::{self, Format},
};
use clap::Args;
use cutover_core::{Flag, FlagName, PartsPerMillion, config::flag_from_yaml};
use reqwest::Method;
use serde_json::{Map, Value};

/// Fields that are edited, in their order in the text.
const FIELDS: [&str; 9] = [
    "enabled",
    "rollout_percentage",
    "description",
    "user_whitelist",
    "user_blacklist",
    "conditions",
    "salt",
    "on_control_loss",
    "phase",
];

/// Arguments of `cutover flag edit`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Opens a flag in the editor, checks the edited text, and replaces the flag if it is still the one that was opened.
///
/// # Errors
///
/// Fails if the text is not edited or has mistakes, if the change is not confirmed, if another caller changes the flag
/// meanwhile, if the management API refuses the change or cannot be reached, or like [`Wait::until_in_force`].
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let path = flags::path(&options.flag);
    let before = client.get(&path)?;
    let draft = Draft::new(text(&before)?)?;
    let edited = draft.edited()?;
    let changed =
        parse(&options.flag, &edited, &before).and_then(|flag| replace(options, client, &before, &flag));
    match changed {
        Ok(response) => {
            flags::show_change(&before, &response, format);
            options.wait.until_in_force(client, &response, format)
        }
        Err(failure) => {
            eprintln!("your text is kept in {}", draft.keep().display());
            Err(failure)
        }
    }
}

/// Returns a flag as the text to edit.
fn text(flag: &Value) -> Result<String, Failure> {
    let name = output::text(flag, "name");
    let fields: Map<String, Value> = FIELDS
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), flag.get(field)?.clone())))
        .filter(|(field, value)| !(value.is_null() || field == "salt" && value == name))
        .collect();
    let yaml = serde_saphyr::to_string(&Value::Object(fields))
        .map_err(|error| Failure::Io(format!("{name} cannot be written as YAML: {error}")))?;
    let version = output::field(flag, "version");
    Ok(format!(
        "# The flag {name} at version {version}. Save and close the file to change the flag;\n\
         # leave the file as it is to change nothing.\n{yaml}"
    ))
}

/// Reads the edited text. A percentage that it leaves out stays as it is.
fn parse(name: &str, text: &str, before: &Value) -> Result<Flag, Failure> {
    let name = name.parse::<FlagName>().map_err(|error| Failure::Usage(format!("{name:?}: {error}")))?;
    let held = flags::percent(before).and_then(|percent| PartsPerMillion::from_percent(percent).ok());
    flag_from_yaml(&name, text, held.unwrap_or_default())
        .map_err(|problems| Failure::File { name: format!("the flag {name}"), problems })
}

/// Replaces the flag, on condition that it is as it was.
fn replace(options: &Options, client: &Client, before: &Value, flag: &Flag) -> Result<Value, Failure> {
    let Options { flag: name, confirmation, .. } = options;
    let held = if flags::is_on(before) { flags::percent(before).unwrap_or_default() } else { 0.0 };
    let wanted = flag.enabled_share().percent();
    let is_enabled = flag.enabled && !flags::is_on(before);
    let of_owner = if is_enabled && confirmation.is_asked(client.environment()) {
        moved_by_owner(name, client)
    } else {
        None
    };
    let of_share =
        (wanted > held).then(|| format!("{held} -> {wanted} percent of its users are on the new backend"));
    let moved: Vec<String> = of_owner.into_iter().chain(of_share).collect();
    if !moved.is_empty() {
        confirmation.confirm(client.environment(), &format!("change the flag {name}"), &moved.join("; "))?;
    }
    let content = serde_json::to_string(flag).map_err(|error| Failure::Io(error.to_string()))?;
    let tag = etag::as_read(before, "version");
    let body = Body { media_type: "application/json", content };
    client.on_condition("if-match", &tag).send(Method::PUT, &flags::path(name), Some(body)).map_err(
        |failure| failure.or_overtaken(|| format!("look at the flag again: cutover flag edit {name}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flag() -> Value {
        json!({
            "name": "f", "enabled": true, "rollout_percentage": 25.0, "description": "words",
            "user_whitelist": ["user-1"], "user_blacklist": [], "conditions": [
                { "type": "attribute", "name": "header:x-beta", "op": "equals", "values": ["yes"] },
            ],
            "salt": "f", "on_control_loss": null, "phase": "full", "version": 7, "updated_by": "root",
        })
    }

    #[test]
    fn what_is_opened_is_read_back_as_the_same_flag() {
        let text = text(&flag()).unwrap();
        assert!(text.starts_with("# The flag f at version 7."), "{text}");
        for hidden in ["salt", "updated_by", "on_control_loss"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        let read = serde_json::to_value(parse("f", &text, &flag()).unwrap()).unwrap();
        for (name, value) in read.as_object().unwrap() {
            assert_eq!(flag()[name], *value, "{name}");
        }
        assert_eq!(read["phase"], "full");
    }

    #[test]
    fn a_percentage_that_is_removed_stays_and_mistakes_have_their_line() {
        let kept = parse("f", "enabled: true\n", &flag()).unwrap();
        assert_eq!(kept.rollout_percentage.percent(), 25.0);
        let refused =
            parse("f", "enabled: true\nrollout_percentage: much\n", &flag()).unwrap_err().to_string();
        assert!(refused.contains("the flag f:2:21: rollout_percentage: expected a number"), "{refused}");
    }
}
