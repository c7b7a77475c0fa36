//! Reads URLs of pages.

use super::{context::Context, paths};
use crate::{
    adapter::{Kept, PagePosition, PageUrl, Part},
    config::{
        adapter::graphql::Selected,
        reading::{Cursor, Value},
    },
};

const HINT: &str = "write { base: \"https://api.example/users\", page: next, keep: [name] }";

/// The URL of a page, as it was read.
pub(super) struct ReadUrl {
    pub(super) url: PageUrl,
    /// True if the URL may be null or absent.
    pub(super) nullable: bool,
}

/// Reads the URL of a page whose number is in the value.
pub(super) fn read<'n>(
    context: &mut Context<'n>,
    cursor: &Cursor<'n>,
    value: Option<&Selected>,
) -> Option<ReadUrl> {
    let mut fields = cursor.fields(HINT)?;
    let base = fields.require("base", HINT, |cursor| {
        let base = context.text(cursor, value)?;
        let has_fragment = |part: &Part| matches!(part, Part::Text(fixed) if fixed.contains('#'));
        if base.template.0.iter().any(has_fragment) {
            return cursor
                .refuse("the parameters would be behind the #", "remove the # and the text after it");
        }
        Some(base)
    });
    let mut nullable = false;
    let page = fields.require("page", HINT, |cursor| {
        let names = paths::names(cursor, &cursor.string()?)?;
        nullable = context.scalar(cursor, value, &names)?;
        Some(names)
    });
    let mut parameter = "page".to_owned();
    fields.set("parameter", &mut parameter, Cursor::loose_string)?;
    let keep = fields.read("keep", |cursor| keep(cursor, &parameter)).unwrap_or_default();
    let positions =
        [("first", PagePosition::First), ("last", PagePosition::Last), ("same", PagePosition::Same)];
    let hint = "write first, last, or same for the place where the client wrote it";
    let position = fields.read("position", |cursor| cursor.choice(&positions, "is not a position", hint));
    fields.finish()?;
    let base = base?;
    Some(ReadUrl {
        nullable: nullable || base.nullable,
        url: PageUrl {
            base: base.template,
            page: page?,
            parameter,
            keep,
            position: position.unwrap_or_default(),
        },
    })
}

/// Reads the parameters of the client's query that are kept.
fn keep(cursor: &Cursor<'_>, parameter: &str) -> Option<Kept> {
    if *cursor.value() == Value::String("all".to_owned()) {
        return Some(Kept::All);
    }
    let hint = "write a list of names, such as [name, status], or all";
    let mut names = Vec::new();
    for item in cursor.list(hint) {
        let Some(name) = item.loose_string() else { continue };
        if name == parameter {
            item.report(format!("{name} is the number of the page, which is always written"), "remove it");
        }
        names.push(name);
    }
    Some(Kept::Named(names))
}
