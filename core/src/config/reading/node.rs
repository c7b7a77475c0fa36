//! A parsed document in which every value knows its line and column.

use super::problem::Problem;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Deeper nesting than any configuration needs, and shallow enough that no stack overflows.
const MAX_DEPTH: usize = 32;

/// A value with its place. Line and column count from 1; 0 means that it was not read from text.
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
    /// configurations do not support: aliases, several documents, or very deep nesting.
    pub fn from_yaml(text: &str) -> Result<Self, Problem> {
        let mut tree = Tree::default();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let mark = error.marker();
                Problem {
                    file: String::new(),
                    line: mark.line(),
                    column: mark.col() + 1,
                    field: String::new(),
                    message: format!("this is not YAML: {}", error.info()),
                    hint: "look at the indentation and at quotes, brackets and colons near this place".into(),
                }
            })?;
            let complete = match event {
                Event::SequenceStart(..) => {
                    tree.open.push(Open::List(Self::at(&span, Value::Null), Vec::new()));
                    None
                }
                Event::MappingStart(..) => {
                    tree.open.push(Open::Map(Self::at(&span, Value::Null), Vec::new(), None));
                    None
                }
                Event::Scalar(text, style, _, _) => Some(Self::at(&span, scalar(&text, style))),
                Event::SequenceEnd | Event::MappingEnd => tree.close(),
                Event::Alias(_) => return Err(unsupported(&span, "an alias (*name)", "write the value out")),
                Event::DocumentStart(_) if tree.root.is_some() => {
                    let hint = "keep one document in a file";
                    return Err(unsupported(&span, "a second document (---)", hint));
                }
                Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::StreamStart
                | Event::StreamEnd
                | Event::Nothing => None,
            };
            if tree.open.len() > MAX_DEPTH {
                return Err(unsupported(
                    &span,
                    "nesting this deep",
                    "use the shape of the documented example",
                ));
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
}

/// The document while it is parsed: the collections that are still open, and the finished root.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Node>,
}

/// A collection whose end has not been parsed yet, with its place.
enum Open {
    List(Node, Vec<Node>),
    /// The entries, and the key that has no value yet, with its line and column.
    Map(Node, Vec<Entry>, Option<(String, usize, usize)>),
}

impl Tree {
    /// Closes the innermost collection and returns it as a value.
    fn close(&mut self) -> Option<Node> {
        match self.open.pop()? {
            Open::List(node, items) => Some(Node { value: Value::List(items), ..node }),
            Open::Map(node, entries, _) => Some(Node { value: Value::Map(entries), ..node }),
        }
    }

    /// Adds a value to the innermost collection: as an item, a key, or the value of the last key.
    fn add(&mut self, node: Node, span: &Span) -> Result<(), Problem> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, key)) => match key.take() {
                Some((key, line, column)) => entries.push(Entry { key, line, column, node }),
                None => *key = Some((key_string(&node, span)?, node.line, node.column)),
            },
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
