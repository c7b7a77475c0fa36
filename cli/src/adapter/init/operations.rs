//! The operations file: one operation for each route, and a fragment for each named shape.

use super::{
    candidate::Chosen,
    mapping::{Mapping, ObjectMapping, Part},
    shapes::{NamedShape, Shapes},
    words::{pascal, words},
};
use std::fmt::Write;

/// An operation with its name.
#[derive(Debug, Clone, Copy)]
pub struct NamedOperation<'o> {
    /// The name.
    pub name: &'o str,
    /// The field with its variables and its response.
    pub chosen: &'o Chosen,
}

/// The fields that an operation selects of a value.
#[derive(Debug, Default, PartialEq, Eq)]
struct Selection {
    fields: Vec<(String, Selection)>,
    fragments: Vec<String>,
}

/// Writes the operations file.
pub fn document(operations: &[NamedOperation<'_>], shapes: &Shapes) -> String {
    let mut out = "# The only operations that reach the new backend.\n".to_owned();
    for shape in shapes.iter() {
        let _ = writeln!(out, "fragment {} on {} {{", fragment(shape), shape.object.type_name);
        Selection::of_object(&shape.object, shapes).write(1, &mut out);
        out.push_str("}\n\n");
    }
    for (index, operation) in operations.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        operation.write(shapes, &mut out);
    }
    out
}

/// Returns the name of a shape's fragment.
fn fragment(shape: &NamedShape) -> String {
    format!("{}Fields", pascal(&words(&shape.name)))
}

impl NamedOperation<'_> {
    fn write(&self, shapes: &Shapes, out: &mut String) {
        let Chosen { field, is_query, declared, outputs, .. } = self.chosen;
        let list = |parts: Vec<String>| match parts.as_slice() {
            [] => String::new(),
            parts => format!("({})", parts.join(", ")),
        };
        let variables = list(declared.iter().map(|held| format!("${}: {}", held.name, held.ty)).collect());
        let arguments = list(declared.iter().map(|held| format!("{}: ${}", held.name, held.name)).collect());
        let mut selection = Selection::of_leaves(&outputs.selected);
        if let Some(mapping) = &outputs.mapping {
            // The root begins with the field itself.
            let path = outputs.root.get(1..).unwrap_or_default();
            selection.merge_at(path, Selection::of(mapping, shapes));
        }
        let kind = if *is_query { "query" } else { "mutation" };
        let _ = write!(out, "{kind} {}{variables} {{\n  {field}{arguments}", self.name);
        if selection.is_empty() {
            out.push('\n');
        } else {
            out.push_str(" {\n");
            selection.write(2, out);
            out.push_str("  }\n");
        }
        out.push_str("}\n");
    }
}

impl Selection {
    /// Returns the fields that a mapping reads.
    fn of(mapping: &Mapping, shapes: &Shapes) -> Self {
        match mapping {
            Mapping::Leaf(_) => Self::default(),
            Mapping::Whole(fields) => Self::of_leaves(fields),
            Mapping::Each(item) => Self::of(item, shapes),
            Mapping::Object(object) => match shapes.of_object(object) {
                Some(shape) => Self { fields: Vec::new(), fragments: vec![fragment(shape)] },
                None => Self::of_object(object, shapes),
            },
        }
    }

    fn of_object(object: &ObjectMapping, shapes: &Shapes) -> Self {
        let mut selection = Self::default();
        for part in &object.parts {
            if let Part::Field(field) = part {
                selection.merge_at(&field.from, Self::of(&field.value, shapes));
            }
        }
        selection
    }

    fn of_leaves(names: &[String]) -> Self {
        Self {
            fields: names.iter().map(|name| (name.clone(), Self::default())).collect(),
            fragments: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.fragments.is_empty()
    }

    /// Adds a selection at a path.
    fn merge_at(&mut self, path: &[String], added: Self) {
        let Some((name, rest)) = path.split_first() else {
            for fragment in added.fragments {
                if !self.fragments.contains(&fragment) {
                    self.fragments.push(fragment);
                }
            }
            for (name, below) in added.fields {
                self.merge_at(std::slice::from_ref(&name), below);
            }
            return;
        };
        if let Some((_, below)) = self.fields.iter_mut().find(|(held, _)| held == name) {
            return below.merge_at(rest, added);
        }
        let mut below = Self::default();
        below.merge_at(rest, added);
        self.fields.push((name.clone(), below));
    }

    fn write(&self, indent: usize, out: &mut String) {
        let margin = "  ".repeat(indent);
        for name in &self.fragments {
            let _ = writeln!(out, "{margin}...{name}");
        }
        for (name, below) in &self.fields {
            if below.is_empty() {
                let _ = writeln!(out, "{margin}{name}");
            } else {
                let _ = writeln!(out, "{margin}{name} {{");
                below.write(indent + 1, out);
                let _ = writeln!(out, "{margin}}}");
            }
        }
    }
}
