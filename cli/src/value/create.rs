//! `cutover value create`: a new flag with values.

use super::{path::path, show};
use crate::{
    client::{Body, Client},
    confirm::Confirmation,
    failure::Failure,
    in_force::Wait,
    output::Format,
};
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

/// Arguments of `cutover value create`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    /// Type of all values of the flag.
    #[arg(long = "type", value_name = "TYPE", default_value = "boolean")]
    kind: Kind,
    /// Variant and its value (JSON for number and object flags). A boolean flag has on=true and off=false unless
    /// stated.
    #[arg(long = "variant", value_name = "KEY=VALUE")]
    variants: Vec<String>,
    /// Variant of users whom no rule matches [default: the first one].
    #[arg(long, value_name = "KEY")]
    default: Option<String>,
    /// Variant while the flag is disabled [default: the last one].
    #[arg(long, value_name = "KEY")]
    off: Option<String>,
    /// Purpose of the flag.
    #[arg(long)]
    description: Option<String>,
    /// Enable the flag. Asks first, as cutover value enable does.
    #[arg(long)]
    enabled: bool,
    /// Keep the flag for good: it never becomes stale.
    #[arg(long)]
    permanent: bool,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Type of the values of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Boolean,
    String,
    Number,
    Object,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Number => "number",
            Self::Object => "object",
        }
    }
}

/// Creates a flag. It replaces none. Asks first if the flag is enabled at once.
///
/// # Errors
///
/// Fails if a variant is not `KEY=VALUE`, if the change is not confirmed, if there is such a flag, if the management
/// API refuses the change or cannot be reached, or like [`Wait::until_in_force`].
pub(super) fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let body = Body { media_type: "application/json", content: json_of(options)?.to_string() };
    if options.enabled {
        let change = format!("create {} enabled", options.flag);
        let moved = "users of applications that evaluate it get the variant of its default";
        options.confirmation.confirm(client.environment(), &change, moved)?;
    }
    let path = path(&options.flag, "");
    let created = client.on_condition("if-none-match", "*").send(Method::PUT, &path, Some(body));
    let hint = || format!("change it with cutover value edit {}", options.flag);
    let response = created.map_err(|failure| failure.or_overtaken(hint))?;
    show::change(&response, format);
    options.wait.until_in_force(client, &response, format)
}

/// Returns the new flag as JSON, without the fields that are not stated.
fn json_of(options: &Options) -> Result<Value, Failure> {
    let variants = variants(options)?;
    let key = |variant: Option<&Value>| variant.and_then(|variant| variant.get("key")).cloned();
    let stated = |name: &Option<String>| name.as_ref().map(|name| json!(name));
    let default = stated(&options.default).or_else(|| key(variants.first()));
    let off = stated(&options.off).or_else(|| key(variants.last()));
    let mut flag = json!({
        "type": options.kind.as_str(),
        "enabled": options.enabled,
        "variants": variants,
        "default": default,
        "off": off,
    });
    if let Some(fields) = flag.as_object_mut() {
        if let Some(description) = &options.description {
            fields.insert("description".to_owned(), json!(description));
        }
        if options.permanent {
            fields.insert("permanent".to_owned(), json!(true));
        }
    }
    Ok(flag)
}

/// Returns the variants in their order: `on` and `off` for a boolean flag for which none are stated.
fn variants(Options { kind, variants, .. }: &Options) -> Result<Vec<Value>, Failure> {
    if variants.is_empty() {
        if *kind == Kind::Boolean {
            return Ok(vec![json!({ "key": "on", "value": true }), json!({ "key": "off", "value": false })]);
        }
        let hint = "name each one, such as --variant blue='#00f' --variant green='#0f0'";
        return Err(Failure::Usage(format!("a {} flag needs variants\n  hint: {hint}", kind.as_str())));
    }
    let variant = |written: &String| -> Result<Value, Failure> {
        let pair = written.split_once('=').ok_or_else(|| {
            Failure::Usage(format!(
                "{written:?} is not of the form KEY=VALUE\n  hint: use for example --variant on=true"
            ))
        });
        let (key, text) = pair?;
        let value = if *kind == Kind::String { Ok(json!(text)) } else { value(*kind, text) };
        Ok(json!({ "key": key, "value": value? }))
    };
    variants.iter().map(variant).collect()
}

/// Reads a value as JSON. The management API checks its type.
fn value(kind: Kind, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|_| {
        let hint = match kind {
            Kind::Boolean => "write true or false",
            Kind::Number => "write a number such as 2.5, with a point",
            Kind::String | Kind::Object => "write JSON between single quotes, such as '{\"items\": 3}'",
        };
        Failure::Usage(format!("{text:?} is no value of a {} flag\n  hint: {hint}", kind.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command_line::CommandLine,
        environment::Environment,
        fake_server::{answering, answering_by_path},
    };
    use clap::Parser;

    const CREATED: &str = r#"{"name":"f","type":"boolean","enabled":true,"default":{"variant":"on"},"version":3,"revision":3,
        "published":true}"#;

    fn parsed(words: &[&str]) -> Options {
        CommandLine::<Options>::parse_from([&["create"][..], words].concat()).arguments
    }

    #[test]
    fn a_boolean_flag_is_on_or_off() {
        let expected = json!({
            "type": "boolean", "enabled": false,
            "variants": [{ "key": "on", "value": true }, { "key": "off", "value": false }],
            "default": "on", "off": "off",
        });
        assert_eq!(json_of(&parsed(&["f"])).unwrap(), expected);
    }

    #[test]
    fn a_flag_has_the_stated_variants_in_their_order() {
        let words =
            ["f", "--type", "string", "--variant", "blue=#00f", "--variant", "eq=a=b", "--off", "blue"];
        let more = ["--description", "words", "--enabled", "--permanent"];
        let expected = json!({
            "type": "string", "enabled": true,
            "variants": [{ "key": "blue", "value": "#00f" }, { "key": "eq", "value": "a=b" }],
            "default": "blue", "off": "blue", "description": "words", "permanent": true,
        });
        assert_eq!(json_of(&parsed(&[&words[..], &more].concat())).unwrap(), expected);
        let number =
            json_of(&parsed(&["f", "--type", "number", "--variant", "some=2.5", "--default", "some"]));
        assert_eq!(number.unwrap()["variants"], json!([{ "key": "some", "value": 2.5 }]));
        let object = json_of(&parsed(&["f", "--type", "object", "--variant", r#"a={"n": 1}"#])).unwrap();
        assert_eq!(object["variants"][0]["value"], json!({ "n": 1 }));
    }

    #[test]
    fn a_variant_that_cannot_be_read_is_told_before_anything_is_sent() {
        for (words, expected) in [
            (&["f", "--type", "string"][..], "a string flag needs variants"),
            (&["f", "--variant", "on"], "KEY=VALUE"),
            (&["f", "--variant", "on=yes"], "write true or false"),
            (&["f", "--type", "number", "--variant", "a=2,5"], "with a point"),
            (&["f", "--type", "object", "--variant", "a=b"], "between single quotes"),
        ] {
            let refused = json_of(&parsed(words)).unwrap_err().to_string();
            assert!(refused.contains(expected), "{words:?}: {refused}");
        }
    }

    #[test]
    fn production_is_asked_about_a_flag_that_is_enabled_at_once() {
        let (url, paths) = answering(201, CREATED);
        let client = Client::new(&url, "t", None).unwrap();
        let client = client.in_environment(Environment::of_context("live", &url, true));
        let refused = run(&parsed(&["f", "--enabled"]), &client, Format::Json).unwrap_err();
        assert_eq!(refused.json()["exit_code"], 2, "{refused}");
        assert!(paths.lock().unwrap().is_empty(), "nothing is sent before");
        run(&parsed(&["f"]), &client, Format::Json).unwrap();
        run(&parsed(&["f", "--enabled", "--yes"]), &client, Format::Json).unwrap();
        assert_eq!(paths.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_new_flag_is_waited_for() {
        let status = r#"{"now":"2026-01-01T00:00:00Z"}"#;
        let (url, paths) = answering_by_path(&[("/status", 200, status)], CREATED);
        let client = Client::new(&url, "t", None).unwrap();
        // The status of an earlier version does not say which revisions isolates hold.
        run(&parsed(&["f", "--wait", "--timeout", "1s"]), &client, Format::Json).unwrap_err();
        let sent = ["/api/migration/value-flags/f", "/api/migration/status"];
        assert_eq!(paths.lock().unwrap()[..2], sent);
    }

    #[test]
    fn a_flag_that_exists_is_not_replaced() {
        let body = r#"{"detail":"the flag f already exists","code":"changed_meanwhile","hint":"ETag"}"#;
        let (url, paths) = answering(412, body);
        let client = Client::new(&url, "t", None).unwrap();
        let refused = run(&parsed(&["f"]), &client, Format::Json).unwrap_err().to_string();
        assert_eq!(refused, "error: the flag f already exists\n  hint: change it with cutover value edit f");
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/value-flags/f"]);
    }
}
