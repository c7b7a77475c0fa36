//! Encodings of documents for programs: JSON, YAML, or the names in a document alone.

use clap::ValueEnum;
use serde_json::Value;
use std::{ffi::OsString, sync::OnceLock};

/// Lists in documents, each with the field of the name by which commands know its items.
const LISTS: [(&str, &str); 12] = [
    ("value_flags", "name"),
    ("segments", "name"),
    ("stale_flags", "flag"),
    ("flags", "name"),
    ("canaries", "flag"),
    ("runs", "run"),
    ("experiments", "experiment"),
    ("routes", "id"),
    ("tokens", "id"),
    ("changes", "change"),
    ("contexts", "name"),
    ("records", "id"),
];

/// Fields of a document about one object with its name. The first one that it has is the name that commands take.
const NAMES: [&str; 5] = ["change", "experiment", "id", "name", "flag"];

/// Fields that only documents with a page of a list have.
const PAGES: [&str; 2] = ["next_after", "next_before"];

/// The encoding of this process. It is set once, before the command runs.
static CHOSEN: OnceLock<Encoding> = OnceLock::new();

/// An encoding of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    /// The API's JSON, and errors as JSON.
    Json,
    /// The same as YAML; errors are JSON, which YAML readers read too.
    Yaml,
    /// Names alone, one on each line.
    Name,
}

/// Chooses the encoding of all documents.
pub fn choose(encoding: Encoding) {
    // A second choice would be one of a second command line.
    let _ = CHOSEN.set(encoding);
}

/// Returns the encoding of documents, which is JSON unless another one is chosen.
pub fn chosen() -> Encoding {
    CHOSEN.get().copied().unwrap_or(Encoding::Json)
}

/// Returns true if arguments that are refused ask for errors as JSON.
pub fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    let is_data = |value: &str| ["json", "yaml"].contains(&value);
    let is_joined = |word: &String| {
        let joined = ["--format=", "-o=", "-o"].iter().find_map(|option| word.strip_prefix(*option));
        word == "--json" || joined.is_some_and(is_data)
    };
    let is_pair = |pair: &[String]| match pair {
        [option, value] => ["-o", "--format"].contains(&option.as_str()) && is_data(value),
        _ => false,
    };
    words.iter().any(is_joined) || words.windows(2).any(is_pair)
}

impl Encoding {
    /// Returns true if errors are told as JSON.
    pub fn has_json_errors(self) -> bool {
        self != Self::Name
    }

    /// Encodes a document.
    ///
    /// # Errors
    ///
    /// Fails with the cause if it cannot be encoded, or if there are to be names and it has none.
    pub fn document(self, value: &Value) -> Result<String, String> {
        match self {
            Self::Json => Ok(format!("{value:#}\n")),
            Self::Yaml => yaml(value),
            Self::Name => names(value).ok_or_else(|| {
                "this document has no names, unlike those of list, get, audit, flag, value, segment, route, canary, experiment, token, changes \
                 and context"
                    .to_owned()
            }),
        }
    }

    /// Encodes one document of several that follow one another.
    ///
    /// # Errors
    ///
    /// Fails like [`Encoding::document`].
    pub fn item(self, value: &Value) -> Result<String, String> {
        match self {
            Self::Json => Ok(format!("{value}\n")),
            Self::Yaml => Ok(format!("---\n{}", yaml(value)?)),
            Self::Name => self.document(value),
        }
    }
}

fn yaml(value: &Value) -> Result<String, String> {
    let text = serde_saphyr::to_string(value).map_err(|error| error.to_string())?;
    Ok(format!("{}\n", text.trim_end_matches('\n')))
}

/// Returns the field of the name of the items of a list; the usual one for a list that is not known.
pub fn name_field(list: &str) -> &'static str {
    LISTS.iter().find(|(known, _)| *known == list).map_or("name", |(_, field)| *field)
}

/// Returns the names in a document, one on each line; `None` if it has none.
fn names(value: &Value) -> Option<String> {
    let line = |name: &str| format!("{name}\n");
    let is_page = PAGES.iter().any(|page| value.get(*page).is_some());
    // The changes that a file makes have no ids; those that wait for approval are pages.
    let is_list = |list: &str| is_page || list != "changes";
    let of_object = || NAMES.iter().find_map(|field| value.get(*field)?.as_str()).map(line);
    let of_list = || {
        let (items, field) = LISTS
            .iter()
            .filter(|(list, _)| is_list(list))
            .find_map(|(list, field)| Some((value.get(*list)?.as_array()?, field)))?;
        items.iter().map(|item| item.get(*field)?.as_str().map(line)).collect::<Option<String>>()
    };
    if let Some(documents) = value.as_array() {
        return documents.iter().map(names).collect();
    }
    if is_page { of_list() } else { of_object().or_else(of_list) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::config::Node;
    use serde_json::json;

    #[test]
    fn names_are_those_that_commands_take() {
        for (document, expected) in [
            (json!({ "flags": [{ "name": "a" }, { "name": "b" }], "next_after": null }), Some("a\nb\n")),
            (json!({ "tokens": [{ "id": "0a", "name": "ann" }], "next_after": null }), Some("0a\n")),
            (json!({ "flag": "f", "runs": [{ "run": "r7" }], "next_after": null }), Some("r7\n")),
            (json!({ "contexts": [{ "name": "live" }] }), Some("live\n")),
            (json!({ "stale_flags": [{ "flag": "f" }], "next_after": null }), Some("f\n")),
            // The flags that name a segment are not those of a list.
            (json!({ "segments": [{ "name": "s", "flags": ["f"] }], "next_after": null }), Some("s\n")),
            (json!({ "name": "s", "flags": ["f"] }), Some("s\n")),
            (json!({ "flags": [], "next_after": null }), Some("")),
            (
                json!({ "change": "8c3f", "changes": [{ "section": "feature_flags", "name": "f" }] }),
                Some("8c3f\n"),
            ),
            (json!({ "experiment": "search", "name": "New search", "flag": "f" }), Some("search\n")),
            (json!({ "id": "reviews.read", "flag": "f" }), Some("reviews.read\n")),
            (json!([{ "id": "17" }, { "id": "17+1" }]), Some("17\n17+1\n")),
            (json!({ "revision": 7, "changes": [{ "section": "routes", "name": "r" }] }), None),
            (json!({ "revision": 7, "changes": [] }), None),
            (json!({ "changes": [{ "change": "8c3f" }], "next_after": null }), Some("8c3f\n")),
            (json!({ "health": {} }), None),
        ] {
            assert_eq!(names(&document).as_deref(), expected, "{document}");
        }
    }

    #[test]
    fn a_document_is_the_same_in_json_and_in_yaml() {
        let document = json!({ "flags": [{ "name": "on", "rollout_percentage": 2.5, "at": "2026-01-31T12:00:00Z" }], "n": null });
        assert_eq!(Encoding::Json.document(&document).unwrap(), format!("{document:#}\n"));
        assert_eq!(Encoding::Json.item(&document).unwrap().lines().count(), 1);
        let yaml = Encoding::Yaml.document(&document).unwrap();
        assert_eq!(Node::from_yaml(&yaml).unwrap().to_json(), document, "{yaml}");
        assert_eq!(Encoding::Yaml.item(&document).unwrap(), format!("---\n{yaml}"));
        let refused = Encoding::Name.document(&json!({})).unwrap_err();
        assert!(refused.starts_with("this document has no names, unlike those of list, "), "{refused}");
    }

    #[test]
    fn refused_arguments_are_searched_for_the_encoding_of_errors() {
        for (words, expected) in [
            (&["cutover", "--json"][..], true),
            (&["cutover", "list", "-o", "json"], true),
            (&["cutover", "-oyaml", "list"], true),
            (&["cutover", "list", "--format=json"], true),
            (&["cutover", "list", "-o", "name"], false),
            (&["cutover", "list", "-o"], false),
            (&["cutover", "get", "json"], false),
        ] {
            assert_eq!(asks_for_json(words.iter().map(OsString::from)), expected, "{words:?}");
        }
    }
}
