//! Standard output and standard error of all commands. A reader that closes its end of a pipe, as `head`
//! does, ends the process quietly: the macros below take the place of those of the standard library, which
//! panic.

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

/// Writes to standard output. Ends the process if that is impossible.
pub fn write_out(text: fmt::Arguments<'_>) {
    if let Err(error) = stdout().write_fmt(text) {
        end(&error);
    }
}

/// Writes to standard error, as far as that is possible.
pub fn write_error(text: fmt::Arguments<'_>) {
    // There is no other place to report it to.
    let _ = stderr().write_fmt(text);
}

fn end(error: &Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        process::exit(CLOSED_PIPE);
    }
    write_error(format_args!("error: standard output cannot be written: {error}\n"));
    process::exit(1);
}
