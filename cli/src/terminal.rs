//! The size of terminals, and texts that fit them: prose is broken between words, and a cell of a table is cut.

use std::{
    env,
    io::{IsTerminal, stderr, stdout},
};

/// Fewest characters of a line for which a text is broken. On a narrower terminal there is no good place for it.
const NARROWEST: usize = 40;

/// Largest part of a line before the beginning of its text: 3 of 5 characters.
const INDENTATION: (usize, usize) = (3, 5);

/// Size of a terminal that does not tell it.
pub const USUAL: Size = Size { columns: 80, rows: 24 };

/// Size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters of a line.
    pub columns: usize,
    /// Number of lines.
    pub rows: usize,
}

impl Size {
    /// Returns the size of the terminal; without one, that of the environment (`COLUMNS`, `LINES`).
    pub fn current() -> Self {
        let variable = |name: &str| env::var(name).ok()?.parse::<usize>().ok();
        measured(stdout()).unwrap_or_else(|| Self::stated(variable("COLUMNS"), variable("LINES")))
    }

    fn stated(columns: Option<usize>, rows: Option<usize>) -> Self {
        let positive = |number: Option<usize>, usual| number.filter(|number| *number > 0).unwrap_or(usual);
        Self { columns: positive(columns, USUAL.columns), rows: positive(rows, USUAL.rows) }
    }
}

#[cfg(unix)]
fn measured(stream: impl std::os::fd::AsFd) -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    let size = Size { columns: usize::from(size.ws_col), rows: usize::from(size.ws_row) };
    (size.columns > 0 && size.rows > 0).then_some(size)
}

#[cfg(not(unix))]
fn measured<S>(_stream: S) -> Option<Size> {
    None
}

/// Returns the characters of a line of standard output; `None` if it is no terminal, or one without a size.
pub fn columns_of_output() -> Option<usize> {
    let out = stdout();
    if out.is_terminal() { columns(measured(out)) } else { None }
}

/// Returns the characters of a line of standard error; `None` if it is no terminal, or one without a size.
pub fn columns_of_messages() -> Option<usize> {
    let messages = stderr();
    if messages.is_terminal() { columns(measured(messages)) } else { None }
}

fn columns(size: Option<Size>) -> Option<usize> {
    size.map(|size| size.columns).filter(|columns| *columns >= NARROWEST)
}

/// Cuts a text to a number of characters; an ellipsis stands for the rest.
pub fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Breaks each line of a text that is wider than a terminal between two words. Its other lines begin below the text of the first
/// one, which is the last of its columns if it has several. A word that is wider than the terminal stays whole, because it is
/// copied as a whole.
pub fn wrapped(text: &str, columns: usize) -> String {
    text.split_inclusive('\n').map(|line| wrapped_line(line, columns)).collect()
}

fn wrapped_line(line: &str, columns: usize) -> String {
    let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
    if width(content) <= columns {
        return line.to_owned();
    }
    let margin = " ".repeat(margin(content, columns));
    let (mut text, mut column) = (String::new(), 0);
    for Word { gap, word } in words(content) {
        let next = column + gap.len() + width(word);
        // A line never consists of its margin alone.
        if next > columns && column > margin.len() {
            text.push('\n');
            text.push_str(&margin);
            column = margin.len() + width(word);
        } else {
            text.push_str(gap);
            column = next;
        }
        text.push_str(word);
    }
    text + end
}

/// A word of a line.
struct Word<'l> {
    /// The spaces before it.
    gap: &'l str,
    /// The word itself, with its escape sequences.
    word: &'l str,
}

/// Splits a line into its words. Spaces at the end of the line belong to none.
fn words(line: &str) -> Vec<Word<'_>> {
    let (mut found, mut rest) = (Vec::new(), line);
    loop {
        let after = rest.trim_start_matches(' ');
        if after.is_empty() {
            return found;
        }
        let (gap, after) = rest.split_at(rest.len() - after.len());
        let (word, after) = after.split_at(after.find(' ').unwrap_or(after.len()));
        found.push(Word { gap, word });
        rest = after;
    }
}

/// Returns the column below which a line goes on: that of the last text after two spaces or more, if enough of the line is left.
fn margin(line: &str, columns: usize) -> usize {
    let (share, whole) = INDENTATION;
    let (mut column, mut margin) = (0, 0);
    for Word { gap, word } in words(line) {
        column += gap.len();
        let is_first = column == gap.len();
        if (is_first || gap.len() > 1) && column * whole <= columns * share {
            margin = column;
        }
        column += width(word);
    }
    margin
}

/// Returns the number of characters of a text that are visible: escape sequences and other controls are not.
fn width(text: &str) -> usize {
    let (mut count, mut characters) = (0, text.chars());
    while let Some(character) = characters.next() {
        if character == '\x1b' {
            // A bracket, parameters, and the letter that ends the sequence.
            characters.find(|character| *character != '[' && ('@'..='~').contains(character));
        } else if !character.is_control() {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_states_a_size() {
        assert_eq!(Size::stated(None, Some(0)), USUAL);
        assert_eq!(Size::stated(Some(132), Some(50)), Size { columns: 132, rows: 50 });
    }

    #[test]
    fn a_terminal_without_a_size_changes_nothing() {
        assert_eq!(columns(None), None);
        assert_eq!(columns(Some(Size { columns: 10, rows: 24 })), None);
        assert_eq!(columns(Some(USUAL)), Some(80));
    }

    #[test]
    fn prose_is_broken_between_words_below_its_beginning() {
        for (text, expected) in [
            ("note: one two three\n", "note: one two\nthree\n"),
            ("  hint: one two three four", "  hint: one\n  two three\n  four"),
            ("ok  name  one two three four five\n", "ok  name  one\n    two three\n    four five\n"),
            ("short\n\n", "short\n\n"),
            ("a https://new.example/api/v1 b\n", "a\nhttps://new.example/api/v1\nb\n"),
            ("  https://new.example/api/v1\n", "  https://new.example/api/v1\n"),
            ("Go on? [y/N] ", "Go on? [y/N] "),
        ] {
            let columns = if text.contains("hint") { 12 } else { 16 };
            assert_eq!(wrapped(text, columns), expected, "{text:?}");
        }
    }

    #[test]
    fn a_column_at_the_end_of_a_line_is_no_margin() {
        let line = format!("{:<30}REASON of it", "NAME");
        assert_eq!(wrapped(&line, 40), format!("{:<30}REASON of\nit", "NAME"));
        let line = format!("{:<20}REASON of all the things", "NAME");
        assert_eq!(wrapped(&line, 40), format!("{:<20}REASON of all the\n{:<20}things", "NAME", ""));
    }

    #[test]
    fn colours_have_no_width() {
        let line = "\x1b[32mok\x1b[0m  one two three";
        assert_eq!(width(line), 17);
        assert_eq!(wrapped(line, 17), line);
        assert_eq!(wrapped(line, 16), "\x1b[32mok\x1b[0m  one two\n    three");
    }

    #[test]
    fn a_text_is_cut_with_an_ellipsis() {
        for (text, expected) in [("abcd", "abcd"), ("abcde", "abc…"), ("äöüßé", "äöü…")] {
            assert_eq!(cut(text, 4), expected);
        }
    }
}
