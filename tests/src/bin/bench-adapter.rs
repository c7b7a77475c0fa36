//! `cargo xtask bench adapter [ROUNDS] [SECONDS]`.

use cutover_tests::{
    bench::adapter::{self, Ratios},
    paths,
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(30);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0.8);
    let report = adapter::run(rounds, seconds).await;
    let other = if paths::baseline().is_some() { "baseline build" } else { "written by hand" };
    show(&format!("adapted route / {other}"), &report.adapted);
    println!();
    show("adapter with texts with places / without", &report.places);
}

fn show(title: &str, ratios: &[Ratios; 2]) {
    println!("{title:<58} {:>7} {:>7} {:>7}", "median", "min", "max");
    let throughput = ratios.iter().map(|ratios| ("throughput", ratios.response, ratios.throughput));
    let cpu = ratios.iter().map(|ratios| ("processor time per request", ratios.response, ratios.cpu));
    for (figure, response, spread) in throughput.chain(cpu) {
        let name = format!("{figure}, {response}");
        println!("{name:<58} {:>7.3} {:>7.3} {:>7.3}", spread.median, spread.min, spread.max);
    }
}
