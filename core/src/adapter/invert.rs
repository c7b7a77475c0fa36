//! Inversion of shapes. The request body of a REST backend can be built by the inverse of the shape
//! that maps its responses.

use crate::{
    adapter::shape::step::{Conversion, Field, Shape, Step},
    json::has_index,
};

/// A part of a shape that cannot be inverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Irreversible {
    /// The path of the field in the old interface.
    pub field: String,
    /// The reason, as the end of an error message.
    pub why: &'static str,
}

/// Builds the shape that turns the result of `shape` back into its input, and lists the parts that
/// cannot be inverted. The inverse has the named shapes of `shapes` written out.
///
/// ```text
/// object: { id: { from: id, as: number }, stars: rating }     a shape
/// object: { id: { from: id, as: string }, rating: stars }     its inverse
/// ```
pub fn invert(shape: &Shape, shapes: &[Shape]) -> (Shape, Vec<Irreversible>) {
    let mut lost = Vec::new();
    let inverse = row(&shape.expanded(shapes).0, "", &mut lost);
    (Shape(inverse), lost)
}

fn row(steps: &[Step], field: &str, lost: &mut Vec<Irreversible>) -> Vec<Step> {
    let mut inverse = Vec::new();
    for step in steps.iter().rev() {
        inverse.extend(undo(step, field, lost));
    }
    inverse
}

fn below(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

fn undo(step: &Step, field: &str, lost: &mut Vec<Irreversible>) -> Vec<Step> {
    let mut refuse = |why| {
        lost.push(Irreversible { field: field.to_owned(), why });
        Vec::new()
    };
    match step {
        // A path of fields becomes nested objects around the value; its sibling fields are lost.
        Step::Get(path) => {
            if has_index(path) {
                refuse(ITEM);
            }
            path.iter().rev().map(|name| Step::Wrap(name.clone())).collect()
        }
        Step::Wrap(name) => vec![Step::Get(vec![name.clone()])],
        Step::Each(shape) => {
            let field = format!("{field}[]");
            vec![Step::Each(Shape(row(&shape.0, &field, lost)))]
        }
        Step::Rename(names) => {
            vec![Step::Rename(names.iter().map(|(from, to)| (to.clone(), from.clone())).collect())]
        }
        Step::Add(fields) => vec![Step::Hide(fields.iter().map(|Field(name, _)| name.clone()).collect())],
        Step::Convert(Conversion::Number) => vec![Step::Convert(Conversion::Text)],
        Step::Convert(Conversion::Text) => vec![Step::Convert(Conversion::Number)],
        Step::Convert(Conversion::Date(from, to)) if from == to => Vec::new(),
        Step::Convert(Conversion::Date(from, to)) => {
            use crate::adapter::shape::step::DateForm::{Epoch, EpochMs, Rfc3339};
            match (from, to) {
                (Rfc3339, _) => refuse("the offset and precision of an RFC 3339 time are lost"),
                (EpochMs, Epoch) => refuse("the milliseconds are lost"),
                _ => vec![Step::Convert(Conversion::Date(*to, *from))],
            }
        }
        Step::Map(table, None) => {
            let is_repeated = table
                .iter()
                .enumerate()
                .any(|(i, (_, to))| table.iter().skip(i + 1).any(|(_, other)| other.is_alike(&to.0)));
            if is_repeated {
                return refuse("the table maps two values to the same one");
            }
            if table.iter().any(|(_, to)| to.0.is_null()) {
                return refuse("the table maps a value to null");
            }
            vec![Step::Map(table.iter().map(|(from, to)| (to.clone(), from.clone())).collect(), None)]
        }
        Step::Map(_, Some(_)) => refuse("all values outside the table become the same one"),
        Step::Object(fields) => object(fields, field, lost),
        Step::Pick(_) | Step::Hide(_) => refuse("removed fields cannot be restored"),
        Step::HideNull => refuse("an omitted null cannot be distinguished from an absent field"),
        Step::Coalesce(_) => refuse("the alternative that was chosen is unknown"),
        Step::Default(_) => refuse("a default cannot be distinguished from a real value"),
        Step::Const(_) | Step::Now(_) | Step::Request(_) => refuse("it does not come from the response"),
        Step::Text(_) | Step::Url(_) | Step::PageUrl(_) => refuse("the parts of a text cannot be told apart"),
        Step::Length => refuse("the items of a list cannot be restored from their number"),
        // A value that must be there is not changed.
        Step::Required => Vec::new(),
        Step::Shape(_) => refuse("the shape that it refers to is missing"),
    }
}

/// The reason of a path through a list.
const ITEM: &str = "one item does not restore the list";

/// Returns true if nothing of the step's value can be restored from its result.
fn is_one_way(step: &Step) -> bool {
    match step {
        Step::Text(_) | Step::Url(_) | Step::PageUrl(_) | Step::Length => true,
        Step::Each(shape) => shape.0.iter().any(is_one_way),
        _ => false,
    }
}

/// The fields of the inverse of an object, as a tree of the paths that they were read from.
#[derive(Default)]
struct Tree {
    leaf: Option<Shape>,
    below: Vec<(String, Tree)>,
}

fn object(fields: &[Field], field: &str, lost: &mut Vec<Irreversible>) -> Vec<Step> {
    let mut tree = Tree::default();
    for Field(name, shape) in fields {
        let full = below(field, name);
        // The inverse drops fields that do not come from the response.
        if shape.0.first().is_some_and(Step::makes_its_own) {
            continue;
        }
        if shape.0.iter().any(is_one_way) {
            // Nor can it send such a field in place of the value that it was made from.
            row(&shape.0, &full, lost);
            continue;
        }
        let (path, rest) = match shape.0.split_first() {
            Some((Step::Get(path), rest)) => (path.as_slice(), rest),
            _ => (&[][..], &shape.0[..]),
        };
        if has_index(path) {
            lost.push(Irreversible { field: full.clone(), why: ITEM });
        }
        let mut inverse = vec![Step::Get(vec![name.clone()])];
        inverse.extend(row(rest, &full, lost));
        if !tree.put(path, Shape(inverse)) {
            lost.push(Irreversible { field: full, why: "another field is read from the same path" });
        }
    }
    tree.steps()
}

impl Tree {
    /// Adds a shape at a path. Returns false if the path, a prefix of it or a path below it is
    /// taken.
    fn put(&mut self, path: &[String], shape: Shape) -> bool {
        if self.leaf.is_some() {
            return false;
        }
        match path.split_first() {
            None if self.below.is_empty() => {
                self.leaf = Some(shape);
                true
            }
            None => false,
            Some((name, rest)) => {
                if let Some((_, tree)) = self.below.iter_mut().find(|(held, _)| held == name) {
                    return tree.put(rest, shape);
                }
                let mut tree = Tree::default();
                let put = tree.put(rest, shape);
                self.below.push((name.clone(), tree));
                put
            }
        }
    }

    fn steps(self) -> Vec<Step> {
        match self.leaf {
            Some(shape) => shape.0,
            None => {
                let fields =
                    self.below.into_iter().map(|(name, tree)| Field(name, Shape(tree.steps()))).collect();
                vec![Step::Object(fields)]
            }
        }
    }
}
