//! Reads the pagination of a route.

use super::target::Operation;
use crate::{
    adapter::{Kind, Literal, Pagination, Style, Variable},
    config::{
        adapter::{graphql::Declared, mapping::Context, variables, variables::Typing},
        reading::{Cursor, Fields, did_you_mean},
    },
    json::value::Json,
};

/// The largest `max_pages` of a cursor pagination; each page is a request to the backend.
const MAX_PAGES: f64 = 50.0;

const HINT: &str =
    "write { page: query.page, limit: { from: query.limit, default: 20 }, offset: { skip, take } }";

/// The pagination of a route, as far as it could be read.
#[derive(Default)]
pub(super) struct Paging {
    pub(super) pagination: Option<Pagination>,
    /// The variables that are sent as numbers.
    pub(super) numbers: Vec<String>,
    /// The variable that is sent as a cursor.
    pub(super) cursor: Option<String>,
    /// True if there is a variable whose name could not be read.
    pub(super) is_partial: bool,
}

/// The value that a pagination sends.
#[derive(Clone, Copy)]
enum Sent {
    Number,
    Cursor,
}

pub(super) fn read<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    operation: Option<&Operation>,
) -> Paging {
    let mut paging = Paging { is_partial: true, ..Paging::default() };
    let Some(mut fields) = cursor.fields(HINT) else { return paging };
    let page = number(context, &mut fields, "page", 1);
    let limit = number(context, &mut fields, "limit", 20);
    let style = match (fields.optional("offset"), fields.optional("cursor")) {
        (Some(cursor), None) => by_offset(&cursor, operation, &mut paging),
        (None, Some(cursor)) => by_cursor(&cursor, operation, &mut paging),
        _ => {
            let hint = "write offset: { skip, take } or cursor: { first, after, page_info, max_pages }";
            cursor.refuse("a pagination needs exactly one of offset and cursor", hint)
        }
    };
    let link = fields.read("link", Cursor::bool).unwrap_or_default();
    fields.finish();
    if let (Some(page), Some(limit), Some(style)) = (page, limit, style) {
        paging.pagination = Some(Pagination { page, limit, style, link });
    }
    paging
}

/// Reads the place of a number of pages or items in the request.
fn number<'n>(
    context: &mut Context<'n>,
    fields: &mut Fields<'n>,
    name: &'static str,
    default: i64,
) -> Option<Variable> {
    let mut variable = Variable::new(name, Kind::Int);
    variable.min = Some(1.0);
    variable.default = Some(Literal(Json::integer(default)));
    let cursor = fields.required(name, HINT)?;
    let declared = Declared { variable, written: "Int".to_owned(), is_known: true };
    variables::one(context, &cursor, declared, Typing::Operation)
}

fn by_offset(cursor: &Cursor<'_>, operation: Option<&Operation>, paging: &mut Paging) -> Option<Style> {
    let hint = "write offset: { skip: offset, take: limit } with the names of the variables";
    let mut fields = cursor.fields(hint)?;
    let [skip, take] = ["skip", "take"]
        .map(|name| fields.require(name, hint, |cursor| variable(cursor, operation, Sent::Number)));
    fields.finish();
    paging.is_partial = skip.is_none() || take.is_none();
    paging.numbers.extend(skip.iter().chain(&take).cloned());
    let (skip, take) = (skip?, take?);
    are_two(cursor, &skip, &take)?;
    Some(Style::Offset(skip, take))
}

fn by_cursor(cursor: &Cursor<'_>, operation: Option<&Operation>, paging: &mut Paging) -> Option<Style> {
    let hint = "write { first: first, after: after, page_info: reviews.pageInfo, max_pages: 10 }";
    let mut fields = cursor.fields(hint)?;
    let first = fields.require("first", hint, |cursor| variable(cursor, operation, Sent::Number));
    let after = fields.require("after", hint, |cursor| variable(cursor, operation, Sent::Cursor));
    let names = fields.require("page_info", hint, |cursor| page_info(cursor, operation));
    let hint = "write the largest number of pages to fetch, such as 10";
    let max_pages =
        fields.require("max_pages", hint, |cursor| cursor.whole_number_within((1.0, MAX_PAGES), "pages"));
    fields.finish();
    paging.is_partial = first.is_none() || after.is_none();
    paging.numbers.extend(first.clone());
    paging.cursor.clone_from(&after);
    let (first, after) = (first?, after?);
    are_two(cursor, &first, &after)?;
    Some(Style::Cursor(first, after, names?, max_pages?))
}

/// Reads the path of `pageInfo`, and checks it against the selection of the operation.
fn page_info(cursor: &Cursor<'_>, operation: Option<&Operation>) -> Option<Vec<String>> {
    let names: Vec<String> = cursor.string()?.split('.').map(str::to_owned).collect();
    if let Some(Operation { name, selected: Some(selected), .. }) = operation {
        let info = names.iter().try_fold(selected, |value, name| value.get(name));
        let is_complete =
            info.is_some_and(|info| info.get("hasNextPage").is_some() && info.get("endCursor").is_some());
        if !is_complete {
            let place = names.join(".");
            let message = format!("{name} does not select hasNextPage and endCursor at {place}");
            cursor.report(message, "add pageInfo { hasNextPage endCursor } to the operation");
        }
    }
    Some(names)
}

/// Reports a pagination that gives one variable two values. Stored ones are left as they are.
fn are_two(cursor: &Cursor<'_>, one: &str, other: &str) -> Option<()> {
    if one == other && !cursor.is_stored() {
        let hint = "name two variables, one for each value";
        return cursor.refuse(format!("{one} has its value from two places"), hint);
    }
    Some(())
}

/// Reads the name of a variable that the operation declares, with a type that fits.
fn variable(cursor: &Cursor<'_>, operation: Option<&Operation>, sent: Sent) -> Option<String> {
    let text = cursor.string()?;
    let Some(Operation { name, declared: Some(declared), .. }) = operation else { return Some(text) };
    let Some(found) = declared.iter().find(|declared| declared.variable.name == text) else {
        let names = declared.iter().map(|declared| declared.variable.name.as_str());
        let hint = did_you_mean(&text, names, || format!("declare ${text} in the operation"));
        return cursor.refuse(format!("{name} declares no variable ${text}"), hint);
    };
    let (is_fit, value, wanted) = match sent {
        Sent::Number => (is_number(&found.variable.kind), "a number", "Int"),
        Sent::Cursor => (is_cursor(&found.variable.kind), "a cursor", "String"),
    };
    if !is_fit && !cursor.is_stored() {
        let message = format!("${text} of {name} is {}, and the pagination sends {value}", found.written);
        return cursor.refuse(message, format!("name a variable of the type {wanted}"));
    }
    Some(text)
}

/// Returns true if a number may be of this kind.
fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Int | Kind::Float | Kind::Id | Kind::Any)
}

/// Returns true if a cursor, which is a string, may be of this kind.
fn is_cursor(kind: &Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Id | Kind::Any)
}
