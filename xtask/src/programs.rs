//! The programs of the workspace.

/// Everything that `dev`, the tests and the benchmarks start. One selection of packages for all of them: another one would
/// choose other features of shared dependencies and compile them again.
pub const PROGRAMS: [&str; 4] = ["build", "--locked", "--workspace", "--bins"];
