//! `cutover`, the operators' command line. Standard output carries data, standard error carries
//! messages.

// First, because its macros are known from here on.
#[macro_use]
mod streams;

mod adapter;
mod address;
mod advice;
mod apply;
mod audit;
mod bearer;
mod canary;
mod changes;
mod client;
mod clock;
mod commands;
mod compare;
mod completions;
mod configuration;
mod connection;
mod context;
mod difference;
mod emergency;
mod environment;
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
mod response;
mod restore;
mod retry;
mod status;
mod style;
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
