//! `cargo xtask bench ofrep [ROUNDS] [SECONDS]`.

use cutover_tests::bench::{
    ofrep::{self, BAR, Ratios, Report},
    pairing::Spread,
};
use std::{num::NonZeroUsize, process::ExitCode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|text| text.parse::<NonZeroUsize>().ok());
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0.8);
    let report = ofrep::run(rounds.map_or(30, NonZeroUsize::get), seconds).await;
    show("processor time per request, flagd-core / Cutover", &report, |ratios| ratios.cpu);
    show("throughput, Cutover / flagd-core", &report, |ratios| ratios.throughput);
    let median = report.all.cpu.median;
    let is_met = report.is_within_bar();
    println!(
        "bar {}: the processor time of flagd-core for all flags is {median:.2} times that of Cutover, and must be at least \
         {BAR} times",
        if is_met { "met" } else { "missed" }
    );
    if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(title: &str, report: &Report, spread: fn(&Ratios) -> Spread) {
    println!("{title:<58} {:>7} {:>7} {:>7}", "median", "min", "max");
    for ratios in std::iter::once(&report.all).chain(&report.others) {
        let Spread { median, min, max } = spread(ratios);
        println!("  {:<56} {median:>7.2} {min:>7.2} {max:>7.2}", ratios.name);
    }
}
