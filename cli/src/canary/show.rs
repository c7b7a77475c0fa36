//! Where a canary stands, for people.

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format, cell},
};
use cutover_core::{canary::Forecast, plan::CanaryPlan};
use serde_json::{Value, json};
use std::{fmt::Write, io::IsTerminal, time::Duration};

pub(super) fn list(answer: &Value, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        output::json(answer);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = answer
        .get("canaries")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|canary| {
            ["flag", "state", "run", "percentage", "reason"]
                .iter()
                .map(|name| canary.get(*name).map(cell).unwrap_or_else(|| "-".to_owned()))
                .collect()
        })
        .collect();
    output::table(&["FLAG", "STATE", "RUN", "PERCENT", "WHY"], &rows);
    Ok(())
}

pub(super) fn status(answer: &Value, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(answer),
        Format::Table => print!("{}", describe(answer)),
    }
    Ok(())
}

/// Looks again and again until the run is over. On a terminal the view is drawn over the one before.
pub(super) fn watch(client: &Client, path: &str, every: u64, format: Format) -> Result<(), Failure> {
    let terminal = std::io::stdout().is_terminal();
    let mut before = String::new();
    loop {
        let answer = client.get(path)?;
        match format {
            Format::Json => println!("{answer}"),
            Format::Table => {
                let view = describe(&answer);
                if terminal {
                    print!(
                        "\x1b[H\x1b[J{view}\nlooking every {every} s; Ctrl-C stops looking, not the canary\n"
                    );
                } else if view != before {
                    println!("{view}");
                }
                before = view;
            }
        }
        let state = answer.get("state").and_then(Value::as_str).unwrap_or_default();
        if !matches!(state, "running" | "paused" | "baking") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(every.max(1)));
    }
}

fn describe(answer: &Value) -> String {
    let mut text = String::new();
    let at = |pointer: &str| answer.pointer(pointer).map(cell).unwrap_or_else(|| "-".to_owned());
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{}  run {}  {}", at("/flag"), at("/run"), at("/state"));
    let _ = writeln!(text, "  {}", ladder(answer));
    let _ = writeln!(text, "  {}", at("/reason"));
    if let Some(breach) = answer.get("breach").filter(|breach| !breach.is_null()) {
        let says = breach.get("says").map(cell).unwrap_or_default();
        if says != at("/reason") {
            let _ = writeln!(text, "  breach: {says}");
        }
    }
    if answer.get("next").is_some_and(|next| !next.is_null()) {
        let _ = write!(text, "  next: {}, because {}", at("/next/action"), at("/next/message"));
        for (name, pointer) in [("not before", "/next/not_before"), ("since", "/next/waiting_since")] {
            if answer.pointer(pointer).is_some_and(|moment| !moment.is_null()) {
                let _ = write!(text, "; {name} {}", at(pointer));
            }
        }
        text.push('\n');
    }
    if answer.get("evidence").is_some() {
        text.push('\n');
        text.push_str(&arms(answer));
        text.push('\n');
        text.push_str(&tests(answer));
    }
    let unknown = answer.get("unknown").and_then(Value::as_array).map_or(0, Vec::len);
    if unknown > 0 {
        let _ = writeln!(
            text,
            "\n  {unknown} isolates fell silent in this step; what they counted last is unknown"
        );
    }
    text
}

/// The steps, with the one that the canary is at in brackets.
fn ladder(answer: &Value) -> String {
    let step = answer.get("step").and_then(Value::as_u64);
    let steps = answer.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut rungs: Vec<String> = steps
        .iter()
        .zip(0_u64..)
        .map(
            |(share, at)| {
                if step == Some(at) { format!("[{}%]", cell(share)) } else { format!("{}%", cell(share)) }
            },
        )
        .collect();
    rungs.push(if step == u64::try_from(steps.len()).ok() { "[bake]".to_owned() } else { "bake".to_owned() });
    rungs.join(" > ")
}

fn arms(answer: &Value) -> String {
    let rows: Vec<Vec<String>> = ["new", "legacy"]
        .iter()
        .map(|arm| {
            let at = |name: &str| {
                let value = answer.pointer(&format!("/evidence/{arm}/{name}"));
                value.map(cell).unwrap_or_else(|| "-".to_owned())
            };
            let rate = answer.pointer(&format!("/evidence/{arm}/error_rate")).and_then(Value::as_f64);
            let rate = rate.map_or_else(|| "unknown".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
            vec![(*arm).to_owned(), at("requests"), at("errors"), rate, at("p50_ms"), at("p95_ms")]
        })
        .collect();
    output::format_table(&["  BACKEND", "REQUESTS", "ERRORS", "RATE", "P50 MS", "P95 MS"], &indented(rows))
}

fn tests(answer: &Value) -> String {
    let tests = answer.pointer("/evidence/tests").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = tests
        .map(|test| {
            let percent = test.get("percent").and_then(Value::as_f64).unwrap_or_default();
            let says = test.get("says").map(cell).unwrap_or_default();
            vec![bar(percent), format!("{:.0} %", percent.min(999.0)), says]
        })
        .collect();
    output::format_table(&["  EVIDENCE", "", "THAT"], &indented(rows))
}

fn indented(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for first in rows.iter_mut().filter_map(|row| row.first_mut()) {
        first.insert_str(0, "  ");
    }
    rows
}

fn bar(percent: f64) -> String {
    // At most ten.
    let full = (percent.clamp(0.0, 100.0) / 10.0) as usize;
    format!("{}{}", "#".repeat(full), ".".repeat(10 - full))
}

/// What each step needs.
pub(super) fn forecast(plan: &CanaryPlan, error_rate: f64, slow_rate: f64, format: Format) {
    let forecast = Forecast::of(plan, error_rate, slow_rate);
    if format == Format::Json {
        output::json(&json!(forecast));
        return;
    }
    let rows: Vec<Vec<String>> = forecast
        .iter()
        .map(|step| {
            vec![
                step.share.to_string(),
                step.canary_requests.map_or_else(|| "never".to_owned(), |count| count.to_string()),
                step.requests_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}")),
            ]
        })
        .collect();
    output::table(&["STEP", "CANARY REQUESTS", "REQUESTS/S IN ALL"], &rows);
    println!(
        "to prove a canary with {:.2} % errors and {:.2} % slow answers within {} minutes a step",
        error_rate * 100.0,
        slow_rate * 100.0,
        plan.step_duration_minutes
    );
    if forecast.iter().any(|step| step.canary_requests.is_none()) {
        eprintln!("warning: such a canary can never be proven; its rates are not below the success limits");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_shows_where_it_stands() {
        let at = |step: u64| ladder(&json!({ "step": step, "steps": [1.0, 50.0, 100.0] }));
        assert_eq!(at(1), "1.0% > [50.0%] > 100.0% > bake");
        assert_eq!(at(3), "1.0% > 50.0% > 100.0% > [bake]");
        assert_eq!(bar(0.0), "..........");
        assert_eq!(bar(55.0), "#####.....");
        assert_eq!(bar(1e9), "##########");
    }
}
