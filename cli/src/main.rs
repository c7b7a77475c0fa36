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
mod banner;
mod bearer;
mod canary;
mod changes;
mod client;
mod clock;
#[cfg(test)]
mod command_line;
mod commands;
mod compare;
mod completions;
mod condition;
mod configuration;
mod confirm;
mod connection;
mod context;
mod difference;
mod duration;
mod emergency;
mod environment;
mod etag;
mod experiment;
mod explain;
mod export;
mod failure;
#[cfg(test)]
mod fake_server;
mod flag;
mod flags;
mod help;
mod http;
mod iam;
mod in_force;
mod init;
mod man;
mod metrics;
mod names;
mod notice;
mod object_change;
mod output;
mod percentage;
mod poll;
mod preflight;
mod publication;
mod response;
mod restore;
mod retry;
mod route;
mod status;
mod style;
mod token;
mod whoami;

use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Known before the arguments are: their mistakes are also told as JSON.
    let is_json = std::env::args_os().any(|argument| argument.to_str() == Some("--json"));
    if is_json {
        notice::silence();
    }
    let done = match commands::parse(std::env::args_os()) {
        Ok(cli) => commands::run(cli),
        Err(error) if is_json && error.use_stderr() => {
            let text = error.to_string();
            Err(Failure::Usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()))
        }
        Err(error) => error.exit(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if is_json {
                eprintln!("{}", failure.json());
            } else {
                eprintln!("{failure}");
            }
            failure.exit_code()
        }
    }
}
