//! `cargo xtask bench calibration [--runs N]`: the rates at which the tests of a canary fire, as the
//! tables of docs/calibration.md. The first three are exact, the others are simulated.

/// Trials behind each cell of the tables about false rollbacks.
const RUNS: u32 = 40;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runs = match words.as_slice() {
        [] => Some(RUNS),
        ["--runs", count] => count.parse().ok().filter(|count| *count > 0),
        _ => None,
    };
    let Some(runs) = runs else {
        eprintln!("usage: bench-calibration [--runs N], N at least 1");
        std::process::exit(2);
    };
    cutover_tests::bench::calibration::print(runs);
}
