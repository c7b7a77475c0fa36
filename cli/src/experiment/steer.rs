//! `cutover experiment start`, `pause`, `stop` and `delete`.

use super::{
    owner::{decided_flag, on_new},
    path::path,
    show,
};
use crate::{
    client::Client,
    confirm::Confirmation,
    etag,
    failure::Failure,
    flags,
    in_force::Wait,
    object_deletion::Deletion,
    output::{self, Format},
};
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Arguments of `cutover experiment start`.
#[derive(Debug, Args)]
pub struct Start {
    /// Name of the experiment.
    experiment: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Arguments of `cutover experiment pause`.
#[derive(Debug, Args)]
pub struct Pause {
    /// Name of the experiment.
    experiment: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Arguments of `cutover experiment stop`. The reason is the option of all changes.
#[derive(Debug, Args)]
pub struct Stop {
    /// Name of the experiment.
    experiment: String,
    /// Decision, in your words.
    #[arg(long)]
    decision: Option<String>,
    /// Key of the variant that won, if one did.
    #[arg(long, value_name = "VARIANT")]
    winner: Option<String>,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Arguments of `cutover experiment delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// Name of the experiment.
    experiment: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Starts an experiment. Asks first if its variants decide a flag.
pub(super) fn start(options: &Start, client: &Client, format: Format) -> Result<(), Failure> {
    let Start { experiment, confirmation, wait } = options;
    // What is started is what was read: nobody knows whom an experiment moves that could not be read.
    let before = client.get(&path(experiment, ""))?;
    if let Some(flag) = decided_flag(&before) {
        let (share, new) = (output::field(&before, "traffic_percentage"), on_new(&before));
        let moved = format!(
            "its variants decide {flag} for {share} percent of its users, and {new} percent of these go to the new backend"
        );
        confirmation.confirm(client.environment(), &format!("start {experiment}"), &moved)?;
    }
    let tag = etag::as_read(&before, "version");
    let client = &client.on_condition("if-match", &tag);
    let response = client.send(Method::POST, &path(experiment, "/start"), None)?;
    show::change(&response, format);
    wait.until_in_force(client, &response, format)
}

/// Pauses an experiment. Asks first only if that moves users to the new backend.
pub(super) fn pause(options: &Pause, client: &Client, format: Format) -> Result<(), Failure> {
    let Pause { experiment, confirmation, wait } = options;
    confirm_end(experiment, "pause", *confirmation, client)?;
    let response = client.send(Method::POST, &path(experiment, "/pause"), None)?;
    show::change(&response, format);
    wait.until_in_force(client, &response, format)
}

/// Stops an experiment. Asks first only if that moves users to the new backend.
pub(super) fn stop(options: &Stop, client: &Client, format: Format) -> Result<(), Failure> {
    let Stop { experiment, confirmation, wait, .. } = options;
    let body = outcome(options, client)?;
    confirm_end(experiment, "stop", *confirmation, client)?;
    let response = client.send_json(Method::POST, &path(experiment, "/stop"), &body)?;
    show::change(&response, format);
    wait.until_in_force(client, &response, format)
}

/// Deletes an experiment as it is shown.
pub(super) fn delete(options: &Delete, client: &Client, format: Format) -> Result<(), Failure> {
    let Delete { experiment, confirmation } = options;
    let deletion = Deletion {
        kind: "experiment",
        name: experiment,
        path: &path(experiment, ""),
        lost: |before| {
            format!("it is {}, and its variants and its outcome are lost", output::text(before, "state"))
        },
    };
    deletion.run(*confirmation, client, format)?;
    Ok(())
}

/// Returns the body of a request to stop.
fn outcome(Stop { experiment, decision, winner, .. }: &Stop, client: &Client) -> Result<Value, Failure> {
    let reason = client.reason().ok_or_else(|| {
        let hint =
            format!("say why in a few words: cutover experiment stop {experiment} --reason 'no effect'");
        Failure::Usage(format!("no reason given\n  hint: {hint}"))
    })?;
    let mut body = Map::from_iter([("reason".to_owned(), json!(reason))]);
    for (field, text) in [("decision", decision), ("winner", winner)] {
        if let Some(text) = text {
            body.insert(field.to_owned(), json!(text));
        }
    }
    Ok(Value::Object(body))
}

/// Asks before an experiment ends if its users on legacy may go to the new backend: if its flag sends users there. What is
/// read for the question is read once, and an end does not wait for it.
fn confirm_end(
    experiment: &str,
    verb: &str,
    confirmation: Confirmation,
    client: &Client,
) -> Result<(), Failure> {
    let before = client.get_once(&path(experiment, "")).unwrap_or_default();
    let Some(flag) = decided_flag(&before).filter(|_| output::text(&before, "state") == "running") else {
        return Ok(());
    };
    let flag_before = client.get_once(&flags::path(flag)).unwrap_or_default();
    let share = flag_before.get("percentage_in_force").and_then(Value::as_f64).unwrap_or_default();
    if share <= 0.0 {
        return Ok(());
    }
    let moved =
        format!("{flag} decides for its users again, and sends {share} percent of them to the new backend");
    confirmation.confirm(client.environment(), &format!("{verb} {experiment}"), &moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command_line::CommandLine,
        environment::Environment,
        fake_server::{answering, failing_first},
    };
    use clap::Parser;

    const RUNNING: &str = r#"{"experiment":"e","state":"running","flag":"f","traffic_percentage":50.0,"percentage_in_force":PERCENT,
        "variants":[{"key":"control","traffic_percentage":60.0,"arm":"legacy"},
        {"key":"treatment","traffic_percentage":40.0,"arm":"new"}],"version":3,"revision":4,"published":true}"#;

    /// Returns the answer of a running experiment whose flag is at a percentage.
    fn running(percent: &str) -> &'static str {
        Box::leak(RUNNING.replace("PERCENT", percent).into_boxed_str())
    }

    /// Returns a client of production, where every request is answered by a running experiment whose flag is at a percentage.
    fn production(
        percent: &str,
        reason: Option<&str>,
    ) -> (Client, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
        let (url, paths) = answering(200, running(percent));
        let client = Client::new(&url, "t", reason.map(str::to_owned)).unwrap();
        (client.in_environment(Environment::of_context("live", &url, true)), paths)
    }

    #[test]
    fn an_end_at_zero_percent_is_not_asked_about() {
        for percent in ["0.0", "null"] {
            let (client, paths) = production(percent, None);
            let parsed = CommandLine::<Pause>::parse_from(["pause", "e"]).arguments;
            pause(&parsed, &client, Format::Json).unwrap();
            assert_eq!(paths.lock().unwrap().last().unwrap(), "/api/migration/experiments/e/pause");
        }
    }

    #[test]
    fn a_start_of_what_could_not_be_read_is_not_sent() {
        let (url, paths) = answering(404, r#"{"code":"not_found","detail":"there is none"}"#);
        let client = Client::new(&url, "t", None).unwrap();
        let parsed = CommandLine::<Start>::parse_from(["start", "e", "--yes"]).arguments;
        start(&parsed, &client, Format::Json).unwrap_err();
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/experiments/e"]);
    }

    /// Nobody is at a terminal in a test, so what is asked about is refused in production.
    #[test]
    fn a_start_and_an_end_above_zero_percent_are_asked_about() {
        let (client, paths) = production("20.0", Some("no effect"));
        let refused = |outcome: Result<(), Failure>, expected: &str| {
            let refused = outcome.unwrap_err();
            assert_eq!(refused.json()["exit_code"], 2, "{refused}");
            let said = refused.to_string();
            assert!(said.contains(expected) && said.contains("add --yes"), "{said}");
            std::mem::take(&mut *paths.lock().unwrap())
        };
        let start_words = CommandLine::<Start>::parse_from(["start", "e"]).arguments;
        let moved = "start e; its variants decide f for 50.0 percent of its users, and 40 percent of these go to the new backend";
        let read = refused(start(&start_words, &client, Format::Json), moved);
        assert_eq!(read, ["/api/migration/experiments/e"]);
        let pause_words = CommandLine::<Pause>::parse_from(["pause", "e"]).arguments;
        let stop_words = CommandLine::<Stop>::parse_from(["stop", "e"]).arguments;
        let moved = "f decides for its users again, and sends 20 percent of them to the new backend";
        let read = refused(pause(&pause_words, &client, Format::Json), &format!("pause e; {moved}"));
        assert_eq!(read, ["/api/migration/experiments/e", "/api/migration/flags/f"]);
        let read = refused(stop(&stop_words, &client, Format::Json), &format!("stop e; {moved}"));
        assert_eq!(read, ["/api/migration/experiments/e", "/api/migration/flags/f"]);
    }

    #[test]
    fn a_start_and_an_end_with_yes_are_sent() {
        let (client, paths) = production("20.0", Some("no effect"));
        let parsed = CommandLine::<Start>::parse_from(["start", "e", "--yes"]).arguments;
        start(&parsed, &client, Format::Json).unwrap();
        assert_eq!(paths.lock().unwrap().last().unwrap(), "/api/migration/experiments/e/start");
        let parsed = CommandLine::<Stop>::parse_from(["stop", "e", "--winner", "treatment", "-y"]).arguments;
        stop(&parsed, &client, Format::Json).unwrap();
        assert_eq!(paths.lock().unwrap().last().unwrap(), "/api/migration/experiments/e/stop");
        let body = outcome(&parsed, &client).unwrap();
        assert_eq!(body, json!({ "reason": "no effect", "winner": "treatment" }));
    }

    #[test]
    fn an_end_waits_for_no_read() {
        let (url, paths) = failing_first(1, running("20.0"));
        let client = Client::new(&url, "t", None).unwrap();
        let parsed = CommandLine::<Pause>::parse_from(["pause", "e"]).arguments;
        pause(&parsed, &client, Format::Json).unwrap();
        let expected = ["/api/migration/experiments/e", "/api/migration/experiments/e/pause"];
        assert_eq!(*paths.lock().unwrap(), expected);
    }

    #[test]
    fn a_stop_needs_a_reason_before_anything_is_sent() {
        let (client, paths) = production("0.0", None);
        let parsed = CommandLine::<Stop>::parse_from(["stop", "e"]).arguments;
        let refused = stop(&parsed, &client, Format::Json).unwrap_err().to_string();
        assert!(refused.contains("cutover experiment stop e --reason"), "{refused}");
        assert!(paths.lock().unwrap().is_empty());
    }
}
