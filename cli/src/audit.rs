//! `cutover audit`: the log of all changes, as a table or, with `--all`, as JSON lines.

use crate::{
    client::{Client, encode},
    failure::Failure,
    output::{self, Format, cell, pick},
};
use clap::Args;
use serde_json::Value;

/// Arguments of `cutover audit`.
#[derive(Debug, Args)]
pub struct Options {
    /// Only changes of this flag.
    #[arg(long)]
    flag: Option<String>,
    /// Only changes of this object, such as routes/reviews.read.
    #[arg(long, conflicts_with = "flag")]
    object: Option<String>,
    /// Only changes requested or approved by this name.
    #[arg(long)]
    actor: Option<String>,
    /// Only changes of this kind, such as flag.rollout.
    #[arg(long)]
    action: Option<String>,
    /// Only changes at or after this time, RFC 3339.
    #[arg(long)]
    since: Option<String>,
    /// Only changes before this time, RFC 3339.
    #[arg(long)]
    until: Option<String>,
    /// Maximum number of changes.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Export all changes, as one JSON object per line.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Options {
    fn query(&self) -> String {
        let filters = [
            ("flag", &self.flag),
            ("object", &self.object),
            ("actor", &self.actor),
            ("action", &self.action),
            ("since", &self.since),
            ("until", &self.until),
        ];
        filters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("&{name}={}", encode(value.as_deref()?))))
            .collect()
    }
}

/// Shows the newest records, or exports all of them.
///
/// # Errors
///
/// Fails if the management API refuses a filter or cannot be reached.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let query = options.query();
    if options.all {
        return export(&query, client);
    }
    let response = client.get(&format!("/audit?limit={}{query}", options.limit))?;
    output::show(format, &response, || table(&response));
    Ok(())
}

/// Prints every record, newest first, one per line.
fn export(query: &str, client: &Client) -> Result<(), Failure> {
    let mut before = String::new();
    loop {
        let page = client.get(&format!("/audit?limit=1000{query}{before}"))?;
        for record in output::list(&page, "records") {
            println!("{record}");
        }
        match page.get("next_before").and_then(Value::as_u64) {
            Some(next) => before = format!("&before={next}"),
            None => return Ok(()),
        }
    }
}

fn table(response: &Value) {
    let rows: Vec<_> = output::list(response, "records")
        .map(|record| {
            let mut row = pick(record, &["revision", "at", "actor", "action", "reason"]);
            row.insert(4, shortened(&output::list(record, "objects").collect::<Vec<_>>()));
            row
        })
        .collect();
    output::table(&["REVISION", "TIME", "BY", "ACTION", "OBJECTS", "REASON"], &rows);
}

/// Returns the first two names and the number of the others: a configuration file changes more
/// objects than fit into a line.
fn shortened(objects: &[&Value]) -> String {
    let names: Vec<_> = objects.iter().take(2).map(|name| cell(name)).collect();
    match objects.len().saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
