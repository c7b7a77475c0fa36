//! The state of reading one adapter, which all its mappings share.

use super::shared::SharedShapes;
use crate::{
    adapter::Shape,
    config::{adapter::graphql::Selected, reading::EntryCursor},
};

/// The definitions that mappings refer to, and the parts of requests that they were found to read.
pub(crate) struct Context<'n> {
    pub(super) shapes: Vec<EntryCursor<'n>>,
    /// The named shapes that were read, for the program.
    pub(crate) shared: SharedShapes,
    /// The names of these shapes.
    pub(super) used: Vec<&'n str>,
    /// The parameters in the pattern of the current route.
    pub(crate) parameters: Vec<String>,
    /// The operation whose response is mapped, for messages.
    pub(crate) operation: String,
    /// The type of `data`, if the current route has no root and its mappings begin there.
    pub(crate) data: Option<String>,
    pub(crate) reads: Vec<String>,
    pub(crate) claims: Vec<String>,
    /// The named shapes that are being read, outermost first.
    pub(super) open: Vec<String>,
    pub(super) steps: usize,
    /// The number of mappings around the one that is being read.
    pub(super) depth: usize,
}

impl<'n> Context<'n> {
    pub(crate) fn new(shapes: Vec<EntryCursor<'n>>) -> Self {
        Self {
            shapes,
            shared: SharedShapes::default(),
            used: Vec::new(),
            parameters: Vec::new(),
            operation: String::new(),
            data: None,
            reads: Vec::new(),
            claims: Vec::new(),
            open: Vec::new(),
            steps: 0,
            depth: 0,
        }
    }

    /// Reports the shapes of the adapter's own file that no mapping has named. It is called when all of
    /// them are read, and finds nothing in a stored adapter.
    pub(crate) fn report_unused_shapes(&self, file: &str) {
        let is_unused = |shape: &&EntryCursor<'n>| {
            shape.value.file() == file && !shape.value.is_stored() && !self.used.contains(&shape.key)
        };
        for shape in self.shapes.iter().filter(is_unused) {
            let hint = format!("use it with shape: {}, or remove it", shape.key);
            shape.key_cursor.report(format!("nothing uses the shape {}", shape.key), hint);
        }
    }

    /// Returns the named shapes that were read.
    pub(crate) fn used_shapes(&self) -> impl Iterator<Item = &EntryCursor<'n>> {
        self.shapes.iter().filter(move |shape| self.used.contains(&shape.key))
    }
}

/// A shape, with the structure of its result according to the schema, if that is known.
pub(crate) struct Mapping {
    pub(crate) shape: Shape,
    pub(crate) value: Option<Selected>,
}
