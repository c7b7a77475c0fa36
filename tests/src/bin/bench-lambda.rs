//! `cargo xtask bench lambda [ROUNDS]`: start and memory of each function, as a release binary on this machine. Fails if a figure
//! is above its bar.

use cutover_tests::bench::starts::{self, RESIDENT_BAR_MB, START_BAR_MS};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20);
    println!(
        "medians and maxima of {rounds} starts; bars: {START_BAR_MS} ms to every first answer, {RESIDENT_BAR_MB} MB"
    );
    println!(
        "{:<12} {:>14} {:>10} {:>17} {:>10} {:>10} {:>10} {:>10}",
        "function",
        "first request",
        "max, ms",
        "first answer, ms",
        "max, ms",
        "fresh, MB",
        "used, MB",
        "bars"
    );
    let measured = starts::run(rounds).await;
    for starts in &measured {
        println!(
            "{:<12} {:>14.1} {:>10.1} {:>17.1} {:>10.1} {:>10.1} {:>10.1} {:>10}",
            starts.function,
            starts.request_ms.median,
            starts.request_ms.max,
            starts.answer_ms.median,
            starts.answer_ms.max,
            starts.fresh_mb,
            starts.used_mb,
            if starts.misses().is_empty() { "met" } else { "missed" }
        );
    }
    match starts::judge(&measured) {
        Ok(()) => ExitCode::SUCCESS,
        Err(misses) => {
            eprintln!("missed:\n{misses}");
            ExitCode::FAILURE
        }
    }
}
