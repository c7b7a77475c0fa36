//! Standard output and standard error of all commands. A reader that closes its end of a pipe, as `head`
//! does, ends the process quietly: the macros below take the place of those of the standard library, which
//! panic. On a terminal they break lines that are wider than it; a pipe gets them whole.

use crate::terminal::{self, wrapped};
use std::{
    fmt,
    io::{Error, ErrorKind, Write, stderr, stdout},
    process,
};

/// Exit status of a process whose reader has closed the pipe, as shells report it: 128 + `SIGPIPE`.
const CLOSED_PIPE: i32 = 141;

/// Prints to standard output.
macro_rules! print {
    ($($text:tt)*) => { $crate::streams::write_out(format_args!($($text)*)) };
}

/// Prints a line to standard output.
macro_rules! println {
    () => { $crate::streams::write_out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::streams::write_out(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints to standard error.
macro_rules! eprint {
    ($($text:tt)*) => { $crate::streams::write_error(format_args!($($text)*)) };
}

/// Prints a line to standard error.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::streams::write_error(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes to standard output, in lines that fit a terminal. Ends the process if that is impossible.
pub fn write_out(text: fmt::Arguments<'_>) {
    match terminal::columns_of_output() {
        Some(columns) => write_data(&wrapped(&text.to_string(), columns)),
        None => end_if_failed(stdout().write_fmt(text)),
    }
}

/// Writes to standard output as it is, also on a terminal. Ends the process if that is impossible.
pub fn write_data(text: &str) {
    end_if_failed(stdout().write_all(text.as_bytes()));
}

/// Writes to standard error, in lines that fit a terminal, as far as that is possible.
pub fn write_error(text: fmt::Arguments<'_>) {
    match terminal::columns_of_messages() {
        Some(columns) => write_error_data(&wrapped(&text.to_string(), columns)),
        // There is no other place to report it to.
        None => drop(stderr().write_fmt(text)),
    }
}

/// Writes to standard error as it is, also on a terminal, as far as that is possible.
pub fn write_error_data(text: &str) {
    // There is no other place to report it to.
    drop(stderr().write_all(text.as_bytes()));
}

fn end_if_failed(result: Result<(), Error>) {
    if let Err(error) = result {
        end(&error);
    }
}

fn end(error: &Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        process::exit(CLOSED_PIPE);
    }
    write_error(format_args!("error: standard output cannot be written: {error}\n"));
    process::exit(1);
}
