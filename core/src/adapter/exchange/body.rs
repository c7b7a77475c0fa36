//! Reads the body of a client's request, within bounds.

use crate::json::Tape;

/// Most values in a body. Two bytes of JSON can be a value, which takes tens of bytes in memory, so a
/// limit on the bytes alone would let a few requests fill an isolate.
const MAX_VALUES: usize = 100_000;

/// Error of a body that an exchange does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnreadableBody {
    /// The body is not JSON, or nested too deeply.
    Malformed,
    /// The body has more than [`MAX_VALUES`] values.
    TooManyValues,
}

/// Parses a body. An empty one is null, of which every field is absent.
///
/// # Errors
///
/// Fails if the body is not JSON or has too many values, which are counted before it is parsed.
pub(super) fn read(bytes: &[u8]) -> Result<Tape<'_>, UnreadableBody> {
    // A value takes at least two bytes: itself and a comma.
    if bytes.len() / 2 >= MAX_VALUES && values(bytes) > MAX_VALUES {
        return Err(UnreadableBody::TooManyValues);
    }
    let bytes = if bytes.is_empty() { b"null".as_slice() } else { bytes };
    let text = std::str::from_utf8(bytes).map_err(|_| UnreadableBody::Malformed)?;
    Tape::read(text).map_err(|_| UnreadableBody::Malformed)
}

/// Returns the number of values in a JSON text, or somewhat more: an empty list counts as two.
fn values(bytes: &[u8]) -> usize {
    let mut count = 1;
    let mut is_in_string = false;
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_in_string = !is_in_string,
            b'\\' if is_in_string => {
                bytes.next();
            }
            b',' | b'[' | b'{' if !is_in_string => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        let cases = [
            ("1", 1),
            ("[1,2]", 3),
            (r#"{"a":[1,2],"b":{"c":"x,[{\",["}}"#, 6),
            (r#"["\\",",",""]"#, 4),
            ("[[],[]]", 5),
        ];
        for (text, expected) in cases {
            assert_eq!(values(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_body_has_at_most_so_many_values_and_strings_of_any_length() {
        let numbers = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(read(numbers(MAX_VALUES - 1).as_bytes()).is_ok());
        let refused = read(numbers(MAX_VALUES + 1).as_bytes()).map(|_| ());
        assert_eq!(refused, Err(UnreadableBody::TooManyValues));
        assert!(read(format!("[\"{}\"]", "[,".repeat(400_000)).as_bytes()).is_ok());
        for malformed in ["[1,", " "] {
            assert_eq!(read(malformed.as_bytes()).map(|_| ()), Err(UnreadableBody::Malformed), "{malformed}");
        }
        assert!(read(b"").is_ok_and(|tape| tape.root().is_null()));
    }
}
