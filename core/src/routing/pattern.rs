//! The parameters of a path pattern.

/// A path pattern, split at its parameters.
///
/// ```text
/// /users/{id}/{*rest}     skeleton /users/{}/{*}     names id, rest
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern<'p> {
    /// The pattern without the names of its parameters. Two patterns with the same skeleton match the
    /// same paths.
    pub skeleton: String,
    /// The names of the parameters, in order.
    pub names: Vec<&'p str>,
}

impl<'p> Pattern<'p> {
    /// Splits a pattern. One that is not valid is split as far as it can be, so that its names are
    /// known although it is refused.
    pub fn new(path: &'p str) -> Self {
        let (mut skeleton, mut names) = (String::new(), Vec::new());
        let mut rest = path;
        while let Some((literal, after)) = rest.split_once('{') {
            skeleton.push_str(literal);
            // Two braces stand for one in the path.
            if let Some(after) = after.strip_prefix('{') {
                skeleton.push_str("{{");
                rest = after;
                continue;
            }
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            skeleton.push_str(if name.starts_with('*') { "{*}" } else { "{}" });
            names.push(name.trim_start_matches('*'));
            rest = after;
        }
        skeleton.push_str(rest);
        Self { skeleton, names }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_split_at_its_parameters() {
        let cases = [
            ("/a", "/a", vec![]),
            ("/a/{id}", "/a/{}", vec!["id"]),
            ("/a/{id}/b/{*rest}", "/a/{}/b/{*}", vec!["id", "rest"]),
            ("/img-{id}.png", "/img-{}.png", vec!["id"]),
            ("/{{a}}/{id}", "/{{a}}/{}", vec!["id"]),
            // Patterns that are refused elsewhere.
            ("a/{id}?b={c}", "a/{}?b={}", vec!["id", "c"]),
            ("/a/{id", "/a/{}", vec!["id"]),
            ("/a/{}", "/a/{}", vec![""]),
        ];
        for (path, skeleton, names) in cases {
            let expected = Pattern { skeleton: skeleton.to_owned(), names };
            assert_eq!(Pattern::new(path), expected, "{path}");
        }
    }
}
