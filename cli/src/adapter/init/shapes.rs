//! Named shapes: the mappings of objects that are used more than once.

use super::{
    mapping::{FieldMapping, Mapping, ObjectMapping, Part},
    words::words,
    yaml::{Line, Yaml},
};

/// A named mapping of an object.
#[derive(Debug)]
pub struct NamedShape {
    /// The name.
    pub name: String,
    /// The mapping.
    pub object: ObjectMapping,
}

/// The named shapes of an adapter.
#[derive(Debug, Default)]
pub struct Shapes(Vec<NamedShape>);

impl Shapes {
    /// Names the objects that occur more than once in some mappings, by their old schemas.
    pub fn of<'m>(mappings: impl Iterator<Item = &'m Mapping>) -> Self {
        let mut found: Vec<(&ObjectMapping, usize)> = Vec::new();
        mappings.for_each(|mapping| collect(mapping, &mut found));
        let mut shapes = Self::default();
        for (object, _) in found.into_iter().filter(|(object, count)| *count > 1 && !object.schema.is_empty())
        {
            let base = words(&object.schema).join("_");
            let mut name = base.clone();
            let mut number = 2;
            while shapes.0.iter().any(|shape| shape.name == name) {
                name = format!("{base}_{number}");
                number += 1;
            }
            shapes.0.push(NamedShape { name, object: object.clone() });
        }
        shapes
    }

    /// Iterates over the shapes.
    pub fn iter(&self) -> impl Iterator<Item = &NamedShape> {
        self.0.iter()
    }

    /// Returns the shape of an object, if it has a name.
    pub fn of_object(&self, object: &ObjectMapping) -> Option<&NamedShape> {
        self.0.iter().find(|shape| shape.object == *object)
    }

    /// Writes the section `shapes`; no line if there are none.
    pub fn section(&self) -> Vec<Line> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let shape =
            |shape: &NamedShape| Line::field(&shape.name, Yaml::Block(vec![self.object(&shape.object)]));
        vec![Line::field("shapes", Yaml::Block(self.0.iter().map(shape).collect())), Line::Blank]
    }

    /// Writes the mapping of a value at a path; the empty path is the value at hand.
    pub fn mapping(&self, mapping: &Mapping, from: &[String]) -> Yaml {
        let steps = self.steps(mapping);
        let path = if from.is_empty() { ".".to_owned() } else { from.join(".") };
        if steps.is_empty() {
            return Yaml::text(&path);
        }
        let source = (!from.is_empty()).then(|| Line::text("from", &path));
        Yaml::Block(source.into_iter().chain(steps).collect())
    }

    /// Writes the steps of a mapping without its source.
    pub fn steps(&self, mapping: &Mapping) -> Vec<Line> {
        match mapping {
            Mapping::Leaf(settings) => settings.clone(),
            Mapping::Whole(_) => Vec::new(),
            Mapping::Each(item) => vec![Line::field("each", self.mapping(item, &[]))],
            Mapping::Object(object) => vec![match self.of_object(object) {
                Some(shape) => Line::text("shape", &shape.name),
                None => self.object(object),
            }],
        }
    }

    /// Writes the fields of an object.
    fn object(&self, object: &ObjectMapping) -> Line {
        let mut lines = Vec::new();
        for part in &object.parts {
            match part {
                Part::Decision(text) => lines.push(Line::decide(text)),
                Part::Field(FieldMapping { name, from, value, notes }) => {
                    lines.extend(notes.iter().map(Line::decide));
                    lines.push(Line::field(name, self.mapping(value, from)));
                }
            }
        }
        Line::field("object", Yaml::Block(lines))
    }
}

/// Counts the objects in a mapping.
fn collect<'m>(mapping: &'m Mapping, found: &mut Vec<(&'m ObjectMapping, usize)>) {
    match mapping {
        Mapping::Leaf(_) | Mapping::Whole(_) => {}
        Mapping::Each(item) => collect(item, found),
        Mapping::Object(object) => {
            match found.iter_mut().find(|(held, _)| *held == object) {
                Some((_, count)) => *count += 1,
                None => found.push((object, 1)),
            }
            for part in &object.parts {
                if let Part::Field(field) = part {
                    collect(&field.value, found);
                }
            }
        }
    }
}
