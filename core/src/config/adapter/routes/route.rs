//! Reads one route of an adapter.

use super::{
    backend,
    claim::{self, Claim, RouteMatch},
    pagination, response,
    target::{self, Operation, Target},
};
use crate::{
    adapter::{AdaptedRoute, Backend, BodyFields, Pagination, Style},
    config::{
        adapter::{graphql::Documents, mapping::Context, variables},
        reading::{Cursor, EntryCursor},
    },
    routing::matcher::is_safe,
};

const HINT: &str = "write { match: { method, path }, operation, variables, root, response }";

/// Reads one route. `envelope` is the mapping that all responses of the adapter are wrapped by. The
/// requests that it claims go to `claims`, also if there are mistakes in the rest of it.
pub(crate) fn read<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    documents: Option<&Documents>,
    envelope: Option<&Cursor<'n>>,
    claims: &mut Vec<Claim<'n>>,
) -> Option<AdaptedRoute> {
    let mut fields = cursor.fields(HINT)?;
    let hint = "write match: { method: GET, path: /api/v1/reviews/{id} }";
    let RouteMatch { parameters, claim } =
        fields.required("match", hint).map(|cursor| claim::read(&cursor)).unwrap_or_default();
    context.parameters = parameters;
    let matched = claim.as_ref().map(|claim| (claim.matcher.clone(), claim.conditions.clone()));
    claims.extend(claim);
    let (named, rest) = (fields.optional("operation"), fields.optional("backend"));
    let target = target::read(context, cursor, named.as_ref(), rest.as_ref(), documents);
    let operation = target.as_ref().and_then(|target| target.operation());
    if let (Some(cursor), Some(operation), Some((matcher, _))) = (&named, operation, &matched) {
        refuse_change(cursor, operation, &matcher.methods);
    }
    let variable_map = fields.optional("variables");
    let variables = match &target {
        None => Vec::new(),
        Some(_) => {
            let declared = operation.map(|operation| operation.declared.as_slice());
            variables::read(context, variable_map.as_ref(), declared)
        }
    };
    let pagination = fields.read("pagination", |cursor| pagination::read(context, cursor, operation));
    // Without either of them, nothing needs the entries again.
    let is_needed = operation.is_some() || pagination.is_some();
    let entries = variable_map.as_ref().filter(|_| is_needed);
    let entries = entries.map(|cursor| cursor.entries(HINT)).unwrap_or_default();
    refuse_second_places(&entries, pagination.as_ref());
    if let Some(operation) = operation {
        let place = variable_map.unwrap_or_else(|| cursor.at_field("variables"));
        require_variables(&place, &entries, operation, pagination.as_ref());
    }
    let response = response::read(context, cursor, &mut fields, operation, envelope);
    fields.finish();
    let backend = match target? {
        Target::Operation(operation) => Backend::GraphQl(operation.name, operation.text),
        Target::Rest => backend::read(context, &rest?)?,
    };
    let (matcher, conditions) = matched?;
    let mut route = AdaptedRoute {
        matcher,
        conditions,
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

/// Reports a mutation for requests that only read. Such requests are repeated at legacy, and sent to both
/// backends for comparisons.
fn refuse_change(cursor: &Cursor<'_>, operation: &Operation, methods: &[String]) {
    let safe = methods.iter().find(|method| is_safe(method));
    if let Some(method) = safe.filter(|_| operation.is_mutation && !cursor.is_stored()) {
        let hint = "give the route the method of a change, such as POST";
        cursor.report(format!("{method} {} is a mutation", operation.name), hint);
    }
}

/// Reports variables of the route whose values come from its pagination too.
fn refuse_second_places(entries: &[EntryCursor<'_>], pagination: Option<&Pagination>) {
    let provided = pagination.map(|pagination| page_variables(&pagination.style)).unwrap_or_default();
    for entry in entries.iter().filter(|entry| provided.contains(&entry.key) && !entry.value.is_stored()) {
        let message = format!("{} has its value from the pagination already", entry.key);
        entry.key_cursor.report(message, "remove it here, or name another variable in the pagination");
    }
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
