//! Notes behind a change of a flag: the run of its canary, and the share of requests that the new backend serves now.

use crate::{
    client::{Client, Limits},
    failure::Failure,
    notice,
    output::{self, Format},
};
use serde_json::Value;
use std::time::Duration;

/// Time limits of the read. The change is made, and its notes are not worth a long wait.
const SHORT: Limits = Limits { connection: Duration::from_secs(1), response: Duration::from_secs(3) };

/// Prints the notes about a flag on standard error, for people. Without a status there are none.
pub fn tell(client: &Client, flag: &str, format: Format) {
    print(client, format, |status| lines(status, flag));
}

/// Prints the share of requests on the new backend on standard error, for people.
pub fn tell_share(client: &Client, format: Format) {
    print(client, format, |status| measured(status).into_iter().collect());
}

fn print(client: &Client, format: Format, notes: impl FnOnce(&Value) -> Vec<String>) {
    if format != Format::Table {
        return;
    }
    if let Ok(status) = read(client) {
        notes(&status).iter().for_each(|line| notice::print(line));
    }
}

/// Reads the status of the migration, once.
fn read(client: &Client) -> Result<Value, Failure> {
    client.clone().reading_once().within(SHORT)?.get("/status")
}

/// Returns the notes about a flag by the status of the migration.
fn lines(status: &Value, flag: &str) -> Vec<String> {
    canary(status, flag).into_iter().chain(measured(status)).collect()
}

/// Describes the newest run of a flag's canary; `None` if there was none.
fn canary(status: &Value, flag: &str) -> Option<String> {
    let run = status.get("canaries")?.get(flag)?;
    let share = run.get("percentage").and_then(Value::as_f64).unwrap_or_default();
    let state = output::text(run, "state");
    Some(format!("note: the canary of {flag} is {state} at {share}%; see cutover canary status {flag}"))
}

/// Describes the share of requests on the new backend; `None` if there were none lately.
fn measured(status: &Value) -> Option<String> {
    let requests = status.pointer("/measurement/requests")?.as_u64().filter(|requests| *requests > 0)?;
    let share = status.pointer("/migration_progress/traffic_distribution/graphql")?.as_f64()?;
    Some(format!("all flags, last 5 min: {share} % of {requests} requests on the new backend"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering;
    use serde_json::json;

    fn status(requests: u64) -> Value {
        json!({
            "canaries": { "f": { "state": "paused", "percentage": 5.0, "reason": null } },
            "migration_progress": { "traffic_distribution": { "graphql": 12.5, "rest": 87.5 } },
            "measurement": { "requests": requests },
        })
    }

    #[test]
    fn a_change_names_the_run_of_the_flag_and_the_share_that_is_exposed() {
        assert_eq!(
            lines(&status(800), "f"),
            [
                "note: the canary of f is paused at 5%; see cutover canary status f",
                "all flags, last 5 min: 12.5 % of 800 requests on the new backend",
            ]
        );
        // The share without requests is the configured one, and exposes nobody.
        assert_eq!(lines(&status(0), "f").len(), 1);
        assert_eq!(lines(&status(0), "other"), Vec::<String>::new());
        assert_eq!(lines(&json!({}), "f"), Vec::<String>::new(), "a version that does not tell");
    }

    #[test]
    fn programs_read_no_notes() {
        let (url, paths) = answering(200, "{}");
        let client = Client::new(&url, "t", None).unwrap();
        tell(&client, "f", Format::Json);
        assert!(paths.lock().unwrap().is_empty());
        tell(&client, "f", Format::Table);
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/status"]);
    }
}
