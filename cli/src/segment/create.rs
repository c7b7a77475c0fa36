//! `cutover segment create`: a new segment.

use super::show;
use crate::{
    client::{Body, Client},
    failure::Failure,
    output::Format,
};
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Arguments of `cutover segment create`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the segment.
    segment: String,
    /// User who belongs whatever the conditions say. May be repeated.
    #[arg(long, value_name = "USER")]
    include: Vec<String>,
    /// User who never belongs. May be repeated.
    #[arg(long, value_name = "USER")]
    exclude: Vec<String>,
    /// Condition, such as 'country in NO,SE' or 'header:plan equals gold'. All must hold.
    #[arg(long = "condition", value_name = "CONDITION")]
    conditions: Vec<String>,
    /// Purpose of the segment.
    #[arg(long)]
    description: Option<String>,
}

/// Creates a segment. It replaces none.
///
/// # Errors
///
/// Fails if a condition cannot be read, if there is such a segment, or if the management API refuses the change or cannot be
/// reached.
pub(super) fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let body = Body { media_type: "application/json", content: json_of(options)?.to_string() };
    let path = show::path(&options.segment);
    let created = client.on_condition("if-none-match", "*").send(Method::PUT, &path, Some(body));
    let hint = || format!("change it with cutover segment edit {}", options.segment);
    let response = created.map_err(|failure| failure.or_overtaken(hint))?;
    show::change(&response, format);
    Ok(())
}

/// Returns the new segment as JSON, without the fields that are not stated.
fn json_of(options: &Options) -> Result<Value, Failure> {
    let mut segment = Map::new();
    if let Some(description) = &options.description {
        segment.insert("description".to_owned(), json!(description));
    }
    let conditions: Vec<Value> =
        options.conditions.iter().map(|text| condition(text)).collect::<Result<_, _>>()?;
    for (name, list) in [
        ("conditions", json!(conditions)),
        ("include", json!(options.include)),
        ("exclude", json!(options.exclude)),
    ] {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            segment.insert(name.to_owned(), list);
        }
    }
    Ok(Value::Object(segment))
}

/// Reads a condition: an attribute, an operator, and values with commas between them.
fn condition(text: &str) -> Result<Value, Failure> {
    // Values may have spaces within, and there may be several between the parts.
    let parts = text.trim().split_once(char::is_whitespace).and_then(|(name, rest)| {
        let (op, values) = rest.trim_start().split_once(char::is_whitespace)?;
        Some((name, op, values))
    });
    let Some((name, op, values)) = parts else {
        let hint = "write it as ATTRIBUTE OPERATOR VALUE, such as 'country in NO,SE'; for a value with a comma use \
                    cutover segment edit";
        return Err(Failure::Usage(format!("{text:?} is no condition\n  hint: {hint}")));
    };
    let values: Vec<&str> = values.split(',').map(str::trim).collect();
    Ok(json!({ "type": "attribute", "name": name, "op": op, "values": values }))
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
    fn a_new_segment_has_the_stated_fields_only() {
        assert_eq!(json_of(&parsed(&["s", "--include", "ann"])).unwrap(), json!({ "include": ["ann"] }));
        let words = ["s", "--condition", "country in NO, SE", "--exclude", "eve", "--description", "North"];
        let expected = json!({
            "description": "North", "exclude": ["eve"],
            "conditions": [{ "type": "attribute", "name": "country", "op": "in", "values": ["NO", "SE"] }],
        });
        assert_eq!(json_of(&parsed(&words)).unwrap(), expected);
        for spaced in ["country  in NO, SE", "  country   in   NO ,  SE  ", "country\tin NO,SE"] {
            assert_eq!(condition(spaced).unwrap(), expected["conditions"][0], "{spaced:?}");
        }
        assert_eq!(condition("header:plan equals Gold Plus").unwrap()["values"], json!(["Gold Plus"]));
        for wrong in ["country", "country in", "country  in ", "  ", ""] {
            let refused = json_of(&parsed(&["s", "--condition", wrong])).unwrap_err().to_string();
            assert!(refused.contains("is no condition"), "{refused}");
        }
    }

    #[test]
    fn a_segment_that_exists_is_not_replaced() {
        let body = r#"{"detail":"the segment s already exists","code":"changed_meanwhile","hint":"ETag"}"#;
        let (url, paths) = answering(412, body);
        let client = Client::new(&url, "t", None).unwrap();
        let refused =
            run(&parsed(&["s", "--include", "ann"]), &client, Format::Json).unwrap_err().to_string();
        assert!(refused.contains("cutover segment edit s"), "{refused}");
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/segments/s"]);
    }
}
