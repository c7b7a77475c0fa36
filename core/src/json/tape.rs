//! Parsed JSON documents, kept as byte offsets of their values. Values are built on demand;
//! unchanged parts are copied verbatim from the source.

use crate::json::{
    Malformed,
    index::list_index,
    node::{Kind, Node},
    parse,
    parse::MAX_DEPTH,
    value::Json,
};
use std::borrow::Cow;

const NOTHING: Node = Node { kind: Kind::Null, start: 0, end: 0, next: usize::MAX };

/// A parsed JSON document.
#[derive(Debug, Clone)]
pub struct Tape<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// A value of a [`Tape`].
#[derive(Debug, Clone, Copy)]
pub struct Value<'t> {
    text: &'t str,
    nodes: &'t [Node],
    node: Node,
    /// The index of its node.
    at: usize,
}

impl<'a> Tape<'a> {
    /// Parses a text of at most [`MAX_DEPTH`] levels.
    ///
    /// # Errors
    ///
    /// Fails if the text is not JSON, or is nested more deeply.
    pub fn read(text: &'a str) -> Result<Self, Malformed> {
        Self::read_within(text, MAX_DEPTH)
    }

    /// Parses a text of at most `depth` levels.
    ///
    /// # Errors
    ///
    /// Fails if the text is not JSON, or is nested more deeply.
    pub fn read_within(text: &'a str, depth: usize) -> Result<Self, Malformed> {
        parse::nodes(text, depth).map(|nodes| Self { text, nodes })
    }

    /// Returns the value of the whole document.
    pub fn root(&self) -> Value<'_> {
        Value::at(self.text, &self.nodes, 0)
    }

    /// Builds the value of the whole document, borrowing from its text.
    pub fn json(&self) -> Json<'a> {
        make(self.text, &self.nodes, 0)
    }
}

fn raw(text: &str, node: Node) -> &str {
    text.get(node.start..node.end).unwrap_or_default()
}

/// Returns the source between the quotes of a string.
fn quoted(text: &str, node: Node) -> &str {
    text.get(node.start + 1..node.end.saturating_sub(1)).unwrap_or_default()
}

fn content(text: &str, node: Node) -> Cow<'_, str> {
    let quoted = quoted(text, node);
    if node.kind == Kind::Escaped { parse::unescaped(quoted) } else { quoted.into() }
}

/// Returns true if a string is equal to `name`. Lengths are compared first, because most names
/// differ in them.
fn says(text: &str, node: &Node, name: &str) -> bool {
    (node.end - node.start == name.len() + 2 || node.kind == Kind::Escaped) && content(text, *node) == name
}

/// Builds the value at an index. The recursion is bounded by the depth that the parser permitted.
fn make<'a>(text: &'a str, nodes: &[Node], index: usize) -> Json<'a> {
    let node_at = |index: usize| nodes.get(index).copied().unwrap_or(NOTHING);
    let node = node_at(index);
    let mut place = index + 1;
    match node.kind {
        Kind::Null => Json::Null,
        Kind::Bool => Json::Bool(raw(text, node) == "true"),
        Kind::Number => Json::Number(raw(text, node).into()),
        Kind::Text | Kind::Escaped => Json::Text(content(text, node)),
        Kind::List => {
            let mut items = Vec::new();
            while place < node.next {
                items.push(make(text, nodes, place));
                place = node_at(place).next;
            }
            Json::List(items)
        }
        Kind::Object => {
            let mut fields = Vec::new();
            while place < node.next {
                let name = node_at(place);
                fields.push((content(text, name), make(text, nodes, place + 1)));
                place = name.next;
            }
            Json::Object(fields)
        }
    }
}

impl Value<'static> {
    /// The value `null`.
    pub const NULL: Self = Self::alone("null", &[Node { kind: Kind::Null, start: 0, end: 4, next: 1 }]);
    /// An empty list.
    pub const EMPTY: Self = Self::alone("[]", &[Node { kind: Kind::List, start: 0, end: 2, next: 1 }]);

    const fn alone(text: &'static str, nodes: &'static [Node; 1]) -> Self {
        Self { text, nodes, node: nodes[0], at: 0 }
    }
}

impl<'t> Value<'t> {
    fn at(text: &'t str, nodes: &'t [Node], at: usize) -> Self {
        Self { text, nodes, node: nodes.get(at).copied().unwrap_or(NOTHING), at }
    }

    /// Returns the source of the value, verbatim.
    pub fn raw(self) -> &'t str {
        raw(self.text, self.node)
    }

    /// Builds the value.
    pub fn json(self) -> Json<'t> {
        make(self.text, self.nodes, self.at)
    }

    /// Returns true if the value is `null`.
    pub fn is_null(self) -> bool {
        self.node.kind == Kind::Null
    }

    /// Returns the content of a string without escapes, or `None` for any other value.
    pub fn plain_text(self) -> Option<&'t str> {
        (self.node.kind == Kind::Text).then(|| quoted(self.text, self.node))
    }

    /// Returns the content of a string with its escapes resolved, or the source of any other value.
    pub(crate) fn plain(self) -> Cow<'t, str> {
        match self.node.kind {
            Kind::Text | Kind::Escaped => content(self.text, self.node),
            _ => self.raw().into(),
        }
    }

    /// Returns true if the value is `true`.
    pub fn is_true(self) -> bool {
        self.node.kind == Kind::Bool && self.raw() == "true"
    }

    /// Returns the number of values that the value consists of, itself and names included.
    pub fn weight(self) -> usize {
        self.node.next.saturating_sub(self.at).max(1)
    }

    /// Returns true if the value is a string.
    pub fn is_string(self) -> bool {
        matches!(self.node.kind, Kind::Text | Kind::Escaped)
    }

    /// Returns true if the value is a list.
    pub fn is_list(self) -> bool {
        self.node.kind == Kind::List
    }

    /// Returns true if the value is an object.
    pub fn is_object(self) -> bool {
        self.node.kind == Kind::Object
    }

    /// Iterates over the items of a list; there are none in any other value.
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

    /// Returns true if the value is a string with this content.
    pub fn is_text(self, text: &str) -> bool {
        matches!(self.node.kind, Kind::Text | Kind::Escaped) && says(self.text, &self.node, text)
    }

    /// Iterates over the fields of an object, as pairs of a name (a string) and a value; there are
    /// none in any other value.
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

    /// Returns the field with this name; the last one if the name is repeated.
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

    /// Returns the value at a path of fields, and of items of lists by their indexes.
    pub fn at_path(self, path: &[String]) -> Option<Self> {
        path.iter().try_fold(self, |value, name| match value.node.kind {
            Kind::List => value.items().nth(list_index(name)?),
            _ => value.get(name),
        })
    }
}

impl<'a> Json<'a> {
    /// Parses a text of at most [`MAX_DEPTH`] levels.
    ///
    /// # Errors
    ///
    /// Fails if the text is not JSON, or is nested more deeply.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        Self::parse_within(text, MAX_DEPTH)
    }

    /// Parses a text of at most `depth` levels.
    ///
    /// # Errors
    ///
    /// Fails if the text is not JSON, or is nested more deeply.
    pub fn parse_within(text: &'a str, depth: usize) -> Result<Self, Malformed> {
        Tape::read_within(text, depth).map(|tape| tape.json())
    }
}
