//! `cutover canary watch`: the status of a canary, followed until its run ends.

use super::{
    frame::frame,
    outcome::Outcome,
    path::path,
    progress::Progress,
    screen::{self, Line, Screen},
    sentence,
    status::heading,
};
use crate::{
    client::Client,
    clock,
    failure::Failure,
    notice, number,
    output::{self, Format},
    poll::Poll,
    terminal::Size,
};
use clap::Args;
use serde_json::Value;
use std::thread;

/// Arguments of `cutover canary watch`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    /// Seconds between two refreshes.
    #[arg(long, default_value_t = 2, value_parser = number::whole::<u64>)]
    every: u64,
    /// Exit with 10 unless the run is completed.
    #[arg(long)]
    exit_status: bool,
}

/// Follows a canary until its run ends. A terminal is redrawn, on its alternate screen; other outputs get a line for each
/// change. Failed reads are repeated.
///
/// # Errors
///
/// Fails if the management API refuses a request, or if it cannot be reached from the beginning.
pub(super) fn run(client: &Client, options: &Options, format: Format) -> Result<Outcome, Failure> {
    let mut poll = Poll::new(client, path(&options.flag, ""), options.every);
    let mut view = None;
    let last = loop {
        let now = clock::now();
        let read = poll.read(now)?;
        // Opened after the first read: a refusal, or the line about an emergency, belongs on the screen from before.
        let shown = view.get_or_insert_with(|| View::of(format));
        match read {
            Some(status) => {
                shown.show(&status, now);
                if !sentence::is_active(&status) {
                    break status;
                }
            }
            None => shown.show_outage(&poll, now),
        }
        thread::sleep(poll.pause());
    };
    let is_screen = matches!(view, Some(View::Screen { .. }));
    // Returns to the screen from before, on which the end remains.
    drop(view);
    if is_screen {
        println!("{}\n{}", heading(&last).join("\n"), sentence::ending(&last).unwrap_or_default());
    }
    Ok(if options.exit_status { outcome(&last) } else { Outcome::Reached })
}

/// Returns the outcome of a run that is over.
fn outcome(last: &Value) -> Outcome {
    match output::text(last, "state") {
        "completed" => Outcome::Reached,
        state => Outcome::Missed(format!("{} is {state}, not completed", output::text(last, "flag"))),
    }
}

/// The place where the status is shown.
enum View {
    /// Each status as a document.
    Json,
    /// A line for each change.
    Lines(Progress),
    /// A terminal, with the last status.
    Screen { screen: Screen, last: Option<Value> },
}

impl View {
    fn of(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Table if screen::is_available() => Self::Screen { screen: Screen::open(), last: None },
            Format::Table => Self::Lines(Progress::default()),
        }
    }

    fn show(&mut self, status: &Value, now: i64) {
        match self {
            Self::Json => output::item(status),
            Self::Lines(progress) => {
                if let Some(line) = progress.line(status, now) {
                    println!("{line}");
                }
            }
            Self::Screen { screen, last } => {
                let note = Line::plain("Ctrl-C stops watching, not the canary");
                screen.draw(&frame(status, note, now, Size::current()));
                *last = Some(status.clone());
            }
        }
    }

    /// Tells that reads fail: on a terminal below the last status, else once for each outage.
    fn show_outage(&self, poll: &Poll<'_>, now: i64) {
        let outage = poll.outage().unwrap_or_default();
        match self {
            Self::Screen { screen, last } => {
                let status = last.as_ref().unwrap_or(&Value::Null);
                screen.draw(&frame(status, Line::warning(outage), now, Size::current()));
            }
            Self::Json | Self::Lines(_) if poll.has_just_failed() => notice::print(&outage),
            Self::Json | Self::Lines(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;
    use serde_json::json;

    #[test]
    fn f2_a_pipeline_can_tell_how_the_run_ended() {
        let outcome = |state: &str| outcome(&json!({ "flag": "f", "state": state }));
        assert_eq!(outcome("completed"), Outcome::Reached);
        assert_eq!(outcome("rolled_back"), Outcome::Missed("f is rolled_back, not completed".to_owned()));
        assert_eq!(outcome("not_started"), Outcome::Missed("f is not_started, not completed".to_owned()));
    }

    #[test]
    fn the_end_of_a_run_ends_the_watch() {
        let body = r#"{ "flag": "f", "state": "rolled_back", "reason": "rolled back by ann", "step": 0, "steps": [5] }"#;
        let (url, paths) = fake_server::answering(200, body);
        let client = Client::new(&url, "token", None).unwrap();
        let outcome = |exit_status: bool| {
            let options = Options { flag: "f".to_owned(), every: 1, exit_status };
            run(&client, &options, Format::Json).unwrap()
        };
        assert_eq!(outcome(false), Outcome::Reached);
        assert!(matches!(outcome(true), Outcome::Missed(_)));
        assert_eq!(paths.lock().unwrap().len(), 2);
    }
}
