//! `cargo xtask bench lambda [ROUNDS]`: start and memory of each function, as a release binary on this machine.

use cutover_tests::bench::starts::{self, RESIDENT_BAR_MB, START_BAR_MS};

#[tokio::main]
async fn main() {
    let rounds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20);
    println!(
        "medians and maxima of {rounds} starts; bars: {START_BAR_MS} ms to the first answer, {RESIDENT_BAR_MB} MB"
    );
    println!(
        "{:<12} {:>14} {:>10} {:>17} {:>10} {:>10} {:>10}",
        "function", "first request", "max, ms", "first answer, ms", "max, ms", "idle, MB", "bars"
    );
    for measured in starts::run(rounds).await {
        println!(
            "{:<12} {:>14.1} {:>10.1} {:>17.1} {:>10.1} {:>10.1} {:>10}",
            measured.function,
            measured.request_ms.median,
            measured.request_ms.max,
            measured.answer_ms.median,
            measured.answer_ms.max,
            measured.resident_mb,
            if measured.is_within_bars() { "met" } else { "missed" }
        );
    }
}
