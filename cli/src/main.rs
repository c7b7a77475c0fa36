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
mod elsewhere;
mod emergency;
mod encoding;
mod environment;
mod etag;
mod experiment;
mod explain;
mod export;
mod exposure;
mod failure;
#[cfg(test)]
mod fake_server;
mod fitting;
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
mod number;
mod object_change;
mod object_deletion;
mod object_edit;
mod output;
mod percentage;
mod poll;
mod preflight;
mod publication;
mod response;
mod restore;
mod retry;
mod route;
mod segment;
mod status;
mod style;
mod terminal;
mod times;
mod token;
mod value;
mod version;
mod whoami;

use failure::Failure;
use std::{
    io::{stderr, stdout},
    process::ExitCode,
};

fn main() -> ExitCode {
    let parsed = commands::parse(std::env::args_os());
    // The mistakes of arguments are also told as JSON.
    let is_json = match &parsed {
        Ok(cli) => cli.has_json_errors(),
        Err(_) => encoding::asks_for_json(std::env::args_os()),
    };
    if is_json {
        notice::silence();
    }
    let done = match parsed {
        Ok(cli) => commands::run(cli),
        Err(error) if is_json && error.use_stderr() => {
            let text = error.to_string();
            Err(Failure::Usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()))
        }
        Err(error) => {
            tell(&error);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(u8::MAX));
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if is_json {
                streams::write_error_data(&format!("{}\n", failure.json()));
            } else {
                eprintln!("{failure}");
            }
            failure.exit_code()
        }
    }
}

/// Prints help, or the mistakes of the arguments.
fn tell(error: &clap::Error) {
    let text = |is_coloured: bool| {
        let text = error.render();
        if is_coloured { text.ansi().to_string() } else { text.to_string() }
    };
    if error.use_stderr() {
        eprint!("{}", text(style::is_shown(&stderr())));
    } else {
        print!("{}", text(style::is_shown(&stdout())));
    }
}
