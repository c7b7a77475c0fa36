//! `cutover explain`: the edge's decision for a user, recomputed by the management API, and the legend of reasons.

mod reasons;

use crate::{
    client::{Client, encode},
    condition,
    failure::Failure,
    output::{self, Format},
};
use clap::Args;
use cutover_core::Reason;
use serde_json::{Value, json};

/// Arguments of `cutover explain`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    #[arg(required_unless_present = "reasons")]
    flag: Option<String>,
    /// User id.
    #[arg(long)]
    user: Option<String>,
    /// Time of the decision, RFC 3339 [default: now].
    #[arg(long)]
    at: Option<String>,
    /// Property of the request, such as header:x-beta=1, country=NO, path=/api/v1/reviews.
    #[arg(long = "with", value_name = "NAME=VALUE")]
    with: Vec<String>,
    /// Print the meaning of each reason instead; the management API is not called.
    #[arg(long, conflicts_with_all = ["flag", "user", "at", "with"])]
    reasons: bool,
}

impl Options {
    /// Returns true if the legend is asked for, which needs no management API.
    pub fn is_legend(&self) -> bool {
        self.reasons
    }
}

/// Prints the legend of reasons.
pub fn legend(format: Format) {
    let described = |reason: &Reason| json!({ "reason": reason, "arm": reasons::arm(*reason), "meaning": reasons::meaning(*reason) });
    let legend = json!({ "reasons": reasons::ORDER.iter().map(described).collect::<Vec<_>>() });
    output::show(format, &legend, || {
        let rows =
            output::list(&legend, "reasons").map(|row| output::pick(row, &["reason", "arm", "meaning"]));
        output::table(&["REASON", "ARM", "MEANING"], &rows.collect::<Vec<_>>());
    });
}

/// Shows the decision and its reason.
///
/// # Errors
///
/// Fails if a `--with` is not `NAME=VALUE`, if there is no such flag, or if the management API refuses the request or cannot
/// be reached.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let decision = client.get(&path(options)?)?;
    output::show(format, &decision, || output::fields(&in_words(&decision)));
    Ok(())
}

fn path(options: &Options) -> Result<String, Failure> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    pairs.extend(options.user.as_deref().map(|user| ("user", user)));
    pairs.extend(options.at.as_deref().map(|time| ("at", time)));
    let flag = encode(options.flag.as_deref().unwrap_or_default());
    Ok(format!("/flags/{flag}/explain?{}", with_pairs(pairs, &options.with)?))
}

/// Returns the query of parameters, and of properties of a request as they are given with `--with`.
///
/// # Errors
///
/// Fails if a property is not `NAME=VALUE`.
pub fn with_pairs<'p>(
    mut pairs: Vec<(&'p str, &'p str)>,
    properties: &'p [String],
) -> Result<String, Failure> {
    for property in properties {
        let pair = property.split_once('=').ok_or_else(|| {
            Failure::Usage(format!(
                "{property:?} is not of the form NAME=VALUE\n  hint: use for example --with header:x-beta=1"
            ))
        })?;
        pairs.push(pair);
    }
    let query: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    Ok(query.join("&"))
}

/// Returns a decision for people: the condition that does not hold in words, and its reason in the explanation alone.
fn in_words(decision: &Value) -> Value {
    let mut shown = decision.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|name, _| name != "failed_because");
        if let Some(failed) = fields.get_mut("failed_condition").filter(|failed| failed.is_object()) {
            *failed = Value::String(condition::words(failed));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_does_not_hold_is_told_in_words() {
        let shown = |condition: Value| {
            let decision = json!({
                "flag": "f", "failed_condition": condition, "failed_because": "the request has no country",
                "explanation": "a condition of the flag does not hold: the request has no country", "revision": 7,
            });
            in_words(&decision)
        };
        let attribute = json!({ "type": "attribute", "name": "country", "op": "in", "values": ["FR", "IT"] });
        let expected = json!({
            "flag": "f", "failed_condition": "country in FR, IT",
            "explanation": "a condition of the flag does not hold: the request has no country", "revision": 7,
        });
        assert_eq!(shown(attribute).to_string(), expected.to_string(), "in this order");
        assert_eq!(shown(Value::Null)["failed_condition"], Value::Null);
    }

    #[test]
    fn a_flag_that_does_not_exist_is_a_failure() {
        let body = r#"{"code":"not_found","detail":"there is no flag \"raeds\"","hint":"","flags":[{"name":"reads"}]}"#;
        let (url, paths) = crate::fake_server::answering(404, body);
        let client = Client::new(&url, "t", None).unwrap();
        let flag = Some("raeds".to_owned());
        let options = Options { flag, user: None, at: None, with: Vec::new(), reasons: false };
        let failure = run(&options, &client, Format::Table).unwrap_err();
        assert_eq!(failure.json()["exit_code"], 5);
        assert!(failure.to_string().contains("did you mean reads? "), "{failure}");
        assert_eq!(paths.lock().unwrap().last().unwrap(), "/api/migration/flags");
    }
}
