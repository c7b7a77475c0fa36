//! Reads one route of an adapter.

use super::{
    backend,
    claim::{self, Claim, RouteMatch},
    pagination::{self, Paging},
    response,
    target::{self, Operation, Target},
};
use crate::{
    adapter::{AdaptedRoute, Backend, BodyFields, Kind},
    config::{
        adapter::{documents::Documents, graphql::Declared, mapping::Context, variables},
        reading::{Cursor, EntryCursor},
    },
    routing::matcher::is_safe,
};

const HINT: &str = "write { match: { method, path }, operation, variables, root, response }";

/// All fields of a route.
const KEYS: [&str; 12] = [
    "match",
    "operation",
    "backend",
    "variables",
    "pagination",
    "root",
    "when_null",
    "partial",
    "response",
    "envelope",
    "status",
    "headers",
];

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
    fields.expect(&KEYS);
    let hint = "write match: { method: GET, path: /api/v1/reviews/{id} }";
    let RouteMatch { parameters, claim } =
        fields.required("match", hint).map(|cursor| claim::read(&cursor)).unwrap_or_default();
    context.parameters = parameters;
    let matched = claim.as_ref().map(|claim| (claim.matcher.clone(), claim.conditions.clone()));
    claims.extend(claim);
    let (named, rest) = (fields.optional("operation"), fields.optional("backend"));
    let target = match (&named, &rest) {
        // It will be reported with the right name.
        (None, None) if fields.is_misspelt("operation") || fields.is_misspelt("backend") => Target::Unknown,
        (named, rest) => target::read(context, cursor, named.as_ref(), rest.as_ref(), documents),
    };
    let operation = target.operation();
    if let (Some(cursor), Some(operation), Some((matcher, _))) = (&named, operation, &matched) {
        refuse_change(cursor, operation, &matcher.methods);
    }
    let variable_map = fields.optional("variables");
    let variables = variables::read(context, variable_map.as_ref(), target.types());
    let paging = fields.optional("pagination").map(|cursor| pagination::read(context, &cursor, operation));
    let paging = paging.unwrap_or_default();
    let entries = variable_map.as_ref().map(|cursor| cursor.entries(HINT)).unwrap_or_default();
    report_sent_twice(&entries, &paging);
    if let Some(declared) = operation.and_then(|operation| operation.declared.as_ref())
        && !fields.is_misspelt("variables")
    {
        let place = variable_map.unwrap_or_else(|| cursor.at_field("variables"));
        let mut declared = declared.clone();
        declared
            .iter_mut()
            .for_each(|declared| declared.variable.required &= !is_provided(declared, &paging));
        variables::report_missing(&place, &entries, &declared, variables::IN_BODY, |declared| {
            format!("{} needs ${}: {}", context.operation, declared.variable.name, declared.written)
        });
    }
    let response = response::read(context, &mut fields, operation, envelope);
    let request = rest.and_then(|cursor| backend::read(context, &cursor));
    fields.finish();
    let backend = match target {
        Target::Operation(operation) => Backend::GraphQl(operation.name, operation.text),
        Target::Rest => request?,
        Target::Unknown => return None,
    };
    let (matcher, conditions) = matched?;
    let mut route = AdaptedRoute {
        matcher,
        conditions,
        backend,
        reads_body: false,
        variables,
        pagination: paging.pagination,
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

/// Reports variables that the pagination sends too.
fn report_sent_twice(entries: &[EntryCursor<'_>], paging: &Paging) {
    let is_sent = |entry: &&EntryCursor<'_>| paging.numbers.iter().any(|name| name == entry.key);
    for entry in entries.iter().filter(is_sent).filter(|entry| !entry.key_cursor.is_stored()) {
        let message = format!("the pagination sends ${} too", entry.key);
        entry.key_cursor.report(message, "remove it here, or name another variable in the pagination");
    }
}

/// Returns true if the pagination provides a variable, or may be meant to: one with a mistake is a number.
fn is_provided(declared: &Declared, paging: &Paging) -> bool {
    let name = &declared.variable.name;
    let may_be_meant = paging.is_partial && declared.variable.kind == Kind::Int;
    may_be_meant || paging.numbers.contains(name) || paging.cursor.as_ref() == Some(name)
}
