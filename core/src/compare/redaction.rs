//! Examples of differences without their content: letters become x, digits become 9.

use crate::json::value::Json;

/// Longest part of a string or number in an example, in characters.
const EXAMPLE: usize = 32;

/// Most equal characters in an example before the first one that differs.
const CONTEXT: usize = 8;

/// Longest media type in an example, in characters.
const MEDIA_TYPE: usize = 64;

/// The mark of characters that an example leaves out.
const CUT: &str = "...";

/// Renders the form of a value without its content.
pub(crate) fn redacted(value: Option<&Json<'_>>) -> String {
    form(value, 0)
}

/// Renders the forms of two values that differ. Those of two strings or two numbers begin near the
/// first different character, and have a note if they are equal.
pub(super) fn examples(old: Option<&Json<'_>>, new: Option<&Json<'_>>) -> (String, String) {
    let (before, after) = match (old, new) {
        (Some(Json::Text(before)), Some(Json::Text(after)))
        | (Some(Json::Number(before)), Some(Json::Number(after))) => (&**before, &**after),
        _ => return (redacted(old), redacted(new)),
    };
    let start = shared(before, after).saturating_sub(CONTEXT);
    let (old, new) = (form(old, start), form(new, start));
    if old != new {
        return (old, new);
    }
    match (before.chars().count(), after.chars().count()) {
        (before, after) if before == after => (old, format!("{new} (same form)")),
        (before, after) => (format!("{old} ({before} characters)"), format!("{new} ({after} characters)")),
    }
}

/// Renders a value that holds no user data.
pub(super) fn unmasked(text: Option<&str>) -> String {
    let Some(text) = text else { return redacted(None) };
    let mut characters = text.chars();
    let shown: String = characters.by_ref().take(MEDIA_TYPE).collect();
    let cut = if characters.next().is_some() { CUT } else { "" };
    format!("\"{shown}{cut}\"")
}

/// Returns the number of characters that two texts have in common at their starts.
fn shared(old: &str, new: &str) -> usize {
    old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count()
}

/// Renders the form of a value. That of a string or number begins at its character `start`.
fn form(value: Option<&Json<'_>>, start: usize) -> String {
    let mask = |text: &str| -> String {
        let masked = text.chars().skip(start).take(EXAMPLE).map(|c| match c {
            c if c.is_ascii_digit() => '9',
            c if c.is_ascii_punctuation() || c == ' ' => c,
            _ => 'x',
        });
        let cut = if start > 0 { CUT } else { "" };
        cut.chars().chain(masked).collect()
    };
    match value {
        None => "(nothing)".to_owned(),
        Some(Json::Null) => "null".to_owned(),
        Some(Json::Bool(value)) => value.to_string(),
        Some(Json::Number(digits)) => mask(digits),
        Some(Json::Text(text)) => format!("\"{}\"", mask(text)),
        Some(Json::List(items)) => format!("a list of {}", items.len()),
        Some(Json::Object(fields)) => format!("an object of {} fields", fields.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(old: &Json<'_>, new: &Json<'_>, expected: [&str; 2]) {
        let (before, after) = examples(Some(old), Some(new));
        assert_eq!([before.as_str(), after.as_str()], expected, "{old:?} {new:?}");
    }

    fn check_texts(old: &str, new: &str, expected: [&str; 2]) {
        check(&Json::text(old), &Json::text(new), expected);
    }

    #[test]
    fn an_example_begins_where_the_values_differ() {
        check_texts("cat", "horse", ["\"xxx\"", "\"xxxxx\""]);
        let urls = ["https://shop.example/api/v1/users/7", "https://shop.example/api/v1/users?page=7"];
        check_texts(urls[0], urls[1], ["\"...x9/xxxxx/9\"", "\"...x9/xxxxx?xxxx=9\""]);
        // One of them ends where the other goes on.
        let long = "a".repeat(40);
        check_texts(&long, &format!("{long}/b"), ["\"...xxxxxxxx\"", "\"...xxxxxxxx/x\""]);
        check(&Json::Number("-12.5e3".into()), &Json::Number("7".into()), ["-99.9x9", "9"]);
        let digits = ["3.14159265358979", "3.14159265358"];
        let numbers = digits.map(|digits| Json::Number(digits.into()));
        check(&numbers[0], &numbers[1], ["...99999999999", "...99999999"]);
        // Values of different types have no start in common.
        check(
            &Json::text("1234567890123"),
            &Json::Number("1234567890123".into()),
            ["\"9999999999999\"", "9999999999999"],
        );
        assert_eq!(examples(None, Some(&Json::Bool(true))), ("(nothing)".to_owned(), "true".to_owned()));
    }

    #[test]
    fn examples_of_the_same_form_say_so() {
        check_texts("abc1", "abd2", ["\"xxx9\"", "\"xxx9\" (same form)"]);
        check(&Json::Number("1".into()), &Json::Number("2".into()), ["9", "9 (same form)"]);
        let (old, new) = ("a".repeat(40), "b".repeat(50));
        let form = "x".repeat(EXAMPLE);
        check_texts(
            &old,
            &new,
            [&format!("\"{form}\" (40 characters)"), &format!("\"{form}\" (50 characters)")],
        );
        // Two lists, or nothing twice, are no strings.
        assert_eq!(examples(None, None), ("(nothing)".to_owned(), "(nothing)".to_owned()));
    }

    #[test]
    fn a_media_type_is_shown_up_to_a_length() {
        assert_eq!(unmasked(Some("text/html; charset=latin1")), "\"text/html; charset=latin1\"");
        assert_eq!(unmasked(None), "(nothing)");
        let long = "a".repeat(MEDIA_TYPE);
        assert_eq!(unmasked(Some(&long)), format!("\"{long}\""));
        assert_eq!(unmasked(Some(&format!("{long}b"))), format!("\"{long}...\""));
    }

    /// Asserts that an example has nothing of a string but its form.
    fn assert_masked(example: &str) {
        let (shown, note) = example.rsplit_once('"').expect("a string is quoted");
        let is_masked = |c: char| matches!(c, 'x' | '9' | ' ') || c.is_ascii_punctuation();
        assert!(shown.chars().all(is_masked), "{example}");
        assert!(shown.chars().count() <= 1 + CUT.len() + EXAMPLE, "{example}");
        let length = note.strip_prefix(" (").and_then(|note| note.strip_suffix(" characters)"));
        let is_length = length.is_some_and(|length| length.parse::<usize>().is_ok());
        assert!(note.is_empty() || note == " (same form)" || is_length, "{example}");
    }

    #[test]
    fn no_letter_and_no_digit_of_a_value_is_in_its_example() {
        let secrets =
            ["Ann Müller", "ann@example.com", "4111 1111 1111 1111", "Bearer eyJ0", "日本", "O'Neil-Å"];
        for secret in secrets {
            let (before, after) = examples(Some(&Json::text(secret)), Some(&Json::text("Ann")));
            assert_masked(&before);
            assert_masked(&after);
        }
    }

    proptest! {
        #[test]
        fn no_letter_and_no_digit_of_any_two_values_is_in_their_examples(
            start in ".{0,40}",
            (old, new) in (".{0,60}", ".{0,60}"),
        ) {
            let (old, new) = (Json::text(format!("{start}{old}")), Json::text(format!("{start}{new}")));
            let (before, after) = examples(Some(&old), Some(&new));
            assert_masked(&before);
            assert_masked(&after);
        }
    }
}
