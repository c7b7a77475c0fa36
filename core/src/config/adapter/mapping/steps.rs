//! Reads mappings of values: paths, texts with places, and maps of steps.

use super::{
    checks,
    context::{Context, Mapping},
    fields::{Draft, KEYS, READERS},
};
use crate::{
    adapter::{Field, Shape, Step},
    config::{
        adapter::{graphql::Selected, nesting::MAX_NESTING},
        reading::{Cursor, Value, did_you_mean},
    },
};

/// The most steps in all mappings of an adapter together, with every named shape counted at each
/// use.
const MAX_STEPS: usize = 20_000;

const HINT: &str = "write a path such as author.name, a text with places such as /users/{id}, or a map with \
                    from, shape, object, each, const, now, request, coalesce, text, url, page_url, length, \
                    pick, hide, rename, add, as, date, map, default, hide_null, wrap or required";

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
            // No path has a brace.
            Value::String(text) if text.contains('{') => self.text_alone(cursor, value),
            Value::String(path) => self.path(cursor, path, value.cloned()),
            Value::Map(_) => self.map(cursor, value.cloned()),
            _ => cursor.expected("a mapping", HINT),
        };
        self.depth -= 1;
        mapping
    }

    /// Reads the mapping of an error to the body of its response.
    pub(crate) fn error_envelope(&mut self, cursor: &Cursor<'n>) -> Option<Shape> {
        // Stored envelopes may read fields that no error has.
        let error = (!cursor.is_stored()).then(checks::error);
        let warnings = self.warnings.len();
        let mapping = self.mapping(cursor, error.as_ref());
        // An error to which the envelope cannot be applied is sent without it.
        self.warnings.truncate(warnings);
        Some(mapping?.shape)
    }

    /// Reads the mapping of a backend's error to the error that envelopes are made from.
    pub(crate) fn error_read(&mut self, cursor: &Cursor<'n>) -> Option<Shape> {
        let shape = self.mapping(cursor, None)?.shape;
        // Stored mappings may have fields that no error has. After another step, the object is not the
        // result.
        if let (Some(Step::Object(_)), false) = (shape.0.last(), cursor.is_stored())
            && let Some(object) = cursor.fields(HINT)?.optional("object")
        {
            for entry in object.entries(HINT) {
                self.part(&entry.key_cursor, &checks::error(), entry.key);
            }
        }
        Some(shape)
    }

    /// Reads a text with places that is written in place of a map.
    fn text_alone(&mut self, cursor: &Cursor<'n>, value: Option<&Selected>) -> Option<Mapping> {
        let text = self.text(cursor, value)?;
        let value = Some(Selected::scalar("String", text.nullable));
        Some(Mapping { shape: Shape(vec![Step::Text(text.template)]), value })
    }

    fn map(&mut self, cursor: &Cursor<'n>, value: Option<Selected>) -> Option<Mapping> {
        let mut fields = cursor.fields(HINT)?;
        fields.expect(&KEYS);
        fields.finish();
        if SOURCES.into_iter().filter(|source| fields.optional(source).is_some()).count() > 1 {
            let hint = "keep one of from, const, now, request and coalesce";
            cursor.report("a value cannot come from two places", hint);
        }
        let otherwise = fields.optional("otherwise");
        if let Some(cursor) = &otherwise
            && fields.optional("map").is_none()
            && !cursor.is_stored()
        {
            let hint = "add map, or write default for a value in place of null or nothing";
            cursor.report("otherwise has no effect without map", hint);
        }
        let otherwise = otherwise.map(|cursor| cursor.literal());
        let mut draft = Draft { steps: Vec::new(), value, otherwise };
        let mut is_fit = true;
        for (key, read) in READERS {
            if let Some(field) = fields.optional(key)
                && read(self, &field, &mut draft).is_none()
            {
                // The keys after it are read all the same, for mistakes that need no structure to be found.
                is_fit = false;
                draft.value = None;
            }
        }
        fields.clean()?;
        is_fit.then_some(Mapping { shape: Shape(draft.steps), value: draft.value })
    }

    /// Reads the name of a shape and returns its mapping.
    pub(super) fn named(&mut self, cursor: &Cursor<'n>, value: Option<&Selected>) -> Option<Mapping> {
        let name = cursor.string()?;
        let Some(shape) = self.shapes.iter().find(|shape| shape.key == name) else {
            if self.lacks_shapes {
                return None;
            }
            let hint = did_you_mean(&name, self.shapes.iter().map(|shape| shape.key), || {
                "define it under shapes".to_owned()
            });
            return cursor.refuse(format!("there is no shape {name:?}"), hint);
        };
        if !self.used.contains(&shape.key) {
            self.used.push(shape.key);
        }
        if self.open.contains(&name) {
            return cursor.refuse(format!("the shape {name} contains itself"), "break the cycle");
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
