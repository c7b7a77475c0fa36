//! Operations as they are written. Parts that do not fit the schema are missing in documents with types, but they
//! count here: a fragment that only such a part uses is used.

use apollo_compiler::{
    Node,
    ast::{
        Argument, Definition, Directive, Document, FragmentDefinition, OperationDefinition, Selection, Value,
    },
    parser::SourceSpan,
};
use std::collections::{BTreeMap, BTreeSet};

/// The operations and fragments of a document.
pub(crate) struct Written<'d> {
    document: &'d Document,
    operations: Vec<&'d Node<OperationDefinition>>,
    /// The fragments by name; several have the same one by mistake.
    fragments: BTreeMap<&'d str, Vec<&'d Node<FragmentDefinition>>>,
}

/// The fragments and variables that an operation uses.
#[derive(Default)]
pub(crate) struct Uses<'d> {
    pub(crate) fragments: BTreeSet<&'d str>,
    pub(crate) variables: BTreeSet<&'d str>,
    /// The fragments whose own uses have not been collected yet.
    unread: Vec<&'d str>,
}

impl<'d> Written<'d> {
    pub(crate) fn of(document: &'d Document) -> Self {
        let mut written = Self { document, operations: Vec::new(), fragments: BTreeMap::new() };
        for definition in &document.definitions {
            match definition {
                Definition::OperationDefinition(operation) => written.operations.push(operation),
                Definition::FragmentDefinition(fragment) => {
                    written.fragments.entry(fragment.name.as_str()).or_default().push(fragment);
                }
                _ => {}
            }
        }
        written
    }

    /// Returns the operation with this name, the first if there are several.
    pub(crate) fn operation(&self, name: &str) -> Option<&'d OperationDefinition> {
        let is_named =
            |operation: &&&Node<OperationDefinition>| name_of(operation).is_some_and(|held| held == name);
        self.operations.iter().find(is_named).map(|operation| &***operation)
    }

    /// Returns the names of the operations.
    pub(crate) fn names(&self) -> Vec<&'d str> {
        self.operations.iter().filter_map(name_of).collect()
    }

    /// Returns true if a fragment has this name.
    pub(crate) fn has_fragment(&self, name: &str) -> bool {
        self.fragments.contains_key(name)
    }

    /// Returns the names of the fragments.
    pub(crate) fn fragments(&self) -> impl Iterator<Item = &'d str> {
        self.fragments.keys().copied()
    }

    /// Returns true if an operation uses this fragment.
    pub(crate) fn uses_fragment(&self, name: &str) -> bool {
        self.operations.iter().any(|operation| self.uses(operation).fragments.contains(name))
    }

    /// Returns true if the operation around this place uses the variable.
    pub(crate) fn uses_variable(&self, place: SourceSpan, name: &str) -> bool {
        let mut around = self.operations.iter().filter(|operation| contains(operation.location(), place));
        around.any(|operation| self.uses(operation).variables.contains(name))
    }

    /// Returns true if the field at this place has fields of its own.
    pub(crate) fn has_fields(&self, place: SourceSpan) -> bool {
        let operations = self.operations.iter().map(|operation| &operation.selection_set);
        let fragments = self.fragments.values().flatten().map(|fragment| &fragment.selection_set);
        operations.chain(fragments).any(|selections| has_fields(selections, place))
    }

    /// Returns the names of the operations that contain one of these mistakes, or use a fragment that does. A
    /// mistake without a place, or outside of all definitions, is one of every operation.
    pub(crate) fn broken(&self, mistakes: &[Option<SourceSpan>]) -> BTreeSet<String> {
        let holds_one = |definition: Option<SourceSpan>| {
            mistakes.iter().flatten().any(|mistake| contains(definition, *mistake))
        };
        let is_inside = |mistake: SourceSpan| {
            self.document.definitions.iter().any(|definition| contains(definition.location(), mistake))
        };
        let concerns_all = !mistakes.iter().all(|mistake| mistake.is_some_and(is_inside));
        let named = self.fragments.iter();
        let fragments: BTreeSet<&str> = named
            .filter(|(_, fragments)| fragments.iter().any(|fragment| holds_one(fragment.location())))
            .map(|(name, _)| *name)
            .collect();
        let is_broken = |operation: &&&'d Node<OperationDefinition>| {
            concerns_all
                || holds_one(operation.location())
                || !self.uses(operation).fragments.is_disjoint(&fragments)
        };
        let broken = self.operations.iter().filter(is_broken);
        broken.filter_map(name_of).map(str::to_owned).collect()
    }

    /// Collects the uses of an operation and of the fragments that it uses.
    pub(crate) fn uses(&self, operation: &'d OperationDefinition) -> Uses<'d> {
        let mut uses = Uses::default();
        uses.directives(&operation.directives);
        uses.selections(&operation.selection_set);
        while let Some(name) = uses.unread.pop() {
            for fragment in self.fragments.get(name).into_iter().flatten() {
                uses.directives(&fragment.directives);
                uses.selections(&fragment.selection_set);
            }
        }
        uses
    }
}

impl<'d> Uses<'d> {
    fn selections(&mut self, selections: &'d [Selection]) {
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.arguments);
                    self.directives(&field.directives);
                    self.selections(&field.selection_set);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives);
                    let name = spread.fragment_name.as_str();
                    if self.fragments.insert(name) {
                        self.unread.push(name);
                    }
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives);
                    self.selections(&inline.selection_set);
                }
            }
        }
    }

    fn directives(&mut self, directives: &'d [Node<Directive>]) {
        for directive in directives {
            self.arguments(&directive.arguments);
        }
    }

    fn arguments(&mut self, arguments: &'d [Node<Argument>]) {
        for argument in arguments {
            self.value(&argument.value);
        }
    }

    fn value(&mut self, value: &'d Value) {
        match value {
            Value::Variable(name) => {
                self.variables.insert(name.as_str());
            }
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.iter().for_each(|(_, value)| self.value(value)),
            _ => {}
        }
    }
}

fn name_of<'d>(operation: &&'d Node<OperationDefinition>) -> Option<&'d str> {
    operation.name.as_ref().map(|name| name.as_str())
}

/// Returns true if a definition contains this place.
fn contains(definition: Option<SourceSpan>, place: SourceSpan) -> bool {
    definition.is_some_and(|definition| {
        let range = definition.offset()..definition.end_offset();
        definition.file_id() == place.file_id() && range.contains(&place.offset())
    })
}

/// Returns true if there is a field at this place that has fields of its own.
fn has_fields(selections: &[Selection], place: SourceSpan) -> bool {
    selections.iter().any(|selection| match selection {
        Selection::Field(field) => {
            let is_it = field.location() == Some(place) && !field.selection_set.is_empty();
            is_it || has_fields(&field.selection_set, place)
        }
        Selection::InlineFragment(inline) => has_fields(&inline.selection_set, place),
        Selection::FragmentSpread(_) => false,
    })
}
