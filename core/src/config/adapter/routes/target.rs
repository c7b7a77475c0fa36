//! Reads the target of a route: an operation, or a request to a REST backend.

use crate::config::{
    adapter::{
        graphql::{Declared, Documents, Selected},
        mapping::Context,
    },
    reading::{Cursor, did_you_mean},
};

/// The target of a route at its backend.
pub(super) enum Target {
    Operation(Operation),
    Rest,
}

/// An operation of a GraphQL backend.
pub(super) struct Operation {
    pub(super) name: String,
    /// True if it changes data, so that it may not be sent for a request that only reads.
    pub(super) is_mutation: bool,
    /// The document to send: the operation with its fragments.
    pub(super) text: String,
    pub(super) declared: Vec<Declared>,
    /// The structure of `data` in the response.
    pub(super) selected: Selected,
}

impl Target {
    pub(super) fn operation(&self) -> Option<&Operation> {
        match self {
            Self::Operation(operation) => Some(operation),
            Self::Rest => None,
        }
    }
}

/// Reads the target from the fields `operation` and `backend`, of which a route has one.
pub(super) fn read(
    context: &mut Context<'_>,
    route: &Cursor<'_>,
    operation: Option<&Cursor<'_>>,
    backend: Option<&Cursor<'_>>,
    documents: Option<&Documents>,
) -> Option<Target> {
    match (operation, backend) {
        (Some(cursor), None) => self::operation(context, cursor, documents).map(Target::Operation),
        (None, Some(_)) => {
            context.operation = "the backend".to_owned();
            Some(Target::Rest)
        }
        _ => {
            let hint = "name an operation, or write backend: { method, path } for a REST backend";
            route.refuse("a route needs exactly one of operation and backend", hint)
        }
    }
}

fn operation(
    context: &mut Context<'_>,
    cursor: &Cursor<'_>,
    documents: Option<&Documents>,
) -> Option<Operation> {
    let name = cursor.string()?;
    context.operation.clone_from(&name);
    // Documents that could not be read have been reported.
    let documents = documents?;
    let Some(operation) = documents.operation(&name) else {
        let hint = did_you_mean(&name, documents.operation_names(), || {
            "add it to the operations, with this name".to_owned()
        });
        return cursor.refuse(format!("there is no operation {name:?}"), hint);
    };
    Some(Operation {
        name,
        is_mutation: operation.is_mutation(),
        text: documents.text(operation),
        declared: documents.variables(operation),
        selected: documents.selected(operation),
    })
}
