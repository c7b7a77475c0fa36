//! The way back: the shape that undoes a shape, where there is one.

use super::shape::{Conversion, Field, Shape, Step};

/// Something that a shape does and that cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The field of the old interface.
    pub field: String,
    /// Why.
    pub why: &'static str,
}

/// The shape that makes of an answer what it was made of, with what is lost on the way.
pub fn invert(shape: &Shape) -> (Shape, Vec<Lost>) {
    let mut lost = Vec::new();
    let inverse = row(&shape.0, "", &mut lost);
    (Shape(inverse), lost)
}

fn row(steps: &[Step], field: &str, lost: &mut Vec<Lost>) -> Vec<Step> {
    let mut inverse = Vec::new();
    for step in steps.iter().rev() {
        inverse.extend(undo(step, field, lost));
    }
    inverse
}

fn below(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

fn undo(step: &Step, field: &str, lost: &mut Vec<Lost>) -> Vec<Step> {
    let mut refuse = |why| {
        lost.push(Lost { field: field.to_owned(), why });
        Vec::new()
    };
    match step {
        // A path of fields becomes objects around the value; what stood beside it is not known any more.
        Step::Get(path) => path.iter().rev().map(|name| Step::Wrap(name.clone())).collect(),
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
            use super::shape::DateForm::{Epoch, EpochMs, Rfc3339};
            match (from, to) {
                (Rfc3339, _) => refuse("a time as text loses its offset and its digits"),
                (EpochMs, Epoch) => refuse("milliseconds are cut off"),
                _ => vec![Step::Convert(Conversion::Date(*to, *from))],
            }
        }
        Step::Map(table, None) => {
            let twice =
                table.iter().enumerate().any(|(at, (_, to))| table.iter().skip(at + 1).any(|(_, t)| t == to));
            if twice {
                return refuse("two values become the same one");
            }
            if table.iter().any(|(_, to)| to.0.is_null()) {
                return refuse("a value becomes null");
            }
            vec![Step::Map(table.iter().map(|(from, to)| (to.clone(), from.clone())).collect(), None)]
        }
        Step::Map(_, Some(_)) => refuse("values that are not in the table become the same one"),
        Step::Object(fields) => object(fields, field, lost),
        Step::Pick(_) | Step::Hide(_) => refuse("hidden fields are gone"),
        Step::HideNull => refuse("a null that was left out is not told from nothing"),
        Step::Coalesce(_) => refuse("which of the fields it was is not known any more"),
        Step::Default(_) => refuse("a default is not told from a value"),
        Step::Const(_) | Step::Now(_) | Step::Request(_) => refuse("it is not made of the answer"),
    }
}

/// A tree of the fields that an object was made of.
#[derive(Default)]
struct Tree {
    leaf: Option<Shape>,
    below: Vec<(String, Tree)>,
}

fn object(fields: &[Field], field: &str, lost: &mut Vec<Lost>) -> Vec<Step> {
    let mut tree = Tree::default();
    for Field(name, shape) in fields {
        let full = below(field, name);
        // What was not made of the answer is left out again.
        if matches!(shape.0.first(), Some(Step::Const(_) | Step::Now(_) | Step::Request(_))) {
            continue;
        }
        let (path, rest) = match shape.0.split_first() {
            Some((Step::Get(path), rest)) => (path.as_slice(), rest),
            _ => (&[][..], &shape.0[..]),
        };
        let mut inverse = vec![Step::Get(vec![name.clone()])];
        inverse.extend(row(rest, &full, lost));
        if !tree.put(path, Shape(inverse)) {
            lost.push(Lost { field: full, why: "another field is made of the same place" });
        }
    }
    tree.steps()
}

impl Tree {
    /// `false` where something stands on that way already.
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
