//! Bearer tokens, as an operator gives them: by an option, on standard input, or typed without an echo.

use crate::failure::Failure;
use std::io::{IsTerminal, Read, stderr, stdin};

/// Checks a token. Returns it without the line break at its end that files and pipes add.
///
/// # Errors
///
/// Fails if it is empty, or has a character that no token has.
pub fn checked(text: &str) -> Result<String, Failure> {
    let token = text.strip_suffix('\n').unwrap_or(text);
    let token = token.strip_suffix('\r').unwrap_or(token);
    if token.is_empty() {
        return Err(missing());
    }
    let wrong = match token.chars().find(|c| !c.is_ascii_graphic()) {
        None => return Ok(token.to_owned()),
        Some('\n' | '\r') => "a line break".to_owned(),
        Some(' ') => "a space".to_owned(),
        Some(other) => format!("the character {other:?}"),
    };
    let hint = "copy the token again, and nothing else";
    Err(Failure::Usage(format!("the token contains {wrong}, which no token has\n  hint: {hint}")))
}

/// Builds the failure of a command without a token.
pub fn missing() -> Failure {
    Failure::Usage("no token given\n  hint: store one with cutover login, or set CUTOVER_TOKEN".to_owned())
}

/// Reads a token from standard input, or asks for one if a person is at the terminal. Returns `None` if nothing was given.
///
/// # Errors
///
/// Fails if it cannot be read, or if it is no token.
pub fn read(is_from_stdin: bool) -> Result<Option<String>, Failure> {
    let text = if is_from_stdin {
        let mut text = String::new();
        stdin().read_to_string(&mut text).map(|_| text)
    } else if stdin().is_terminal() && stderr().is_terminal() {
        rpassword::prompt_password("Token (not shown): ")
    } else {
        return Ok(None);
    };
    let text = text.map_err(|error| Failure::Io(format!("the token cannot be read: {error}")))?;
    if text.trim().is_empty() { Ok(None) } else { checked(&text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_none_of_the_token() {
        for text in ["ctv_1", "ctv_1\n", "ctv_1\r\n"] {
            assert_eq!(checked(text).unwrap(), "ctv_1", "{text:?}");
        }
    }

    #[test]
    fn a_character_that_no_header_has_is_named() {
        for (text, expected) in [
            ("ctv_1\n\n", "a line break"),
            ("ctv\n_1", "a line break"),
            (" ctv_1", "a space"),
            ("ctv_1\u{feff}", "the character"),
            ("", "no token given"),
            ("\n", "no token given"),
        ] {
            let refused = checked(text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{text:?}: {refused}");
            assert!(!refused.contains("ctv"), "a token is never printed: {refused}");
        }
    }
}
