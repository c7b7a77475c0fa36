//! Reads mappings of values: paths, and maps of steps.

use super::{
    context::{Context, Mapping},
    fields::{Draft, KEYS, READERS},
};
use crate::{
    adapter::{Field, Shape, Step},
    config::{
        adapter::{graphql::Selected, nesting::MAX_NESTING},
        reading::{Cursor, Value, did_you_mean},
    },
    json::MAX_DEPTH,
};

/// The most steps in all mappings of an adapter together, with every named shape counted at each
/// use.
const MAX_STEPS: usize = 20_000;

const HINT: &str = "write a path such as author.name, or a map with from, shape, object, each, const, now, \
                    request, coalesce, pick, hide, rename, add, as, date, map, default, hide_null or wrap";

/// The keys that give a value a source other than the value at hand.
const SOURCES: [&str; 5] = ["from", "const", "now", "request", "coalesce"];

impl<'n> Context<'n> {
    /// Reads a mapping of a value with the given structure.
    pub(crate) fn mapping(&mut self, cursor: &Cursor<'n>, value: Option<&Selected>) -> Option<Mapping> {
        self.steps += 1;
        if self.steps == MAX_STEPS {
            cursor.report("the shapes of this adapter are too large together", "split the adapter");
        }
        if self.steps >= MAX_STEPS {
            return None;
        }
        // Shapes that only name another one are no levels, but read inside each other too.
        if self.depth >= MAX_NESTING || self.open.len() > 2 * MAX_NESTING {
            let message = format!("more than {MAX_NESTING} mappings are inside each other here");
            let hint = "build a flatter response; each use of a named shape counts as if it were written out";
            return cursor.refuse(message, hint);
        }
        self.depth += 1;
        let mapping = match cursor.value() {
            Value::String(path) => self.path(cursor, path, value.cloned()),
            Value::Map(_) => self.map(cursor, value.cloned()),
            _ => cursor.expected("a mapping", HINT),
        };
        self.depth -= 1;
        mapping
    }

    /// Reads the path to a part of the value, such as `author.name`.
    pub(super) fn path(
        &self,
        cursor: &Cursor<'_>,
        path: &str,
        mut value: Option<Selected>,
    ) -> Option<Mapping> {
        if path == "." {
            return Some(Mapping { shape: Shape::default(), value });
        }
        let names: Vec<String> = path.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            let hint = "write names with a dot between, such as author.name, or . for the value itself";
            return cursor.refuse(format!("{path:?} is not a path"), hint);
        }
        if names.len() > MAX_DEPTH {
            let message =
                format!("the path has {} names; responses have at most {MAX_DEPTH} levels", names.len());
            return cursor.refuse(message, "write a shorter path");
        }
        if let Some(value) = &mut value {
            for name in &names {
                *value = self.field(cursor, value, name)?;
            }
        }
        Some(Mapping { shape: Shape(vec![Step::Get(names)]), value })
    }

    fn map(&mut self, cursor: &Cursor<'n>, value: Option<Selected>) -> Option<Mapping> {
        let mut fields = cursor.fields(HINT)?;
        fields.expect(&KEYS);
        fields.finish();
        if SOURCES.into_iter().filter(|source| fields.optional(source).is_some()).count() > 1 {
            let hint = "keep one of from, const, now, request and coalesce";
            cursor.report("a value cannot come from two places", hint);
        }
        let otherwise = fields.optional("otherwise").map(|cursor| cursor.literal());
        let mut draft = Draft { steps: Vec::new(), value, otherwise };
        for (key, read) in READERS {
            if let Some(field) = fields.optional(key) {
                read(self, &field, &mut draft)?;
            }
        }
        fields.clean()?;
        Some(Mapping { shape: Shape(draft.steps), value: draft.value })
    }

    /// Reads the name of a shape and returns its mapping.
    pub(super) fn named(&mut self, cursor: &Cursor<'n>, value: Option<&Selected>) -> Option<Mapping> {
        let name = cursor.string()?;
        let Some(shape) = self.shapes.iter().find(|shape| shape.key == name) else {
            let hint = did_you_mean(&name, self.shapes.iter().map(|shape| shape.key), || {
                "define it under shapes".to_owned()
            });
            return cursor.refuse(format!("there is no shape {name:?}"), hint);
        };
        if self.open.contains(&name) {
            return cursor.refuse(format!("the shape {name} contains itself"), "break the cycle");
        }
        if !self.used.contains(&shape.key) {
            self.used.push(shape.key);
        }
        // A shape may be read for any route, so its path begins at the adapter.
        let shape = shape.value.at_path(format!("shapes.{name}"));
        self.open.push(name);
        // It takes the place of the mapping that names it.
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        let mapping = self.mapping(&shape, value);
        self.depth = depth;
        self.open.pop();
        let Mapping { shape, value } = mapping?;
        Some(Mapping { shape: self.shared.reference(shape), value })
    }

    /// Reads the fields of an object, each mapped from the given value.
    pub(super) fn object(&mut self, cursor: &Cursor<'n>, value: Option<&Selected>) -> Vec<Field> {
        let mut fields = Vec::new();
        for entry in cursor.entries("write one line per field: name: mapping") {
            if let Some(mapping) = self.mapping(&entry.value, value) {
                fields.push(Field(entry.key.to_owned(), mapping.shape));
            }
        }
        fields
    }
}
