//! `cutover flag create`: a new flag.

use crate::{
    client::{Body, Client},
    failure::Failure,
    flags,
    output::Format,
    percentage,
};
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Arguments of `cutover flag create`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    /// Purpose of the flag.
    #[arg(long)]
    description: Option<String>,
    /// Percentage of users on the new backend, such as 25 or 2.5%.
    #[arg(long, value_name = "PERCENTAGE", value_parser = percentage::parse, allow_negative_numbers = true)]
    rollout: Option<f64>,
    /// Enable the flag.
    #[arg(long)]
    enabled: bool,
}

/// Creates a flag. Nobody moves: no route uses it yet.
///
/// # Errors
///
/// Fails if there is such a flag, or if the management API refuses the change or cannot be reached.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let body = Body { media_type: "application/json", content: flag(options).to_string() };
    let path = flags::path(&options.flag);
    let created = client.on_condition("if-none-match", "*").send(Method::PUT, &path, Some(body));
    let hint = || format!("change it with cutover flag edit {}", options.flag);
    let response = created.map_err(|failure| failure.or_overtaken(hint))?;
    flags::show_change(&Value::Null, &response, format);
    Ok(())
}

/// Returns the new flag as JSON, without the fields that are not stated.
fn flag(options: &Options) -> Value {
    let mut flag = Map::new();
    flag.insert("enabled".to_owned(), json!(options.enabled));
    if let Some(percentage) = options.rollout {
        flag.insert("rollout_percentage".to_owned(), json!(percentage));
    }
    if let Some(description) = &options.description {
        flag.insert("description".to_owned(), json!(description));
    }
    Value::Object(flag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, fake_server::answering};
    use clap::Parser;

    fn parsed(words: &[&str]) -> Options {
        CommandLine::<Options>::parse_from([&["create"][..], words].concat()).arguments
    }

    #[test]
    fn a_new_flag_has_the_stated_fields_only() {
        assert_eq!(flag(&parsed(&["f"])), json!({ "enabled": false }));
        let full = parsed(&["f", "--description", "words", "--rollout", "2.5%", "--enabled"]);
        let expected = json!({ "enabled": true, "rollout_percentage": 2.5, "description": "words" });
        assert_eq!(flag(&full), expected);
    }

    #[test]
    fn a_flag_that_exists_is_not_replaced() {
        let body = r#"{"detail":"the flag f already exists","code":"changed_meanwhile","hint":"ETag"}"#;
        let (url, paths) = answering(412, body);
        let client = Client::new(&url, "t", None).unwrap();
        let refused = run(&parsed(&["f"]), &client, Format::Json).unwrap_err().to_string();
        assert_eq!(refused, "error: the flag f already exists\n  hint: change it with cutover flag edit f");
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/flags/f"]);
    }
}
