//! The schema and the operations of an adapter. A mistake in them hides no mistake of the adapter: all that it
//! does not concern is known and checked, and the rest counts as unknown.

use super::{
    files::SourceText,
    graphql::{Declared, Selected, Structure, declared},
    prune::prune,
    uses::Written,
};
use crate::{
    adapter::{Kind, Variable},
    config::reading::{Cursor, Problem, nearest},
};
use apollo_compiler::{
    ExecutableDocument, Name, Schema,
    ast::{Document, OperationType},
    diagnostic::{Diagnostic, ToCliReport},
    schema::ExtendedType,
    validation::{DiagnosticData, Valid, WithErrors},
};
use std::collections::BTreeSet;

const SYNTAX_HINT: &str =
    "correct the syntax here; a brace, bracket or quote may be missing above, also many lines above";

const SCHEMA_HINT: &str = "correct the schema, or read it from the backend again: cutover adapter schema URL";

const OPERATION_HINT: &str = "correct the operation so that it fits the schema";

/// The schema and the operations, as far as they could be read.
pub(crate) enum Documents {
    /// The operations fit the schema.
    Valid {
        /// The schema.
        schema: Valid<Schema>,
        /// The operations with their fragments.
        operations: Valid<ExecutableDocument>,
    },
    /// One of the two has mistakes, which have been reported, or could not be read.
    Partial(Partial),
}

/// Documents of which something is unknown.
#[derive(Default)]
pub(crate) struct Partial {
    /// The schema, if it is valid.
    schema: Option<Valid<Schema>>,
    /// The operations as they are written.
    written: Document,
    /// False if the operations could not be read, so that some are missing.
    is_complete: bool,
    /// The operations with their types, without the parts that do not fit the schema.
    typed: Option<ExecutableDocument>,
    /// The names of the operations that have or use such parts.
    broken: BTreeSet<String>,
}

/// An operation, as far as it is known.
#[derive(Default)]
pub(crate) struct ReadOperation {
    /// The document to send to the backend: the operation with its fragments. It is empty if the documents have
    /// mistakes, because nothing is compiled then.
    pub(crate) text: String,
    /// True if it changes data.
    pub(crate) is_mutation: bool,
    /// The variables that it declares.
    pub(crate) declared: Option<Vec<Declared>>,
    /// The structure of `data` in its response.
    pub(crate) selected: Option<Selected>,
}

/// Parses a schema and operations, and checks the operations against the schema. Either is `None` if it is
/// missing or its file could not be read, which has been reported.
pub(crate) fn read(
    cursor: &Cursor<'_>,
    schema: Option<&SourceText>,
    operations: Option<&SourceText>,
) -> Documents {
    let schema = schema.and_then(|source| valid_schema(cursor, source));
    let partial = match operations {
        None => Partial { schema, ..Partial::default() },
        Some(source) => match Document::parse(&source.text, &source.file) {
            Err(error) => {
                report_syntax(cursor, source, &error);
                Partial { schema, ..Partial::default() }
            }
            Ok(written) => match schema {
                None => Partial { written, is_complete: true, ..Partial::default() },
                Some(schema) => match written.to_executable_validate(&schema) {
                    Ok(operations) => return Documents::Valid { schema, operations },
                    Err(error) => {
                        let broken =
                            report_operations(cursor, source, &Written::of(&written), &schema, &error);
                        let typed = Some(error.partial);
                        Partial { schema: Some(schema), written, is_complete: true, typed, broken }
                    }
                },
            },
        },
    };
    Documents::Partial(partial)
}

/// Returns the schema if it has no mistake, and reports its mistakes.
fn valid_schema(cursor: &Cursor<'_>, source: &SourceText) -> Option<Valid<Schema>> {
    let error = match Schema::parse_and_validate(&source.text, &source.file) {
        Ok(schema) => return Some(schema),
        Err(error) => error,
    };
    match Document::parse(&source.text, &source.file) {
        Err(error) => report_syntax(cursor, source, &error),
        Ok(_) => error.errors.iter().for_each(|error| report(cursor, source, &error, SCHEMA_HINT)),
    }
    None
}

/// Reports the first error of a document whose syntax is wrong: one missing brace is an error at everything
/// behind it.
fn report_syntax(cursor: &Cursor<'_>, source: &SourceText, error: &WithErrors<Document>) {
    error.errors.iter().take(1).for_each(|error| report(cursor, source, &error, SYNTAX_HINT));
}

/// Reports the errors of operations that do not fit the schema. Returns the names of the broken operations.
fn report_operations(
    cursor: &Cursor<'_>,
    source: &SourceText,
    written: &Written<'_>,
    schema: &Schema,
    error: &WithErrors<ExecutableDocument>,
) -> BTreeSet<String> {
    for error in error.errors.iter() {
        let message = error.error.to_string();
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        if !is_follow_up(&error, &names, written, schema) {
            report(cursor, source, &error, &remedy(&error, &names, written, schema));
        }
    }
    let places: Vec<_> = error.errors.iter().map(|error| error.error.location()).collect();
    written.broken(&places)
}

fn report(cursor: &Cursor<'_>, source: &SourceText, error: &Diagnostic<'_, DiagnosticData>, hint: &str) {
    let start = error.line_column_range().map(|range| range.start);
    cursor.add(Problem {
        file: source.file.clone(),
        line: source.lines_before + start.map_or(0, |start| start.line),
        column: start.map_or(0, |start| start.column),
        field: String::new(),
        message: error.error.to_string(),
        hint: hint.to_owned(),
    });
}

/// Returns true if the error only follows from another one, which made a part of the document disappear. `names`
/// are those that its message names.
fn is_follow_up(
    error: &Diagnostic<'_, DiagnosticData>,
    names: &[&str],
    written: &Written<'_>,
    schema: &Schema,
) -> bool {
    let place = error.error.location();
    match (error.error.unstable_error_name(), names) {
        (Some("UnusedFragment"), [name, ..]) => written.uses_fragment(name),
        (Some("UndefinedFragment"), [name, ..]) => written.has_fragment(name),
        (Some("UnusedVariable"), [name, ..]) => {
            place.is_some_and(|place| written.uses_variable(place, name.trim_start_matches('$')))
        }
        (Some("MissingSubselection"), _) => place.is_some_and(|place| written.has_fields(place)),
        // A type that does not exist has been reported where the variable is declared.
        (Some("DisallowedVariableUsage"), [_, declared, ..]) => {
            !schema.types.contains_key(declared.trim_matches(['[', ']', '!']))
        }
        _ => false,
    }
}

/// Returns the remedy for an error of an operation. `names` are those that its message names.
fn remedy(
    error: &Diagnostic<'_, DiagnosticData>,
    names: &[&str],
    written: &Written<'_>,
    schema: &Schema,
) -> String {
    match (error.error.unstable_error_name(), names) {
        (Some("UndefinedField"), [type_name, name, ..]) => meant(name, fields_of(schema, type_name)),
        (Some("UndefinedArgument"), [name, place, ..]) => meant(name, arguments_of(schema, place)),
        (
            Some(
                "UndefinedDefinition"
                | "UndefinedTypeInNamedFragmentTypeCondition"
                | "UndefinedTypeInInlineFragmentTypeCondition",
            ),
            [name, ..],
        ) => meant(name, schema.types.keys().map(Name::as_str).collect()),
        (Some("UndefinedFragment"), [name, ..]) => meant(name, written.fragments().collect()),
        (Some("UndefinedVariable"), [name, ..]) => {
            format!("declare it behind the name of the operation, as in ({name}: ID!)")
        }
        (Some("UnusedVariable"), _) => "use it in the operation, or remove its declaration".to_owned(),
        (Some("UnusedFragment"), [name, ..]) => {
            format!("write ...{name} where its fields are needed, or remove it")
        }
        (Some("OperationNameCollision" | "FragmentNameCollision"), _) => {
            "give one of the two another name".to_owned()
        }
        (Some("AmbiguousAnonymousOperation"), _) => "give each operation a name".to_owned(),
        (Some("MissingSubselection"), _) => "select fields of it, as in author { id }".to_owned(),
        (Some("RequiredArgument"), _) => "add the argument, with a variable as its value".to_owned(),
        (Some("DisallowedVariableUsage"), [name, _, _, wanted, ..]) => {
            format!("declare {name} with the type {wanted}")
        }
        _ => OPERATION_HINT.to_owned(),
    }
}

/// Returns the remedy for a name that is not known: the one that was probably meant.
fn meant(written: &str, known: Vec<&str>) -> String {
    match nearest(written, known.into_iter()) {
        Some(near) => format!("did you mean {near}? Otherwise {OPERATION_HINT}"),
        None => OPERATION_HINT.to_owned(),
    }
}

fn fields_of<'s>(schema: &'s Schema, type_name: &str) -> Vec<&'s str> {
    match schema.types.get(type_name) {
        Some(ExtendedType::Object(object)) => object.fields.keys().map(Name::as_str).collect(),
        Some(ExtendedType::Interface(interface)) => interface.fields.keys().map(Name::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Returns the arguments of a field, which is written as `Type.field`.
fn arguments_of<'s>(schema: &'s Schema, place: &str) -> Vec<&'s str> {
    let field = place.split_once('.').and_then(|(type_name, name)| schema.type_field(type_name, name).ok());
    field
        .map(|field| field.arguments.iter().map(|argument| argument.name.as_str()).collect())
        .unwrap_or_default()
}

impl Documents {
    /// Returns an operation, or `None` if there is none with this name. One that may be in a document that could
    /// not be read is unknown.
    pub(crate) fn operation(&self, name: &str) -> Option<ReadOperation> {
        match self {
            Self::Valid { schema, operations } => {
                let operation = operations.operations.named.get(name)?;
                let structure = Structure { schema, document: operations };
                Some(ReadOperation {
                    text: structure.text(operation),
                    is_mutation: operation.is_mutation(),
                    declared: Some(declared(Some(schema), &operation.variables)),
                    selected: Some(structure.selected(operation)),
                })
            }
            Self::Partial(partial) => partial.operation(name),
        }
    }

    pub(crate) fn operation_names(&self) -> Vec<&str> {
        match self {
            Self::Valid { operations, .. } => operations.operations.named.keys().map(Name::as_str).collect(),
            Self::Partial(partial) => Written::of(&partial.written).names(),
        }
    }

    /// Returns the schema without the parts that no operation uses; `None` if there are mistakes.
    pub(crate) fn reduced_schema(&self) -> Option<String> {
        match self {
            Self::Valid { schema, operations } => Some(prune(schema, operations)),
            Self::Partial(_) => None,
        }
    }
}

impl Partial {
    fn operation(&self, name: &str) -> Option<ReadOperation> {
        if !self.is_complete {
            return Some(ReadOperation::default());
        }
        let written = Written::of(&self.written);
        let operation = written.operation(name)?;
        let mut declared = declared(self.schema.as_deref(), &operation.variables);
        let is_declared =
            |name: &&str| operation.variables.iter().any(|definition| definition.name.as_str() == *name);
        let uses = written.uses(operation);
        // The mistake is in the operation, not where the adapter names these.
        declared.extend(uses.variables.iter().filter(|name| !is_declared(name)).map(|name| Declared {
            variable: Variable::new(*name, Kind::Any),
            written: "an unknown type".to_owned(),
            is_known: false,
        }));
        Some(ReadOperation {
            text: String::new(),
            is_mutation: operation.operation_type == OperationType::Mutation,
            declared: Some(declared),
            selected: self.selected(name),
        })
    }

    /// Returns the structure of an operation without mistakes.
    fn selected(&self, name: &str) -> Option<Selected> {
        let (Some(schema), Some(document)) = (&self.schema, &self.typed) else { return None };
        let operation = document.operations.named.get(name).filter(|_| !self.broken.contains(name))?;
        Some(Structure { schema, document }.selected(operation))
    }
}
