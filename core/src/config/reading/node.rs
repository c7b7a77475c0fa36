//! A parsed document in which every value knows its line and column.

use super::problem::Problem;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::BTreeMap;

/// Deeper nesting than any configuration needs, and shallow enough that no stack overflows.
const MAX_DEPTH: usize = 32;

/// Most values that the anchors and aliases of a document hold together: a few lines with aliases could otherwise stand
/// for more than any memory holds.
const MAX_COPIED: usize = 100_000;

/// So many bytes of a string or a key count as one more value.
const BYTES_PER_VALUE: usize = 16;

/// A value with its place. Line and column count from 1; 0 means that it was not read from text. A value that an
/// alias stands for has the place of its anchor, because that is where it is written and can be corrected.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) node: Node,
}

impl Value {
    /// Returns the words for the kind of value, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Converts the value to JSON. Whole numbers stay whole.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => (*number as i64).into(),
            Self::Number(number) => (*number).into(),
            Self::String(string) => string.clone().into(),
            Self::List(items) => items.iter().map(Node::to_json).collect(),
            Self::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl Node {
    /// Parses one YAML document.
    ///
    /// # Errors
    ///
    /// Returns the first place at which the text is not YAML, or uses a feature of YAML that
    /// configurations do not support: merge keys, aliases inside their own anchor or of very many
    /// values, several documents, or very deep nesting.
    pub fn from_yaml(text: &str) -> Result<Self, Problem> {
        let mut tree = Tree::default();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let mark = error.marker();
                let hint = if error.info().contains("unknown anchor") {
                    "write &name before the value that *name stands for, further above; a string that begins with * \
                     needs quotes"
                } else {
                    "look at the indentation and at quotes, brackets and colons near this place"
                };
                Problem {
                    file: String::new(),
                    line: mark.line(),
                    column: mark.col() + 1,
                    field: String::new(),
                    message: format!("this is not YAML: {}", error.info()),
                    hint: hint.to_owned(),
                }
            })?;
            let complete = tree.take(event, &span)?;
            if tree.open.len() > MAX_DEPTH {
                return Err(too_deep(&span));
            }
            if let Some(node) = complete {
                tree.add(node, &span)?;
            }
        }
        Ok(tree.root.unwrap_or(Node { line: 1, column: 1, value: Value::Null }))
    }

    /// Converts a JSON value, which has no lines and columns.
    pub fn from_json(value: &serde_json::Value) -> Self {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(string) => Value::String(string.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            serde_json::Value::Object(fields) => Value::Map(
                fields
                    .iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        line: 0,
                        column: 0,
                        node: Self::from_json(value),
                    })
                    .collect(),
            ),
        };
        Self { line: 0, column: 0, value }
    }

    /// Converts the value to JSON, without lines and columns. Whole numbers stay whole.
    ///
    /// ```
    /// use cutover_core::config::Node;
    ///
    /// let node = Node::from_yaml("a: [1, 'two']").unwrap();
    /// assert_eq!(node.to_json().to_string(), r#"{"a":[1,"two"]}"#);
    /// ```
    pub fn to_json(&self) -> serde_json::Value {
        self.value.to_json()
    }

    fn at(span: &Span, value: Value) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1, value }
    }

    /// Returns the number of values, this one included, where strings count by their length too.
    fn weight(&self) -> usize {
        1 + match &self.value {
            Value::String(text) => text.len() / BYTES_PER_VALUE,
            Value::List(items) => items.iter().map(Self::weight).sum::<usize>(),
            Value::Map(entries) => {
                let weight = |entry: &Entry| entry.key.len() / BYTES_PER_VALUE + entry.node.weight();
                entries.iter().map(weight).sum::<usize>()
            }
            _ => 0,
        }
    }

    /// Returns the number of collections inside each other.
    fn levels(&self) -> usize {
        let below = match &self.value {
            Value::List(items) => items.iter().map(Self::levels).max(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.levels()).max(),
            _ => return 0,
        };
        1 + below.unwrap_or_default()
    }
}

/// Adds a value to those in anchors and aliases, and refuses it if they are too many.
fn count(copied: &mut usize, node: &Node, span: &Span) -> Result<(), Problem> {
    *copied = copied.saturating_add(node.weight());
    if *copied > MAX_COPIED {
        let feature = format!("more than {MAX_COPIED} values in anchors and aliases");
        return Err(unsupported(span, &feature, "use fewer aliases, or write some of them out"));
    }
    Ok(())
}

/// The document while it is parsed.
#[derive(Default)]
struct Tree {
    /// The collections that are still open, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    /// The values with an anchor, by the number that the parser gives it, as soon as they are complete.
    anchors: BTreeMap<usize, Node>,
    /// The number of values in anchors and aliases so far.
    copied: usize,
}

/// A collection whose end has not been parsed yet.
struct Open {
    /// The collection with its items or entries so far.
    node: Node,
    /// The number of its anchor; 0 if it has none.
    anchor: usize,
    /// The key of a map that has no value yet.
    key: Option<Key>,
}

struct Key {
    text: String,
    line: usize,
    column: usize,
}

impl Tree {
    /// Handles one event of the parser. Returns the value that it completes.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Node>, Problem> {
        let (node, anchor) = match event {
            Event::SequenceStart(anchor, _) => {
                self.open.push(Open { node: Node::at(span, Value::List(Vec::new())), anchor, key: None });
                return Ok(None);
            }
            Event::MappingStart(anchor, _) => {
                self.open.push(Open { node: Node::at(span, Value::Map(Vec::new())), anchor, key: None });
                return Ok(None);
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<" && self.awaits_key() => {
                let hint = "write the fields out; what several mappings of an adapter share can be a shape";
                return Err(unsupported(span, "a merge key (<<)", hint));
            }
            Event::Scalar(text, style, anchor, _) => (Node::at(span, scalar(&text, style)), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, .. }) => (node, anchor),
                None => return Ok(None),
            },
            Event::Alias(anchor) => return self.copy(anchor, span).map(Some),
            Event::DocumentStart(_) if self.root.is_some() => {
                let hint = "keep one document in a file";
                return Err(unsupported(span, "a second document (---)", hint));
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => return Ok(None),
        };
        if anchor > 0 {
            count(&mut self.copied, &node, span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(Some(node))
    }

    /// Returns true if the next value is a key of a map.
    fn awaits_key(&self) -> bool {
        self.open.last().is_some_and(|open| open.key.is_none() && matches!(open.node.value, Value::Map(_)))
    }

    /// Returns the value that an alias stands for.
    fn copy(&mut self, anchor: usize, span: &Span) -> Result<Node, Problem> {
        // The parser knows an anchor from its begin on, and refuses aliases of unknown ones.
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(unsupported(span, "an alias inside its own anchor", "write the value out"));
        };
        count(&mut self.copied, node, span)?;
        if self.open.len() + node.levels() > MAX_DEPTH {
            return Err(too_deep(span));
        }
        Ok(node.clone())
    }

    /// Adds a value to the innermost collection: as an item, a key, or the value of the last key.
    fn add(&mut self, node: Node, span: &Span) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match open.key.take() {
                Some(Key { text, line, column }) => entries.push(Entry { key: text, line, column, node }),
                None => {
                    let text = key_string(&node, span)?;
                    open.key = Some(Key { text, line: node.line, column: node.column });
                }
            },
            // Only lists and maps are ever open.
            _ => {}
        }
        Ok(())
    }
}

/// Interprets a plain scalar by the YAML 1.2 core schema; a quoted one is always a string.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match text.parse::<f64>() {
            // Rust also parses "inf" and "nan", which are strings here.
            Ok(number)
                if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E')) =>
            {
                Value::Number(number)
            }
            _ => Value::String(text.to_owned()),
        },
    }
}

fn key_string(node: &Node, span: &Span) -> Result<String, Problem> {
    match &node.value {
        Value::String(string) => Ok(string.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => {
            Err(unsupported(span, "a key that is not a string", "write a name before the colon"))
        }
    }
}

fn too_deep(span: &Span) -> Problem {
    unsupported(span, "nesting this deep", "use the shape of the documented example")
}

fn unsupported(span: &Span, feature: &str, hint: &str) -> Problem {
    Problem {
        file: String::new(),
        line: span.start.line(),
        column: span.start.col() + 1,
        field: String::new(),
        message: format!("{feature} is not supported in a configuration"),
        hint: hint.to_owned(),
    }
}
