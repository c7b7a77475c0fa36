//! `cutover value explain`: the value of a user, recomputed by the management API, and the part of the flag behind it.

use super::path::path;
use crate::{
    client::Client,
    explain::with_pairs,
    failure::Failure,
    output::{self, Format},
};
use clap::Args;
use serde_json::Value;

/// Arguments of `cutover value explain`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    /// User id: the targetingKey of the context.
    #[arg(long)]
    user: Option<String>,
    /// Time of the evaluation, RFC 3339 [default: now].
    #[arg(long)]
    at: Option<String>,
    /// Attribute of the context as conditions read it, such as header:plan=gold or country=NO.
    #[arg(long = "with", value_name = "NAME=VALUE")]
    with: Vec<String>,
}

/// Shows the value of a user and the reason for it.
///
/// # Errors
///
/// Fails if a `--with` is not `NAME=VALUE`, if there is no such flag, or if the management API refuses the request or cannot be
/// reached.
pub(super) fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let explained = client.get(&target(options)?)?;
    output::show(format, &explained, || output::fields(&in_words(&explained)));
    Ok(())
}

fn target(Options { flag, user, at, with }: &Options) -> Result<String, Failure> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    pairs.extend(user.as_deref().map(|user| ("user", user)));
    pairs.extend(at.as_deref().map(|time| ("at", time)));
    let query = with_pairs(pairs, with)?;
    let query = if query.is_empty() { query } else { format!("?{query}") };
    Ok(path(flag, &format!("/explain{query}")))
}

/// Returns an explanation for people: the value as applications get it, and nothing that had no part in it.
fn in_words(explained: &Value) -> Value {
    let mut shown = explained.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
        if let Some(value) = fields.get_mut("value") {
            *value = Value::String(value.to_string());
        }
        if let Some(needed) = fields.get_mut("prerequisite") {
            let words = format!("{} of {}", output::text(needed, "variant"), output::text(needed, "flag"));
            *needed = Value::String(words);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::CommandLine;
    use clap::Parser;
    use serde_json::json;

    #[test]
    fn user_and_attributes_are_in_the_target() {
        let target_of = |words: &[&str]| {
            let parsed = CommandLine::<Options>::parse_from([&["explain"][..], words].concat());
            target(&parsed.arguments)
        };
        assert_eq!(target_of(&["f"]).unwrap(), "/value-flags/f/explain");
        let expected = "/value-flags/f/explain?user=u%2F1&header%3Aplan=gold";
        assert_eq!(target_of(&["f", "--user", "u/1", "--with", "header:plan=gold"]).unwrap(), expected);
        assert!(target_of(&["f", "--with", "plan"]).unwrap_err().to_string().contains("NAME=VALUE"));
    }

    #[test]
    fn an_explanation_has_what_had_a_part_in_it() {
        let shown = in_words(&json!({
            "flag": "f", "value": false, "variant": "off", "error": null, "rule": null,
            "prerequisite": { "flag": "colour", "variant": "blue" }, "bucket": 7,
        }));
        let expected = json!({
            "flag": "f", "value": "false", "variant": "off", "prerequisite": "blue of colour", "bucket": 7,
        });
        assert_eq!(shown, expected);
    }
}
