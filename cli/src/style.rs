//! Colours: on terminals only, and none if `NO_COLOR` is set.

use anstyle::{AnsiColor, Style};
use std::io::IsTerminal;

/// Words of states with their colours. A cell of a table has a colour if it is one of them.
const STATES: [(AnsiColor, &[&str]); 3] = [
    (AnsiColor::Green, &["running", "baking", "completed", "complete", "healthy", "OK", "ok"]),
    (AnsiColor::Yellow, &["paused", "waiting", "unpublished", "warn", "WARN", "expired"]),
    (AnsiColor::Red, &["rolled_back", "emergency", "fail", "FAIL"]),
];

/// Returns the style of a state; `None` for any other text.
pub fn of_state(text: &str) -> Option<Style> {
    STATES.iter().find(|(_, words)| words.contains(&text)).map(|(colour, _)| colour.on_default())
}

/// Returns the text in a style if the stream shows colours.
pub fn painted(text: &str, style: Style, stream: &impl IsTerminal) -> String {
    if is_shown(stream) {
        format!("{}{text}{}", style.render(), style.render_reset())
    } else {
        text.to_owned()
    }
}

/// Returns true if the stream shows colours.
pub fn is_shown(stream: &impl IsTerminal) -> bool {
    let variable = |name: &str| std::env::var_os(name).unwrap_or_default();
    allows(stream.is_terminal(), !variable("NO_COLOR").is_empty(), variable("TERM") == "dumb")
}

fn allows(is_terminal: bool, is_refused: bool, is_dumb: bool) -> bool {
    is_terminal && !is_refused && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_terminals_have_colours_and_no_color_is_obeyed() {
        assert!(allows(true, false, false));
        assert!(!allows(false, false, false), "a pipe");
        assert!(!allows(true, true, false), "NO_COLOR");
        assert!(!allows(true, false, true), "TERM=dumb");
    }

    #[test]
    fn states_have_colours_and_names_do_not() {
        let colour = |text: &str| of_state(text).map(|style| style.render().to_string());
        assert_eq!(colour("running").as_deref(), Some("\u{1b}[32m"));
        assert_eq!(colour("paused").as_deref(), Some("\u{1b}[33m"));
        assert_eq!(colour("rolled_back").as_deref(), Some("\u{1b}[31m"));
        assert_eq!(colour("graphql_reviews_read"), None);
    }
}
