//! Reads one route of an adapter.

use super::{
    backend, pagination, response,
    target::{self, Operation, Target},
};
use crate::{
    adapter::{AdaptedRoute, Backend, BodyFields, Pagination, Style},
    config::{
        adapter::{graphql::Documents, mapping::Context, variables},
        matcher::{method, pattern},
        reading::{Cursor, EntryCursor},
    },
    routing::matcher::Matcher,
};

const HINT: &str = "write { match: { method, path }, operation, variables, root, response }";

/// Reads one route. `envelope` is the mapping that all responses of the adapter are wrapped by.
pub(crate) fn read<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    documents: Option<&Documents>,
    envelope: Option<&Cursor<'n>>,
) -> Option<AdaptedRoute> {
    let mut fields = cursor.fields(HINT)?;
    let hint = "write match: { method: GET, path: /api/v1/reviews/{id} }";
    let matcher = fields.require("match", hint, matcher);
    context.parameters = matcher.iter().flat_map(|matcher| parameters(&matcher.path)).collect();
    let (operation, rest) = (fields.optional("operation"), fields.optional("backend"));
    let target = target::read(context, cursor, operation.as_ref(), rest.as_ref(), documents);
    let operation = target.as_ref().and_then(|target| target.operation());
    let variable_map = fields.optional("variables");
    let variables = match &target {
        None => Vec::new(),
        Some(_) => {
            let declared = operation.map(|operation| operation.declared.as_slice());
            variables::read(context, variable_map.as_ref(), declared)
        }
    };
    let pagination = fields.read("pagination", |cursor| pagination::read(context, cursor, operation));
    if let Some(operation) = operation {
        let entries = variable_map.as_ref().map(|cursor| cursor.entries(HINT)).unwrap_or_default();
        let place = variable_map.unwrap_or_else(|| cursor.at_field("variables"));
        require_variables(&place, &entries, operation, pagination.as_ref());
    }
    let response = response::read(context, cursor, &mut fields, operation, envelope);
    fields.finish();
    let backend = match target? {
        Target::Operation(operation) => Backend::GraphQl(operation.name, operation.text),
        Target::Rest => backend::read(context, &rest?)?,
    };
    let mut route = AdaptedRoute {
        matcher: matcher?,
        backend,
        reads_body: false,
        variables,
        pagination,
        root: response.root,
        when_null: response.when_null,
        partial: response.partial,
        status: response.status?,
        response: response.shape,
        headers: response.headers,
    };
    route.reads_body = BodyFields::are_read_by(&route, context.shared.as_slice());
    fields.clean()?;
    Some(route)
}

/// Reports required variables that neither the route nor its pagination provides.
fn require_variables(
    cursor: &Cursor<'_>,
    entries: &[EntryCursor<'_>],
    operation: &Operation,
    pagination: Option<&Pagination>,
) {
    let provided: Vec<&str> =
        pagination.into_iter().flat_map(|pagination| page_variables(&pagination.style)).collect();
    let declared = operation.declared.iter();
    let needed = declared.filter(|declared| !provided.contains(&declared.variable.name.as_str()));
    variables::report_missing(cursor, entries, needed, |declared| {
        format!("{} needs ${}: {}", operation.name, declared.variable.name, declared.written)
    });
}

/// Returns the names of the variables that a pagination provides.
fn page_variables(style: &Style) -> [&str; 2] {
    match style {
        Style::Offset(skip, take) => [skip, take],
        Style::Cursor(first, after, ..) => [first, after],
    }
}

/// Returns the names of the parameters of a pattern.
fn parameters(path: &str) -> Vec<String> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    names.map(|name| name.trim_start_matches('*').to_owned()).collect()
}

fn matcher(cursor: &Cursor<'_>) -> Option<Matcher> {
    let mut fields = cursor.fields("write { method: GET, path: /api/v1/reviews/{id} }")?;
    let method = fields.require("method", "write method: GET", method);
    let pattern = fields.require("path", "write path: /api/v1/reviews/{id}", pattern);
    fields.finish();
    Some(Matcher { methods: vec![method?], path: pattern? })
}
