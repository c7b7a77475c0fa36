//! Pagination: walking to a page by cursors, and `Link` headers to the next and previous one.

use crate::{
    adapter::{
        exchange::question::Variables,
        program::{Pagination, Style},
        request::{Request, Source},
        variable::Variable,
    },
    json::{Decimal, Value, list_index, value::Json},
};

/// The requested page, and the number of pages still to be walked over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) number: i64,
    pub(super) limit: i64,
    pub(super) before: i64,
}

pub(super) enum Walk {
    /// The requested page; true if more pages follow, `None` if that is unknown.
    There(Option<bool>),
    /// A page before the requested one.
    On,
    /// The requested page is past the last one.
    Beyond,
}

pub(super) fn whole_number(value: Option<Json<'_>>) -> Option<i64> {
    match value? {
        Json::Number(digits) => Decimal::parse(&digits)?.as_i64(),
        _ => None,
    }
}

/// Takes the cursor of a page before the requested one into the variables of the next request.
pub(super) fn walk(
    page: Option<&mut Page>,
    variables: &mut Variables<'static>,
    pagination: &Pagination,
    data: Value<'_>,
) -> Walk {
    let Some(page) = page else { return Walk::There(None) };
    let Style::Cursor(_, after, info, _) = &pagination.style else { return Walk::There(None) };
    let info = data.at_path(info);
    let is_last = !info.and_then(|info| info.get("hasNextPage")).is_some_and(Value::is_true);
    // Without a cursor there is no next page: the backend would return the first one again.
    let cursor = info.and_then(|info| info.get("endCursor"));
    let cursor = cursor.filter(|cursor| !is_last && !cursor.is_null());
    if page.before == 0 {
        return Walk::There(Some(cursor.is_some()));
    }
    let Some(cursor) = cursor.map(|cursor| cursor.json().into_owned()) else { return Walk::Beyond };
    page.before -= 1;
    variables.retain(|(name, _)| name != after);
    variables.push((after.clone().into(), cursor));
    Walk::On
}

/// Returns the data of the page after the last one, as JSON: the data of the last one, with the lists
/// beside `pageInfo` empty. Returns `None` if there are none.
pub(super) fn emptied(pagination: &Pagination, data: Value<'_>) -> Option<String> {
    let Style::Cursor(_, _, info, _) = &pagination.style else { return None };
    let (info, connection) = info.split_last()?;
    let mut data = data.json();
    let connection = connection.iter().try_fold(&mut data, |value, name| part(value, name))?;
    let Json::Object(fields) = connection else { return None };
    let mut has_list = false;
    for (name, value) in fields {
        match value {
            Json::List(items) => {
                items.clear();
                has_list = true;
            }
            Json::Object(parts) if *name == *info => {
                for (part, value) in parts {
                    match &**part {
                        "hasNextPage" => *value = Json::Bool(false),
                        "endCursor" => *value = Json::Null,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    has_list.then(|| data.to_string())
}

/// Returns the part that a name in a path stands for: an item of a list, or the field with this name, the
/// last one if the name is repeated.
fn part<'v, 'j>(value: &'v mut Json<'j>, name: &str) -> Option<&'v mut Json<'j>> {
    match value {
        Json::List(items) => items.get_mut(list_index(name)?),
        Json::Object(fields) => {
            fields.iter_mut().rev().find(|(held, _)| held == name).map(|(_, value)| value)
        }
        _ => None,
    }
}

impl Page {
    /// Builds the `Link` header to the next page, if there are more, and to the previous one.
    pub(super) fn link(self, pagination: &Pagination, request: &Request, more: bool) -> String {
        let name =
            |variable: &Variable| variable.from.as_ref().map_or_else(|| variable.name.clone(), Source::name);
        let (page_name, limit_name) = (name(&pagination.page), name(&pagination.limit));
        let others: String = request
            .pairs()
            .filter(|(key, _)| *key != page_name && *key != limit_name)
            .map(|(key, value)| format!("{key}={value}&"))
            .collect();
        let to = |number: i64, relation: &str| {
            let (path, limit) = (&request.path, self.limit);
            format!("<{path}?{others}{page_name}={number}&{limit_name}={limit}>; rel=\"{relation}\"")
        };
        let mut links = Vec::new();
        if more {
            links.push(to(self.number + 1, "next"));
        }
        if self.number > 1 {
            links.push(to(self.number - 1, "prev"));
        }
        links.join(", ")
    }
}
