//! Reads the target of a route: an operation, or a request to a REST backend.

use crate::config::{
    adapter::{
        documents::{Documents, ReadOperation},
        graphql::{Declared, Selected},
        mapping::Context,
        variables::Types,
    },
    reading::{Cursor, did_you_mean},
};

/// The target of a route at its backend.
pub(super) enum Target {
    Operation(Operation),
    Rest,
    /// A target with a mistake, which has been reported.
    Unknown,
}

/// An operation of a GraphQL backend.
pub(super) struct Operation {
    pub(super) name: String,
    /// True if it changes data, so that it may not be sent for a request that only reads.
    pub(super) is_mutation: bool,
    /// The document to send: the operation with its fragments. It is empty if the documents have mistakes.
    pub(super) text: String,
    /// The variables that it declares, if they are known.
    pub(super) declared: Option<Vec<Declared>>,
    /// The structure of `data` in the response, if it is known.
    pub(super) selected: Option<Selected>,
}

impl Target {
    pub(super) fn operation(&self) -> Option<&Operation> {
        match self {
            Self::Operation(operation) => Some(operation),
            Self::Rest | Self::Unknown => None,
        }
    }

    /// Returns the types of the route's variables.
    pub(super) fn types(&self) -> Types<'_> {
        match self {
            Self::Operation(Operation { declared: Some(declared), .. }) => Types::Declared(declared),
            Self::Operation(_) | Self::Unknown => Types::Unknown,
            Self::Rest => Types::File,
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
) -> Target {
    match (operation, backend) {
        (Some(cursor), None) => {
            self::operation(context, cursor, documents).map_or(Target::Unknown, Target::Operation)
        }
        (None, Some(_)) => {
            context.operation = "the backend".to_owned();
            Target::Rest
        }
        _ => {
            let hint = "name an operation, or write backend: { method, path } for a REST backend";
            route.report("a route needs exactly one of operation and backend", hint);
            Target::Unknown
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
    let Some(documents) = documents else {
        // The routes of stored adapters without operations were left out.
        if !cursor.is_stored() {
            let hint = "write schema: and operations: beside routes, or backend: for a REST backend";
            cursor.report("the adapter has no operations", hint);
        }
        return None;
    };
    let Some(ReadOperation { text, is_mutation, declared, selected }) = documents.operation(&name) else {
        let hint = did_you_mean(&name, documents.operation_names().into_iter(), || {
            "add it to the operations, with this name".to_owned()
        });
        return cursor.refuse(format!("there is no operation {name:?}"), hint);
    };
    Some(Operation { name, is_mutation, text, declared, selected })
}
