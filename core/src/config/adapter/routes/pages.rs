//! Reads how pages are asked for.

use super::Asked;
use crate::{
    adapter::{Kind, Literal, Pagination, Style, Variable},
    config::{
        adapter::{
            graphql::{Holds, Selected},
            mapping::Context,
            variables,
        },
        node::Node,
        reader::{Fields, Reader, did_you_mean, join},
    },
    json::Json,
};

/// Pages that a walk by cursors may be declared to take; each is a request to the backend.
const MAX_WALK: f64 = 50.0;

pub(super) fn pagination<'n>(
    context: &mut Context<'n>,
    reader: &mut Reader,
    node: &'n Node,
    path: &str,
    asked: &Option<Asked>,
) -> Option<Pagination> {
    let hint =
        "write { page: query.page, limit: { from: query.limit, default: 20 }, offset: { skip, take } }";
    let mut fields = reader.fields(node, path, hint)?;
    let number = |context: &mut Context<'n>,
                  reader: &mut Reader,
                  fields: &mut Fields<'n>,
                  name: &'static str,
                  default: i64| {
        let at = join(path, name);
        let mut variable = Variable::new(name, Kind::Int);
        variable.min = Some(1.0);
        variable.default = Some(Literal(Json::integer(default)));
        let node = fields.required(reader, name, hint)?;
        variables::one(context, reader, node, &at, variable, ("Int", true))
    };
    let page = number(context, reader, &mut fields, "page", 1);
    let limit = number(context, reader, &mut fields, "limit", 20);
    let style = match (fields.optional("offset"), fields.optional("cursor")) {
        (Some(node), None) => {
            let hint = "write offset: { skip: offset, take: limit } with the names of the variables";
            let mut names = reader.fields(node, &join(path, "offset"), hint)?;
            let skip = variable(reader, &mut names, "skip", hint, asked);
            let take = variable(reader, &mut names, "take", hint, asked);
            names.finish(reader);
            Style::Offset(skip?, take?)
        }
        (None, Some(node)) => cursor(reader, node, &join(path, "cursor"), asked)?,
        _ => {
            let hint = "write offset: { skip, take } or cursor: { first, after, page_info, max_pages }";
            reader.report(node, path, "a pagination has offset or cursor, and one of them only", hint);
            return None;
        }
    };
    let link = match fields.optional("link") {
        Some(node) => reader.truth(node, &join(path, "link"))?,
        None => false,
    };
    fields.finish(reader);
    Some(Pagination { page: page?, limit: limit?, style, link })
}

/// The name of a variable that the operation declares.
fn variable(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    name: &'static str,
    hint: &str,
    asked: &Option<Asked>,
) -> Option<String> {
    let path = fields.path(name);
    let node = fields.required(reader, name, hint)?;
    let text = reader.text(node, &path)?;
    if let Some(Asked::Operation(operation, _, declared, ..)) = asked
        && declared.iter().all(|(variable, _)| variable.name != text)
    {
        let hint = did_you_mean(&text, declared.iter().map(|(variable, _)| variable.name.as_str()), || {
            format!("declare ${text} in the operation")
        });
        reader.report(node, &path, format!("{operation} declares no variable ${text}"), hint);
        return None;
    }
    Some(text)
}

fn cursor(reader: &mut Reader, node: &Node, path: &str, asked: &Option<Asked>) -> Option<Style> {
    let hint = "write { first: first, after: after, page_info: reviews.pageInfo, max_pages: 10 }";
    let mut fields = reader.fields(node, path, hint)?;
    let first = variable(reader, &mut fields, "first", hint, asked);
    let after = variable(reader, &mut fields, "after", hint, asked);
    let info_path = fields.path("page_info");
    let info = fields.required(reader, "page_info", hint);
    let names: Option<Vec<String>> = info
        .and_then(|node| reader.text(node, &info_path))
        .map(|text| text.split('.').map(str::to_owned).collect());
    let most_path = fields.path("max_pages");
    let most = fields.required(reader, "max_pages", "say how many pages may be walked, such as 10");
    let most = most.and_then(|node| reader.number_within(node, &most_path, (1.0, MAX_WALK), "pages"));
    fields.finish(reader);
    if let (Some(Asked::Operation(operation, _, _, selected)), Some(names), Some(node)) =
        (asked, &names, info)
    {
        let found = names.iter().try_fold(selected, |held, name| held.get(name));
        let whole =
            found.is_some_and(|info| info.get("hasNextPage").is_some() && info.get("endCursor").is_some());
        if !whole {
            let message =
                format!("{operation} does not select hasNextPage and endCursor at {}", names.join("."));
            reader.report(
                node,
                &info_path,
                message,
                "add pageInfo { hasNextPage endCursor } to the operation",
            );
        }
    }
    // Between the bounds, which fit.
    Some(Style::Cursor(first?, after?, names?, most? as u32))
}

impl Selected {
    fn get(&self, name: &str) -> Option<&Self> {
        match &self.holds {
            Holds::Object(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, found)| found),
            _ => None,
        }
    }
}
