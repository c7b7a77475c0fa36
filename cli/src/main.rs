//! `cutover`: what operators type. Standard output is for data, standard error for people.

mod apply;
mod canary;
mod changes;
mod client;
mod clock;
mod commands;
mod compare;
mod failure;
mod iam;
mod introspect;
mod output;
mod preflight;
mod show;
mod token;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}
