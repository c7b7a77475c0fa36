//! What a schema and the operations say: types of variables, and what an answer is made of.

use super::super::reader::{Problem, Reader};
use crate::adapter::{Kind, Source, Variable};
use apollo_compiler::{
    ExecutableDocument, Node, Schema,
    ast::Type,
    executable::{Operation, Selection, SelectionSet},
    schema::ExtendedType,
    validation::{DiagnosticList, Valid},
};

/// Deeper than any answer is looked into.
const MAX_DEPTH: usize = 24;

/// A schema with operations that fit it.
pub(super) struct Documents {
    pub(super) schema: Valid<Schema>,
    pub(super) operations: Valid<ExecutableDocument>,
}

/// What an answer has at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selected {
    /// The type as the schema writes it.
    pub(super) written: String,
    pub(super) nullable: bool,
    pub(super) holds: Holds,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Holds {
    /// A scalar, by the name of its type.
    Scalar(String),
    /// One of these names.
    Enum(Vec<String>),
    List(Box<Selected>),
    /// What is selected, by the name in the answer.
    Object(Vec<(String, Selected)>),
}

/// Parses both and holds them against each other. `at` is the line before the first one of each text.
pub(super) fn documents(
    reader: &mut Reader,
    schema: (&str, &str, usize),
    operations: (&str, &str, usize),
) -> Option<Documents> {
    let parsed = match Schema::parse_and_validate(schema.1, schema.0) {
        Ok(parsed) => parsed,
        Err(error) => {
            let hint = "correct the schema, or read it from the backend again: cutover adapter schema URL";
            report(reader, &error.errors, schema, hint);
            return None;
        }
    };
    match ExecutableDocument::parse_and_validate(&parsed, operations.1, operations.0) {
        Ok(operations) => Some(Documents { schema: parsed, operations }),
        Err(error) => {
            let hint = "correct the operation so that it fits the schema";
            report(reader, &error.errors, operations, hint);
            None
        }
    }
}

fn report(reader: &mut Reader, errors: &DiagnosticList, (file, _, before): (&str, &str, usize), hint: &str) {
    for error in errors.iter() {
        let place = error.line_column_range().map(|range| (range.start.line + before, range.start.column));
        let (line, column) = place.unwrap_or((before, 0));
        reader.add(Problem {
            file: file.to_owned(),
            line,
            column,
            field: String::new(),
            message: error.error.to_string(),
            hint: hint.to_owned(),
        });
    }
}

impl Documents {
    pub(super) fn operation(&self, name: &str) -> Option<&Node<Operation>> {
        self.operations.operations.named.get(name)
    }

    pub(super) fn operation_names(&self) -> impl Iterator<Item = &str> {
        self.operations.operations.named.keys().map(|name| name.as_str())
    }

    /// The text that the backend is sent: the operation and the fragments that it uses.
    pub(super) fn text(&self, operation: &Operation) -> String {
        let mut used: Vec<&str> = Vec::new();
        fragments(&operation.selection_set, &self.operations, &mut used);
        let mut text = operation.serialize().no_indent().to_string();
        for (name, fragment) in &self.operations.fragments {
            if used.contains(&name.as_str()) {
                text.push(' ');
                text.push_str(&fragment.serialize().no_indent().to_string());
            }
        }
        text
    }

    /// What the operation's answer has under `data`.
    pub(super) fn selected(&self, operation: &Operation) -> Selected {
        let holds = self.holds(&operation.selection_set, 0);
        Selected { written: operation.selection_set.ty.to_string(), nullable: true, holds }
    }

    fn holds(&self, set: &SelectionSet, depth: usize) -> Holds {
        let mut fields = Vec::new();
        self.collect(set, false, depth, &mut fields);
        Holds::Object(fields)
    }

    fn collect(
        &self,
        set: &SelectionSet,
        optional: bool,
        depth: usize,
        fields: &mut Vec<(String, Selected)>,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    let name = field.response_key().to_string();
                    let conditional = optional || !field.directives.is_empty();
                    let mut selected = self.typed(field.ty(), &field.selection_set, depth + 1);
                    selected.nullable |= conditional;
                    match fields.iter_mut().find(|(held, _)| *held == name) {
                        Some((_, held)) => held.merge(selected),
                        None => fields.push((name, selected)),
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = spread.fragment_def(&self.operations) {
                        let narrower = fragment.selection_set.ty != set.ty || !spread.directives.is_empty();
                        self.collect(&fragment.selection_set, optional || narrower, depth + 1, fields);
                    }
                }
                Selection::InlineFragment(inline) => {
                    let narrower = inline.selection_set.ty != set.ty || !inline.directives.is_empty();
                    self.collect(&inline.selection_set, optional || narrower, depth + 1, fields);
                }
            }
        }
    }

    fn typed(&self, ty: &Type, set: &SelectionSet, depth: usize) -> Selected {
        let holds = match ty {
            Type::List(item) | Type::NonNullList(item) => Holds::List(Box::new(self.typed(item, set, depth))),
            Type::Named(name) | Type::NonNullNamed(name) => match self.schema.types.get(name) {
                Some(ExtendedType::Enum(names)) => {
                    Holds::Enum(names.values.keys().map(|name| name.to_string()).collect())
                }
                Some(ExtendedType::Scalar(_)) | None => Holds::Scalar(name.to_string()),
                Some(_) => self.holds(set, depth),
            },
        };
        Selected { written: ty.to_string(), nullable: !ty.is_non_null(), holds }
    }

    /// The variables that an operation declares.
    pub(super) fn variables(&self, operation: &Operation) -> Vec<(Variable, String)> {
        let variable = |definition: &Node<apollo_compiler::ast::VariableDefinition>| {
            let mut variable = Variable::new(definition.name.as_str(), self.kind(&definition.ty, 0));
            variable.required = definition.ty.is_non_null() && definition.default_value.is_none();
            (variable, definition.ty.to_string())
        };
        operation.variables.iter().map(variable).collect()
    }

    fn kind(&self, ty: &Type, depth: usize) -> Kind {
        let name = match ty {
            Type::List(item) | Type::NonNullList(item) => {
                return Kind::List(Box::new(self.kind(item, depth)));
            }
            Type::Named(name) | Type::NonNullNamed(name) => name,
        };
        match self.schema.types.get(name) {
            Some(ExtendedType::Enum(names)) => {
                Kind::Enum(names.values.keys().map(|n| n.to_string()).collect())
            }
            Some(ExtendedType::InputObject(input)) if depth < MAX_DEPTH / 4 => {
                let field = |field: &Node<apollo_compiler::ast::InputValueDefinition>| {
                    let mut variable = Variable::new(field.name.as_str(), self.kind(&field.ty, depth + 1));
                    variable.required = field.is_required();
                    variable.from = Some(Source::Body(vec![field.name.to_string()]));
                    variable
                };
                Kind::Object(input.fields.values().map(|held| field(held)).collect())
            }
            _ => match name.as_str() {
                "Int" => Kind::Int,
                "Float" => Kind::Float,
                "String" => Kind::Text,
                "ID" => Kind::Id,
                "Boolean" => Kind::Boolean,
                _ => Kind::Any,
            },
        }
    }
}

pub(super) fn fragments<'d>(
    set: &'d SelectionSet,
    document: &'d ExecutableDocument,
    used: &mut Vec<&'d str>,
) {
    for selection in &set.selections {
        match selection {
            Selection::Field(field) => fragments(&field.selection_set, document, used),
            Selection::InlineFragment(inline) => fragments(&inline.selection_set, document, used),
            Selection::FragmentSpread(spread) => {
                if !used.contains(&spread.fragment_name.as_str()) {
                    used.push(spread.fragment_name.as_str());
                    if let Some(fragment) = spread.fragment_def(document) {
                        fragments(&fragment.selection_set, document, used);
                    }
                }
            }
        }
    }
}

impl Selected {
    /// The same field, selected twice.
    fn merge(&mut self, other: Self) {
        self.nullable &= other.nullable;
        match (&mut self.holds, other.holds) {
            (Holds::Object(fields), Holds::Object(more)) => {
                for (name, selected) in more {
                    match fields.iter_mut().find(|(held, _)| *held == name) {
                        Some((_, held)) => held.merge(selected),
                        None => fields.push((name, selected)),
                    }
                }
            }
            (Holds::List(item), Holds::List(other)) => item.merge(*other),
            _ => {}
        }
    }
}
