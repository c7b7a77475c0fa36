//! A cursor over a document: a node, its path, and the list that its problems go to. Reading
//! through a cursor reports every mistake and goes on, instead of stopping at the first.

use super::{
    literal::literal,
    node::{Entry, Node, Value},
    problem::{Problem, Problems},
    suggestion::{did_you_mean, nearest},
};
use crate::{adapter::Literal, vocabulary::share::PartsPerMillion};
use std::{fmt, str::FromStr};

/// A node of a document, with everything that a report about it needs.
///
/// The functions that return an [`Option`] return `None` after they have reported a problem.
#[derive(Clone)]
pub(crate) struct Cursor<'n> {
    node: &'n Node,
    line: usize,
    column: usize,
    path: String,
    file: &'n str,
    problems: &'n Problems,
}

/// An entry of a map whose keys are names.
pub(crate) struct EntryCursor<'n> {
    pub(crate) key: &'n str,
    /// Reports at the key.
    pub(crate) key_cursor: Cursor<'n>,
    pub(crate) value: Cursor<'n>,
}

impl<'n> Cursor<'n> {
    /// Creates a cursor at the root of a document.
    pub(crate) fn root(node: &'n Node, problems: &'n Problems) -> Self {
        Self { node, line: node.line, column: node.column, path: String::new(), file: "", problems }
    }

    /// Creates a cursor at the root of a file that this document refers to.
    pub(crate) fn in_file<'f>(&self, file: &'f str, node: &'f Node) -> Cursor<'f>
    where
        'n: 'f,
    {
        Cursor { file, ..Cursor::root(node, self.problems) }
    }

    /// Returns a cursor that reports at the same place under another path.
    pub(crate) fn at_path(&self, path: String) -> Self {
        Self { path, ..*self }
    }

    /// Returns a cursor that reports at the same place under the path of another one.
    pub(crate) fn at_path_of(&self, other: &Self) -> Self {
        self.at_path(other.path.clone())
    }

    /// Returns a cursor that reports at the same place under the path of a field. It is for fields
    /// that are missing, or that contradict another one.
    pub(crate) fn at_field(&self, name: &str) -> Self {
        self.at_path(self.join(name))
    }

    fn child(&self, node: &'n Node, path: String) -> Self {
        Self { node, line: node.line, column: node.column, path, ..*self }
    }

    /// Returns a cursor that reports at the key of an entry.
    fn key(&self, entry: &'n Entry) -> Self {
        Self { line: entry.line, column: entry.column, ..self.child(&entry.node, self.join(&entry.key)) }
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Returns true if the document was stored earlier, see [`Problems::of_stored`].
    pub(crate) fn is_stored(&self) -> bool {
        self.problems.is_stored()
    }

    /// Reports a problem at this place.
    pub(crate) fn report(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.add(Problem {
            file: self.file.to_owned(),
            line: self.line,
            column: self.column,
            field: self.path.clone(),
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// Reports a problem and returns `None`.
    pub(crate) fn refuse<T>(&self, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.report(message, hint);
        None
    }

    /// Returns true if a problem with such a message was reported at this place.
    pub(crate) fn is_told(&self, is_such: impl Fn(&str) -> bool) -> bool {
        self.problems.has(|problem| {
            let place = (problem.line, problem.column, problem.file.as_str(), problem.field.as_str());
            place == (self.line, self.column, self.file, self.path.as_str()) && is_such(&problem.message)
        })
    }

    /// Adds a problem that another parser found in this file, or in the one that the problem names.
    pub(crate) fn add(&self, problem: Problem) {
        let file = if problem.file.is_empty() { self.file.to_owned() } else { problem.file.clone() };
        self.problems.add(Problem { file, ..problem });
    }

    /// Reports that the value is of the wrong kind.
    pub(crate) fn expected<T>(&self, wanted: &str, hint: &str) -> Option<T> {
        self.refuse(format!("expected {wanted}, found {}", self.node.value.kind()), hint)
    }

    pub(crate) fn line(&self) -> usize {
        self.line
    }

    pub(crate) fn column(&self) -> usize {
        self.column
    }

    /// Returns the name of the file; empty for the document itself.
    pub(crate) fn file(&self) -> &'n str {
        self.file
    }

    /// Returns the path to the field, as problems have it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn value(&self) -> &'n Value {
        &self.node.value
    }

    /// Returns the value as a constant.
    pub(crate) fn literal(&self) -> Literal {
        literal(&self.node.value)
    }

    /// Opens a map whose keys are known, and reports keys that appear twice.
    pub(crate) fn fields(&self, hint: &str) -> Option<Fields<'n>> {
        let reported = self.problems.count();
        let entries = self.map(hint)?;
        Some(Fields { cursor: self.clone(), entries, known: Vec::new(), reported })
    }

    /// Returns the entries of a map whose keys are names. Null is an empty map.
    pub(crate) fn entries(&self, hint: &str) -> Vec<EntryCursor<'n>> {
        if *self.value() == Value::Null {
            return Vec::new();
        }
        let entries = self.map(hint).unwrap_or_default();
        entries
            .iter()
            .map(|entry| EntryCursor {
                key: &entry.key,
                key_cursor: self.key(entry),
                value: self.child(&entry.node, self.join(&entry.key)),
            })
            .collect()
    }

    fn map(&self, hint: &str) -> Option<&'n [Entry]> {
        let Value::Map(entries) = self.value() else { return self.expected("a map", hint) };
        let mut seen: Vec<&str> = Vec::new();
        for entry in entries {
            if seen.contains(&entry.key.as_str()) {
                self.key(entry).report("this key appears twice", "remove one of the two");
            }
            seen.push(&entry.key);
        }
        Some(entries)
    }

    /// Returns the items of a list. Null is an empty list.
    pub(crate) fn list(&self, hint: &str) -> Vec<Self> {
        match self.value() {
            Value::Null | Value::List(_) => self.items(),
            _ => self.expected("a list", hint).unwrap_or_default(),
        }
    }

    /// Returns the items of a list, and nothing for any other value, which is not reported.
    pub(crate) fn items(&self) -> Vec<Self> {
        let Value::List(items) = self.value() else { return Vec::new() };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| self.child(item, format!("{}[{index}]", self.path)))
            .collect()
    }

    /// Returns the value of a field; `None` if it is missing or if this is no map, which is not reported.
    pub(crate) fn field(&self, name: &str) -> Option<Self> {
        let Value::Map(entries) = self.value() else { return None };
        let entry = entries.iter().find(|entry| entry.key == name)?;
        Some(self.child(&entry.node, self.join(name)))
    }

    pub(crate) fn string(&self) -> Option<String> {
        match self.value() {
            Value::String(string) => Some(string.clone()),
            _ => self.expected("a string", "put the value between quotes"),
        }
    }

    /// Reads a string, or the digits or word of an unquoted number or bool.
    pub(crate) fn loose_string(&self) -> Option<String> {
        match self.value() {
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            _ => self.string(),
        }
    }

    /// Reads a list of strings, and leaves out the items that are none.
    pub(crate) fn strings(&self) -> Vec<String> {
        self.list("write a list such as [\"a\", \"b\"]").iter().filter_map(Self::loose_string).collect()
    }

    pub(crate) fn bool(&self) -> Option<bool> {
        match self.value() {
            Value::Bool(value) => Some(*value),
            _ => self.expected("true or false", "write true or false, without quotes"),
        }
    }

    pub(crate) fn number(&self, hint: &str) -> Option<f64> {
        match self.value() {
            Value::Number(number) if number.is_finite() => Some(*number),
            _ => self.expected("a number", hint),
        }
    }

    /// Reads a number between two limits, both included.
    pub(crate) fn number_within(&self, (low, high): (f64, f64), unit: &str) -> Option<f64> {
        let hint = format!("write a number of {unit} from {low} to {high}");
        let number = self.number(&hint)?;
        if (low..=high).contains(&number) {
            return Some(number);
        }
        self.refuse(format!("{number} is out of range"), hint)
    }

    /// Reads a whole number between two limits, both included.
    pub(crate) fn whole_number_within(&self, limits: (f64, f64), unit: &str) -> Option<u32> {
        let number = self.number_within(limits, unit)?;
        // Fractions in stored documents have always been cut off.
        if number.fract() != 0.0 && !self.is_stored() {
            return self.refuse(format!("{number} is not a whole number"), format!("write whole {unit}"));
        }
        // A whole number inside the limits fits.
        Some(number as u32)
    }

    /// Reads a status of HTTP between two others, both included.
    pub(crate) fn status_within(&self, (low, high): (u16, u16)) -> Option<u16> {
        let hint = format!("write a status from {low} to {high}");
        let number = self.number(&hint)?;
        // Fractions in stored documents have always been cut off.
        let is_whole = number.fract() == 0.0 || self.is_stored();
        // Numbers beyond the type become its first or last one, which are no statuses.
        Some(number as u16)
            .filter(|status| is_whole && (low..=high).contains(status))
            .or_else(|| self.refuse(format!("{number} is out of range"), hint))
    }

    pub(crate) fn percentage(&self) -> Option<PartsPerMillion> {
        let hint = "write a percentage from 0 to 100 with at most four decimals, such as 2.5";
        match PartsPerMillion::from_percent(self.number(hint)?) {
            Ok(share) => Some(share),
            Err(error) => self.refuse(error.to_string(), hint),
        }
    }

    /// Reads a string and parses it.
    pub(crate) fn parse<T: FromStr>(&self, hint: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        self.parsed(&self.string()?, hint)
    }

    /// Reads one of several words and returns the value that belongs to it. The message about any
    /// other word ends in `problem`.
    pub(crate) fn choice<T: Clone>(&self, choices: &[(&str, T)], problem: &str, hint: &str) -> Option<T> {
        let written = self.string()?;
        match choices.iter().find(|(word, _)| *word == written) {
            Some((_, value)) => Some(value.clone()),
            None => self.refuse(format!("{written:?} {problem}"), hint),
        }
    }

    fn parsed<T: FromStr>(&self, text: &str, hint: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.refuse(T::Err::to_string(&error), hint),
        }
    }
}

impl EntryCursor<'_> {
    /// Parses the key.
    pub(crate) fn parse_key<T: FromStr>(&self) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        self.key_cursor.parsed(self.key, "choose another name")
    }
}

/// The fields of one map. Each is taken by name, and a key that was not taken by then is a mistake.
pub(crate) struct Fields<'n> {
    cursor: Cursor<'n>,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    /// The number of problems that were known when the map was opened.
    reported: usize,
}

impl<'n> Fields<'n> {
    /// Returns the value of a field, which may be null.
    pub(crate) fn optional(&mut self, name: &'static str) -> Option<Cursor<'n>> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        Some(self.cursor.child(&entry.node, self.cursor.join(name)))
    }

    /// Returns the value of a field unless it is null.
    pub(crate) fn present(&mut self, name: &'static str) -> Option<Cursor<'n>> {
        self.optional(name).filter(|cursor| *cursor.value() != Value::Null)
    }

    /// Returns the value of a field, and reports it if it is missing or null.
    pub(crate) fn required(&mut self, name: &'static str, hint: &str) -> Option<Cursor<'n>> {
        let found = self.present(name);
        if found.is_none() {
            self.cursor.at_field(name).report(format!("{name} is missing"), hint);
        }
        found
    }

    /// Reads a field that may be missing. Returns `None` if it is, or if it was reported.
    pub(crate) fn read<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Cursor<'n>) -> Option<T>,
    ) -> Option<T> {
        read(&self.optional(name)?)
    }

    /// Reads a field that may not be missing.
    pub(crate) fn require<T>(
        &mut self,
        name: &'static str,
        hint: &str,
        read: impl FnOnce(&Cursor<'n>) -> Option<T>,
    ) -> Option<T> {
        read(&self.required(name, hint)?)
    }

    /// Reads a field into `target`, which keeps its value if the field is missing.
    pub(crate) fn set<T>(
        &mut self,
        name: &'static str,
        target: &mut T,
        read: impl FnOnce(&Cursor<'n>) -> Option<T>,
    ) -> Option<()> {
        if let Some(cursor) = self.optional(name) {
            *target = read(&cursor)?;
        }
        Some(())
    }

    /// Returns the items of a list, which is empty if the field is missing.
    pub(crate) fn list(&mut self, name: &'static str, hint: &str) -> Vec<Cursor<'n>> {
        self.optional(name).map(|cursor| cursor.list(hint)).unwrap_or_default()
    }

    /// Returns the items of a list of strings, which is empty if the field is missing.
    pub(crate) fn strings(&mut self, name: &'static str) -> Vec<String> {
        self.optional(name).map(|cursor| cursor.strings()).unwrap_or_default()
    }

    /// Returns the entries of a map whose keys are names, which is empty if the field is missing.
    pub(crate) fn entries(&mut self, name: &'static str, hint: &str) -> Vec<EntryCursor<'n>> {
        self.optional(name).map(|cursor| cursor.entries(hint)).unwrap_or_default()
    }

    /// Declares fields that are taken after [`finish`](Self::finish).
    pub(crate) fn expect(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// Returns true if a key that is no field looks like this one, which was probably meant. All fields must have
    /// been declared with [`expect`](Self::expect); such a key is reported by [`finish`](Self::finish).
    pub(crate) fn is_misspelt(&self, name: &str) -> bool {
        let mut unknown = self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str()));
        unknown.any(|entry| nearest(&entry.key, std::iter::once(name)).is_some())
    }

    /// Reports every key that no field was taken by. Returns `None` if anything was reported since
    /// the map was opened.
    pub(crate) fn finish(&self) -> Option<()> {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let known = || format!("remove it; known here: {}", self.known.join(", "));
            let hint = did_you_mean(&entry.key, self.known.iter().copied(), known);
            self.cursor.key(entry).report(format!("{} is not a field of this object", entry.key), hint);
        }
        self.clean()
    }

    /// Returns `None` if anything was reported since the map was opened.
    pub(crate) fn clean(&self) -> Option<()> {
        (self.cursor.problems.count() == self.reported).then_some(())
    }
}
