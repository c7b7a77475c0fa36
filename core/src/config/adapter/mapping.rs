//! Reads mappings: shapes of answers, texts with places, and what they look at in a request. A mapping of a GraphQL
//! answer is held against what its operation selects, step by step.

use super::{
    super::{
        node::{Entry, Node, Value},
        reader::{Reader, join, nearest},
    },
    graphql::{Holds, Selected},
};
use crate::{
    adapter::{Conversion, DateForm, Field, Literal, Part, Shape, Source, Step, Template},
    identity::is_token,
    json::Json,
};

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

    fn field(
        &self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        held: &Selected,
        name: &str,
    ) -> Option<Selected> {
        let operation = &self.operation;
        let (message, hint) = match &held.holds {
            Holds::Object(fields) => match fields.iter().find(|(field, _)| field == name) {
                Some((_, selected)) => {
                    return Some(Selected {
                        nullable: selected.nullable || held.nullable,
                        ..selected.clone()
                    });
                }
                None => {
                    let message = format!("{operation} does not select {name} of {}", held.written);
                    let hint = match nearest(name, fields.iter().map(|(field, _)| field.as_str())) {
                        Some(near) => {
                            format!("did you mean {near}? Otherwise select {name} in the operation")
                        }
                        None => format!("select {name} in the operation, or take it out of the mapping"),
                    };
                    (message, hint)
                }
            },
            Holds::List(_) => (
                format!("{} is a list and has no field {name}", held.written),
                "map its items with each".into(),
            ),
            Holds::Scalar(_) | Holds::Enum(_) => (
                format!("{} has no fields, so no {name}", held.written),
                "map the value itself with .".into(),
            ),
        };
        reader.report(node, path, message, hint);
        None
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

    fn known<'a>(
        &self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        held: Option<&Selected>,
        names: impl Iterator<Item = &'a String>,
    ) {
        if let Some(held) = held {
            for name in names {
                self.field(reader, node, path, held, name);
            }
        }
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
            let hint = match nearest(&name, self.shapes.iter().map(|entry| entry.key.as_str())) {
                Some(near) => format!("did you mean {near}?"),
                None => "define it under shapes".to_owned(),
            };
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

    fn conversion(
        &self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        held: Option<&Selected>,
    ) -> Option<Conversion> {
        let hint = "write as: number for a text of digits, or as: string for a number";
        let conversion = match reader.text(node, path)?.as_str() {
            "number" => Conversion::Number,
            "string" => Conversion::Text,
            other => {
                reader.report(node, path, format!("{other:?} is not a form"), hint);
                return None;
            }
        };
        let fits = match held.map(|held| &held.holds) {
            None => true,
            Some(Holds::Scalar(name)) => match (name.as_str(), conversion) {
                ("Int" | "Float", found) => found == Conversion::Text,
                ("String" | "ID", found) => found == Conversion::Number,
                ("Boolean", _) => false,
                _ => true,
            },
            Some(_) => false,
        };
        if !fits {
            let written = held.map(|held| held.written.clone()).unwrap_or_default();
            reader.report(node, path, format!("{written} cannot be converted like this"), hint);
            return None;
        }
        Some(conversion)
    }

    /// A place in a request, such as `path.id`.
    pub(super) fn source(
        &mut self,
        reader: &mut Reader,
        node: &Node,
        path: &str,
        text: &str,
    ) -> Option<Source> {
        let (kind, name) = text.split_once('.').unwrap_or((text, ""));
        let source = match kind {
            "path" if self.parameters.iter().any(|held| held == name) => Source::Path(name.to_owned()),
            "path" => {
                let hint = match nearest(name, self.parameters.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean path.{near}?"),
                    None => format!("write {{{name}}} in the path of the route"),
                };
                reader.report(node, path, format!("the path of the route has no parameter {name:?}"), hint);
                return None;
            }
            "query" if !name.is_empty() => Source::Query(name.to_owned()),
            "header" if is_token(name) => {
                self.reads.push(name.to_ascii_lowercase());
                Source::Header(name.to_ascii_lowercase())
            }
            "cookie" if is_token(name) => {
                self.reads.push("cookie".to_owned());
                Source::Cookie(name.to_owned())
            }
            "body" if name.is_empty() => Source::Body(Vec::new()),
            "body" => Source::Body(name.split('.').map(str::to_owned).collect()),
            "jwt" if !name.is_empty() => {
                self.claims.push(name.to_owned());
                Source::Jwt(name.to_owned())
            }
            _ => {
                let hint = "write path.NAME, query.NAME, header.NAME, cookie.NAME, body.FIELD or jwt.CLAIM";
                reader.report(node, path, format!("{text:?} is no place in a request"), hint);
                return None;
            }
        };
        Some(source)
    }

    /// A text with places such as `{path.id}`; other names are paths of the value at hand.
    pub(super) fn template(&mut self, reader: &mut Reader, node: &Node, path: &str) -> Option<Template> {
        let text = reader.loose_text(node, path)?;
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, after)) = after.split_once('}') else {
                let hint = "close the place, as in /reviews/{id}";
                reader.report(node, path, format!("{text:?} has a {{ without its }}"), hint);
                return None;
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let kind = place.split('.').next().unwrap_or_default();
            if place.contains('.') && matches!(kind, "path" | "query" | "header" | "cookie" | "body" | "jwt")
            {
                parts.push(Part::Request(self.source(reader, node, path, place)?));
            } else {
                parts.push(Part::Value(place.split('.').map(str::to_owned).collect()));
            }
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Some(Template(parts))
    }
}

fn date_form(reader: &mut Reader, node: &Node, path: &str) -> Option<DateForm> {
    let hint = "write rfc3339, epoch (seconds) or epoch_ms";
    match reader.text(node, path)?.as_str() {
        "rfc3339" => Some(DateForm::Rfc3339),
        "epoch" => Some(DateForm::Epoch),
        "epoch_ms" => Some(DateForm::EpochMs),
        other => {
            reader.report(node, path, format!("{other:?} is no form of a time"), hint);
            None
        }
    }
}

/// A key of a table of values: `true`, `false`, `null` and numbers mean what they say.
fn scalar_key(key: &str) -> Json<'static> {
    match Json::parse(key) {
        Ok(value @ (Json::Null | Json::Bool(_) | Json::Number(_))) => value.into_owned(),
        _ => Json::text(key.to_owned()),
    }
}

/// A constant as it stands in a file.
pub(in crate::config) fn literal(node: &Node) -> Literal {
    Literal(json(node))
}

fn json(node: &Node) -> Json<'static> {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Number(number) => Json::Number(number.to_string().into()),
        Value::Text(text) => Json::text(text.clone()),
        Value::List(items) => Json::List(items.iter().map(json).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone().into(), json(&entry.node))).collect())
        }
    }
}
