//! A JSON text that was read once: where each of its values stands. No value is made of it before somebody asks for one, and
//! what goes on as it is is copied as it stands.

use super::{FromJson, Json, MAX_DEPTH, Malformed, Unfit, parse};
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    /// A text without escapes.
    Text,
    /// A text with escapes.
    Escaped,
    List,
    Object,
}

/// A value, or the name of a field, which its value stands behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Where its text begins and ends, with quotes and brackets.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The place of what comes after it and all that is in it; after a name, of the name that follows on its value.
    pub(super) next: usize,
}

const NOTHING: Node = Node { kind: Kind::Null, start: 0, end: 0, next: usize::MAX };

/// A JSON text that was read.
#[derive(Debug, Clone)]
pub struct Tape<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// A value of it.
#[derive(Debug, Clone, Copy)]
pub struct Value<'t> {
    text: &'t str,
    nodes: &'t [Node],
    node: Node,
    /// Its place among the nodes.
    at: usize,
}

impl<'a> Tape<'a> {
    /// Reads a text of at most [`MAX_DEPTH`] levels.
    pub fn read(text: &'a str) -> Result<Self, Malformed> {
        Self::read_within(text, MAX_DEPTH)
    }

    /// Reads a text of at most so many levels.
    pub fn read_within(text: &'a str, depth: usize) -> Result<Self, Malformed> {
        parse::nodes(text, depth).map(|nodes| Self { text, nodes })
    }

    /// The whole value.
    pub fn root(&self) -> Value<'_> {
        Value::at(self.text, &self.nodes, 0)
    }

    /// The whole value, made; it borrows of the text.
    pub fn json(&self) -> Json<'a> {
        make(self.text, &self.nodes, 0)
    }
}

fn raw(text: &str, node: Node) -> &str {
    text.get(node.start..node.end).unwrap_or_default()
}

/// What stands between the quotes of a text.
fn quoted(text: &str, node: Node) -> &str {
    text.get(node.start + 1..node.end.saturating_sub(1)).unwrap_or_default()
}

fn content(text: &str, node: Node) -> Cow<'_, str> {
    let quoted = quoted(text, node);
    if node.kind == Kind::Escaped { parse::unescaped(quoted) } else { quoted.into() }
}

/// Whether a text says this. Most names are told apart by their lengths.
fn says(text: &str, node: &Node, name: &str) -> bool {
    (node.end - node.start == name.len() + 2 || node.kind == Kind::Escaped) && content(text, *node) == name
}

/// Makes the value at a place, which is not nested more deeply than what was read.
fn make<'a>(text: &'a str, nodes: &[Node], at: usize) -> Json<'a> {
    let held = |at: usize| nodes.get(at).copied().unwrap_or(NOTHING);
    let node = held(at);
    let mut place = at + 1;
    match node.kind {
        Kind::Null => Json::Null,
        Kind::Bool => Json::Bool(raw(text, node) == "true"),
        Kind::Number => Json::Number(raw(text, node).into()),
        Kind::Text | Kind::Escaped => Json::Text(content(text, node)),
        Kind::List => {
            let mut items = Vec::new();
            while place < node.next {
                items.push(make(text, nodes, place));
                place = held(place).next;
            }
            Json::List(items)
        }
        Kind::Object => {
            let mut fields = Vec::new();
            while place < node.next {
                let name = held(place);
                fields.push((content(text, name), make(text, nodes, place + 1)));
                place = name.next;
            }
            Json::Object(fields)
        }
    }
}

impl Value<'static> {
    /// `null`
    pub const NULL: Self = Self::alone("null", &[Node { kind: Kind::Null, start: 0, end: 4, next: 1 }]);
    /// `[]`
    pub const EMPTY: Self = Self::alone("[]", &[Node { kind: Kind::List, start: 0, end: 2, next: 1 }]);

    const fn alone(text: &'static str, nodes: &'static [Node; 1]) -> Self {
        Self { text, nodes, node: nodes[0], at: 0 }
    }
}

impl<'t> Value<'t> {
    fn at(text: &'t str, nodes: &'t [Node], at: usize) -> Self {
        Self { text, nodes, node: nodes.get(at).copied().unwrap_or(NOTHING), at }
    }

    /// Its text as it stands.
    pub fn raw(self) -> &'t str {
        raw(self.text, self.node)
    }

    /// The value, made.
    pub fn json(self) -> Json<'t> {
        make(self.text, self.nodes, self.at)
    }

    /// What it says, as a type.
    pub fn to<T: FromJson>(self) -> Result<T, Unfit> {
        T::from_json(&self.json()).ok_or(Unfit::Shape)
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.node.kind == Kind::Null
    }

    /// What a text without escapes says.
    pub fn plain_text(self) -> Option<&'t str> {
        (self.node.kind == Kind::Text).then(|| quoted(self.text, self.node))
    }

    /// Whether it is `true`.
    pub fn is_true(self) -> bool {
        self.node.kind == Kind::Bool && self.raw() == "true"
    }

    /// How many values it is made of, names included.
    pub fn weight(self) -> usize {
        self.node.next.saturating_sub(self.at).max(1)
    }

    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        self.node.kind == Kind::List
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.node.kind == Kind::Object
    }

    /// The items, where it is a list.
    pub fn items(self) -> impl Iterator<Item = Value<'t>> {
        let mut place = if self.is_list() { self.at + 1 } else { self.node.next };
        std::iter::from_fn(move || {
            if place >= self.node.next {
                return None;
            }
            let value = Self::at(self.text, self.nodes, place);
            place = value.node.next;
            Some(value)
        })
    }

    /// Whether it is this text.
    pub fn is_text(self, text: &str) -> bool {
        matches!(self.node.kind, Kind::Text | Kind::Escaped) && says(self.text, &self.node, text)
    }

    /// The fields, where it is an object: names, which are texts, and values.
    pub fn members(self) -> impl Iterator<Item = (Value<'t>, Value<'t>)> {
        let mut place = if self.is_object() { self.at + 1 } else { self.node.next };
        std::iter::from_fn(move || {
            if place >= self.node.next {
                return None;
            }
            let name = Self::at(self.text, self.nodes, place);
            let value = Self::at(self.text, self.nodes, place + 1);
            place = name.node.next;
            Some((name, value))
        })
    }

    /// The field of this name; the last one, where a writer repeated it.
    pub fn get(self, name: &str) -> Option<Self> {
        let mut found = None;
        let mut place = if self.is_object() { self.at + 1 } else { self.node.next };
        while place < self.node.next {
            let Some(held) = self.nodes.get(place) else { break };
            if says(self.text, held, name) {
                found = Some(place + 1);
            }
            place = held.next;
        }
        found.map(|at| Self::at(self.text, self.nodes, at))
    }

    /// The value at a path of fields.
    pub fn at_path(self, path: &[String]) -> Option<Self> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }
}
