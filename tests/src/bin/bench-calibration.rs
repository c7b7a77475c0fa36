//! `cargo xtask bench calibration`: the exact rates at which the tests of a canary fire, as the
//! table of docs/calibration.md.

fn main() {
    print!("{}", cutover_core::statistics::calibration::report());
}
