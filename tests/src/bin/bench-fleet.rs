//! `cargo xtask bench fleet [ISOLATES...]`, `--experiments` to measure only the fleet with experiments, or `--page` to write
//! docs/COST.md anew from the units measured before.

use cutover_tests::bench::fleet;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--page"] {
        fleet::rewrite_page();
        return;
    }
    if arguments == ["--experiments"] {
        fleet::run_experiments().await;
        return;
    }
    let sizes: Result<Vec<u64>, _> = arguments.iter().map(|text| text.parse()).collect();
    match sizes {
        Ok(sizes) if !sizes.contains(&0) => fleet::run(&sizes).await,
        _ => {
            eprintln!(
                "usage: bench-fleet [ISOLATES...], each at least 1, or bench-fleet --experiments or --page"
            );
            std::process::exit(2);
        }
    }
}
