//! `cutover completions`.

use clap_complete::Shell;

/// Prints the completions of a shell for the given command line.
pub fn print(shell: Shell, command: &mut clap::Command) {
    clap_complete::generate(shell, command, "cutover", &mut std::io::stdout());
}
