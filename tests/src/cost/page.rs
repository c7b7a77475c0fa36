//! The tables of docs/COST.md, between its markers.

use crate::{
    cost::{
        bill::{self, Circumstances, Line, Logging, MONTH, Part, lines, total},
        limits::limits,
        prices,
        units::{ExperimentUnits, FleetUnits, MeasuredUnits, REQUESTS_PER_SECOND},
    },
    paths,
};
use std::{fmt::Write as _, path::PathBuf};

/// Marker in front of the tables.
const BEGIN: &str = "<!-- begin: cargo xtask bench fleet -->";

/// Marker behind the tables.
const END: &str = "<!-- end: cargo xtask bench fleet -->";

/// Size of the fleet with a bar, and most dollars a month for its control plane.
pub const BAR: (u64, f64) = (5_000, 1_500.0);

/// Most memory, in MB, and time, in seconds, of an evaluation of a minute's batches.
pub const EVALUATION_BAR: (f64, f64) = (256.0, 15.0);

/// Seconds between two scrapes of Prometheus.
const SCRAPE_SECONDS: f64 = 15.0;

/// Returns the page.
pub fn path() -> PathBuf {
    paths::root().join("docs/COST.md")
}

/// Returns a page with other tables between its markers.
pub fn with_tables(page: &str, tables: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("the page has the first marker");
    let (_, after) = rest.split_once(END).expect("the page has the second marker");
    format!("{before}{BEGIN}\n\n{tables}\n{END}{after}")
}

/// Returns an amount for a table: cents below 10 dollars, whole dollars in groups of three digits above.
pub fn dollars(amount: f64) -> String {
    if amount.abs() < 10.0 {
        return format!("${amount:.2}");
    }
    format!("${}", grouped(amount))
}

/// Returns a whole number in groups of three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn row(name: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {name} | {} |\n", cells.join(" | "))
}

fn head(name: &str, fleets: &[FleetUnits]) -> String {
    head_of(name, fleets.iter().map(|fleet| grouped(fleet.isolates as f64)))
}

fn head_of(name: &str, columns: impl ExactSizeIterator<Item = String>) -> String {
    let rule = vec!["---:"; columns.len()].join("|");
    format!("{}|---|{rule}|\n", row(name, columns))
}

/// Returns all tables.
pub fn tables(units: &MeasuredUnits) -> String {
    let fleets = &units.fleets;
    let mut text = format!(
        "Dollars in a month of 30 days at {} requests a second in all; list prices of {} and of Cloudflare, as of {}.\n\n",
        grouped(REQUESTS_PER_SECOND),
        prices::REGION,
        prices::AS_OF
    );
    text.push_str(&bills(fleets));
    text.push('\n');
    text.push_str(&verdict(fleets));
    text.push_str("\n### Where the money goes if circumstances differ\n\n");
    text.push_str(&variants(fleets));
    if !units.experiments.is_empty() {
        text.push_str("\n### With experiments\n\n");
        text.push_str(&experiments(&units.experiments));
    }
    text.push_str("\n### Measured units\n\n");
    text.push_str(&measured(fleets));
    text.push_str("\n### Where it breaks next\n\n");
    text.push_str(&next(fleets));
    text
}

fn bills(fleets: &[FleetUnits]) -> String {
    let bills: Vec<Vec<Line>> = fleets.iter().map(|fleet| lines(fleet, Circumstances::MAIN)).collect();
    let mut text = head("isolates", fleets);
    text.push_str(&row(
        "interval of reports",
        fleets.iter().map(|fleet| format!("{} s", fleet.interval_ms / 1_000)),
    ));
    let of_part = |text: &mut String, part: Part, sum: &str| {
        let names = bills.first().map(|lines| lines.iter().enumerate());
        for (index, line) in names.into_iter().flatten().filter(|(_, line)| line.part == part) {
            text.push_str(&row(line.name, bills.iter().map(|lines| dollars(lines[index].dollars))));
        }
        let totals: Vec<f64> = bills.iter().map(|lines| total(lines, part)).collect();
        text.push_str(&row(
            &format!("**{sum}, a month**"),
            totals.iter().map(|total| format!("**{}**", dollars(*total))),
        ));
        let millions = REQUESTS_PER_SECOND * MONTH / 1e6;
        text.push_str(&row(
            &format!("{sum}, per million requests"),
            totals.iter().map(|total| format!("${:.4}", total / millions)),
        ));
    };
    of_part(&mut text, Part::ControlPlane, "control plane");
    of_part(&mut text, Part::Worker, "Worker");
    text
}

/// Returns the results of the bars, with the largest lines of the bill.
fn verdict(fleets: &[FleetUnits]) -> String {
    let (size, most) = BAR;
    let mut text = String::new();
    if let Some(fleet) = fleets.iter().find(|fleet| fleet.isolates == size) {
        let mut lines = lines(fleet, Circumstances::MAIN);
        let sum = total(&lines, Part::ControlPlane);
        let (is_met, far) = if sum < most { ("met", "below") } else { ("**missed**", "above") };
        let _ = write!(
            text,
            "The bar for the control plane of {} isolates is {} a month. It is {is_met}: {} is {} {far} it.",
            grouped(size as f64),
            dollars(most),
            dollars(sum),
            dollars((sum - most).abs())
        );
        lines.retain(|line| line.part == Part::ControlPlane);
        lines.sort_by(|one, other| other.dollars.total_cmp(&one.dollars));
        let largest: Vec<String> = lines
            .iter()
            .take(4)
            .map(|line| {
                format!("{} {} ({:.0} %)", line.name, dollars(line.dollars), line.dollars / sum * 100.0)
            })
            .collect();
        let _ = writeln!(text, " The largest lines: {}.", largest.join("; "));
    }
    if let Some(fleet) = fleets.last() {
        let (memory, seconds) = EVALUATION_BAR;
        let found = &fleet.evaluation;
        let is_met = found.peak_mb <= memory && found.seconds <= seconds;
        let _ = writeln!(
            text,
            "\nOne evaluation of {} batches, a minute of {} isolates, takes {:.1} MB and {:.1} s; the bars of {memory} MB \
             and {seconds} s are {}.",
            grouped(found.batches as f64),
            grouped(fleet.isolates as f64),
            found.peak_mb,
            found.seconds,
            if is_met { "met" } else { "**missed**" }
        );
    }
    text
}

fn variants(fleets: &[FleetUnits]) -> String {
    let mut text = head("control plane, a month, for isolates", fleets);
    for (name, logging, reuses_connections) in [
        (
            "as above: `ask` and `ingest` log warnings and errors only, connections reused",
            Logging::Deployed,
            true,
        ),
        ("a log line for each exchange", Logging::Info, true),
        ("as deployed, a TLS handshake for each exchange", Logging::Deployed, false),
        ("a log line and a TLS handshake for each exchange", Logging::Info, false),
    ] {
        let circumstances = Circumstances { logging, reuses_connections };
        let sums = fleets.iter().map(|fleet| total(&lines(fleet, circumstances), Part::ControlPlane));
        text.push_str(&row(name, sums.map(dollars)));
    }
    text
}

/// Returns the cost of a fleet by the number of experiments that are counted.
fn experiments(measured: &[ExperimentUnits]) -> String {
    type Figure = (&'static str, fn(&ExperimentUnits) -> String);
    let control_plane =
        |units: &ExperimentUnits| total(&lines(&units.fleet, Circumstances::MAIN), Part::ControlPlane);
    let without = measured.first().map(control_plane).unwrap_or_default();
    let isolates = measured.first().map_or(0.0, |units| units.fleet.isolates as f64);
    let mut text = format!(
        "A fleet of {} isolates while experiments are counted in which every user takes part. Measured apart from the tables above, \
         so the first column differs from theirs by chance.\n\n",
        grouped(isolates)
    );
    let numbers: Vec<String> = measured.iter().map(|units| units.experiments.to_string()).collect();
    text.push_str(&head_of("experiments", numbers.into_iter()));
    text.push_str(&row(
        "**control plane, a month**",
        measured.iter().map(|units| format!("**{}**", dollars(control_plane(units)))),
    ));
    let more = measured.iter().map(|units| dollars(control_plane(units) - without));
    text.push_str(&row("more than in the first column", more));
    let figures: [Figure; 7] = [
        ("bytes of a batch, compressed", |units| format!("{:.0}", units.fleet.batch.request_bytes)),
        ("write units of a batch", |units| format!("{:.2}", units.fleet.batch_writes)),
        ("processor time of a batch, ms", |units| format!("{:.2}", units.fleet.batch.processor_ms)),
        ("write units of a checkpoint", |units| grouped(units.fleet.evaluation.checkpoint.writes)),
        ("one evaluation: s, MB", |units| {
            format!("{:.1}, {:.0}", units.fleet.evaluation.seconds, units.fleet.evaluation.peak_mb)
        }),
        ("read units of a page for Prometheus", |units| grouped(units.page_reads)),
        ("such a page every 15 s, a month", |units| {
            dollars(units.page_reads * prices::READ_UNIT * MONTH / SCRAPE_SECONDS)
        }),
    ];
    for (name, figure) in figures {
        text.push_str(&row(name, measured.iter().map(figure)));
    }
    text
}

fn measured(fleets: &[FleetUnits]) -> String {
    type Figure = (&'static str, fn(&FleetUnits) -> String);
    let figures: [Figure; 19] = [
        ("batches a second", |fleet| format!("{:.0}", fleet.batches_per_second())),
        ("questions a second", |fleet| format!("{:.0}", fleet.questions_per_second())),
        ("bytes of a batch, compressed", |fleet| format!("{:.0}", fleet.batch.request_bytes)),
        ("write units of a batch", |fleet| format!("{:.2}", fleet.batch_writes)),
        ("bytes of an answer to a batch", |fleet| format!("{:.0}", fleet.batch.answer_bytes)),
        ("bytes of an answer to a question", |fleet| format!("{:.0}", fleet.question.answer_bytes)),
        ("bytes of an answer's snapshot", |fleet| format!("{:.0}", fleet.snapshot_bytes)),
        ("bytes of logs for a batch, as deployed", |fleet| format!("{:.0}", fleet.batch.log_bytes)),
        ("bytes of logs for a question, as deployed", |fleet| format!("{:.0}", fleet.question.log_bytes)),
        ("bytes of logs for a question, at `warn`", |fleet| format!("{:.0}", fleet.question.quiet_log_bytes)),
        ("processor time of a batch, ms", |fleet| format!("{:.2}", fleet.batch.processor_ms)),
        ("processor time of a question, ms", |fleet| format!("{:.2}", fleet.question.processor_ms)),
        ("billed ms of a question", |fleet| format!("{:.0}", bill::Load::of_questions(fleet).billed_ms)),
        ("read units for a fresh head", |fleet| format!("{:.2}", fleet.head_reads)),
        ("read and write units of a pass", |fleet| {
            let pass = fleet.evaluation.pass;
            format!("{:.1} and {:.1}", pass.reads, pass.writes)
        }),
        ("read and write units of a checkpoint", |fleet| {
            let checkpoint = fleet.evaluation.checkpoint;
            format!("{} and {}", grouped(checkpoint.reads), grouped(checkpoint.writes))
        }),
        ("`GetRecords` of a pass", |fleet| format!("{:.1}", fleet.evaluation.pass.stream_reads)),
        ("one evaluation: batches, s, MB", |fleet| {
            let found = &fleet.evaluation;
            format!("{}, {:.1}, {:.0}", grouped(found.batches as f64), found.seconds, found.peak_mb)
        }),
        ("read and write units of `promote`", |fleet| {
            format!("{:.1} and {:.1}", fleet.promote.units.reads, fleet.promote.units.writes)
        }),
    ];
    let mut text = head("isolates", fleets);
    for (name, figure) in figures {
        text.push_str(&row(name, fleets.iter().map(figure)));
    }
    text
}

fn next(fleets: &[FleetUnits]) -> String {
    let Some(largest) = fleets.last() else { return String::new() };
    let mut text = "| limit | value | isolates | remedy |\n|---|---|---:|---|\n".to_owned();
    for limit in limits(largest) {
        // Two digits: the rates are not known better.
        let scale = 10_f64.powf(limit.isolates.log10().floor() - 1.0);
        let isolates = if limit.isolates.is_finite() {
            grouped((limit.isolates / scale).round() * scale)
        } else {
            "none".to_owned()
        };
        let _ = writeln!(text, "| {} | {} | {isolates} | {} |", limit.name, limit.value, limit.remedy);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_for_their_size() {
        for (amount, expected) in [
            (0.0, "$0.00"),
            (1.236, "$1.24"),
            (9.99, "$9.99"),
            (10.4, "$10"),
            (999.5, "$1 000"),
            (1_375.2, "$1 375"),
            (1_234_567.0, "$1 234 567"),
        ] {
            assert_eq!(dollars(amount), expected);
        }
    }

    #[test]
    fn tables_take_the_place_of_those_before() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let once = with_tables(&page, "new\n");
        assert_eq!(once, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(with_tables(&once, "new\n"), once);
    }

    #[test]
    fn experiments_are_columns_beside_the_fleet_without() {
        let fleet =
            FleetUnits { isolates: 5_000, interval_ms: 20_000, batch_writes: 1.0, ..FleetUnits::default() };
        let units = |experiments, batch_writes, page_reads| ExperimentUnits {
            experiments,
            fleet: FleetUnits { batch_writes, ..fleet },
            page_reads,
        };
        let units = MeasuredUnits {
            fleets: vec![fleet],
            experiments: vec![units(0, 1.0, 2.0), units(8, 3.0, 100.0)],
        };
        let tables = tables(&units);
        // 720 million batches of two units more; 172 800 pages of 2 and of 100 units.
        for line in [
            "| experiments | 0 | 8 |",
            "| more than in the first column | $0.00 | $900 |",
            "| such a page every 15 s, a month | $0.04 | $2.16 |",
        ] {
            assert!(tables.contains(line), "{line}\n{tables}");
        }
        let without = MeasuredUnits { experiments: Vec::new(), ..units };
        assert!(!super::tables(&without).contains("With experiments"));
    }

    #[test]
    fn a_bar_that_is_missed_is_said_to_be() {
        let fleet = FleetUnits { isolates: 5_000, interval_ms: 20_000, ..FleetUnits::default() };
        assert!(verdict(&[fleet]).contains("It is met"));
        let dear = FleetUnits { batch_writes: 10.0, ..fleet };
        assert!(verdict(&[dear]).contains("It is **missed**"));
    }
}
