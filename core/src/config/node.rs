//! A parsed document in which every value knows its line and column.

use super::reader::Problem;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Deeper nesting than any configuration needs, and shallow enough that no stack overflows.
const MAX_DEPTH: usize = 32;

/// A value and where it stands. Line and column count from 1; 0 means that the text is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) node: Node,
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

enum Open {
    List(Node, Vec<Node>),
    Map(Node, Vec<Entry>, Option<(String, usize, usize)>),
}

impl Node {
    /// Parses one YAML document.
    pub fn from_yaml(text: &str) -> Result<Self, Problem> {
        let mut stack: Vec<Open> = Vec::new();
        let mut root: Option<Node> = None;
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
                    stack.push(Open::List(Self::at(&span, Value::Null), Vec::new()));
                    None
                }
                Event::MappingStart(..) => {
                    stack.push(Open::Map(Self::at(&span, Value::Null), Vec::new(), None));
                    None
                }
                Event::Scalar(text, style, _, _) => Some(Self::at(&span, scalar(&text, style))),
                Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                    Some(Open::List(node, items)) => Some(Node { value: Value::List(items), ..node }),
                    Some(Open::Map(node, entries, _)) => Some(Node { value: Value::Map(entries), ..node }),
                    None => None,
                },
                Event::Alias(_) => return Err(refused(&span, "an alias (*name)", "write the value out")),
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(refused(&span, "a second document (---)", "keep one document in a file"));
                }
                Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::StreamStart
                | Event::StreamEnd
                | Event::Nothing => None,
            };
            if stack.len() > MAX_DEPTH {
                return Err(refused(&span, "nesting this deep", "use the shape of the documented example"));
            }
            if let Some(node) = complete {
                match stack.last_mut() {
                    None => root = Some(node),
                    Some(Open::List(_, items)) => items.push(node),
                    Some(Open::Map(_, entries, key)) => match key.take() {
                        Some((key, line, column)) => entries.push(Entry { key, line, column, node }),
                        None => *key = Some((key_text(&node, &span)?, node.line, node.column)),
                    },
                }
            }
        }
        Ok(root.unwrap_or(Node { line: 1, column: 1, value: Value::Null }))
    }

    /// Takes over a JSON value, which has no places.
    pub fn from_json(value: &serde_json::Value) -> Self {
        let value = match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(truth) => Value::Bool(*truth),
            serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Value::Text(text.clone()),
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

    fn at(span: &Span, value: Value) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1, value }
    }
}

/// A plain scalar by the YAML 1.2 core schema; a quoted one is always a text.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match text.parse::<f64>() {
            // Rust also reads "inf" and "nan", which are texts here.
            Ok(number)
                if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E')) =>
            {
                Value::Number(number)
            }
            _ => Value::Text(text.to_owned()),
        },
    }
}

fn key_text(node: &Node, span: &Span) -> Result<String, Problem> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => {
            Err(refused(span, "a key that is not a text", "write a name before the colon"))
        }
    }
}

fn refused(span: &Span, what: &str, hint: &str) -> Problem {
    Problem {
        file: String::new(),
        line: span.start.line(),
        column: span.start.col() + 1,
        field: String::new(),
        message: format!("{what} is not supported in a configuration"),
        hint: hint.to_owned(),
    }
}
