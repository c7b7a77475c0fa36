//! `cutover compare report`: differences between the responses of the two backends.

use crate::{
    client::Client,
    difference::NOTHING,
    failure::Failure,
    output::{self, Format, text},
};
use clap::Subcommand;
use cutover_core::config::nearest;
use serde_json::{Value, json};

/// Commands on comparisons.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show each difference, its rate, and the rate at which legacy differs from itself.
    Report {
        /// Only this route.
        route: Option<String>,
        /// Include noise: differences that legacy also has with itself.
        #[arg(long)]
        noise: bool,
    },
}

/// Runs a command.
///
/// # Errors
///
/// Fails if there is no such route, or if the management API refuses the request or cannot be reached.
pub fn run(command: &Command, client: &Client, format: Format) -> Result<(), Failure> {
    let Command::Report { route, noise } = command;
    let response = json!({ "comparisons": client.all("/comparisons", "comparisons")? });
    let comparisons: Vec<&Value> = output::list(&response, "comparisons")
        .filter(|comparison| route.as_deref().is_none_or(|route| text(comparison, "route") == route))
        .collect();
    if let Some(route) = route.as_deref().filter(|_| comparisons.is_empty()) {
        must_exist(route, &client.get("/config")?)?;
    }
    output::show(format, &json!({ "comparisons": comparisons }), || {
        report(route.as_deref(), &comparisons, *noise);
    });
    Ok(())
}

/// Fails if a configuration has no route of this id.
fn must_exist(route: &str, config: &Value) -> Result<(), Failure> {
    let known: Vec<&str> = output::list(config, "routes").map(|known| text(known, "id")).collect();
    if known.contains(&route) {
        return Ok(());
    }
    let near = nearest(route, known.into_iter()).map(|near| format!("did you mean {near}? "));
    Err(Failure::Refused {
        status: 404,
        detail: format!("there is no route {route:?}"),
        hint: format!("{}cutover route list shows all routes", near.unwrap_or_default()),
        problem: Box::new(json!({ "code": "not_found" })),
        retry_after: None,
    })
}

fn report(route: Option<&str>, comparisons: &[&Value], noise: bool) {
    if comparisons.is_empty() {
        let of = route.map(|route| format!(" of {route}")).unwrap_or_default();
        println!("no responses{of} compared yet; configure compare: for the route, and send it traffic");
    }
    for (index, comparison) in comparisons.iter().enumerate() {
        if index > 0 {
            println!();
        }
        summary(comparison);
        differences(comparison, noise);
        unmatched_rules(comparison);
    }
}

fn summary(comparison: &Value) {
    let run =
        comparison.get("run").and_then(Value::as_str).map(|run| format!(", run {run}")).unwrap_or_default();
    println!(
        "{} (flag {}{run}), {} to {}",
        text(comparison, "route"),
        text(comparison, "flag"),
        output::fixed(text(comparison, "since")),
        output::fixed(text(comparison, "until"))
    );
    println!(
        "  compared {}, mismatched {} ({}); noise measured on {}",
        number(comparison, "compared"),
        number(comparison, "mismatched"),
        percent(comparison, "mismatch_rate"),
        number(comparison, "noise_compared"),
    );
    let skipped = comparison.get("skipped").and_then(Value::as_object);
    if let Some(skipped) = skipped.filter(|skipped| !skipped.is_empty()) {
        let reasons: Vec<String> =
            skipped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        println!("  not compared: {}", reasons.join(", "));
    }
}

fn differences(comparison: &Value, noise: bool) {
    let is_noise =
        |difference: &Value| difference.get("is_noise").and_then(Value::as_bool).unwrap_or_default();
    let all = || output::list(comparison, "differences");
    let shown: Vec<&Value> = all().filter(|difference| noise || !is_noise(difference)).collect();
    if !shown.is_empty() {
        let rows: Vec<Vec<String>> = shown.iter().map(|difference| row(difference)).collect();
        output::table(&["  PATH", "KIND", "COUNT", "RATE", "NOISE", "EXAMPLE: OLD -> NEW"], &rows);
    }
    match all().count() - shown.len() {
        0 => {}
        1 => println!("  1 more difference is noise, which legacy has with itself; --noise shows it"),
        hidden => {
            println!(
                "  {hidden} more differences are noise, which legacy has with itself; --noise shows them"
            );
        }
    }
    match number(comparison, "others") {
        0 => {}
        others => println!("  {others} more differences are of kinds not listed here"),
    }
}

/// Returns the row of a difference.
fn row(difference: &Value) -> Vec<String> {
    let example = |side: &str| difference.pointer(&format!("/example/{side}")).and_then(Value::as_str);
    let [old, new] = ["old", "new"].map(|side| example(side).unwrap_or_default());
    let example = if [old, new] == [NOTHING; 2] { "-".to_owned() } else { format!("{old} -> {new}") };
    vec![
        format!("  {}", text(difference, "path")),
        text(difference, "kind").to_owned(),
        number(difference, "count").to_string(),
        percent(difference, "rate"),
        percent(difference, "noise_rate"),
        example,
    ]
}

/// Prints the rules that are most likely misspelt.
fn unmatched_rules(comparison: &Value) {
    for rule in output::list(comparison, "unmatched_rules") {
        println!(
            "  the rule {:?} has matched nothing in {} comparisons whose bodies were searched to the end",
            text(rule, "path"),
            number(rule, "compared"),
        );
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn percent(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_f64)
        .map_or_else(|| "-".to_owned(), |share| format!("{:.3} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering;

    #[test]
    fn a_difference_without_values_on_either_side_has_no_example() {
        let example = |old: &str, new: &str| {
            let difference =
                json!({ "path": "data", "kind": "order", "example": { "old": old, "new": new } });
            row(&difference).pop().unwrap()
        };
        assert_eq!(example("(nothing)", "(nothing)"), "-");
        assert_eq!(example("(nothing)", "1"), "(nothing) -> 1");
    }

    #[test]
    fn a_mistyped_route_is_corrected_and_one_without_comparisons_is_not() {
        let (url, _) = answering(200, r#"{"comparisons":[],"routes":[{"id":"reviews_read"},{"id":"cart"}]}"#);
        let client = Client::new(&url, "t", None).unwrap();
        let report = |route: &str| {
            run(&Command::Report { route: Some(route.to_owned()), noise: false }, &client, Format::Json)
        };
        let refused = report("review_read").unwrap_err();
        assert_eq!(refused.json()["exit_code"], 5);
        assert!(
            refused.to_string().contains("hint: did you mean reviews_read? cutover route list"),
            "{refused}"
        );
        assert!(!report("unlike_any").unwrap_err().to_string().contains("did you mean"));
        assert!(report("cart").is_ok());
    }
}
