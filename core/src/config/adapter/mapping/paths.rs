//! Reads paths to parts of a value, such as `author.name` and `results.0.id`.

use super::context::{Context, Mapping};
use crate::{
    adapter::{Shape, Step},
    config::{adapter::graphql::Selected, reading::Cursor},
    json::{MAX_DEPTH, list_index},
};

/// A path to a part of a value.
pub(crate) struct Path {
    /// Names of fields, and indexes of items.
    pub(crate) names: Vec<String>,
    /// The structure of the part, if it is known.
    pub(crate) value: Option<Selected>,
}

impl Context<'_> {
    /// Reads the path to a part of the value as a mapping.
    pub(super) fn path(
        &self,
        cursor: &Cursor<'_>,
        path: &str,
        mut value: Option<Selected>,
    ) -> Option<Mapping> {
        let names = names(cursor, path)?;
        if let Some(value) = &mut value {
            for name in &names {
                *value = self.part(cursor, value, name)?;
            }
        }
        let steps = if names.is_empty() { Vec::new() } else { vec![Step::Get(names)] };
        Some(Mapping { shape: Shape(steps), value })
    }

    /// Reads the path to the part of a backend's response that a route maps.
    pub(crate) fn root(&self, cursor: &Cursor<'_>, path: &str, mut value: Option<Selected>) -> Option<Path> {
        let names = names(cursor, path)?;
        for name in &names {
            let Some(held) = value.take() else { break };
            // Stored routes may have roots that were refused only later.
            value = if cursor.is_stored() { held.part(name) } else { Some(self.part(cursor, &held, name)?) };
        }
        Some(Path { names, value })
    }
}

/// Returns the names of a path, and reports a string that is none.
pub(super) fn names(cursor: &Cursor<'_>, path: &str) -> Option<Vec<String>> {
    let names: Vec<String> = match path {
        "." => Vec::new(),
        path => path.split('.').map(str::to_owned).collect(),
    };
    // Stored adapters may have paths that were refused only later.
    if cursor.is_stored() {
        return Some(names);
    }
    let hint = if path.contains("://") {
        format!("write const: {path:?}, or a text with a place, such as \"https://api.example/users/{{id}}\"")
    } else if path.contains(['{', '}']) {
        "write a text with places as text: or url:, or in place of the whole mapping".to_owned()
    } else if let Some(dotted) = with_dots(path) {
        format!("write {dotted}")
    } else if names.iter().any(String::is_empty) {
        "write names with a dot between, such as author.name, or . for the value itself".to_owned()
    } else if names.len() > MAX_DEPTH {
        let message =
            format!("the path has {} names; responses have at most {MAX_DEPTH} levels", names.len());
        return cursor.refuse(message, "write a shorter path");
    } else {
        return Some(names);
    };
    cursor.refuse(format!("{path:?} is not a path"), hint)
}

/// Returns a path with indexes in brackets as paths have them: `results.0.id` for `results[0].id`. `None`
/// for a path without such indexes.
fn with_dots(path: &str) -> Option<String> {
    let mut dotted = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        let (index, after) = after.split_once(']')?;
        list_index(index)?;
        dotted.push_str(before);
        dotted.push('.');
        dotted.push_str(index);
        rest = after;
    }
    dotted.push_str(rest);
    (dotted != path).then(|| dotted.trim_start_matches('.').to_owned())
}
