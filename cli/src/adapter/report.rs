//! A trial as text, step by step, and as JSON.

use super::{
    differences::{COLUMNS, ShownDifference},
    origin::ClientResponse,
    pretty,
    trial::{Asked, Outcome, Trial},
};
use crate::output;
use serde_json::{Map, Value, json};

/// The comparison of a trial with legacy.
#[derive(Debug)]
pub struct Against {
    /// The response of legacy.
    pub legacy: ClientResponse,
    /// The differences between it and the adapter's.
    pub differences: Vec<ShownDifference>,
}

/// Formats a trial as text.
pub fn text(trial: &Trial) -> String {
    let mut text = line("route", &format!("{} of {}", trial.route, trial.adapter));
    for call in &trial.calls {
        text.push_str(&match &call.asked {
            Asked::Operation { name, variables } => {
                line("operation", name)
                    + &line("request", &call.url)
                    + &line("variables", &pretty::line(variables))
            }
            Asked::Rest { body, .. } if body.is_empty() => line("request", &call.url),
            Asked::Rest { body, .. } => line("request", &call.url) + &line("body", &pretty::line(body)),
        });
        text.push_str(&line("backend", &outcome(&call.outcome)));
    }
    text.push_str(&response("answer", &trial.response));
    if let Some(reason) = &trial.reason {
        text.push_str(&line("reason", reason));
    }
    if !trial.response.body.is_empty() {
        text.push_str(&format!("\n{}\n", pretty::body(&trial.response.body)));
    }
    text
}

/// Formats the comparison of a trial with legacy as text.
pub fn against(against: &Against) -> String {
    let mut text = format!("\n{}\n", response("legacy", &against.legacy));
    if against.differences.is_empty() {
        text.push_str("same: legacy and the adapter give the same response\n");
    } else {
        text.push_str(&listing(&against.differences));
    }
    text
}

/// Formats differences as a table, or with both values below each path if a row would be wider than 80
/// columns.
fn listing(differences: &[ShownDifference]) -> String {
    let rows: Vec<Vec<String>> = differences.iter().map(ShownDifference::row).collect();
    let table = output::format_table(&["DIFFERENT", "KIND", "LEGACY", "ADAPTER"], &rows);
    if table.lines().all(|line| line.chars().count() <= COLUMNS) {
        return table;
    }
    let below = |difference: &ShownDifference| {
        let ShownDifference { path, kind, old, new } = difference;
        let values = format!("    legacy   {old}\n    adapter  {new}\n");
        format!("{path}  {kind}\n{}", if difference.has_values() { values } else { String::new() })
    };
    format!("DIFFERENT  KIND\n{}", differences.iter().map(below).collect::<String>())
}

/// Builds the JSON of a trial. Bodies are strings, in which all digits survive.
pub fn json(trial: &Trial, against: Option<&Against>) -> Value {
    let calls: Vec<Value> = trial
        .calls
        .iter()
        .map(|call| {
            let asked = match &call.asked {
                Asked::Operation { name, variables } => json!({ "operation": name, "variables": variables }),
                Asked::Rest { method, target, body } => {
                    json!({ "method": method, "target": target, "body": body })
                }
            };
            let outcome = match &call.outcome {
                Outcome::Responded(response) => response_json(response),
                Outcome::Late => json!({ "failure": "timeout" }),
                Outcome::Lost(cause) => json!({ "failure": cause }),
            };
            json!({ "request": asked, "url": call.url, "response": outcome })
        })
        .collect();
    let mut value = json!({
        "adapter": trial.adapter,
        "route": trial.route,
        "calls": calls,
        "answer": response_json(&trial.response),
        "reason": trial.reason,
    });
    if let (Some(against), Some(fields)) = (against, value.as_object_mut()) {
        let differences: Vec<Value> = against.differences.iter().map(ShownDifference::json).collect();
        fields.insert("legacy".to_owned(), response_json(&against.legacy));
        fields.insert("differences".to_owned(), differences.into());
    }
    value
}

fn response_json(response: &ClientResponse) -> Value {
    let headers: Map<String, Value> =
        response.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({
        "status": response.status,
        "headers": headers,
        "body": String::from_utf8_lossy(&response.body),
    })
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Responded(response) => {
            let body = pretty::line(&String::from_utf8_lossy(&response.body));
            format!("{} {body}", response.status)
        }
        Outcome::Late => "no response in time".to_owned(),
        Outcome::Lost(cause) => format!("no response: {cause}"),
    }
}

/// Formats status and headers of a response.
fn response(label: &str, response: &ClientResponse) -> String {
    let mut text = line(label, &response.status.to_string());
    for (name, value) in &response.headers {
        text.push_str(&line("", &format!("{name}: {value}")));
    }
    text
}

fn line(label: &str, text: &str) -> String {
    format!("{}\n", format!("{label:<10} {text}").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::trial::Call;

    fn example(reason: Option<&str>) -> Trial {
        let response = |body: &str| ClientResponse {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.as_bytes().to_vec(),
        };
        let asked = Asked::Operation { name: "Review".to_owned(), variables: r#"{"id":"7"}"#.to_owned() };
        let outcome = Outcome::Responded(response(r#"{"data":{"review":{"id":"7"}}}"#));
        Trial {
            adapter: "reviews".to_owned(),
            route: "GET /reviews/{id}".to_owned(),
            calls: vec![Call { asked, url: "POST https://new.example/graphql".to_owned(), outcome }],
            response: response(r#"{"id":7}"#),
            own_headers: Vec::new(),
            reason: reason.map(str::to_owned),
            misfit: None,
        }
    }

    #[test]
    fn every_step_is_shown() {
        let expected = "\
route      GET /reviews/{id} of reviews
operation  Review
request    POST https://new.example/graphql
variables  {\"id\":\"7\"}
backend    200 {\"data\":{\"review\":{\"id\":\"7\"}}}
answer     200
           content-type: application/json
reason     because

{
  \"id\": 7
}
";
        assert_eq!(text(&example(Some("because"))), expected);
        assert!(!text(&example(None)).contains("reason"));
    }

    #[test]
    fn differences_are_a_table_and_their_absence_is_said() {
        let trial = example(None);
        let difference = ShownDifference {
            path: "id".to_owned(),
            kind: "type",
            old: "7".to_owned(),
            new: "\"7\"".to_owned(),
        };
        let different = Against { legacy: trial.response.clone(), differences: vec![difference] };
        let shown = against(&different);
        assert!(
            shown.contains("\nDIFFERENT  KIND  LEGACY  ADAPTER\nid         type  7       \"7\"\n"),
            "{shown}"
        );
        let long = ShownDifference { new: "x".repeat(80), ..different.differences[0].clone() };
        let expected =
            format!("DIFFERENT  KIND\nid  type\n    legacy   7\n    adapter  {}\n", "x".repeat(80));
        assert_eq!(listing(&[long]), expected);
        let same = Against { legacy: trial.response.clone(), differences: Vec::new() };
        assert!(against(&same).ends_with("same: legacy and the adapter give the same response\n"));
        let value = json(&trial, Some(&different));
        assert_eq!(value["calls"][0]["request"]["operation"], "Review");
        assert_eq!(value["answer"]["body"], r#"{"id":7}"#);
        assert_eq!(value["differences"][0]["path"], "id");
        assert_eq!(json(&trial, None).get("differences"), None);
    }
}
