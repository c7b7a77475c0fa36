//! `cutover canary wait`: blocks until a run is where a script needs it.

use super::{ladder, outcome::Outcome, path::path, progress::Progress, sentence, status::heading};
use crate::{
    client::Client,
    clock, duration,
    failure::Failure,
    notice, number,
    output::{self, Format},
    poll::Poll,
};
use clap::Args;
use serde_json::Value;
use std::{
    fmt, thread,
    time::{Duration, Instant},
};

/// Arguments of `cutover canary wait`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    /// Goal: completed, rolled_back, paused, or step=PERCENT (that step or a higher one); of several, the first to
    /// be reached.
    #[arg(long = "for", value_name = "GOAL", value_delimiter = ',', default_value = "completed", value_parser = goal)]
    goals: Vec<Goal>,
    /// Longest time to wait, such as 30m or 2h [default: no limit].
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 2, value_parser = number::whole::<u64>)]
    every: u64,
}

/// A position of a run to wait for.
#[derive(Debug, Clone, PartialEq)]
enum Goal {
    /// A state of the run, by its name in documents.
    State(&'static str),
    /// A step of this percentage, or a higher one.
    Step(f64),
}

/// Parses a goal.
fn goal(text: &str) -> Result<Goal, String> {
    let hint = || "use completed, rolled_back, paused, or step=25 for the step of 25 percent".to_owned();
    if let Some(percent) = text.strip_prefix("step=") {
        let percent: f64 = percent.trim_end_matches('%').parse().map_err(|_| hint())?;
        return if (0.0..=100.0).contains(&percent) { Ok(Goal::Step(percent)) } else { Err(hint()) };
    }
    let state = ["completed", "rolled_back", "paused"].into_iter().find(|state| *state == text);
    state.map(Goal::State).ok_or_else(hint)
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => f.write_str(state),
            Self::Step(percent) => write!(f, "at {percent}%"),
        }
    }
}

impl Goal {
    fn is_reached(&self, status: &Value) -> bool {
        let state = output::text(status, "state");
        match self {
            Self::State(wanted) => state == *wanted,
            Self::Step(wanted) => {
                let share = status.get("percentage").and_then(Value::as_f64);
                state != "rolled_back" && share.is_some_and(|share| share >= *wanted)
            }
        }
    }

    /// Returns true if the plan has no step that is high enough.
    fn is_beyond(&self, status: &Value) -> bool {
        let Self::Step(wanted) = self else { return false };
        let mut steps = output::list(status, "steps").filter_map(Value::as_f64).peekable();
        steps.peek().is_some() && steps.all(|step| step < *wanted)
    }
}

/// Waits until the run reaches one of the goals, ends in another way, or the time is over. Standard error tells each change.
///
/// # Errors
///
/// Fails if no step is as high as a goal, if the management API refuses a request, or if it cannot be reached from the
/// beginning.
pub(super) fn run(client: &Client, options: &Options, format: Format) -> Result<Outcome, Failure> {
    let Options { flag, goals, timeout, every } = options;
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let wanted = wanted(goals);
    let limit = timeout.map(|limit| duration::short(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)));
    let limit = limit.map_or_else(String::new, |limit| format!(", for {limit} at most"));
    notice::print(&format!("waiting until {flag} is {wanted}{limit}"));
    let mut poll = Poll::new(client, path(flag, ""), *every);
    let mut progress = Progress::default();
    let mut position = "unknown".to_owned();
    loop {
        let now = clock::now();
        match poll.read(now)? {
            Some(status) => {
                if let Some(line) = progress.line(&status, now) {
                    notice::print(&line);
                }
                if let Some(outcome) = judge(goals, &status)? {
                    if outcome == Outcome::Reached {
                        output::show(format, &status, || {
                            let [title, _] = heading(&status);
                            println!("{title}");
                        });
                    }
                    return Ok(outcome);
                }
                position = format!("{} at {}", output::text(&status, "state"), ladder::position(&status));
            }
            None if poll.has_just_failed() => notice::print(&poll.outage().unwrap_or_default()),
            None => {}
        }
        let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if remaining.is_some_and(|remaining| remaining.is_zero()) {
            return Ok(Outcome::TimeOver(format!("the time is over; {flag} is not {wanted} but {position}")));
        }
        thread::sleep(remaining.map_or(poll.pause(), |remaining| remaining.min(poll.pause())));
    }
}

/// Returns the outcome that a status decides; `None` while the run may still reach a goal.
fn judge(goals: &[Goal], status: &Value) -> Result<Option<Outcome>, Failure> {
    if goals.iter().any(|goal| goal.is_reached(status)) {
        return Ok(Some(Outcome::Reached));
    }
    if let Some(goal) = goals.iter().find(|goal| goal.is_beyond(status)) {
        let (flag, steps) = (output::text(status, "flag"), output::list(status, "steps"));
        let steps: Vec<String> = steps.map(ladder::share).collect();
        return Err(Failure::Usage(format!(
            "{flag} is never {goal}\n  hint: the steps of its plan are {}",
            steps.join(", ")
        )));
    }
    if sentence::is_active(status) {
        return Ok(None);
    }
    let (flag, state) = (output::text(status, "flag"), output::text(status, "state"));
    Ok(Some(Outcome::Missed(format!("{flag} is {state}, not {}", wanted(goals)))))
}

/// Names goals in a sentence.
fn wanted(goals: &[Goal]) -> String {
    goals.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;
    use serde_json::json;

    fn status(state: &str, percentage: f64) -> Value {
        json!({
            "flag": "f", "run": "r1", "state": state, "percentage": percentage, "steps": [5.0, 50.0], "step": 1,
            "reason": "because",
        })
    }

    #[test]
    fn goals_are_states_and_steps() {
        assert_eq!(goal("rolled_back"), Ok(Goal::State("rolled_back")));
        assert_eq!([goal("step=25"), goal("step=12.5%")], [Ok(Goal::Step(25.0)), Ok(Goal::Step(12.5))]);
        for wrong in ["", "done", "step", "step=", "step=101", "step=-1", "step=x", "step=NaN"] {
            assert!(goal(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_status_decides_or_does_not() {
        let missed = |sentence: &str| Some(Outcome::Missed(sentence.to_owned()));
        for (wanted, state, percentage, expected) in [
            ("completed", "running", 5.0, None),
            ("completed", "paused", 5.0, None),
            ("completed", "completed", 50.0, Some(Outcome::Reached)),
            ("completed", "rolled_back", 0.0, missed("f is rolled_back, not completed")),
            ("completed", "not_started", 0.0, missed("f is not_started, not completed")),
            ("rolled_back", "rolled_back", 0.0, Some(Outcome::Reached)),
            ("rolled_back", "completed", 50.0, missed("f is completed, not rolled_back")),
            ("paused", "baking", 50.0, None),
            ("paused", "paused", 50.0, Some(Outcome::Reached)),
            ("step=25", "running", 5.0, None),
            ("step=25", "running", 50.0, Some(Outcome::Reached)),
            ("step=25", "completed", 50.0, Some(Outcome::Reached)),
            ("step=5", "rolled_back", 0.0, missed("f is rolled_back, not at 5%")),
        ] {
            let goals = [goal(wanted).unwrap()];
            assert_eq!(judge(&goals, &status(state, percentage)).unwrap(), expected, "{wanted} {state}");
        }
        let both = [Goal::State("completed"), Goal::State("paused")];
        assert_eq!(judge(&both, &status("paused", 5.0)).unwrap(), Some(Outcome::Reached));
        let failure = judge(&[Goal::Step(75.0)], &status("running", 5.0)).unwrap_err();
        assert!(failure.to_string().contains("5%, 50%"), "{failure}");
    }

    #[test]
    fn the_time_is_over_also_while_no_status_comes() {
        let (url, _) = fake_server::answering(503, "");
        let client = Client::new(&url, "token", None).unwrap();
        let options = Options {
            flag: "f".to_owned(),
            goals: vec![Goal::State("completed"), Goal::Step(50.0)],
            timeout: Some(Duration::from_millis(300)),
            every: 1,
        };
        let outcome = run(&client, &options, Format::Table).unwrap();
        let expected = "the time is over; f is not completed or at 50% but unknown";
        assert_eq!(outcome, Outcome::TimeOver(expected.to_owned()));
    }
}
