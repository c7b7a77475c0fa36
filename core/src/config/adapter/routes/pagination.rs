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

pub(super) fn read<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    operation: Option<&Operation>,
) -> Option<Pagination> {
    let mut fields = cursor.fields(HINT)?;
    let page = number(context, &mut fields, "page", 1);
    let limit = number(context, &mut fields, "limit", 20);
    let style = match (fields.optional("offset"), fields.optional("cursor")) {
        (Some(cursor), None) => by_offset(&cursor, operation)?,
        (None, Some(cursor)) => by_cursor(&cursor, operation)?,
        _ => {
            let hint = "write offset: { skip, take } or cursor: { first, after, page_info, max_pages }";
            return cursor.refuse("a pagination needs exactly one of offset and cursor", hint);
        }
    };
    let mut link = false;
    fields.set("link", &mut link, Cursor::bool)?;
    fields.finish();
    Some(Pagination { page: page?, limit: limit?, style, link })
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
    variables::one(context, &cursor, Declared { variable, written: "Int".to_owned() }, Typing::Operation)
}

fn by_offset(cursor: &Cursor<'_>, operation: Option<&Operation>) -> Option<Style> {
    let hint = "write offset: { skip: offset, take: limit } with the names of the variables";
    let mut fields = cursor.fields(hint)?;
    let skip = variable(&mut fields, "skip", hint, operation);
    let take = variable(&mut fields, "take", hint, operation);
    fields.finish();
    let (skip, take) = (skip?, take?);
    are_two(cursor, &skip, &take)?;
    Some(Style::Offset(skip, take))
}

fn by_cursor(cursor: &Cursor<'_>, operation: Option<&Operation>) -> Option<Style> {
    let hint = "write { first: first, after: after, page_info: reviews.pageInfo, max_pages: 10 }";
    let mut fields = cursor.fields(hint)?;
    let first = variable(&mut fields, "first", hint, operation);
    let after = variable(&mut fields, "after", hint, operation);
    let info = fields.required("page_info", hint);
    let names: Option<Vec<String>> = info
        .as_ref()
        .and_then(|cursor| cursor.string())
        .map(|text| text.split('.').map(str::to_owned).collect());
    let hint = "write the largest number of pages to fetch, such as 10";
    let max_pages =
        fields.require("max_pages", hint, |cursor| cursor.number_within((1.0, MAX_PAGES), "pages"));
    fields.finish();
    if let (Some(operation), Some(names), Some(cursor)) = (operation, &names, &info) {
        let selected = names.iter().try_fold(&operation.selected, |value, name| value.get(name));
        let complete =
            selected.is_some_and(|info| info.get("hasNextPage").is_some() && info.get("endCursor").is_some());
        if !complete {
            let place = names.join(".");
            let message = format!("{} does not select hasNextPage and endCursor at {place}", operation.name);
            cursor.report(message, "add pageInfo { hasNextPage endCursor } to the operation");
        }
    }
    let (first, after) = (first?, after?);
    are_two(cursor, &first, &after)?;
    // The limits fit.
    Some(Style::Cursor(first, after, names?, max_pages? as u32))
}

/// Reports a pagination that gives one variable two values. Stored ones are left as they are.
fn are_two(cursor: &Cursor<'_>, one: &str, other: &str) -> Option<()> {
    if one == other && !cursor.is_stored() {
        let hint = "name two variables, one for each value";
        return cursor.refuse(format!("{one} has its value from two places"), hint);
    }
    Some(())
}

/// Reads the name of a variable that the operation declares.
fn variable(
    fields: &mut Fields<'_>,
    name: &'static str,
    hint: &str,
    operation: Option<&Operation>,
) -> Option<String> {
    let cursor = fields.required(name, hint)?;
    let text = cursor.string()?;
    if let Some(Operation { name: operation, declared, .. }) = operation
        && declared.iter().all(|declared| declared.variable.name != text)
    {
        let names = declared.iter().map(|declared| declared.variable.name.as_str());
        let hint = did_you_mean(&text, names, || format!("declare ${text} in the operation"));
        return cursor.refuse(format!("{operation} declares no variable ${text}"), hint);
    }
    Some(text)
}
