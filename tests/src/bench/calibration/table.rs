//! Tables in Markdown.

use cutover_core::canary::{plan::RelativePolicy, simulation::Ending};
use std::io::Write;

/// Prints the head of a table.
pub(super) fn head(first: &str, columns: &[String]) {
    println!("| {first} | {} |", columns.join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
}

/// Prints a row of a table, each cell as soon as it is known.
pub(super) fn row(name: &str, cells: impl Iterator<Item = String>) {
    print!("| {name} |");
    for cell in cells {
        print!(" {cell} |");
        // A table is also its own progress bar.
        std::io::stdout().flush().unwrap();
    }
    println!();
}

/// Returns the columns of some shares.
pub(super) fn columns(shares: &[u32]) -> Vec<String> {
    shares.iter().map(|share| format!("{share} %")).collect()
}

/// Returns the name of a policy in plans.
pub(super) fn name(policy: RelativePolicy) -> &'static str {
    match policy {
        RelativePolicy::Hold => "`hold`",
        RelativePolicy::Rollback => "`rollback`",
        RelativePolicy::Ignore => "`ignore`",
    }
}

/// Returns a cell such as "0 of 40, 3 held": trials that were rolled back, and others that were held by
/// a comparison or a shared incident.
pub(super) fn rolled_back(endings: &[Ending]) -> String {
    let count = endings.iter().filter(|ending| ending.rolled_back.is_some()).count();
    let is_held = |ending: &&Ending| ending.rolled_back.is_none() && (ending.worse || ending.shared);
    let held = endings.iter().filter(is_held).count();
    let held = if held > 0 { format!(", {held} held") } else { String::new() };
    format!("{count} of {}{held}", endings.len())
}
