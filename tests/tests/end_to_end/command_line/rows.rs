//! The rows of the table of commands: for each command its arguments, the state in which it is run, and its exit code.

mod changing;
mod local;
mod reading;
mod row;

pub use row::{Kind, Row};

/// Returns all rows. Those that change the state are in the order in which they are run.
pub fn rows() -> Vec<Row> {
    [reading::rows(), local::rows(), changing::rows()].into_iter().flatten().collect()
}
