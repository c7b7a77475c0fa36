//! `cargo xtask bench calibration`: the exact tables of docs/calibration.md, then the simulated ones.
//! Each trial is a step of a canary, evaluated as the control plane does it.

mod faults;
mod healthy;
mod step;
mod table;

/// Prints all tables. `runs` is the number of trials behind each cell of those about false rollbacks;
/// A table: its name, the function that prints it, and the number of its runs.
type Table = (&'static str, fn(u32), u32);

/// those about the time to a rollback have a quarter of it. Progress goes to the standard error.
pub fn print(runs: u32) {
    println!("{}", cutover_core::statistics::calibration::report());
    println!("<!-- simulated -->\n");
    let few = (runs / 4).max(1);
    let tables: [Table; 6] = [
        ("identical backends", healthy::identical, runs),
        ("an outage and a lowered share", healthy::special, runs),
        ("retries", healthy::retries, runs),
        ("shared incidents", faults::shared, runs),
        ("faults by their beginning", faults::by_start, few),
        ("faults by their kind", faults::by_kind, few),
    ];
    for (name, print, runs) in tables {
        eprintln!("==> {name}");
        print(runs);
    }
}
