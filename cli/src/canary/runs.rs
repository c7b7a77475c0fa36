//! `cutover canary runs`: all runs of a flag, newest first.

use super::{ladder::share, path::path};
use crate::{
    client::Client,
    failure::Failure,
    number,
    output::{self, Format},
};
use clap::Args;
use serde_json::{Value, json};

/// Arguments of `cutover canary runs`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the flag.
    flag: String,
    /// Maximum number of runs [default: all].
    #[arg(long, value_parser = number::whole::<usize>)]
    limit: Option<usize>,
}

/// Lists the runs of a flag.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub(super) fn run(client: &Client, options: &Options, format: Format) -> Result<(), Failure> {
    let Options { flag, limit } = options;
    let response = match limit {
        Some(limit) => client.get(&path(flag, &format!("/runs?limit={limit}")))?,
        None => json!({ "runs": client.all(&path(flag, "/runs"), "runs")?, "next_after": null }),
    };
    output::show(format, &response, || {
        let rows: Vec<Vec<String>> = output::list(&response, "runs").map(row).collect();
        output::table(&["RUN", "STATE", "STARTED", "ENDED", "HIGHEST", "BY", "REASON"], &rows);
    });
    Ok(())
}

fn row(run: &Value) -> Vec<String> {
    let mut row = output::pick(run, &["run", "state", "started_at", "ended_at"]);
    let highest = run.get("highest_percentage").unwrap_or(&Value::Null);
    row.push(share(highest));
    row.extend(output::pick(run, &["started_by"]));
    row.push(match output::text(run, "reason") {
        // An operator gave no reason, so the last act stands for it.
        "" => format!("{} by {}", output::text(run, "action"), output::text(run, "changed_by")),
        reason => reason.to_owned(),
    });
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;

    #[test]
    fn a_run_is_a_row() {
        let run = json!({
            "run": "r7", "state": "rolled_back", "started_at": "2026-01-01T00:00:00Z", "ended_at": null,
            "highest_percentage": 50.0, "started_by": "ann", "reason": null, "action": "canary.rollback",
            "changed_by": "bob",
        });
        let expected =
            ["r7", "rolled_back", "2026-01-01T00:00:00.000Z", "-", "50%", "ann", "canary.rollback by bob"];
        assert_eq!(row(&run), expected);
    }

    #[test]
    fn all_pages_are_read_unless_there_is_a_limit() {
        let (url, paths) = fake_server::answering(200, r#"{ "runs": [], "next_after": null }"#);
        let client = Client::new(&url, "token", None).unwrap();
        for limit in [None, Some(5)] {
            run(&client, &Options { flag: "f".to_owned(), limit }, Format::Json).unwrap();
        }
        let expected = ["/api/migration/canary/f/runs", "/api/migration/canary/f/runs?limit=5"];
        assert_eq!(*paths.lock().unwrap(), expected);
    }
}
