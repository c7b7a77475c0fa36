//! Reads mappings: shapes of answers, texts with places, and what they look at in a request. A mapping of a GraphQL
//! answer is held against what its operation selects, step by step.

mod checks;
mod places;

pub(in crate::config) use places::literal;

use super::{
    super::{
        node::{Entry, Node, Value},
        reader::{Reader, did_you_mean, join},
    },
    graphql::{Holds, Selected},
};
use crate::adapter::{Conversion, Field, Literal, Shape, Step};
use places::{date_form, scalar_key};

/// Steps of all mappings of an adapter together, with every named shape written out where it is used.
const MAX_STEPS: usize = 20_000;

const HINT: &str = "write a path such as author.name, or a map with from, shape, object, each, const, now, request, \
                    coalesce, pick, hide, rename, add, as, date, map, default, hide_null or wrap";

/// What mappings refer to, and what was collected on the way.
pub(super) struct Context<'n> {
    pub(super) shapes: &'n [Entry],
    /// Parameters of the pattern of the route that is being read.
    pub(super) parameters: Vec<String>,
    /// The operation whose answer is mapped, for messages.
    pub(super) operation: String,
    pub(super) reads: Vec<String>,
    pub(super) claims: Vec<String>,
    open: Vec<String>,
    steps: usize,
}

/// A shape, and what the schema says about what it makes; `None` where nothing is known.
type Typed = (Shape, Option<Selected>);

impl<'n> Context<'n> {
    pub(super) fn new(shapes: &'n [Entry]) -> Self {
        Self {
            shapes,
            parameters: Vec::new(),
            operation: String::new(),
            reads: Vec::new(),
            claims: Vec::new(),
            open: Vec::new(),
            steps: 0,
        }
    }

    /// Reads a mapping of a value that has what is selected.
    pub(super) fn shape(
        &mut self,
        reader: &mut Reader,
        node: &'n Node,
        path: &str,
        value: Option<&Selected>,
    ) -> Option<Typed> {
        self.steps += 1;
        if self.steps == MAX_STEPS {
            reader.report(
                node,
                path,
                "the shapes of this adapter are too large together",
                "split the adapter",
            );
        }
        if self.steps >= MAX_STEPS {
            return None;
        }
        match &node.value {
            Value::Text(text) => {
                let (steps, made) = self.path(reader, node, path, text, value.cloned())?;
                Some((Shape(steps), made))
            }
            Value::Map(_) => self.map(reader, node, path, value),
            _ => {
                reader.expected(node, path, "a mapping", HINT);
                None
            }
        }
    }

    fn path(
        &mut self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        text: &str,
        value: Option<Selected>,
    ) -> Option<(Vec<Step>, Option<Selected>)> {
        if text == "." {
            return Some((Vec::new(), value));
        }
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            let hint = "write names with a dot between, such as author.name, or . for the value itself";
            reader.report(node, path, format!("{text:?} is not a path"), hint);
            return None;
        }
        let Some(mut held) = value else { return Some((vec![Step::Get(names)], None)) };
        for name in &names {
            held = self.field(reader, node, path, &held, name)?;
        }
        Some((vec![Step::Get(names)], Some(held)))
    }

    fn map(
        &mut self,
        reader: &mut Reader,
        node: &'n Node,
        path: &str,
        value: Option<&Selected>,
    ) -> Option<Typed> {
        let before = reader.count();
        let mut fields = reader.fields(node, path, HINT)?;
        let from = fields.optional("from");
        let constant = fields.optional("const");
        let now = fields.optional("now");
        let request = fields.optional("request");
        let coalesce = fields.optional("coalesce");
        let shape = fields.optional("shape");
        let object = fields.optional("object");
        let each = fields.optional("each");
        let names = ["pick", "hide"].map(|name| fields.optional(name));
        let (rename, add) = (fields.optional("rename"), fields.optional("add"));
        let (convert, date) = (fields.optional("as"), fields.optional("date"));
        let (table, otherwise) = (fields.optional("map"), fields.optional("otherwise"));
        let default = fields.optional("default");
        let (hide_null, wrap) = (fields.optional("hide_null"), fields.optional("wrap"));
        fields.finish(reader);
        let at = |name: &str| join(path, name);

        let sources = [from, constant, now, request, coalesce];
        if sources.iter().flatten().count() > 1 {
            let hint = "keep one of from, const, now, request and coalesce";
            reader.report(node, path, "a value cannot come from two places", hint);
        }
        let mut steps = Vec::new();
        let mut held = value.cloned();
        if let Some(from) = from {
            let text = reader.text(from, &at("from"))?;
            (steps, held) = self.path(reader, from, &at("from"), &text, held)?;
        }
        if let Some(constant) = constant {
            (steps, held) = (vec![Step::Const(literal(constant))], None);
        }
        if let Some(now) = now {
            (steps, held) = (vec![Step::Now(date_form(reader, now, &at("now"))?)], None);
        }
        if let Some(request) = request {
            let text = reader.text(request, &at("request"))?;
            (steps, held) = (vec![Step::Request(self.source(reader, request, &at("request"), &text)?)], None);
        }
        if let Some(coalesce) = coalesce {
            let items = reader.list(Some(coalesce), &at("coalesce"), "write a list of mappings");
            let mut shapes = Vec::new();
            let mut last = None;
            for (index, item) in items.iter().enumerate() {
                let path = format!("{}[{index}]", at("coalesce"));
                if let Some((shape, made)) = self.shape(reader, item, &path, held.as_ref()) {
                    shapes.push(shape);
                    last = made;
                }
            }
            (steps, held) = (vec![Step::Coalesce(shapes)], last);
        }
        if let Some(shape) = shape {
            let (Shape(more), made) = self.named(reader, shape, &at("shape"), held.as_ref())?;
            steps.extend(more);
            held = made;
        }
        if let Some(each) = each {
            let item = match &held {
                None => None,
                Some(Selected { holds: Holds::List(item), .. }) => Some((**item).clone()),
                Some(other) => {
                    let message = format!("{} is not a list", other.written);
                    reader.report(each, &at("each"), message, "map it with object or shape instead of each");
                    return None;
                }
            };
            let (shape, made) = self.shape(reader, each, &at("each"), item.as_ref())?;
            steps.push(Step::Each(shape));
            held = held.map(|held| match made {
                Some(made) => Selected { holds: Holds::List(Box::new(made)), ..held },
                None => held,
            });
        }
        if let Some(object) = object {
            steps.push(Step::Object(self.object(reader, object, &at("object"), held.as_ref())));
            held = None;
        }
        for (at_list, (names, name)) in names.into_iter().zip(["pick", "hide"]).enumerate() {
            let Some(node) = names else { continue };
            let names = reader.texts(Some(node), &at(name));
            self.known(reader, node, &at(name), held.as_ref(), names.iter());
            if let Some(Selected { holds: Holds::Object(fields), .. }) = &mut held {
                fields.retain(|(field, _)| names.contains(field) == (at_list == 0));
            }
            steps.push(if at_list == 0 { Step::Pick(names) } else { Step::Hide(names) });
        }
        if let Some(node) = rename {
            let entries = reader.named(Some(node), &at("rename"), "write old: new");
            let mut pairs = Vec::new();
            for entry in entries {
                if let Some(to) = reader.text(&entry.node, &join(&at("rename"), &entry.key)) {
                    pairs.push((entry.key.clone(), to));
                }
            }
            self.known(reader, node, &at("rename"), held.as_ref(), pairs.iter().map(|(from, _)| from));
            if let Some(Selected { holds: Holds::Object(fields), .. }) = &mut held {
                for (name, _) in fields {
                    if let Some((_, to)) = pairs.iter().find(|(from, _)| from == name) {
                        name.clone_from(to);
                    }
                }
            }
            steps.push(Step::Rename(pairs));
        }
        if let Some(node) = add {
            steps.push(Step::Add(self.object(reader, node, &at("add"), held.as_ref())));
            held = None;
        }
        if let Some(node) = convert {
            steps.push(Step::Convert(self.conversion(reader, node, &at("as"), held.as_ref())?));
            held = None;
        }
        if let Some(node) = date {
            let hint = "write { from: epoch_ms, to: rfc3339 }; the forms are rfc3339, epoch and epoch_ms";
            let mut fields = reader.fields(node, &at("date"), hint)?;
            let forms = ["from", "to"].map(|name| {
                let path = fields.path(name);
                fields.required(reader, name, hint).and_then(|node| date_form(reader, node, &path))
            });
            fields.finish(reader);
            let [from, to] = forms;
            steps.push(Step::Convert(Conversion::Date(from?, to?)));
            held = None;
        }
        if let Some(node) = table {
            let entries = reader.named(Some(node), &at("map"), "write NEW: old, one line per value");
            let pair = |entry: &Entry| (Literal(scalar_key(&entry.key)), literal(&entry.node));
            if let (Some(Selected { holds: Holds::Enum(names), written, .. }), None) = (&held, otherwise) {
                for name in names.iter().filter(|name| entries.iter().all(|entry| entry.key != **name)) {
                    let hint = format!("add {name}, or say with otherwise what every other value becomes");
                    reader.report(
                        node,
                        &at("map"),
                        format!("{written} may be {name}, which is not mapped"),
                        hint,
                    );
                }
            }
            steps.push(Step::Map(entries.iter().map(pair).collect(), otherwise.map(literal)));
            held = None;
        }
        if let Some(node) = default {
            steps.push(Step::Default(literal(node)));
            held = held.map(|held| Selected { nullable: false, ..held });
        }
        if let Some(node) = hide_null
            && reader.truth(node, &at("hide_null"))?
        {
            steps.push(Step::HideNull);
        }
        if let Some(node) = wrap {
            for name in reader.text(node, &at("wrap"))?.split('.').rev() {
                steps.push(Step::Wrap(name.to_owned()));
            }
            held = None;
        }
        (reader.count() == before).then_some((Shape(steps), held))
    }

    fn named(
        &mut self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        value: Option<&Selected>,
    ) -> Option<Typed> {
        let name = reader.text(node, path)?;
        let Some(entry) = self.shapes.iter().find(|entry| entry.key == name) else {
            let hint = did_you_mean(&name, self.shapes.iter().map(|entry| entry.key.as_str()), || {
                "define it under shapes".to_owned()
            });
            reader.report(node, path, format!("there is no shape {name:?}"), hint);
            return None;
        };
        if self.open.contains(&name) {
            reader.report(node, path, format!("the shape {name} contains itself"), "break the circle");
            return None;
        }
        self.open.push(name.clone());
        let made = self.shape(reader, &entry.node, &join("shapes", &name), value);
        self.open.pop();
        made
    }

    fn object(
        &mut self,
        reader: &mut Reader,
        node: &'n Node,
        path: &str,
        value: Option<&Selected>,
    ) -> Vec<Field> {
        let mut made = Vec::new();
        for entry in reader.named(Some(node), path, "write one line per field: name: mapping") {
            if let Some((shape, _)) = self.shape(reader, &entry.node, &join(path, &entry.key), value) {
                made.push(Field(entry.key.clone(), shape));
            }
        }
        made
    }
}
