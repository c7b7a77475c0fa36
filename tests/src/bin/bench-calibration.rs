//! `cargo xtask bench calibration`: how often the tests of a canary fire, computed exactly, as the table of
//! docs/calibration.md.

fn main() {
    print!("{}", cutover_core::statistics::calibration::report());
}
