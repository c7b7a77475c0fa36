//! `cutover flag stale`: flags of both kinds that have done their work.

use crate::{
    client::Client,
    failure::Failure,
    output::{self, Format},
};
use serde_json::Value;

/// Lists the flags that have given all users one variant for a week, or have not changed for long.
///
/// # Errors
///
/// Fails if the management API refuses the request or cannot be reached.
pub fn run(client: &Client, format: Format) -> Result<(), Failure> {
    let stale = client.whole("/stale-flags", "stale_flags")?;
    output::show(format, &stale, || {
        let rows: Vec<Vec<String>> = output::list(&stale, "stale_flags").map(row).collect();
        if rows.is_empty() {
            println!("no flag is stale");
        } else {
            output::table(&["FLAG", "KIND", "REASON", "DAYS", "ALL USERS HAVE"], &rows);
        }
    });
    Ok(())
}

fn row(flag: &Value) -> Vec<String> {
    output::pick(flag, &["flag", "decides", "reason", "days", "variant"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering;
    use serde_json::json;

    #[test]
    fn a_stale_flag_is_a_row() {
        let settled =
            json!({ "flag": "f", "decides": "routes", "reason": "settled", "days": 9, "variant": "new" });
        assert_eq!(row(&settled), ["f", "routes", "settled", "9", "new"]);
        let old = json!({ "flag": "g", "decides": "values", "reason": "old", "days": 90, "variant": null });
        assert_eq!(row(&old), ["g", "values", "old", "90", "-"]);
    }

    #[test]
    fn both_kinds_are_in_one_list() {
        let (url, paths) = answering(200, r#"{"stale_flags":[],"revision":7,"next_after":null}"#);
        let client = Client::new(&url, "t", None).unwrap();
        run(&client, Format::Table).unwrap();
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/stale-flags"]);
    }
}
