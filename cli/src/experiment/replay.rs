//! `cutover experiment replay`: every judgement of an experiment, made again from its records.

use super::path::path;
use crate::{
    client::Client,
    failure::Failure,
    notice,
    output::{self, Format},
};
use cutover_core::experiment::{Record, replay};
use serde_json::json;
use std::collections::BTreeSet;

/// Judges again what each record holds, phase by phase.
///
/// # Errors
///
/// Fails if the records cannot be read, or if a judgement that is made again differs from its record.
pub(super) fn run(experiment: &str, client: &Client, format: Format) -> Result<(), Failure> {
    // Also those whose figures are withheld while results are hidden: a judgement needs all of them to be made again.
    let records: Vec<Record> = client.records(&path(experiment, "/records?hidden=include"))?;
    let mut disagreements = Vec::new();
    let mut differing = 0;
    for phase in records.chunk_by(|record, next| record.identity == next.identity) {
        let found = replay(phase);
        differing += found.iter().map(|found| found.position).collect::<BTreeSet<_>>().len();
        let number = phase.first().map_or(0, |record| record.identity.phase);
        disagreements.extend(found.iter().map(|found| format!("phase {number}, {found}")));
    }
    let report =
        json!({ "experiment": experiment, "records": records.len(), "disagreements": disagreements });
    output::show(format, &report, || {
        let rows: Vec<Vec<String>> = records.iter().map(row).collect();
        output::table(&["TIME", "PHASE", "USERS", "CONCLUSION"], &rows);
    });
    let reproduced = records.len().saturating_sub(differing);
    notice::print(&format!("{experiment}: {reproduced} judgements reproduced, {differing} differ"));
    let hidden = records.iter().filter(|record| record.judgement.is_hidden()).count();
    if hidden > 0 {
        notice::print(&format!(
            "{hidden} were made while results were hidden; their figures were read to make them again, and are not shown"
        ));
    }
    if disagreements.is_empty() {
        return Ok(());
    }
    disagreements.iter().for_each(|disagreement| notice::print(disagreement));
    Err(Failure::Io(format!(
        "{differing} of {} records differ from the judgements made again\n  hint: compare the code version in the records \
         with cutover --version",
        records.len()
    )))
}

fn row(record: &Record) -> Vec<String> {
    let users: u64 = record.figures.running.iter().map(|sums| sums.users).sum();
    let at = output::fixed(&record.at.to_string());
    vec![at, record.identity.phase.to_string(), users.to_string(), record.says()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server;

    #[test]
    fn an_experiment_without_records_has_nothing_that_differs() {
        let (url, paths) = fake_server::answering(200, r#"{ "records": [], "next_after": null }"#);
        let client = Client::new(&url, "token", None).unwrap();
        run("e", &client, Format::Json).unwrap();
        assert_eq!(*paths.lock().unwrap(), ["/api/migration/experiments/e/records?hidden=include"]);
    }
}
