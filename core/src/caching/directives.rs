//! Directives of `Cache-Control`, and of headers with the same grammar (RFC 9111, section 5.2; RFC 9213).

/// The directives of a response that matter to a cache that several users share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// `no-store`, or `private`, or `no-cache`, with or without names of headers: the response is not to be given again
    /// without a question to the backend.
    pub is_refused: bool,
    /// `must-revalidate` or `proxy-revalidate`, or `s-maxage`, which has their meaning.
    pub must_revalidate: bool,
    /// Seconds of `s-maxage`; 0 if they are no number.
    pub shared_age: Option<u64>,
    /// Seconds of `max-age`; 0 if they are no number.
    pub max_age: Option<u64>,
    /// Seconds of `stale-while-revalidate`; 0 if they are no number.
    pub stale: Option<u64>,
}

impl Directives {
    /// Reads the directives of a header. Of those that are repeated the strictest counts; unknown ones have no meaning.
    pub(super) fn read(text: &str) -> Self {
        let mut directives = Self::default();
        for (name, value) in items(text) {
            let value = unquoted(value);
            let seconds = || Some(seconds(value).unwrap_or_default());
            match name.to_ascii_lowercase().as_str() {
                "no-store" | "private" | "no-cache" => directives.is_refused = true,
                "must-revalidate" | "proxy-revalidate" => directives.must_revalidate = true,
                "s-maxage" => {
                    directives.must_revalidate = true;
                    directives.shared_age = strictest(directives.shared_age, seconds());
                }
                "max-age" => directives.max_age = strictest(directives.max_age, seconds()),
                "stale-while-revalidate" => directives.stale = strictest(directives.stale, seconds()),
                _ => {}
            }
        }
        directives
    }

    /// Reads the directives of a header for caches alone. `None` if it is no dictionary of structured fields (RFC 9651), or
    /// has a value of a wrong type: such a header counts as if it were not there (RFC 9213, section 2.1).
    pub(super) fn read_targeted(text: &str) -> Option<Self> {
        let is_whole = items(text).all(|(name, value)| is_key(name) && is_value(name, value));
        (is_whole && !text.trim().is_empty()).then(|| Self::read(text))
    }

    /// Returns true if no directive was read that a cache knows.
    pub(super) fn says_nothing(&self) -> bool {
        *self == Self::default()
    }
}

fn strictest(held: Option<u64>, read: Option<u64>) -> Option<u64> {
    held.into_iter().chain(read).min()
}

/// Returns a number of seconds; `None` if the text is something else. Too large a number is a very large one (RFC 9111,
/// section 1.2.2).
pub(super) fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Splits a header at its commas, and each item at its first equals sign. Commas in quotes do not count.
fn items(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let parts = text.split(move |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    });
    parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim(), value.trim())
    })
}

/// Takes the quotes off a value.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Returns true for a key of a dictionary.
fn is_key(name: &str) -> bool {
    let is_later = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_lowercase() || first == '*') && name.bytes().all(is_later)
}

/// Returns true for a value that an item can have: seconds where they are meant, elsewhere anything that is printable.
fn is_value(name: &str, value: &str) -> bool {
    let bare = value.split(';').next().unwrap_or_default();
    match name {
        "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error" => seconds(bare).is_some(),
        _ => value.bytes().all(|byte| matches!(byte, b' '..=b'~')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_the_strictest_value_counts() {
        let read =
            Directives::read("Public, MAX-AGE=60, max-age=30 , S-MaxAge=\"10\",stale-while-revalidate = 5");
        assert_eq!(
            read,
            Directives {
                is_refused: false,
                must_revalidate: true,
                shared_age: Some(10),
                max_age: Some(30),
                stale: Some(5)
            }
        );
    }

    #[test]
    fn what_is_quoted_is_no_directive() {
        for text in ["foo=\"no-store, max-age=1\", max-age=60", "foo=\"a\\\", no-store\", max-age=60"] {
            let read = Directives::read(text);
            assert_eq!((read.is_refused, read.max_age), (false, Some(60)), "{text}");
        }
        for text in ["private=\"set-cookie\"", "No-Cache", "no-cache=\"a, b\", max-age=9", ",,no-store"] {
            assert!(Directives::read(text).is_refused, "{text}");
        }
    }

    #[test]
    fn a_header_for_caches_alone_is_read_whole_or_not_at_all() {
        for good in ["max-age=60", "max-age=60, private", "no-store", "max-age=60;a=b, foo=\"x, y\", bar"] {
            assert!(Directives::read_targeted(good).is_some(), "{good}");
        }
        for wrong in
            ["", " ", "max-age=10000, &&&&&", "max-age=\"10000\"", "max-age", "Max-Age=1", "a=\u{e9}"]
        {
            assert_eq!(Directives::read_targeted(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_number_of_seconds_is_none() {
        for (text, age) in [
            ("max-age=-1", 0),
            ("max-age=1.5", 0),
            ("max-age=", 0),
            ("max-age", 0),
            ("max-age='60'", 0),
            ("max-age=0060", 60),
            ("max-age=99999999999999999999999", u64::MAX),
        ] {
            assert_eq!(Directives::read(text).max_age, Some(age), "{text}");
        }
        assert!(Directives::read("maxage=60, public").says_nothing());
    }
}
