//! `cutover audit`: the log of all changes, as a table or, with `--all`, as JSON lines; one revision
//! of it in full, and the verification of its chain.

mod time;

use crate::{
    client::{Client, encode},
    failure::Failure,
    number,
    object_change::lines,
    output::{self, Format, cell, pick},
};
use clap::{Args, Subcommand};
use cutover_core::Timestamp;
use serde_json::{Value, json};

/// Longest description of a change in the table, in characters.
const MAX_CHARS: usize = 60;

/// Arguments of `cutover audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    filter: Filter,
    /// Maximum number of records.
    #[arg(long, default_value_t = 20, value_parser = number::whole::<usize>)]
    limit: usize,
    /// Export all records, with their whole changes, as one JSON object per line.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// Filters of `cutover audit`.
#[derive(Debug, Args)]
struct Filter {
    /// Only records about this flag, with emergencies that cover it.
    #[arg(long)]
    flag: Option<String>,
    /// Only records about this object, such as routes/reviews.read or emergency.
    #[arg(long, conflicts_with = "flag")]
    object: Option<String>,
    /// Only changes requested or approved by this name.
    #[arg(long)]
    actor: Option<String>,
    /// Only records of this kind, such as flag.rollout.
    #[arg(long)]
    action: Option<String>,
    /// Only records at or after this time: 1h or 2d before now, today, yesterday, a date, or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<Timestamp>,
    /// Only records before this time, given in the same way.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    until: Option<Timestamp>,
}

/// Commands on the audit log.
#[derive(Debug, Subcommand)]
enum Command {
    /// Show the records of a revision in full.
    Show {
        /// The revision.
        #[arg(value_parser = number::whole::<u64>)]
        revision: u64,
    },
    /// Verify that no record of the log was altered or removed.
    Verify {
        /// A record that an earlier verification ended with: it must still be there.
        #[arg(long, value_name = "POSITION:DIGEST")]
        known: Option<String>,
    },
}

impl Filter {
    fn query(&self) -> String {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let filters = [
            ("flag", self.flag.clone()),
            ("object", self.object.clone()),
            ("actor", self.actor.clone()),
            ("action", self.action.clone()),
            ("since", text(self.since)),
            ("until", text(self.until)),
        ];
        filters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("&{name}={}", encode(value.as_deref()?))))
            .collect()
    }
}

/// Shows the newest records, exports all of them, or runs a command on the log.
///
/// # Errors
///
/// Fails if the management API refuses a filter or cannot be reached, or the log is at fault.
pub fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let query = options.filter.query();
    match &options.command {
        Some(Command::Show { revision }) => show(*revision, client, format),
        Some(Command::Verify { known }) => verify(known.as_deref(), client, format),
        None if options.all => each(&query, client, |record| {
            output::data(&format!("{}\n", whole(record, client)?));
            Ok(())
        }),
        None => {
            let response = client.get(&format!("/audit?limit={}{query}", options.limit))?;
            output::show(format, &response, || table(&response));
            Ok(())
        }
    }
}

/// Calls `act` with every record that matches, newest first.
fn each(
    query: &str,
    client: &Client,
    mut act: impl FnMut(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut before = String::new();
    loop {
        let page = client.get(&format!("/audit?limit=1000{query}{before}"))?;
        for record in output::list(&page, "records") {
            act(record)?;
        }
        match page.get("next_before").and_then(Value::as_str) {
            Some(next) => before = format!("&before={}", encode(next)),
            None => return Ok(()),
        }
    }
}

/// Returns a record with its changes, which are read in parts if they are too large for the list.
fn whole(record: &Value, client: &Client) -> Result<Value, Failure> {
    let mut record = record.clone();
    let Some(parts) = record.get("changes_parts").and_then(Value::as_u64) else { return Ok(record) };
    let revision = output::field(&record, "revision");
    let mut text = String::new();
    for part in 0..parts {
        let response = client.get(&format!("/audit/{revision}/changes?part={part}"))?;
        text.push_str(output::text(&response, "text"));
    }
    let changes: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Io(format!("the changes of revision {revision}: {error}")))?;
    if let Some(fields) = record.as_object_mut() {
        fields.insert("changes".to_owned(), changes);
    }
    Ok(record)
}

fn show(revision: u64, client: &Client, format: Format) -> Result<(), Failure> {
    let mut records = Vec::new();
    each(&format!("&revision={revision}"), client, |record| {
        records.push(whole(record, client)?);
        Ok(())
    })?;
    if records.is_empty() {
        return Err(Failure::Refused {
            status: 404,
            detail: format!("the log has no record of revision {revision}"),
            hint: "see cutover audit for its revisions".to_owned(),
            problem: Box::default(),
            retry_after: None,
        });
    }
    // The change first, then what was recorded after it.
    records.reverse();
    let all = Value::Array(records);
    output::show(format, &all, || {
        for record in all.as_array().into_iter().flatten() {
            print!("{}", described(record));
        }
    });
    Ok(())
}

/// Describes a record in lines.
fn described(record: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<12}{value}\n"));
    line("record", output::field(record, "id"));
    line("time", output::field(record, "at"));
    line("by", format!("{} ({})", output::field(record, "actor"), output::field(record, "role")));
    for (name, field) in
        [("approved by", "approved_by"), ("action", "action"), ("reason", "reason"), ("digest", "digest")]
    {
        if let Some(value) = record.get(field).filter(|value| !value.is_null()) {
            line(name, cell(value));
        }
    }
    let objects: Vec<_> = output::list(record, "objects").map(cell).collect();
    line("objects", objects.join(", "));
    for change in output::list(record, "changes") {
        if let (Some(section), Some(name)) = (change.get("section"), change.get("name")) {
            text.push_str(&format!("  {}/{}\n", cell(section), cell(name)));
        }
        for line in lines(change) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text.push('\n');
    text
}

/// Returns the first changed field of a record, and the number of the others.
fn summary(record: &Value) -> String {
    if let Some(parts) = record.get("changes_parts") {
        return format!("in {} parts, see cutover audit show", cell(parts));
    }
    let lines: Vec<String> = output::list(record, "changes").flat_map(lines).collect();
    let Some(first) = lines.first() else { return "-".to_owned() };
    let mut shown: String = first.chars().take(MAX_CHARS).collect();
    if shown.len() < first.len() {
        shown.push_str("...");
    }
    match lines.len() {
        1 => shown,
        more => format!("{shown} and {} more", more - 1),
    }
}

fn table(response: &Value) {
    let rows: Vec<_> = output::list(response, "records")
        .map(|record| {
            let mut row = pick(record, &["revision", "at", "actor", "action", "reason"]);
            if let (Some(actor), Some(approved)) = (row.get_mut(2), record.get("approved_by")) {
                actor.push_str(&format!(", approved by {}", cell(approved)));
            }
            if let Some(time) = row.get_mut(1) {
                *time = output::time(time);
            }
            row.insert(4, shortened(&output::list(record, "objects").collect::<Vec<_>>()));
            row.insert(5, summary(record));
            row
        })
        .collect();
    output::table(&["REVISION", "TIME", "BY", "ACTION", "OBJECTS", "CHANGE", "REASON"], &rows);
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

fn verify(known: Option<&str>, client: &Client, format: Format) -> Result<(), Failure> {
    let known = known.map(|known| -> Result<String, Failure> {
        let usage = || Failure::Usage(format!("{known:?} is not POSITION:DIGEST"));
        let (position, digest) = known.split_once(':').ok_or_else(usage)?;
        let position: u64 = position.parse().map_err(|_| usage())?;
        Ok(format!("position={position}&digest={}&", encode(digest)))
    });
    let known = known.transpose()?.unwrap_or_default();
    let (mut checked, mut unchained, mut after) = (0, 0, String::new());
    loop {
        let part = client.get(&format!("/audit/verify?{known}{after}"))?;
        let number = |name: &str| part.get(name).and_then(Value::as_u64).unwrap_or_default();
        checked += number("checked");
        unchained += number("unchained");
        if let Some(fault) = part.get("fault").filter(|fault| !fault.is_null()) {
            let place = fault.get("id").filter(|id| !id.is_null());
            let place = place.map_or_else(|| "at its end".to_owned(), |id| format!("at record {}", cell(id)));
            let detail = output::field(fault, "detail");
            return Err(Failure::Different(format!("the audit log is at fault {place}: {detail}")));
        }
        if let Some(next) = part.get("next_after").and_then(Value::as_str) {
            after = format!("after={}", encode(next));
            continue;
        }
        let (position, digest) = (number("position"), output::field(&part, "digest"));
        let found = json!({
            "checked": checked, "unchained": unchained, "position": position, "digest": digest,
        });
        output::show(format, &found, || {
            println!("{checked} records are in order");
            if unchained > 0 {
                println!("{unchained} older records have no digest");
            }
            if position > 0 {
                println!("keep this, to verify later that it is still there: --known {position}:{digest}");
            }
        });
        return Ok(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_as_old_and_new() {
        let rollout =
            json!({ "section": "feature_flags", "name": "f", "fields": { "rollout_percentage": [25, 50] } });
        let step = json!({ "section": "canary_runs", "name": "f", "run": "r1", "state": ["running", "paused"], "salt": null });
        let asked = json!({ "change": "c1", "operation": "flag.rollout" });
        let emergency = json!({ "emergency": [null, { "reason": "drill" }] });
        for (changes, expected) in [
            (json!([]), "-"),
            (json!(null), "-"),
            (json!([rollout]), "rollout_percentage: 25 -> 50"),
            (json!([step]), "run: r1 and 1 more"),
            (json!([asked, rollout]), "change: c1 and 2 more"),
            (json!([emergency]), r#"+ emergency.reason: "drill""#),
        ] {
            let shown = changes.to_string();
            assert_eq!(summary(&json!({ "changes": changes })), expected, "{shown}");
        }
        assert_eq!(lines(&step), ["run: r1", r#"state: "running" -> "paused""#]);
        assert!(summary(&json!({ "changes": null, "changes_parts": 3 })).starts_with("in 3 parts"));
        let long = json!([{ "fields": { "description": ["a".repeat(80), "b"] } }]);
        assert_eq!(summary(&json!({ "changes": long })).chars().count(), MAX_CHARS + 3);
    }

    #[test]
    fn a_record_shows_who_approved_it() {
        let record = json!({
            "id": "7", "at": "2026-01-01T00:00:00Z", "actor": "one", "role": "operator", "action": "flag.rollout",
            "approved_by": "two", "reason": null, "objects": ["feature_flags/f"],
            "changes": [{ "section": "feature_flags", "name": "f", "fields": { "rollout_percentage": [25, 50] } }],
        });
        let text = described(&record);
        for line in [
            "record      7",
            "by          one (operator)",
            "approved by two",
            "  feature_flags/f",
            "    rollout_percentage: 25 -> 50",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line:?} is missing: {text}");
        }
        assert!(!text.contains("reason"), "{text}");
    }
}
