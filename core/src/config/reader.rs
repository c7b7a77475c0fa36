//! Reads typed values out of a [`Node`] and collects every problem on the way, instead of stopping at the first.

use super::node::{Entry, Node, Value};
use crate::rate::PartsPerMillion;
use serde::Serialize;
use std::{fmt, str::FromStr};

/// Something that is wrong with a configuration, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, where it is not the one that was given: one that it refers to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The line, from 1; 0 where the text is not known.
    pub line: usize,
    /// The column, from 1; 0 where the text is not known.
    pub column: usize,
    /// The path to the field, such as `routes[2].legacy`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl Problem {
    pub(super) fn whole(message: String) -> Self {
        Self { file: String::new(), line: 0, column: 0, field: String::new(), message, hint: String::new() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects problems.
#[derive(Default)]
pub(super) struct Reader {
    problems: Vec<Problem>,
    /// The file that is being read, where it is not the one that was given.
    file: String,
}

impl Reader {
    pub(super) fn report(
        &mut self,
        node: &Node,
        field: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.report_at((node.line, node.column), field, message, hint);
    }

    pub(super) fn report_at(
        &mut self,
        (line, column): (usize, usize),
        field: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.problems.push(Problem {
            file: self.file.clone(),
            line,
            column,
            field: field.to_owned(),
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// Reads what stands in another file; what is wrong there is reported with its name.
    pub(super) fn in_file<T>(&mut self, file: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.file, file.to_owned());
        let made = read(self);
        self.file = before;
        made
    }

    /// How many problems were found.
    pub(super) fn count(&self) -> usize {
        self.problems.len()
    }

    /// Takes over a problem that was found otherwise.
    pub(super) fn add(&mut self, problem: Problem) {
        let file = if problem.file.is_empty() { self.file.clone() } else { problem.file.clone() };
        self.problems.push(Problem { file, ..problem });
    }

    pub(super) fn expected(&mut self, node: &Node, field: &str, wanted: &str, hint: &str) {
        let message = format!("expected {wanted}, found {}", node.value.kind());
        self.report(node, field, message, hint);
    }

    /// The value if nothing was wrong with it, and otherwise all problems in the order of their lines.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<Problem>> {
        self.problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        // A shape that is used twice is looked at twice.
        self.problems.dedup();
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(self.problems),
        }
    }

    pub(super) fn fields<'n>(&mut self, node: &'n Node, path: &str, hint: &str) -> Option<Fields<'n>> {
        match &node.value {
            Value::Map(entries) => {
                let mut seen: Vec<&str> = Vec::new();
                for entry in entries {
                    if seen.contains(&entry.key.as_str()) {
                        let field = join(path, &entry.key);
                        let at = (entry.line, entry.column);
                        self.report_at(at, &field, "this key stands here twice", "remove one of the two");
                    }
                    seen.push(&entry.key);
                }
                Some(Fields { path: path.to_owned(), place: node, entries, known: Vec::new() })
            }
            _ => {
                self.expected(node, path, "a map", hint);
                None
            }
        }
    }

    /// The entries of a map whose keys are names; nothing written means none.
    pub(super) fn named<'n>(&mut self, node: Option<&'n Node>, path: &str, hint: &str) -> &'n [Entry] {
        match node {
            None | Some(Node { value: Value::Null, .. }) => &[],
            Some(node) => self.fields(node, path, hint).map(|fields| fields.entries).unwrap_or_default(),
        }
    }

    pub(super) fn list<'n>(&mut self, node: Option<&'n Node>, path: &str, hint: &str) -> &'n [Node] {
        match node {
            None | Some(Node { value: Value::Null, .. }) => &[],
            Some(Node { value: Value::List(items), .. }) => items,
            Some(node) => {
                self.expected(node, path, "a list", hint);
                &[]
            }
        }
    }

    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            _ => {
                self.expected(node, path, "a text", "put the value between quotes");
                None
            }
        }
    }

    /// A text, or a number or truth value taken as the text it is written with.
    pub(super) fn loose_text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => self.text(node, path),
        }
    }

    pub(super) fn texts(&mut self, node: Option<&Node>, path: &str) -> Vec<String> {
        self.list(node, path, "write a list such as [\"a\", \"b\"]")
            .iter()
            .enumerate()
            .filter_map(|(at, item)| self.loose_text(item, &format!("{path}[{at}]")))
            .collect()
    }

    pub(super) fn truth(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.value {
            Value::Bool(truth) => Some(truth),
            _ => {
                self.expected(node, path, "true or false", "write true or false, without quotes");
                None
            }
        }
    }

    pub(super) fn number(&mut self, node: &Node, path: &str, hint: &str) -> Option<f64> {
        match node.value {
            Value::Number(number) if number.is_finite() => Some(number),
            _ => {
                self.expected(node, path, "a number", hint);
                None
            }
        }
    }

    /// A number between two limits, both included.
    pub(super) fn number_within(
        &mut self,
        node: &Node,
        path: &str,
        (low, high): (f64, f64),
        unit: &str,
    ) -> Option<f64> {
        let hint = format!("write a number of {unit} from {low} to {high}");
        let number = self.number(node, path, &hint)?;
        if (low..=high).contains(&number) {
            return Some(number);
        }
        self.report(node, path, format!("{number} is out of range"), hint);
        None
    }

    pub(super) fn percentage(&mut self, node: &Node, path: &str) -> Option<PartsPerMillion> {
        let hint = "write a percentage from 0 to 100 with at most four decimals, such as 2.5";
        let number = self.number(node, path, hint)?;
        match PartsPerMillion::from_percent(number) {
            Ok(share) => Some(share),
            Err(error) => {
                self.report(node, path, error.to_string(), hint);
                None
            }
        }
    }

    pub(super) fn parsed<T: FromStr>(&mut self, node: &Node, path: &str, hint: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let text = self.text(node, path)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.report(node, path, T::Err::to_string(&error), hint);
                None
            }
        }
    }

    pub(super) fn key<T: FromStr>(&mut self, entry: &Entry, path: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match entry.key.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                let at = (entry.line, entry.column);
                self.report_at(at, path, T::Err::to_string(&error), "choose another name");
                None
            }
        }
    }
}

/// The fields of one map; each is taken by name, and what nobody took is a mistake.
pub(super) struct Fields<'n> {
    pub(super) path: String,
    pub(super) place: &'n Node,
    entries: &'n [Entry],
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    pub(super) fn path(&self, name: &str) -> String {
        join(&self.path, name)
    }

    pub(super) fn optional(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node)
    }

    pub(super) fn required(
        &mut self,
        reader: &mut Reader,
        name: &'static str,
        hint: &str,
    ) -> Option<&'n Node> {
        let found = self.optional(name).filter(|node| node.value != Value::Null);
        if found.is_none() {
            reader.report(self.place, &self.path(name), format!("{name} is missing"), hint);
        }
        found
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self, reader: &mut Reader) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let known = || format!("remove it; known here: {}", self.known.join(", "));
            let hint = did_you_mean(&entry.key, self.known.iter().copied(), known);
            let message = format!("{} is not a field of this object", entry.key);
            reader.report_at((entry.line, entry.column), &join(&self.path, &entry.key), message, hint);
        }
    }
}

/// The known name that a mistyped one most likely meant.
pub(super) fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// What to do about a name that is not known: the one that was most likely meant, or something else.
pub(super) fn did_you_mean<'k>(
    written: &str,
    known: impl Iterator<Item = &'k str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(written, known).map_or_else(otherwise, |near| format!("did you mean {near}?"))
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
