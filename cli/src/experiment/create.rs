//! `cutover experiment create` and `cutover create-ab-test`: a draft with two variants. Files make experiments of other shapes.

use super::{path::path, show};
use crate::{
    client::{Body, Client},
    failure::Failure,
    output::Format,
    percentage,
};
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Arguments of `cutover experiment create`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the experiment.
    experiment: String,
    /// Purpose of the experiment.
    #[arg(long)]
    description: Option<String>,
    /// Flag that the variants decide: control is on legacy, and treatment on the new backend.
    #[arg(long)]
    flag: Option<String>,
    /// Percentage of users who take part, such as 25 or 2.5%.
    #[arg(long, value_name = "PERCENTAGE", value_parser = percentage::parse, default_value = "100")]
    traffic_percentage: f64,
}

/// Arguments of `cutover create-ab-test`.
#[derive(Debug, Args)]
pub struct AbTest {
    /// Name of the experiment.
    name: String,
    /// Purpose of the experiment.
    description: String,
    /// Percentage of users who take part, the same as --traffic-percentage.
    #[arg(value_name = "PERCENTAGE", value_parser = percentage::parse, conflicts_with = "traffic_percentage")]
    positional: Option<f64>,
    /// Percentage of users who take part, such as 25 or 2.5%.
    #[arg(long, value_name = "PERCENTAGE", value_parser = percentage::parse, default_value = "50")]
    traffic_percentage: f64,
}

impl AbTest {
    /// Returns the percentage of users who take part. The established command line has it behind the description.
    fn percentage(&self) -> f64 {
        self.positional.unwrap_or(self.traffic_percentage)
    }
}

/// A new experiment.
struct Draft<'d> {
    name: &'d str,
    description: Option<&'d str>,
    flag: Option<&'d str>,
    traffic_percentage: f64,
}

/// Creates a draft. Nobody moves before it is started.
///
/// # Errors
///
/// Fails if there is such an experiment, or if the management API refuses the change or cannot be reached.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let Options { experiment, description, flag, traffic_percentage } = options;
    let (description, flag) = (description.as_deref(), flag.as_deref());
    let draft = Draft { name: experiment, description, flag, traffic_percentage: *traffic_percentage };
    create(&draft, client, format)
}

/// Creates the draft of an A/B test.
///
/// # Errors
///
/// Fails like [`run`].
pub fn create_ab_test(options: &AbTest, client: &Client, format: Format) -> Result<(), Failure> {
    let (description, traffic_percentage) = (Some(options.description.as_str()), options.percentage());
    create(&Draft { name: &options.name, description, flag: None, traffic_percentage }, client, format)
}

fn create(draft: &Draft<'_>, client: &Client, format: Format) -> Result<(), Failure> {
    let body = Body { media_type: "application/json", content: json_of(draft).to_string() };
    let created =
        client.on_condition("if-none-match", "*").send(Method::PUT, &path(draft.name, ""), Some(body));
    let hint = || format!("look at it with cutover experiment get {}", draft.name);
    let response = created.map_err(|failure| failure.or_overtaken(hint))?;
    show::change(&response, format);
    eprintln!("note: it is a draft; cutover experiment start {} assigns users", draft.name);
    Ok(())
}

/// Returns a new experiment as JSON, without the fields that are not stated.
fn json_of(Draft { name, description, flag, traffic_percentage }: &Draft<'_>) -> Value {
    let variant = |key: &str, name: &str, arm: &str| {
        let mut variant = json!({ "key": key, "name": name, "traffic_percentage": 50 });
        if let Some(fields) = variant.as_object_mut().filter(|_| flag.is_some()) {
            fields.insert("arm".to_owned(), json!(arm));
        }
        variant
    };
    let variants = [variant("control", "Control", "legacy"), variant("treatment", "Treatment", "new")];
    let mut experiment = Map::new();
    experiment.insert("name".to_owned(), json!(name));
    experiment.insert("state".to_owned(), json!("draft"));
    for (field, text) in [("description", description), ("flag", flag)] {
        if let Some(text) = text {
            experiment.insert(field.to_owned(), json!(text));
        }
    }
    experiment.insert("traffic_percentage".to_owned(), json!(traffic_percentage));
    experiment.insert("variants".to_owned(), json!(variants));
    Value::Object(experiment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command_line::CommandLine, fake_server::answering};
    use clap::Parser;

    #[test]
    fn an_ab_test_has_two_equal_variants_and_half_of_the_users() {
        let words = ["create-ab-test", "checkout", "A new button"];
        let parsed = CommandLine::<AbTest>::parse_from(words).arguments;
        assert_eq!(parsed.percentage(), 50.0);
        for percentage in [&["12.5"][..], &["--traffic-percentage", "12.5"]] {
            let parsed = CommandLine::<AbTest>::parse_from([&words[..], percentage].concat()).arguments;
            assert_eq!(parsed.percentage(), 12.5, "{percentage:?}");
        }
        let draft = Draft {
            name: "checkout",
            description: Some("A new button"),
            flag: None,
            traffic_percentage: 50.0,
        };
        let expected = json!({
            "name": "checkout", "state": "draft", "description": "A new button", "traffic_percentage": 50.0,
            "variants": [
                { "key": "control", "name": "Control", "traffic_percentage": 50 },
                { "key": "treatment", "name": "Treatment", "traffic_percentage": 50 },
            ],
        });
        assert_eq!(json_of(&draft), expected);
        let of_flag = json_of(&Draft { flag: Some("checkout"), ..draft });
        assert_eq!(of_flag["flag"], "checkout");
        assert_eq!(of_flag["variants"][0]["arm"], "legacy");
        assert_eq!(of_flag["variants"][1]["arm"], "new");
    }

    #[test]
    fn an_experiment_that_exists_is_not_replaced() {
        let body = r#"{"detail":"the experiment e already exists","code":"changed_meanwhile","hint":"ETag"}"#;
        let (url, paths) = answering(412, body);
        let client = Client::new(&url, "t", None).unwrap();
        let parsed = CommandLine::<Options>::parse_from(["create", "e"]).arguments;
        let refused = run(&parsed, &client, Format::Json).unwrap_err().to_string();
        assert!(refused.contains("cutover experiment get e"), "{refused}");
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/experiments/e"]);
    }
}
