//! The state of reading one adapter, which all its mappings share.

use super::shared::SharedShapes;
use crate::{
    adapter::Shape,
    config::{
        adapter::graphql::Selected,
        reading::{EntryCursor, Value, nearest},
    },
};
use std::collections::BTreeSet;

/// The definitions that mappings refer to, and the parts of requests that they were found to read.
pub(crate) struct Context<'n> {
    pub(super) shapes: Vec<EntryCursor<'n>>,
    /// True if there are more shapes, in a file that could not be read.
    pub(crate) lacks_shapes: bool,
    /// The named shapes that were read, for the program.
    pub(crate) shared: SharedShapes,
    /// The names of these shapes.
    pub(super) used: Vec<&'n str>,
    /// The parameters in the pattern of the current route; `None` if that has a mistake.
    pub(crate) parameters: Option<Vec<String>>,
    /// The operation whose response is mapped, for messages.
    pub(crate) operation: String,
    /// The type of `data`, if the current route has no root and its mappings begin there.
    pub(crate) data: Option<String>,
    /// True while the variable of an item is read, whose places are in the item.
    pub(crate) is_in_item: bool,
    pub(crate) reads: Vec<String>,
    pub(crate) claims: Vec<String>,
    /// Warnings about mappings that are valid and may fail, each with the path of the field.
    pub(crate) warnings: Vec<String>,
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
            lacks_shapes: false,
            shared: SharedShapes::default(),
            used: Vec::new(),
            parameters: Some(Vec::new()),
            operation: String::new(),
            data: None,
            is_in_item: false,
            reads: Vec::new(),
            claims: Vec::new(),
            warnings: Vec::new(),
            open: Vec::new(),
            steps: 0,
            depth: 0,
        }
    }

    /// Reports the shapes of the adapter's own file that no mapping has named, nor may have been meant to name:
    /// those are in `mentioned`. It is called when all mappings are read, and finds nothing in a stored adapter.
    pub(crate) fn report_unused_shapes(&self, file: &str, mentioned: Option<&BTreeSet<String>>) {
        let is_unused = |shape: &&EntryCursor<'n>| {
            shape.value.file() == file
                && !shape.value.is_stored()
                && !self.used.contains(&shape.key)
                && mentioned.is_none_or(|mentioned| !mentioned.contains(shape.key))
        };
        for shape in self.shapes.iter().filter(is_unused) {
            let hint = format!("use it with shape: {}, or remove it", shape.key);
            shape.key_cursor.report(format!("nothing uses the shape {}", shape.key), hint);
        }
    }

    /// Returns the shapes that an adapter mentions, outside of its shapes or inside of those mentioned. A wrong name
    /// counts as the one that was probably meant.
    pub(crate) fn mentioned_shapes(&self, adapter: &Value) -> BTreeSet<String> {
        let mut names = Vec::new();
        if let Value::Map(entries) = adapter {
            let sections = entries.iter().filter(|entry| entry.key != "shapes");
            sections.for_each(|section| mention(&section.node.value, &mut names));
        }
        let mut mentioned = BTreeSet::new();
        while let Some(name) = names.pop() {
            let known = || self.shapes.iter().map(|shape| shape.key);
            let name = if known().any(|known| known == name) { Some(name) } else { nearest(name, known()) };
            if let Some(name) = name
                && mentioned.insert(name.to_owned())
            {
                let named = self.shapes.iter().filter(|shape| shape.key == name);
                named.for_each(|shape| mention(shape.value.value(), &mut names));
            }
        }
        mentioned
    }

    /// Returns the named shapes that were read.
    pub(crate) fn used_shapes(&self) -> impl Iterator<Item = &EntryCursor<'n>> {
        self.shapes.iter().filter(move |shape| self.used.contains(&shape.key))
    }
}

/// Adds the names of the shapes that a part of a document mentions.
fn mention<'v>(value: &'v Value, names: &mut Vec<&'v str>) {
    match value {
        Value::List(items) => items.iter().for_each(|item| mention(&item.value, names)),
        Value::Map(entries) => {
            for entry in entries {
                match &entry.node.value {
                    Value::String(name) if entry.key == "shape" => names.push(name),
                    value => mention(value, names),
                }
            }
        }
        _ => {}
    }
}

/// A shape, with the structure of its result according to the schema, if that is known.
pub(crate) struct Mapping {
    pub(crate) shape: Shape,
    pub(crate) value: Option<Selected>,
}
