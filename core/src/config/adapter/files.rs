//! Files that an adapter refers to.

use crate::config::reading::Cursor;

/// Returns the content of a file that a configuration names, or the reason why it cannot.
pub(crate) type Files<'f> = &'f dyn Fn(&str) -> Result<String, String>;

/// GraphQL from a file, or from a string in the configuration itself.
pub(crate) struct SourceText {
    /// The name of the file; empty for a string in the configuration.
    pub(crate) file: String,
    pub(crate) text: String,
    /// The number of lines of the file before the first one of the text.
    pub(crate) lines_before: usize,
}

/// Returns the content of a file, or the schema at a URL, that is named at the cursor.
pub(crate) fn content(cursor: &Cursor<'_>, name: &str, files: Files<'_>) -> Option<String> {
    let hint = if name.contains("://") {
        "check the URL, and that it allows introspection without credentials; otherwise write the schema into \
         a file (cutover adapter schema URL --header ... > schema.graphql) and name that file"
    } else {
        "correct the name, which is relative to the folder of this file"
    };
    files(name).map_err(|error| cursor.report(format!("{name}: {error}"), hint)).ok()
}

/// Returns the name of a file that is named relative to a folder.
pub(crate) fn relative(folder: &str, name: String) -> String {
    if folder.is_empty() || name.contains("://") { name } else { format!("{folder}/{name}") }
}

/// Reads GraphQL or the name of a file with it. A string with a brace is GraphQL, because no schema
/// and no operation does without one.
pub(crate) fn graphql(cursor: &Cursor<'_>, folder: &str, files: Files<'_>) -> Option<SourceText> {
    let text = cursor.string()?;
    if text.contains('{') {
        return Some(SourceText { file: String::new(), text, lines_before: cursor.line() });
    }
    let name = relative(folder, text);
    content(cursor, &name, files).map(|text| SourceText { file: name, text, lines_before: 0 })
}
