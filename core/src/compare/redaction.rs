//! Examples of differences without their content.

use crate::json::value::Json;

/// Longest string or number in an example, in characters.
const EXAMPLE: usize = 32;

/// Renders the form of a value without its content: letters become x, digits become 9.
pub(crate) fn redacted(value: Option<&Json<'_>>) -> String {
    let mask = |text: &str| -> String {
        let masked = text.chars().take(EXAMPLE).map(|c| match c {
            c if c.is_ascii_digit() => '9',
            c if c.is_ascii_punctuation() || c == ' ' => c,
            _ => 'x',
        });
        masked.collect()
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

    #[test]
    fn no_letter_and_no_digit_of_a_value_is_in_its_example() {
        let secrets =
            ["Ann Müller", "ann@example.com", "4111 1111 1111 1111", "Bearer eyJ0", "日本", "O'Neil-Å"];
        for secret in secrets {
            let value = Json::text(secret);
            let example = redacted(Some(&value));
            assert!(
                example
                    .trim_matches('"')
                    .chars()
                    .all(|c| c == 'x' || c == '9' || c == ' ' || c.is_ascii_punctuation()),
                "{secret}: {example}"
            );
            assert!(example.chars().count() <= EXAMPLE + 2, "{example}");
        }
        let long = Json::text("a".repeat(1_000));
        assert_eq!(redacted(Some(&long)).len(), EXAMPLE + 2);
        assert_eq!(redacted(Some(&Json::Number("-12.5e3".into()))), "-99.9x9");
    }
}
