//! Reduces a schema to the types and fields that the operations use. The result is stored with the
//! adapter, so that the adapter can be checked again whenever it is applied, however large the
//! backend's schema is.

use apollo_compiler::{
    ExecutableDocument, Name, Schema,
    ast::Type,
    executable::{Selection, SelectionSet},
    schema::{ComponentName, ExtendedType},
    validation::Valid,
};
use std::collections::{BTreeMap, BTreeSet};

/// Deeper nesting of selections than any response has.
const MAX_DEPTH: usize = 48;

/// The types that are used, and the fields that are used of each object.
#[derive(Default)]
struct Touched(BTreeMap<Name, BTreeSet<Name>>);

/// Returns the reduced schema.
pub(super) fn prune(schema: &Valid<Schema>, document: &Valid<ExecutableDocument>) -> String {
    let schema: &Schema = schema;
    let mut touched = Touched::default();
    for operation in document.operations.named.values() {
        touched.set(schema, document, &operation.selection_set, 0);
        operation.variables.iter().for_each(|variable| touched.input(schema, variable.ty.inner_named_type()));
    }
    let mut cut = schema.clone();
    let keeps = |name: &Name| touched.0.contains_key(name);
    let definition = cut.schema_definition.make_mut();
    for root in [&mut definition.query, &mut definition.mutation, &mut definition.subscription] {
        if root.as_ref().is_some_and(|root: &ComponentName| !keeps(&root.name)) {
            *root = None;
        }
    }
    // A schema without a query type is not valid.
    if cut.schema_definition.query.is_none() {
        let query = schema.schema_definition.query.clone();
        if let Some((query, ExtendedType::Object(object))) =
            query.as_ref().and_then(|query| Some((query, schema.types.get(&query.name)?)))
            && let Some(field) = object.fields.values().next()
        {
            touched.0.entry(query.name.clone()).or_default().insert(field.name.clone());
            touched.output(schema, field.ty.inner_named_type());
            field.arguments.iter().for_each(|argument| touched.input(schema, argument.ty.inner_named_type()));
        }
        cut.schema_definition.make_mut().query = query;
    }
    cut.types.retain(|name, definition| definition.is_built_in() || touched.0.contains_key(name));
    for (name, definition) in &mut cut.types {
        let Some(fields) = touched.0.get(name) else { continue };
        match definition {
            ExtendedType::Object(object) => {
                let object = object.make_mut();
                object.implements_interfaces.retain(|interface| touched.0.contains_key(&interface.name));
                let interfaces: Vec<&Name> =
                    object.implements_interfaces.iter().map(|interface| &interface.name).collect();
                let needed = |field: &Name| {
                    let declares =
                        |interface: &Name| touched.0.get(interface).is_some_and(|used| used.contains(field));
                    fields.contains(field) || interfaces.iter().any(|interface| declares(interface))
                };
                object.fields.retain(|field, _| needed(field));
            }
            ExtendedType::Interface(interface) => {
                let interface = interface.make_mut();
                interface.implements_interfaces.retain(|parent| touched.0.contains_key(&parent.name));
                interface.fields.retain(|field, _| fields.contains(field));
            }
            ExtendedType::Union(union) => {
                union.make_mut().members.retain(|member| touched.0.contains_key(&member.name));
            }
            _ => {}
        }
    }
    cut.serialize().to_string()
}

impl Touched {
    /// Adds a selection set.
    fn set(&mut self, schema: &Schema, document: &ExecutableDocument, set: &SelectionSet, depth: usize) {
        self.0.entry(set.ty.clone()).or_default();
        if depth > MAX_DEPTH {
            return;
        }
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    self.0.entry(set.ty.clone()).or_default().insert(field.name.clone());
                    self.field_types(schema, &set.ty, &field.name);
                    self.set(schema, document, &field.selection_set, depth + 1);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = spread.fragment_def(document) {
                        self.set(schema, document, &fragment.selection_set, depth + 1);
                    }
                }
                Selection::InlineFragment(inline) => {
                    self.set(schema, document, &inline.selection_set, depth + 1)
                }
            }
        }
    }

    /// Adds the types of a field and of its arguments.
    fn field_types(&mut self, schema: &Schema, ty: &Name, field: &Name) {
        let found = match schema.types.get(ty) {
            Some(ExtendedType::Object(object)) => object.fields.get(field),
            Some(ExtendedType::Interface(interface)) => interface.fields.get(field),
            _ => None,
        };
        if let Some(definition) = found {
            self.0.entry(definition.ty.inner_named_type().clone()).or_default();
            let arguments: Vec<&Type> = definition.arguments.iter().map(|argument| &*argument.ty).collect();
            arguments.iter().for_each(|ty| self.input(schema, ty.inner_named_type()));
        }
    }

    /// Adds an output type of which no field is selected. Its first field is added too, because a
    /// type without fields is not valid.
    fn output(&mut self, schema: &Schema, name: &Name) {
        if self.0.contains_key(name) {
            return;
        }
        self.0.entry(name.clone()).or_default();
        let first = match schema.types.get(name) {
            Some(ExtendedType::Object(object)) => object.fields.keys().next(),
            Some(ExtendedType::Interface(interface)) => interface.fields.keys().next(),
            _ => None,
        };
        if let Some(first) = first.cloned() {
            self.0.entry(name.clone()).or_default().insert(first.clone());
            self.field_types(schema, name, &first);
        }
    }

    /// Adds an input type with all types below it.
    fn input(&mut self, schema: &Schema, name: &Name) {
        if self.0.contains_key(name) {
            return;
        }
        self.0.entry(name.clone()).or_default();
        if let Some(ExtendedType::InputObject(input)) = schema.types.get(name) {
            input.fields.values().for_each(|field| self.input(schema, field.ty.inner_named_type()));
        }
    }
}
