//! The types of operations: those of their variables, and the structure of their responses.

use crate::{
    adapter::{Kind, Source, Variable},
    json::list_index,
};
use apollo_compiler::{
    ExecutableDocument, Node, Schema,
    ast::{InputValueDefinition, Type, VariableDefinition},
    executable::{Operation, Selection, SelectionSet},
    schema::ExtendedType,
};

/// The nesting of a response up to which its structure is checked.
const MAX_DEPTH: usize = 24;

/// The names of the types that every schema has.
const BUILT_IN: [&str; 5] = ["Int", "Float", "String", "ID", "Boolean"];

/// The structure of one value of a response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selected {
    /// The type as the schema writes it.
    pub(crate) written: String,
    pub(crate) nullable: bool,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A scalar, by the name of its type.
    Scalar(String),
    /// One of these names.
    Enum(Vec<String>),
    List(Box<Selected>),
    /// The selected fields, by their names in the response.
    Object(Vec<(String, Selected)>),
}

/// A declared variable: one of an operation, or a field of an input object.
#[derive(Clone)]
pub(crate) struct Declared {
    pub(crate) variable: Variable,
    /// The type as it is written, for messages.
    pub(crate) written: String,
    /// False if no valid schema has the type, so that any value may be one of it.
    pub(crate) is_known: bool,
}

/// A schema with operations, or parts of them, that fit it.
#[derive(Clone, Copy)]
pub(crate) struct Structure<'d> {
    pub(crate) schema: &'d Schema,
    pub(crate) document: &'d ExecutableDocument,
}

impl Structure<'_> {
    /// Returns the document to send to the backend: the operation and the fragments that it uses.
    pub(crate) fn text(&self, operation: &Operation) -> String {
        let mut used: Vec<&str> = Vec::new();
        fragments(&operation.selection_set, self.document, &mut used);
        let mut text = operation.serialize().no_indent().to_string();
        for (name, fragment) in &self.document.fragments {
            if used.contains(&name.as_str()) {
                text.push(' ');
                text.push_str(&fragment.serialize().no_indent().to_string());
            }
        }
        text
    }

    /// Returns the structure of `data` in the operation's response.
    pub(crate) fn selected(&self, operation: &Operation) -> Selected {
        let content = self.object(&operation.selection_set, 0);
        Selected { written: operation.selection_set.ty.to_string(), nullable: true, content }
    }

    fn object(&self, set: &SelectionSet, depth: usize) -> Content {
        let mut fields = Vec::new();
        self.collect(set, false, depth, &mut fields);
        Content::Object(fields)
    }

    /// Adds the fields of a selection set. With `optional`, each may be missing from a response.
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
                    match fields.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => known.merge(selected),
                        None => fields.push((name, selected)),
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = spread.fragment_def(self.document) {
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
        let content = match ty {
            Type::List(item) | Type::NonNullList(item) => {
                Content::List(Box::new(self.typed(item, set, depth)))
            }
            Type::Named(name) | Type::NonNullNamed(name) => match self.schema.types.get(name) {
                Some(ExtendedType::Enum(names)) => {
                    Content::Enum(names.values.keys().map(|name| name.to_string()).collect())
                }
                Some(ExtendedType::Scalar(_)) | None => Content::Scalar(name.to_string()),
                Some(_) => self.object(set, depth),
            },
        };
        Selected { written: ty.to_string(), nullable: !ty.is_non_null(), content }
    }
}

/// Returns the declared variables of an operation, with their types as far as the schema is known.
pub(crate) fn declared(schema: Option<&Schema>, variables: &[Node<VariableDefinition>]) -> Vec<Declared> {
    let declared = |definition: &Node<VariableDefinition>| {
        let mut variable = Variable::new(definition.name.as_str(), kind(schema, &definition.ty, 0));
        variable.required = definition.ty.is_non_null() && definition.default_value.is_none();
        let name = definition.ty.inner_named_type();
        let is_known =
            BUILT_IN.contains(&name.as_str()) || schema.is_some_and(|schema| schema.types.contains_key(name));
        Declared { variable, written: definition.ty.to_string(), is_known }
    };
    variables.iter().map(declared).collect()
}

fn kind(schema: Option<&Schema>, ty: &Type, depth: usize) -> Kind {
    let name = match ty {
        Type::List(item) | Type::NonNullList(item) => {
            return Kind::List(Box::new(kind(schema, item, depth)));
        }
        Type::Named(name) | Type::NonNullNamed(name) => name,
    };
    match schema.and_then(|schema| schema.types.get(name)) {
        Some(ExtendedType::Enum(names)) => {
            Kind::Enum(names.values.keys().map(|name| name.to_string()).collect())
        }
        Some(ExtendedType::InputObject(input)) if depth < MAX_DEPTH / 4 => {
            let field = |field: &Node<InputValueDefinition>| {
                let mut variable = Variable::new(field.name.as_str(), kind(schema, &field.ty, depth + 1));
                variable.required = field.is_required();
                variable.from = Some(Source::Body(vec![field.name.to_string()]));
                variable
            };
            Kind::Object(input.fields.values().map(|definition| field(definition)).collect())
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

/// Adds the names of the fragments that a selection set uses.
fn fragments<'d>(set: &'d SelectionSet, document: &'d ExecutableDocument, used: &mut Vec<&'d str>) {
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
    /// Returns the structure of a scalar that a mapping makes.
    pub(crate) fn scalar(kind: &str, nullable: bool) -> Self {
        let written = if nullable { kind.to_owned() } else { format!("{kind}!") };
        Self { written, nullable, content: Content::Scalar(kind.to_owned()) }
    }

    /// Returns a field of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match &self.content {
            Content::Object(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Returns the part that a name in a path stands for: a field of an object, or an item of a list,
    /// which may have fewer items.
    pub(crate) fn part(&self, name: &str) -> Option<Self> {
        match &self.content {
            Content::List(item) => list_index(name).map(|_| Self { nullable: true, ..(**item).clone() }),
            _ => self.get(name).map(|field| field.within(self)),
        }
    }

    /// Returns this value as a field of an object: if the object may be null, so may the field.
    pub(crate) fn within(&self, object: &Self) -> Self {
        Self { nullable: self.nullable || object.nullable, ..self.clone() }
    }

    /// Adds a second selection of the same field.
    fn merge(&mut self, other: Self) {
        self.nullable &= other.nullable;
        match (&mut self.content, other.content) {
            (Content::Object(fields), Content::Object(more)) => {
                for (name, selected) in more {
                    match fields.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => known.merge(selected),
                        None => fields.push((name, selected)),
                    }
                }
            }
            (Content::List(item), Content::List(other)) => item.merge(*other),
            _ => {}
        }
    }
}
