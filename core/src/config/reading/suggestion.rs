//! Suggestions for names that are not known.

/// Names that are less alike than this, on the scale of Jaro-Winkler from 0 to 1, are not
/// suggested.
const MIN_SIMILARITY: f64 = 0.8;

/// Returns the known name that a mistyped one was most likely meant to be.
pub fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(similarity, _)| *similarity > MIN_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Returns the hint for an unknown name: the known name that was most likely meant, or else
/// `otherwise`.
pub(crate) fn did_you_mean<'k>(
    written: &str,
    known: impl Iterator<Item = &'k str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(written, known).map_or_else(otherwise, |near| format!("did you mean {near}?"))
}
