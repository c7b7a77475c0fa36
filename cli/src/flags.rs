//! `cutover list`, `get`, `enable`, `disable` and `rollout`. They share one file because they share
//! a path and a table.

use crate::{
    client::{Client, encode},
    condition,
    confirm::Confirmation,
    experiment::moved_by_owner,
    exposure,
    failure::Failure,
    in_force::Wait,
    notice,
    output::{self, Format, pick},
    percentage, publication,
};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

/// Field of a flag that is true while an emergency holds it.
const HELD: &str = "held_by_emergency";

/// Arguments of the commands on one flag.
#[derive(Debug, Args)]
pub struct Flag {
    /// Name of the flag.
    flag: String,
}

/// Arguments of `cutover enable`.
#[derive(Debug, Args)]
pub struct Enable {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Arguments of `cutover disable`.
#[derive(Debug, Args)]
pub struct Disable {
    /// Name of the flag.
    flag: String,
    #[command(flatten)]
    wait: Wait,
}

/// Arguments of `cutover rollout`.
#[derive(Debug, Args)]
pub struct Rollout {
    /// Name of the flag.
    flag: String,
    /// Percentage of users, such as 25 or 2.5%, with at most four decimals.
    #[arg(value_parser = percentage::parse, allow_negative_numbers = true)]
    percentage: f64,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
}

/// Lists all flags.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub fn list(client: &Client, format: Format) -> Result<(), Failure> {
    let flags = client.whole("/flags", "flags")?;
    output::show(format, &flags, || table(output::list(&flags, "flags")));
    Ok(())
}

/// Shows every field of a flag.
///
/// # Errors
///
/// Fails if there is no such flag, or if the management API cannot be reached.
pub fn get(Flag { flag }: &Flag, client: &Client, format: Format) -> Result<(), Failure> {
    let response = client.get(&path(flag))?;
    output::show(format, &response, || output::fields(&in_words(&response)));
    Ok(())
}

/// Enables a flag, so that its rollout percentage takes effect.
///
/// # Errors
///
/// Fails if the change is not confirmed, if the management API refuses it or cannot be reached, or like
/// [`Wait::until_in_force`].
pub fn enable(
    Enable { flag, confirmation, wait }: &Enable,
    client: &Client,
    format: Format,
) -> Result<(), Failure> {
    // Read for the question alone.
    let before = client.get_once(&path(flag)).unwrap_or_default();
    let share = percent(&before).unwrap_or(100.0);
    if !is_on(&before) && confirmation.is_asked(client.environment()) {
        let of_share =
            (share > 0.0).then(|| format!("up to {share} percent of its users move to the new backend"));
        let moved: Vec<String> = moved_by_owner(flag, client).into_iter().chain(of_share).collect();
        if !moved.is_empty() {
            let change = format!("enable {flag}");
            confirmation.confirm(client.environment(), &change, &moved.join("; "))?;
        }
    }
    let response = client.send(Method::POST, &format!("{}/enable", path(flag)), None)?;
    show_change(&before, &response, format);
    exposure::tell(client, flag, format);
    wait.until_in_force(client, &response, format)
}

/// Disables a flag, which sends all its users to legacy.
///
/// # Errors
///
/// Fails if the management API refuses the change or cannot be reached, or like [`Wait::until_in_force`].
pub fn disable(Disable { flag, wait }: &Disable, client: &Client, format: Format) -> Result<(), Failure> {
    // Nothing is read before: the way back to legacy is as short as it can be.
    let response = client.send(Method::POST, &format!("{}/disable", path(flag)), None)?;
    show_unread(client, flag, &response, format);
    exposure::tell(client, flag, format);
    wait.until_in_force(client, &response, format)
}

/// Sets the rollout percentage of a flag.
///
/// # Errors
///
/// Fails if the change is not confirmed, if the management API refuses it or cannot be reached, or like
/// [`Wait::until_in_force`].
pub fn rollout(rollout: &Rollout, client: &Client, format: Format) -> Result<(), Failure> {
    let Rollout { flag, percentage, confirmation, wait } = rollout;
    let is_to_legacy = *percentage <= 0.0;
    // The way back to legacy waits for no read. Elsewhere a failure to read leaves open who is moved, and the change itself
    // reports its cause.
    let read = if is_to_legacy { None } else { client.get_once(&path(flag)).ok() };
    let before = read.unwrap_or_default();
    let share = percent(&before).unwrap_or_default();
    let may_move = before.is_null() || is_on(&before);
    if may_move && *percentage > share {
        let moved = format!("{share} -> {percentage} percent of its users are on the new backend");
        confirmation.confirm(client.environment(), &format!("rollout {flag} {percentage}"), &moved)?;
    }
    let body = json!({ "percentage": percentage });
    let response = client.send_json(Method::PUT, &format!("{}/rollout", path(flag)), &body)?;
    if is_to_legacy {
        show_unread(client, flag, &response, format);
    } else {
        show_change(&before, &response, format);
    }
    if !is_on(&response) && percent(&response).is_some_and(|share| share > 0.0) {
        notice::print(&format!("note: {flag} is disabled, so nobody moves until cutover enable {flag}"));
    }
    exposure::tell(client, flag, format);
    wait.until_in_force(client, &response, format)
}

/// Returns the path of a flag.
pub fn path(flag: &str) -> String {
    format!("/flags/{}", encode(flag))
}

/// Returns true if a flag is enabled.
pub fn is_on(flag: &Value) -> bool {
    flag.get("enabled").and_then(Value::as_bool).unwrap_or_default()
}

/// Returns the percentage of a flag; `None` if the flag is unknown.
pub fn percent(flag: &Value) -> Option<f64> {
    flag.get("rollout_percentage").and_then(Value::as_f64)
}

/// Prints one row per flag.
fn table<'f>(flags: impl Iterator<Item = &'f Value>) {
    let names = ["name", "enabled", "rollout_percentage", "version", "updated_by", "description"];
    let rows: Vec<_> = flags.map(|flag| with_hold(flag, pick(flag, &names))).collect();
    output::table(&["FLAG", "ON", "PERCENT", "VERSION", "BY", "DESCRIPTION"], &rows);
}

/// Returns a flag for people, its conditions in words.
fn in_words(flag: &Value) -> Value {
    let mut shown = flag.clone();
    let words: Vec<String> = output::list(flag, "conditions").map(condition::words).collect();
    if let Some(conditions) = shown.get_mut("conditions") {
        *conditions = Value::String(words.join(" and "));
    }
    shown
}

/// Returns a flag after a change with the mark of another reading, before or behind the change, if an emergency holds it: a
/// change does not end that.
fn still_held(reading: &Value, response: &Value) -> Value {
    let mut shown = response.clone();
    if let (Some(fields), Some(is_held)) = (shown.as_object_mut(), reading.get(HELD)) {
        fields.insert(HELD.to_owned(), is_held.clone());
    }
    shown
}

/// Adds to the percentage of a flag that an emergency holds it at another one.
fn with_hold(flag: &Value, mut row: Vec<String>) -> Vec<String> {
    let is_held = flag.get(HELD).and_then(Value::as_bool).unwrap_or_default();
    if let Some(percentage) = row.get_mut(2).filter(|_| is_held) {
        percentage.push_str(" (held at 0)");
    }
    row
}

/// Shows a flag after a change. `before` is the flag before the change, null if that is unknown.
pub fn show_change(before: &Value, response: &Value, format: Format) {
    output::show_change(format, response, || show_held(before, &outcome(before, response), response));
}

/// Shows a flag after a change before which it was not read. Only the flag itself says if an emergency holds it, so it is read
/// behind the change while one is in force.
fn show_unread(client: &Client, flag: &str, response: &Value, format: Format) {
    output::show_change(format, response, || {
        let after = client.is_in_emergency().then(|| client.get_once(&path(flag)).unwrap_or_default());
        show_held(&after.unwrap_or_default(), &outcome(&Value::Null, response), response);
    });
}

/// Prints a flag after a change with the mark that it has in another reading of it, and the outcome.
fn show_held(reading: &Value, outcome: &str, response: &Value) {
    table(std::iter::once(&still_held(reading, response)));
    println!("{outcome}");
}

/// Returns true if the response to a change has a flag that was last changed by an earlier one.
fn is_older_than_change(response: &Value) -> bool {
    let number = |name: &str| response.get(name).and_then(Value::as_u64);
    number("version").zip(number("revision")).is_some_and(|(version, revision)| version < revision)
}

/// Describes a change by the flag before it, null if that is unknown, and the response to it.
fn outcome(before: &Value, response: &Value) -> String {
    // The version of a flag is the revision that changed it last, counted within an epoch.
    let version = |flag: &Value| ["epoch", "version"].map(|name| flag.get(name).cloned().unwrap_or_default());
    let is_same = !before.is_null() && version(before) == version(response);
    // The version of a flag that the newest revision changed is that revision, also if the flag is then changed to what it is.
    let is_told = response.get("unchanged").and_then(Value::as_bool).unwrap_or_default();
    if is_told || is_same || is_older_than_change(response) {
        return format!("unchanged; revision {}", output::field(response, "revision"));
    }
    format!("done; {}", publication::revision(response))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        environment::Environment,
        fake_server::{answering, answering_by_path, answering_with, failing_first},
    };
    use clap::Parser;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        rollout: Rollout,
    }

    const FLAG: &str =
        r#"{"name":"f","enabled":true,"rollout_percentage":25.0,"version":3,"revision":4,"published":true}"#;

    /// Rolls out in production, where no terminal is, and returns the outcome with the requested paths.
    fn in_production(words: &[&str]) -> (Result<(), Failure>, Vec<String>) {
        answered(words, FLAG)
    }

    /// Rolls out in production, where every request has the same answer.
    fn answered(words: &[&str], answer: &'static str) -> (Result<(), Failure>, Vec<String>) {
        let (url, paths) = answering(200, answer);
        let client = Client::new(&url, "t", None).unwrap();
        let client = client.in_environment(Environment::of_context("live", &url, true));
        let parsed = CommandLine::parse_from([&["rollout"][..], words].concat());
        let outcome = rollout(&parsed.rollout, &client, Format::Json);
        let paths = paths.lock().unwrap().clone();
        (outcome, paths)
    }

    #[test]
    fn a_rollout_down_or_with_yes_is_not_asked_about() {
        for words in [&["f", "10"][..], &["f", "0%"], &["f", "50", "--yes"], &["-y", "f", "25"]] {
            let (outcome, paths) = in_production(words);
            assert!(outcome.is_ok(), "{words:?}: {outcome:?}");
            assert_eq!(paths.last().unwrap(), "/api/migration/flags/f/rollout", "{words:?}");
        }
    }

    /// The users of an experiment come back with its flag, whose own percentage may be 0.
    #[test]
    fn an_operator_who_enables_a_flag_is_asked_about_the_users_of_its_experiment() {
        const OFF: &str = r#"{"name":"f","enabled":false,"rollout_percentage":0.0,"version":3,"revision":4,"published":true}"#;
        const OWNED: &str = r#"{"experiments":[{"experiment":"e","state":"running","flag":"f","traffic_percentage":50.0,
            "variants":[{"key":"b","traffic_percentage":40.0,"arm":"new"}]}]}"#;
        let enabled = |experiments: &'static str, confirmation: Confirmation| {
            let (url, paths) = answering_by_path(&[("/experiments", 200, experiments)], OFF);
            let client = Client::new(&url, "t", None).unwrap();
            let client = client.in_environment(Environment::of_context("live", &url, true));
            let options = Enable { flag: "f".to_owned(), confirmation, wait: Wait::default() };
            let outcome = enable(&options, &client, Format::Json);
            (outcome, paths.lock().unwrap().last().cloned().unwrap())
        };
        let (outcome, last) = enabled(OWNED, Confirmation::default());
        let refused = outcome.unwrap_err();
        assert_eq!((&refused.json()["exit_code"], last.as_str()), (&json!(2), "/api/migration/experiments"));
        assert!(refused.to_string().contains("enable f; the experiment e decides it again"), "{refused}");
        for (experiments, confirmation) in
            [(OWNED, Confirmation::given()), (r#"{"experiments":[]}"#, Confirmation::default())]
        {
            let (outcome, last) = enabled(experiments, confirmation);
            assert!(outcome.is_ok(), "{outcome:?}");
            assert_eq!(last, "/api/migration/flags/f/enable");
        }
    }

    #[test]
    fn a_rollout_waits_until_the_isolates_confirm_it() {
        const CONFIRMED: &str = r#"{"name":"f","enabled":true,"rollout_percentage":25.0,"version":3,"revision":4,
            "published":true,"isolates":{"reporting":2,"revisions":[{"revision":4,"isolates":2}]}}"#;
        let (outcome, paths) = answered(&["f", "10", "--wait"], CONFIRMED);
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(paths.last().unwrap(), "/api/migration/status");
        // The answer to the request for the status says nothing about isolates.
        let (outcome, _) = in_production(&["f", "10", "--wait", "--timeout", "5m"]);
        assert!(outcome.unwrap_err().to_string().contains("does not say which revisions isolates hold"));
        assert!(
            CommandLine::try_parse_from(["rollout", "f", "10", "--timeout", "5m"]).is_err(),
            "for nothing"
        );
    }

    #[test]
    fn the_way_to_legacy_waits_for_no_read() {
        let rollout = vec!["/api/migration/flags/f/rollout".to_owned()];
        for percentage in ["0", "0%"] {
            assert_eq!(in_production(&["f", percentage]).1, rollout, "{percentage}");
        }
    }

    #[test]
    fn a_question_is_worth_one_read_and_no_waiting() {
        let (url, paths) = failing_first(1, FLAG);
        let client = Client::new(&url, "t", None).unwrap();
        let parsed = CommandLine::parse_from(["rollout", "f", "10", "--yes"]);
        rollout(&parsed.rollout, &client, Format::Json).unwrap();
        let expected = ["/api/migration/flags/f", "/api/migration/flags/f/rollout"];
        assert_eq!(*paths.lock().unwrap(), expected);
    }

    #[test]
    fn a_flag_that_is_disabled_in_an_emergency_is_read_behind_that_for_its_mark() {
        let disabled = |format: Format| {
            let emergency = ("x-cutover-emergency", r#"{"by":"ann","reason":"r","flags":["f"]}"#);
            let (url, paths) = answering_with(200, FLAG, emergency);
            let client = Client::new(&url, "t", None).unwrap();
            let options = Disable { flag: "f".to_owned(), wait: Wait::default() };
            disable(&options, &client, format).unwrap();
            paths.lock().unwrap().clone()
        };
        let change = "/api/migration/flags/f/disable";
        let status = "/api/migration/status";
        assert_eq!(disabled(Format::Table), [change, "/api/migration/flags/f", status]);
        assert_eq!(disabled(Format::Json), [change], "JSON is the response as it is");
    }

    #[test]
    fn a_mistyped_percentage_is_explained() {
        for (text, expected) in [("12,5", "write it with a point: 12.5"), ("-5", "a percentage is 0 to 100")]
        {
            let refused = CommandLine::try_parse_from(["rollout", "f", text]).err().unwrap().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        assert_eq!(CommandLine::parse_from(["rollout", "f", "25%"]).rollout.percentage, 25.0);
    }

    #[test]
    fn a_flag_that_an_emergency_holds_is_marked() {
        let row = |is_held: bool| {
            let flag = json!({ "name": "f", "rollout_percentage": 50.0, "held_by_emergency": is_held });
            with_hold(&flag, pick(&flag, &["name", "enabled", "rollout_percentage"]))
        };
        assert_eq!(row(true), ["f", "-", "50.0 (held at 0)"]);
        assert_eq!(row(false), ["f", "-", "50.0"]);
    }

    #[test]
    fn a_flag_stays_marked_after_a_change_of_its_percentage() {
        let before = json!({ "name": "f", "rollout_percentage": 50.0, "held_by_emergency": true });
        let response = json!({ "name": "f", "rollout_percentage": 10.0 });
        let shown = still_held(&before, &response);
        let row = with_hold(&shown, pick(&shown, &["name", "enabled", "rollout_percentage"]));
        assert_eq!(row, ["f", "-", "10.0 (held at 0)"]);
        assert_eq!(still_held(&Value::Null, &response), response, "nothing is known");
    }

    #[test]
    fn the_conditions_of_a_flag_are_shown_in_words() {
        let country = json!({ "type": "attribute", "name": "country", "op": "in", "values": ["FR", "IT"] });
        let window = json!({ "type": "time_window", "end": "2024-12-31T00:00:00Z" });
        let flag = in_words(&json!({ "name": "f", "conditions": [country, window] }));
        assert_eq!(
            output::field(&flag, "conditions"),
            "country in FR, IT and time window until 2024-12-31T00:00:00.000Z"
        );
    }

    #[test]
    fn a_change_that_changes_nothing_says_so() {
        let flag = |version: u64| json!({ "version": version, "epoch": 1, "revision": 9, "published": true });
        assert_eq!(outcome(&flag(3), &flag(3)), "unchanged; revision 9");
        assert!(outcome(&flag(3), &flag(9)).starts_with("done; revision 9, published"));
        assert!(outcome(&Value::Null, &flag(9)).starts_with("done; "));
        assert_eq!(outcome(&Value::Null, &flag(3)), "unchanged; revision 9", "the flag was not read before");
    }

    /// It was disabled by the newest revision, so that its version does not tell the second `disable` from the first one.
    #[test]
    fn a_second_change_right_behind_the_first_one_says_that_it_changes_nothing() {
        let response = |unchanged: Value| json!({ "version": 9, "revision": 9, "published": true, "unchanged": unchanged });
        assert_eq!(outcome(&Value::Null, &response(json!(true))), "unchanged; revision 9");
        assert!(outcome(&Value::Null, &response(json!(false))).starts_with("done; revision 9"));
    }
}
