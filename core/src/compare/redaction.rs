//! Examples of differences without their content.

use crate::json::value::Json;

/// Longest string or number in an example, in characters.
const EXAMPLE: usize = 32;

/// Renders the form of a value without its content: letters become x, digits become 9.
pub(super) fn redacted(value: Option<&Json<'_>>) -> String {
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
