//! `cargo xtask bench adapter [ROUNDS] [SECONDS]`.

use cutover_tests::bench::adapter;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(30);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0.8);
    let [one, list] = adapter::run(rounds, seconds).await;
    println!(
        "{:<52} {:>7} {:>7} {:>7}",
        if cutover_tests::paths::baseline().is_some() {
            "adapted route / baseline build"
        } else {
            "adapted route / written by hand"
        },
        "median",
        "min",
        "max"
    );
    for (name, spread) in [
        ("throughput, one review", one.throughput),
        ("throughput, a list of twenty", list.throughput),
        ("processor time per request, one review", one.cpu),
        ("processor time per request, a list of twenty", list.cpu),
    ] {
        println!("{name:<52} {:>7.3} {:>7.3} {:>7.3}", spread.median, spread.min, spread.max);
    }
}
