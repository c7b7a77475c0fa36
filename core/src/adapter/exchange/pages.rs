//! Pages: walking to one by cursors, and links to those beside.

use super::Exchange;
use crate::{
    adapter::{
        program::{Pagination, Style},
        request::Source,
        variable::Variable,
    },
    json::{Decimal, Json, Value},
};

/// Which page was asked for, and how many are still to be walked over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) number: i64,
    pub(super) limit: i64,
    pub(super) before: i64,
}

pub(super) enum Walk {
    /// The page that was asked for, and whether more follow, if that is known.
    There(Option<bool>),
    /// A page before it.
    On,
    /// There are fewer pages.
    Beyond,
}

pub(super) fn whole_number(value: Option<Json<'_>>) -> Option<i64> {
    match value? {
        Json::Number(digits) => Decimal::parse(&digits)?.as_i64(),
        _ => None,
    }
}

impl Exchange {
    pub(super) fn walk(&mut self, pagination: &Pagination, data: Value<'_>) -> Walk {
        let Some(page) = &mut self.page else { return Walk::There(None) };
        let Style::Cursor(_, after, info, _) = &pagination.style else { return Walk::There(None) };
        let info = data.at_path(info);
        let more = info.and_then(|info| info.get("hasNextPage")).is_some_and(Value::is_true);
        if page.before == 0 {
            return Walk::There(Some(more));
        }
        let cursor = info.and_then(|info| info.get("endCursor")).filter(|_| more);
        let Some(cursor) = cursor.map(|cursor| cursor.json().into_owned()) else { return Walk::Beyond };
        page.before -= 1;
        self.variables.retain(|(name, _)| name != after);
        self.variables.push((after.clone().into(), cursor));
        Walk::On
    }

    pub(super) fn link(&self, pagination: &Pagination, page: Page, more: bool) -> String {
        let name =
            |variable: &Variable| variable.from.as_ref().map_or_else(|| variable.name.clone(), Source::name);
        let (page_name, limit_name) = (name(&pagination.page), name(&pagination.limit));
        let others: String = self
            .request
            .pairs()
            .filter(|(key, _)| *key != page_name && *key != limit_name)
            .map(|(key, value)| format!("{key}={value}&"))
            .collect();
        let to = |number: i64, relation: &str| {
            let (path, limit) = (&self.request.path, page.limit);
            format!("<{path}?{others}{page_name}={number}&{limit_name}={limit}>; rel=\"{relation}\"")
        };
        let mut links = Vec::new();
        if more {
            links.push(to(page.number + 1, "next"));
        }
        if page.number > 1 {
            links.push(to(page.number - 1, "prev"));
        }
        links.join(", ")
    }
}
