//! The nesting of compiled mappings and types. The edge reads a snapshot with serde_json, which refuses
//! documents of more than 127 levels.
//!
//! A mapping inside another one takes at most four levels of the document: its list of steps, the step,
//! the list of fields and the field. With up to ten levels around the outermost mapping and seven in the
//! innermost one (a field of the body in the URL of a page), [`MAX_NESTING`] of them leave room for a
//! document that contains the adapter, as stored configurations do.

use crate::adapter::Kind;

/// Most mappings that may be inside each other, named shapes written out. Types are limited alike; one
/// of them takes at most three levels.
pub(super) const MAX_NESTING: usize = 24;

/// Returns the number of types inside each other, the outermost included.
pub(super) fn of_kind(kind: &Kind) -> usize {
    1 + match kind {
        Kind::List(item) => of_kind(item),
        Kind::Each(item) => of_kind(&item.kind),
        Kind::Object(fields) => fields.iter().map(|field| of_kind(&field.kind)).max().unwrap_or_default(),
        _ => 0,
    }
}
