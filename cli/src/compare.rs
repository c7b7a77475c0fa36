//! `cutover compare report`: what is different about the answers of the two backends.

use crate::{client::Client, failure::Failure, output};
use serde_json::Value;

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn percent(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_f64)
        .map_or_else(|| "-".to_owned(), |share| format!("{:.3} %", share * 100.0))
}

/// Writes the report of one route, or of all.
pub fn report(
    client: &Client,
    route: Option<&str>,
    noise: bool,
    format: output::Format,
) -> Result<(), Failure> {
    let answer = client.get("/comparisons")?;
    let all = answer.get("comparisons").and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted: Vec<Value> =
        all.into_iter().filter(|held| route.is_none_or(|route| text(held, "route") == route)).collect();
    if format == output::Format::Json {
        output::json(&serde_json::json!({ "comparisons": wanted }));
        return Ok(());
    }
    if wanted.is_empty() {
        let of = route.map(|route| format!(" of {route}")).unwrap_or_default();
        println!("no answers{of} were compared yet; see compare: under the route, and give it traffic");
    }
    for (at, held) in wanted.iter().enumerate() {
        if at > 0 {
            println!();
        }
        one(held, noise);
    }
    Ok(())
}

fn one(held: &Value, noise: bool) {
    let run = held.get("run").and_then(Value::as_str).map(|run| format!(", run {run}")).unwrap_or_default();
    println!(
        "{} (flag {}{run}), {} to {}",
        text(held, "route"),
        text(held, "flag"),
        text(held, "since"),
        text(held, "until")
    );
    println!(
        "  compared {}, different {} ({}); legacy asked twice for {}",
        number(held, "compared"),
        number(held, "mismatched"),
        percent(held, "mismatch_rate"),
        number(held, "noise_compared"),
    );
    if let Some(skipped) =
        held.get("skipped").and_then(Value::as_object).filter(|skipped| !skipped.is_empty())
    {
        let reasons: Vec<String> =
            skipped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        println!("  not compared: {}", reasons.join(", "));
    }
    let differences = held.get("differences").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_noise =
        |difference: &Value| difference.get("is_noise").and_then(Value::as_bool).unwrap_or_default();
    let by_itself = differences.iter().filter(|difference| is_noise(difference)).count();
    let shown: Vec<&Value> = differences.iter().filter(|difference| noise || !is_noise(difference)).collect();
    if !shown.is_empty() {
        println!(
            "  {:<32} {:<8} {:>8} {:>10} {:>10}  EXAMPLE: OLD -> NEW",
            "PATH", "KIND", "COUNT", "RATE", "NOISE"
        );
    }
    for difference in shown {
        let example = |side: &str| difference.pointer(&format!("/example/{side}")).and_then(Value::as_str);
        println!(
            "  {:<32} {:<8} {:>8} {:>10} {:>10}  {} -> {}",
            text(difference, "path"),
            text(difference, "kind"),
            number(difference, "count"),
            percent(difference, "rate"),
            percent(difference, "noise_rate"),
            example("old").unwrap_or_default(),
            example("new").unwrap_or_default(),
        );
    }
    if by_itself > 0 && !noise {
        let s = if by_itself == 1 { "" } else { "s" };
        println!("  {by_itself} more difference{s} that legacy has with itself; --noise shows them");
    }
    match number(held, "others") {
        0 => {}
        others => println!("  {others} differences of more kinds than are told apart"),
    }
}
