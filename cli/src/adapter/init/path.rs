//! The nouns in the paths of the old interface.

use super::words::singular_words;

/// The nouns of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nouns {
    /// The words of the last literal segment, in the singular.
    pub noun: Vec<String>,
    /// The words of the segments before it that a parameter follows.
    pub owners: Vec<String>,
}

/// The segment that a parameter belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its words, in the singular.
    pub words: Vec<String>,
    /// True if the parameter ends the path.
    pub is_last: bool,
}

/// Returns the nouns of a path.
///
/// ```text
/// /api/v1/users/{id}/reviews    noun: review, owners: user
/// /api/v1/reviews/{id}          noun: review
/// ```
pub fn nouns(path: &str) -> Nouns {
    let segments: Vec<&str> = segments(path).collect();
    let last = segments.iter().rposition(|segment| !is_parameter(segment));
    let noun = last.and_then(|last| segments.get(last)).map(|segment| singular_words(segment));
    let before = segments.iter().take(last.unwrap_or_default()).zip(segments.iter().skip(1));
    let owners = before.filter(|(segment, next)| !is_parameter(segment) && is_parameter(next));
    let owners = owners.flat_map(|(segment, _)| singular_words(segment)).collect();
    Nouns { noun: noun.unwrap_or_default(), owners }
}

/// Returns the resource that a parameter of a path identifies.
pub fn resource(path: &str, parameter: &str) -> Resource {
    let pattern = format!("{{{parameter}}}");
    let mut words = Vec::new();
    let mut segments = segments(path).peekable();
    while let Some(segment) = segments.next() {
        if segment.contains(&pattern) {
            return Resource { words, is_last: segments.peek().is_none() };
        }
        if !is_parameter(segment) {
            words = singular_words(segment);
        }
    }
    Resource { words, is_last: false }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn is_parameter(segment: &str) -> bool {
    segment.contains('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_nouns_and_owners() {
        let cases: [(&str, &[&str], &[&str]); 5] = [
            ("/api/v1/reviews", &["review"], &[]),
            ("/api/v1/reviews/{id}", &["review"], &[]),
            ("/users/{id}/order-items", &["order", "item"], &["user"]),
            ("/orders/{id}/cancel", &["cancel"], &["order"]),
            ("/{id}", &[], &[]),
        ];
        for (path, noun, owners) in cases {
            let found = nouns(path);
            assert_eq!((found.noun, found.owners), (owned(noun), owned(owners)), "{path}");
        }
    }

    #[test]
    fn parameters_identify_the_segment_before_them() {
        let of = |path: &str, parameter: &str| {
            let Resource { words, is_last } = resource(path, parameter);
            (words, is_last)
        };
        assert_eq!(of("/users/{id}/reviews", "id"), (owned(&["user"]), false));
        assert_eq!(of("/users/{id}/reviews/{review_id}", "review_id"), (owned(&["review"]), true));
        assert_eq!(of("/{id}", "id"), (Vec::new(), true));
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
