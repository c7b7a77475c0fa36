//! Entity tags of answers, and the requests of clients that hold an answer already (RFC 9110, sections
//! 8.8.3 and 13.1.2).

use crate::adapter::exchange::messages::Answer;

/// The request header with the tags of the answers that a client holds.
pub(crate) const IF_NONE_MATCH: &str = "if-none-match";

const ETAG: &str = "etag";

/// Adds the tag of its body to a success, unless the route gives one of its own. Returns a 304 without
/// the body if the client holds it.
pub(super) fn tagged(mut answer: Answer, held: Option<&str>) -> Answer {
    let Some(body) = answer.body.as_deref().filter(|_| answer.status == 200) else { return answer };
    // A route's own tag may be made from a value that is null in this response.
    answer.headers.retain(|(name, tag)| name != ETAG || !tag.is_empty());
    let own = answer.headers.iter().find(|(name, _)| name == ETAG).map(|(_, tag)| tag.clone());
    let tag = own.unwrap_or_else(|| {
        let tag = format!("\"{:032x}\"", xxhash_rust::xxh3::xxh3_128(body.as_bytes()));
        answer.headers.push((ETAG.to_owned(), tag.clone()));
        tag
    });
    if !held.is_some_and(|held| names(held, &tag)) {
        return answer;
    }
    answer.headers.retain(|(name, _)| name != "content-type");
    Answer { status: 304, body: None, ..answer }
}

/// Returns true if an `If-None-Match` names a tag, by weak comparison: in its list, or by an asterisk.
fn names(held: &str, tag: &str) -> bool {
    held.trim() == "*" || lists(held, tag)
}

/// Returns true if a tag is in the list of an `If-None-Match`, by weak comparison. A tag may have commas between
/// its quotes.
pub(crate) fn lists(held: &str, tag: &str) -> bool {
    let mut is_quoted = false;
    let separates = |c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    };
    held.split(separates).any(|held| opaque(held) == opaque(tag))
}

/// Returns a tag without the mark of a weak one.
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_and_in_lists() {
        let tag = "\"0a\"";
        for held in ["\"0a\"", " \"0a\" ", "W/\"0a\"", "\"1\", \"0a\"", "W/\"1\",W/\"0a\"", "*", " * "] {
            assert!(names(held, tag), "{held}");
        }
        assert!(!lists("*", tag), "an asterisk is no list");
        for held in ["", "\"1\"", "0a", "\"0A\"", "\"0a", "w/\"0a\"", "\"*\"", "\"1\", *x"] {
            assert!(!names(held, tag), "{held}");
        }
        assert!(names("\"1\"", "W/\"1\""));
        assert!(names("\"0\", \"a,b\"", "\"a,b\"") && !names("\"a,b\"", "\"a\""));
    }

    #[test]
    fn a_tag_that_a_route_leaves_empty_is_none() {
        let answer = |tag: &str| Answer {
            status: 200,
            headers: vec![(ETAG.to_owned(), tag.to_owned())],
            body: Some("{}".to_owned()),
            unfit: None,
        };
        let of_body = tagged(answer(""), Some("\"a\","));
        assert_eq!((of_body.status, of_body.headers.len()), (200, 1));
        assert!(of_body.headers[0].1.starts_with('"'));
        assert_eq!(tagged(answer("\"a\""), Some("\"a\",")).status, 304);
    }
}
