//! Lines on standard error about the progress of a command. With `--json` there are none: programs read standard error as
//! one JSON object, or as nothing.

use std::sync::atomic::{AtomicBool, Ordering};

/// True if the lines are left out.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Leaves out all lines from now on.
pub fn silence() {
    IS_SILENT.store(true, Ordering::Relaxed);
}

/// Prints a line, unless lines are left out.
pub fn print(line: &str) {
    if !IS_SILENT.load(Ordering::Relaxed) {
        eprintln!("{line}");
    }
}
