//! `cutover`, the operators' command line. Standard output carries data, standard error carries
//! messages.

// First, because its macros are known from here on.
#[macro_use]
mod streams;

mod adapter;
mod apply;
mod audit;
mod canary;
mod changes;
mod client;
mod clock;
#[cfg(test)]
mod command_line;
mod commands;
mod compare;
mod completions;
mod configuration;
mod connection;
mod difference;
mod emergency;
mod explain;
mod export;
mod failure;
#[cfg(test)]
mod fake_server;
mod flags;
mod http;
mod iam;
mod metrics;
mod output;
mod preflight;
mod publication;
mod restore;
mod retry;
mod status;
mod token;
mod whoami;

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
