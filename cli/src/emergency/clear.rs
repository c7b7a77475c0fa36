//! `cutover emergency-clear`: ends an emergency, for all flags or for some, after showing what comes back.

use super::{
    reason::Reason,
    way::{Change, Way, Ways, is_of_the_way, to_standard_error},
};
use crate::{
    confirm::Confirmation,
    connection::Connection,
    etag,
    failure::Failure,
    in_force::Wait,
    notice,
    output::{self, Format, cell},
    percentage, publication,
};
use clap::Args;
use serde_json::{Value, json};

/// Most attempts to clear an emergency while other changes are being made.
const MAX_ATTEMPTS: usize = 5;

/// Arguments of `cutover emergency-clear`.
#[derive(Debug, Args)]
pub struct Clear {
    #[command(flatten)]
    reason: Reason,
    /// Release only these flags [default: all].
    #[arg(long = "flag", value_name = "FLAG")]
    flags: Vec<String>,
    /// Bring the flags back at 0 %: set their percentages to 0, and roll their active canaries back [default: the
    /// percentage that each flag has].
    #[arg(long, value_name = "0", value_parser = zero)]
    at: Option<f64>,
    /// End the emergency also if it cannot be read first, whatever it holds by then.
    #[arg(long)]
    unseen: bool,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    way: Way,
}

/// Parses the percentage at which all flags come back.
fn zero(text: &str) -> Result<f64, String> {
    if percentage::parse(text)? > 0.0 {
        return Err(
            "flags come back at 0 or at their own percentage; raise it afterwards with cutover rollout"
                .to_owned(),
        );
    }
    Ok(0.0)
}

/// Ends the emergency as it is shown, or releases some of its flags.
///
/// # Errors
///
/// Fails without a reason, if the emergency cannot be read, if none is in force, if the change is not confirmed, if what comes
/// back has changed since it was shown, if the management API cannot be reached, or like [`Wait::until_in_force`].
pub fn run(clear: &Clear, connection: &Connection, format: Format) -> Result<(), Failure> {
    let reason = clear.reason.given_once(connection, "emergency-clear 'fixed in 1.4.2'")?;
    // Unlike a rollback it waits for all that tells a production from others.
    connection.context()?;
    let ways = clear.way.open(connection)?;
    let seen = clear.look(&ways)?;
    // Without an emergency the management API refuses the change, and says so.
    let is_refused = seen.as_ref().is_some_and(|seen| seen.get("emergency").is_some_and(Value::is_null));
    if !is_refused {
        let preview = Preview::of(seen.as_ref(), clear);
        let environment = ways.environment();
        // An operator who is asked sees what the question is about, also with --json.
        let is_asked = clear.confirmation.asks(&environment);
        for line in &preview.lines {
            if is_asked { eprintln!("{line}") } else { notice::print(line) }
        }
        clear.confirmation.confirm(&environment, "clear the emergency", &preview.moved)?;
    }
    let response = clear.send_as_shown(&ways, clear.body(&reason), seen)?;
    output::show_change(format, &response, || {
        println!("{}; {}", outcome(&response), publication::of_emergency(&response));
    });
    ways.until_in_force(clear.wait, &response, format)
}

impl Clear {
    /// Reads the emergency that the clear ends. Returns `None` if it cannot be read, and the operator ends it all the same.
    fn look(&self, ways: &Ways) -> Result<Option<Value>, Failure> {
        match ways.in_force() {
            Ok(seen) => Ok(Some(seen)),
            Err(_) if self.unseen => Ok(None),
            Err(failure) if is_of_the_way(&failure) => Err(Failure::Unreachable(format!(
                "the emergency in force cannot be read, so nothing was cleared: {}\n  hint: try again, or end whatever is in \
                 force with --unseen",
                failure.cause()
            ))),
            Err(failure) => Err(failure),
        }
    }

    /// Clears the emergency on condition that nothing has changed since it was read. A change of something else than what was
    /// shown is not in the way.
    fn send_as_shown(&self, ways: &Ways, body: Value, mut shown: Option<Value>) -> Result<Value, Failure> {
        let mut change = Change { path: "/emergency/clear", body, tag: None };
        let mut attempts = 0;
        loop {
            change.tag = shown.as_ref().and_then(|shown| etag::of(shown, "revision"));
            let failure = match ways.send(&change, &mut to_standard_error) {
                Err(failure @ Failure::Refused { status: 412, .. }) => failure,
                result => return result,
            };
            attempts += 1;
            let Ok(now) = ways.in_force() else {
                return Err(failure.or_overtaken(|| {
                    "something has changed since it was shown, and what is in force now could not be read: run the command \
                     again"
                        .to_owned()
                }));
            };
            if !is_as_shown(shown.as_ref(), &now) {
                for line in Preview::of(Some(&now), self).lines {
                    notice::print(&line);
                }
                return Err(failure.or_overtaken(|| {
                    "what comes back has changed since it was shown: look at the lines above or at cutover status, and run \
                     the command again"
                        .to_owned()
                }));
            }
            if attempts == MAX_ATTEMPTS {
                return Err(failure);
            }
            shown = Some(now);
        }
    }

    fn body(&self, reason: &str) -> Value {
        let mut body = json!({ "reason": reason });
        if let Some(fields) = body.as_object_mut() {
            if !self.flags.is_empty() {
                fields.insert("flags".to_owned(), json!(self.flags));
            }
            if let Some(share) = self.at {
                fields.insert("percentage".to_owned(), json!(share));
            }
        }
        body
    }
}

/// Returns true if the emergency is still the one that was shown, with the same flags and shares.
fn is_as_shown(shown: Option<&Value>, now: &Value) -> bool {
    shown.is_some_and(|shown| {
        ["emergency", "held_flags"].iter().all(|name| shown.get(*name) == now.get(*name))
    })
}

/// The flags that come back, before they do.
#[derive(Debug, PartialEq, Eq)]
struct Preview {
    /// A line for each flag.
    lines: Vec<String>,
    /// The second half of the sentence that asks for a confirmation.
    moved: String,
}

impl Preview {
    fn of(status: Option<&Value>, clear: &Clear) -> Self {
        let Some(status) = status.filter(|status| status.get("held_flags").is_some_and(Value::is_array))
        else {
            let moved = match clear.at {
                Some(_) => "the flags come back at 0 %; which of them is not known",
                None => "the flags return to their percentages at once; which of them is not known",
            };
            return Self { lines: Vec::new(), moved: moved.to_owned() };
        };
        let is_released = |name: &str| clear.flags.is_empty() || clear.flags.iter().any(|flag| flag == name);
        let held = output::list(status, "held_flags").filter(|flag| is_released(output::text(flag, "name")));
        let share = |flag: &Value| clear.at.or_else(|| flag.get("returns_to")?.as_f64()).unwrap_or_default();
        let shares: Vec<(&str, f64)> = held.map(|flag| (output::text(flag, "name"), share(flag))).collect();
        let width = shares.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let lines = shares.iter().map(|(name, share)| {
            let name = format!("{name}:");
            format!("{name:<0$} 0 % -> {share} %", width + 1)
        });
        let rising = shares.iter().filter(|(_, share)| *share > 0.0).count();
        let moved = match rising {
            0 => "nobody moves but users on a whitelist".to_owned(),
            1 => "users of 1 flag return to the new backend at once".to_owned(),
            rising => format!("users of {rising} flags return to the new backend at once"),
        };
        Self { lines: lines.collect(), moved }
    }
}

/// Describes what is still held after a clear.
fn outcome(response: &Value) -> String {
    match response.pointer("/emergency/flags") {
        None => "emergency cleared".to_owned(),
        Some(held) => {
            let released: Vec<&str> =
                output::list(response, "returned").map(|flag| output::text(flag, "name")).collect();
            format!("released {}; the emergency still holds {}", released.join(", "), cell(held))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command_line::CommandLine,
        fake_server::{answering, answering_by_path, answering_tags, failing_first},
    };
    use clap::Parser;
    use std::sync::Mutex;

    const STATUS: &str = r#"{"emergency":{"reason":"r"},"revision":7,"published":true,"held_flags":[
        {"name":"offers","returns_to":70.0},{"name":"reviews_read","returns_to":2.5},{"name":"off","returns_to":0.0}]}"#;

    fn parsed(words: &[&str]) -> CommandLine<Clear> {
        let all = [&["cutover", "fixed", "--token", "t", "--no-retry"][..], words].concat();
        CommandLine::<Clear>::parse_from(all)
    }

    fn preview(words: &[&str]) -> (Vec<String>, String) {
        let status: Value = serde_json::from_str(STATUS).unwrap();
        let Preview { lines, moved } = Preview::of(Some(&status), &parsed(words).arguments);
        (lines, moved)
    }

    #[test]
    fn a_clear_says_what_comes_back_and_to_how_much() {
        let (lines, moved) = preview(&[]);
        assert_eq!(
            lines,
            ["offers:       0 % -> 70 %", "reviews_read: 0 % -> 2.5 %", "off:          0 % -> 0 %"]
        );
        assert_eq!(moved, "users of 2 flags return to the new backend at once");
        let (lines, moved) = preview(&["--flag", "offers"]);
        assert_eq!((lines, moved.contains("1 flag ")), (vec!["offers: 0 % -> 70 %".to_owned()], true));
        let (lines, moved) = preview(&["--at", "0"]);
        assert!(lines.iter().all(|line| line.ends_with(" 0 % -> 0 %")), "{lines:?}");
        assert_eq!(moved, "nobody moves but users on a whitelist");
        // A version that does not tell.
        let unknown = Preview::of(Some(&json!({ "emergency": {} })), &parsed(&[]).arguments);
        assert!(unknown.lines.is_empty() && unknown.moved.contains("return to their percentages"));
    }

    #[test]
    fn flags_come_back_at_zero_or_as_they_are() {
        assert_eq!(
            parsed(&["--at", "0%", "--flag", "f"]).arguments.body("fixed"),
            json!({
                "reason": "fixed", "flags": ["f"], "percentage": 0.0,
            })
        );
        assert_eq!(parsed(&[]).arguments.body("fixed"), json!({ "reason": "fixed" }));
        let refused = CommandLine::<Clear>::try_parse_from(["cutover", "fixed", "--at", "5"]).unwrap_err();
        assert!(refused.to_string().contains("raise it afterwards with cutover rollout"), "{refused}");
    }

    #[test]
    fn what_comes_back_is_read_before_anything_is_cleared() {
        let (url, paths) = answering(200, STATUS);
        let parsed = parsed(&["--yes", "--url", &url]);
        run(&parsed.arguments, &parsed.connection, Format::Json).unwrap();
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/emergency", "/api/migration/emergency/clear"]);
    }

    #[test]
    fn a_clear_waits_until_the_isolates_confirm_it() {
        const CLEARED: &str = r#"{"emergency":null,"held_flags":[],"revision":7,"published":true,
            "isolates":{"reporting":1,"revisions":[{"revision":7,"isolates":1}]}}"#;
        let (url, paths) = answering(200, CLEARED);
        let parsed = parsed(&["--yes", "--wait", "--timeout", "5s", "--url", &url]);
        run(&parsed.arguments, &parsed.connection, Format::Json).unwrap();
        let paths = paths.lock().unwrap().clone();
        assert_eq!(
            paths[1..],
            ["emergency/clear", "status", "status"].map(|path| format!("/api/migration/{path}"))
        );
    }

    #[test]
    fn a_clear_is_sent_on_condition_that_nothing_has_changed_since_it_was_shown() {
        let (url, tags) = answering_tags(200, STATUS);
        let parsed = parsed(&["--yes", "--url", &url]);
        run(&parsed.arguments, &parsed.connection, Format::Json).unwrap();
        assert_eq!(*tags.lock().unwrap(), ["", "\"7\""]);
    }

    #[test]
    fn only_the_emergency_and_what_comes_back_are_compared() {
        let status: Value = serde_json::from_str(STATUS).unwrap();
        let with = |name: &str, value: Value| {
            let mut other = status.clone();
            other[name] = value;
            other
        };
        for (now, expected) in [
            (status.clone(), true),
            (with("revision", json!(8)), true),
            (with("emergency", Value::Null), false),
            (with("held_flags", json!([{ "name": "offers", "returns_to": 71.0 }])), false),
        ] {
            assert_eq!(is_as_shown(Some(&status), &now), expected, "{now:?}");
        }
        assert!(!is_as_shown(None, &status));
    }

    /// Clears the emergency at a server, where no operator is asked. Returns the outcome, and the paths that were requested.
    fn clear_at(url: &str, paths: &Mutex<Vec<String>>, more: &[&str]) -> (Result<(), Failure>, Vec<String>) {
        let parsed = parsed(&[&["--yes", "--url", url][..], more].concat());
        let outcome = run(&parsed.arguments, &parsed.connection, Format::Json);
        (outcome, paths.lock().unwrap().clone())
    }

    #[test]
    fn an_emergency_that_cannot_be_read_is_ended_unseen_only() {
        for (status, body) in [(503, "{}"), (200, r#"{"emergency":{"reason":"of what revision"}}"#)] {
            let (url, paths) = answering(status, body);
            let (outcome, requested) = clear_at(&url, &paths, &[]);
            assert_eq!(requested, ["/api/migration/emergency"], "nothing is cleared");
            let failure = outcome.unwrap_err();
            assert_eq!(failure.json()["exit_code"], 7);
            assert!(failure.to_string().contains("with --unseen"), "{failure}");
            let (outcome, requested) = clear_at(&url, &paths, &["--unseen"]);
            assert_eq!(outcome.is_ok(), status == 200);
            assert_eq!(requested.last().unwrap(), "/api/migration/emergency/clear");
        }
    }

    #[test]
    fn the_status_of_an_older_function_tells_the_emergency() {
        let (url, paths) =
            answering_by_path(&[("/emergency", 404, r#"{"code":"path_unknown","detail":"no"}"#)], STATUS);
        let (outcome, requested) = clear_at(&url, &paths, &[]);
        outcome.unwrap();
        let paths = ["emergency", "status", "emergency/clear"].map(|path| format!("/api/migration/{path}"));
        assert_eq!(requested, paths);
    }

    #[test]
    fn a_clear_waits_for_what_it_shows() {
        let (url, paths) = failing_first(2, STATUS);
        let words = ["cutover", "fixed", "--token", "t", "--yes", "--url", &url];
        let parsed = CommandLine::<Clear>::parse_from(words);
        run(&parsed.arguments, &parsed.connection, Format::Json).unwrap();
        assert_eq!(paths.lock().unwrap().len(), 4, "two that fail, one read, and the change");
    }

    #[test]
    fn a_change_meanwhile_that_cannot_be_read_is_said_as_it_is() {
        let refused = r#"{"code":"changed_meanwhile","detail":"changed","hint":"read again"}"#;
        let faults = [("/emergency/clear", 412, refused), ("/emergency", 503, "{}")];
        let (url, paths) = answering_by_path(&faults, STATUS);
        let parsed = parsed(&["--url", &url]);
        let ways = parsed.arguments.way.open(&parsed.connection).unwrap();
        let shown = serde_json::from_str(STATUS).unwrap();
        let failure = parsed.arguments.send_as_shown(&ways, json!({}), Some(shown)).unwrap_err();
        assert_eq!(failure.json()["exit_code"], 6);
        let text = failure.to_string();
        assert!(text.contains("could not be read") && !text.contains("lines above"), "{text}");
        assert_eq!(paths.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_partial_clear_says_what_is_still_held() {
        let response = json!({
            "emergency": { "flags": ["b", "c"] }, "returned": [{ "name": "a", "percentage": 5.0 }],
        });
        assert_eq!(outcome(&response), "released a; the emergency still holds b, c");
        assert_eq!(outcome(&json!({ "emergency": null })), "emergency cleared");
    }
}
