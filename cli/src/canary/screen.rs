//! The terminal of `cutover canary watch`: its colours, and its alternate screen.

use crate::{
    style,
    terminal::{Size, cut},
};
use anstyle::{AnsiColor, Style};
use std::{
    env,
    io::{IsTerminal, Write, stdout},
    process, thread,
};

/// Enters the alternate screen and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// Shows the cursor and returns to the screen from before.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Moves to the first line, and clears it and all lines below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Exit code of a process that Ctrl-C ended, as shells report it: 128 + `SIGINT`.
const INTERRUPTED: i32 = 130;

/// A line with the style of its whole text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Text without escape sequences.
    pub(super) text: String,
    /// Style on a terminal with colours.
    pub(super) style: Style,
}

impl Line {
    /// Creates a line without a style.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    /// Creates a line in the colour of a run's state.
    pub(super) fn of_state(text: impl Into<String>, state: &str) -> Self {
        let style = style::of_state(state).unwrap_or_default();
        Self { text: text.into(), style: style.bold() }
    }

    /// Creates a line in the colour of a warning.
    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: AnsiColor::Yellow.on_default() }
    }

    /// Formats the line, with its colour if `has_colour`.
    fn written(&self, has_colour: bool) -> String {
        let Self { text, style } = self;
        if has_colour { format!("{style}{text}{style:#}") } else { text.clone() }
    }
}

/// Cuts lines to a width, and to a height by leaving out the last ones before the footer.
pub(super) fn fitted(lines: Vec<Line>, footer: Line, size: Size) -> Vec<Line> {
    let room = size.rows.saturating_sub(1);
    lines
        .into_iter()
        .take(room)
        .chain([footer])
        .map(|line| Line { text: cut(&line.text, size.columns), ..line })
        .collect()
}

/// Returns true if standard output is a terminal that can be redrawn.
pub(super) fn is_available() -> bool {
    stdout().is_terminal() && env::var("TERM").is_ok_and(|term| term != "dumb" && !term.is_empty())
}

/// The alternate screen of a terminal. Dropping it returns to the screen from before, and so does Ctrl-C.
#[derive(Debug)]
pub(super) struct Screen {
    has_colour: bool,
}

impl Screen {
    /// Enters the alternate screen.
    pub(super) fn open() -> Self {
        leave_on_interrupt();
        write(ENTER);
        Self { has_colour: style::is_shown(&stdout()) }
    }

    /// Draws a frame over the last one.
    pub(super) fn draw(&self, lines: &[Line]) {
        let lines: Vec<String> = lines.iter().map(|line| line.written(self.has_colour)).collect();
        write(&format!("{CLEAR}{}", lines.join("\r\n")));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(LEAVE);
    }
}

fn write(text: &str) {
    print!("{text}");
    // A failure to write ends the process with the next frame.
    let _ = stdout().flush();
}

/// Ends the process on Ctrl-C, after leaving the alternate screen.
fn leave_on_interrupt() {
    thread::spawn(|| {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_err() {
            return;
        }
        // Held until the process is over, so that no other frame follows.
        let mut out = stdout().lock();
        let _ = out.write_all(LEAVE.as_bytes());
        let _ = out.flush();
        process::exit(INTERRUPTED);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::USUAL;

    #[test]
    fn a_frame_is_never_larger_than_the_terminal() {
        let lines: Vec<Line> = (0..40).map(|number| Line::plain(format!("{number} é").repeat(60))).collect();
        for size in [USUAL, Size { columns: 20, rows: 5 }, Size { columns: 1, rows: 1 }] {
            let frame = fitted(lines.clone(), Line::plain("the footer of it"), size);
            assert_eq!(frame.len(), size.rows, "{size:?}");
            assert!(frame.iter().all(|line| line.text.chars().count() <= size.columns), "{size:?}");
        }
        let frame = fitted(lines, Line::plain("footer"), USUAL);
        assert_eq!(frame.last().unwrap().text, "footer");
        assert!(frame[0].text.ends_with('…'));
    }

    #[test]
    fn colours_surround_a_line_and_are_left_out_without_them() {
        let line = Line::of_state("rolled_back", "rolled_back");
        assert_eq!(line.written(false), "rolled_back");
        let written = line.written(true);
        assert!(written.starts_with("\x1b[") && written.ends_with("\x1b[0m"), "{written:?}");
        assert_eq!(Line::plain("x").written(true), "x");
    }

    #[test]
    fn a_run_has_the_colours_of_tables() {
        for state in ["running", "baking", "completed", "paused", "rolled_back"] {
            let expected = style::of_state(state).unwrap().bold();
            assert_eq!(Line::of_state("f", state).style, expected, "{state}");
        }
        assert_eq!(Line::of_state("f", "not_started").style, Style::new().bold());
    }
}
