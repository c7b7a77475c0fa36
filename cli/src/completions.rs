//! `cutover completions`.

use clap_complete::Shell;

/// Prints the completions of a shell for the given command line.
pub fn print(shell: Shell, command: &mut clap::Command) {
    // Into memory first: clap panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "cutover", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
}
