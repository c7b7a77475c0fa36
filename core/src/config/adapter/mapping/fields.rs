//! Reads the keys of a mapping, one function per key.

use super::{
    checks::{conversion, warn_of_other_values},
    context::Context,
    page_url,
};
use crate::{
    adapter::{Conversion, DateForm, Literal, Step},
    config::{
        adapter::graphql::{Content, Selected},
        reading::{Cursor, nearest, scalar_key},
    },
};

/// All keys of a mapping, in the order in which messages list them.
pub(super) const KEYS: [&str; 24] = [
    "from",
    "const",
    "now",
    "request",
    "coalesce",
    "shape",
    "object",
    "each",
    "text",
    "url",
    "page_url",
    "length",
    "pick",
    "hide",
    "rename",
    "add",
    "as",
    "date",
    "map",
    "otherwise",
    "default",
    "hide_null",
    "wrap",
    "required",
];

/// A mapping of which some keys have been read.
pub(super) struct Draft {
    pub(super) steps: Vec<Step>,
    /// The structure of the value after these steps, if it is known.
    pub(super) value: Option<Selected>,
    /// The value for everything that `map` does not list.
    pub(super) otherwise: Option<Literal>,
}

/// Reads the value of one key into the draft. Returns `None` if it has a mistake, so that the structure of the
/// value is unknown.
type Read = for<'n> fn(&mut Context<'n>, &Cursor<'n>, &mut Draft) -> Option<()>;

/// The functions for the keys, in the order in which their steps are applied.
pub(super) const READERS: [(&str, Read); 23] = [
    ("from", from),
    ("const", constant),
    ("now", now),
    ("request", request),
    ("coalesce", coalesce),
    ("shape", shape),
    ("each", each),
    ("object", object),
    ("text", text),
    ("url", url),
    ("page_url", page),
    ("length", length),
    ("pick", pick),
    ("hide", hide),
    ("rename", rename),
    ("add", add),
    ("as", convert),
    ("date", date),
    ("map", table),
    ("default", default),
    ("hide_null", hide_null),
    ("wrap", wrap),
    ("required", required),
];

impl Draft {
    /// Replaces the source of the value by one of unknown structure.
    fn set_source(&mut self, step: Step) -> Option<()> {
        self.steps = vec![step];
        self.value = None;
        Some(())
    }

    /// Adds a step that makes a scalar of the given type.
    fn push_scalar(&mut self, step: Step, kind: &str, nullable: bool) -> Option<()> {
        self.steps.push(step);
        self.value = Some(Selected::scalar(kind, nullable));
        Some(())
    }

    /// Adds a step whose result has an unknown structure.
    fn push(&mut self, step: Step) -> Option<()> {
        self.steps.push(step);
        self.value = None;
        Some(())
    }
}

fn from<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let path = cursor.string()?;
    let mapping = context.path(cursor, &path, draft.value.take())?;
    draft.steps = mapping.shape.0;
    draft.value = mapping.value;
    Some(())
}

fn constant<'n>(_: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    draft.set_source(Step::Const(cursor.literal()))
}

fn now<'n>(_: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    draft.set_source(Step::Now(date_form(cursor)?))
}

fn request<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let place = cursor.string()?;
    draft.set_source(Step::Request(context.source(cursor, &place)?))
}

fn coalesce<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let mut shapes = Vec::new();
    let mut values = Vec::new();
    let items = cursor.list("write a list of mappings");
    for item in &items {
        if let Some(mapping) = context.mapping(item, draft.value.as_ref()) {
            shapes.push(mapping.shape);
            values.push(mapping.value);
        }
    }
    let is_fit = shapes.len() == items.len();
    draft.steps = vec![Step::Coalesce(shapes)];
    draft.value = common(values);
    is_fit.then_some(())
}

/// Returns the structure of the first of several values that is not null, if all of them have the same.
fn common(values: Vec<Option<Selected>>) -> Option<Selected> {
    let mut values = values.into_iter();
    let mut common = values.next()??;
    for value in values {
        let value = value.filter(|value| value.content == common.content)?;
        if !value.nullable {
            common = value;
        }
    }
    Some(common)
}

fn shape<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let mapping = context.named(cursor, draft.value.as_ref())?;
    draft.steps.extend(mapping.shape.0);
    draft.value = mapping.value;
    Some(())
}

fn each<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let item = match &draft.value {
        None => None,
        Some(Selected { content: Content::List(item), .. }) => Some((**item).clone()),
        Some(other) => {
            let hint = "map it with object or shape instead of each";
            cursor.report(format!("{} is not a list", other.written), hint);
            context.mapping(cursor, None);
            return None;
        }
    };
    let mapping = context.mapping(cursor, item.as_ref())?;
    draft.steps.push(Step::Each(mapping.shape));
    // Without the structure of the items, that of the list is of no use.
    draft.value = draft
        .value
        .take()
        .zip(mapping.value)
        .map(|(list, item)| Selected { content: Content::List(Box::new(item)), ..list });
    Some(())
}

fn object<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let fields = context.object(cursor, draft.value.as_ref());
    draft.push(Step::Object(fields))
}

fn text<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let text = context.text(cursor, draft.value.as_ref())?;
    draft.push_scalar(Step::Text(text.template), "String", text.nullable)
}

fn url<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let text = context.text(cursor, draft.value.as_ref())?;
    draft.push_scalar(Step::Url(text.template), "String", text.nullable)
}

fn page<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let page = page_url::read(context, cursor, draft.value.as_ref())?;
    draft.push_scalar(Step::PageUrl(Box::new(page.url)), "String", page.nullable)
}

fn length<'n>(_: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    if !cursor.bool()? {
        return Some(());
    }
    let nullable = match &draft.value {
        None => true,
        Some(Selected { content: Content::List(_), nullable, .. }) => *nullable,
        Some(other) => {
            let hint = "name the list whose items are to be counted, as in { from: users, length: true }";
            return cursor.refuse(format!("{} is not a list", other.written), hint);
        }
    };
    draft.push_scalar(Step::Length, "Int", nullable)
}

/// Reads the names of fields of the value.
fn names<'n>(context: &Context<'n>, cursor: &Cursor<'n>, draft: &Draft) -> Option<Vec<String>> {
    let items = cursor.list("write a list such as [\"a\", \"b\"]");
    let known = |item: &Cursor<'n>| {
        let name = item.loose_string()?;
        context.known(&item.at_path_of(cursor), draft.value.as_ref(), &name).then_some(name)
    };
    // All of them are read before the first mistake counts.
    let names: Vec<_> = items.iter().map(known).collect();
    names.into_iter().collect()
}

fn pick<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let names = names(context, cursor, draft)?;
    if let Some(Selected { content: Content::Object(fields), .. }) = &mut draft.value {
        fields.retain(|(field, _)| names.contains(field));
    }
    draft.steps.push(Step::Pick(names));
    Some(())
}

fn hide<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let names = names(context, cursor, draft)?;
    if let Some(Selected { content: Content::Object(fields), .. }) = &mut draft.value {
        fields.retain(|(field, _)| !names.contains(field));
    }
    draft.steps.push(Step::Hide(names));
    Some(())
}

fn rename<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut is_fit = true;
    for entry in cursor.entries("write old: new") {
        is_fit &= context.known(&entry.key_cursor.at_path_of(cursor), draft.value.as_ref(), entry.key);
        match entry.value.string() {
            Some(to) => pairs.push((entry.key.to_owned(), to)),
            None => is_fit = false,
        }
    }
    if let Some(Selected { content: Content::Object(fields), .. }) = &mut draft.value {
        for (name, _) in fields {
            if let Some((_, to)) = pairs.iter().find(|(from, _)| from == name) {
                name.clone_from(to);
            }
        }
    }
    draft.steps.push(Step::Rename(pairs));
    is_fit.then_some(())
}

fn add<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let fields = context.object(cursor, draft.value.as_ref());
    // Custom scalars may be objects.
    let has_fields = |value: &Selected| match &value.content {
        Content::Object(_) => true,
        Content::Scalar(name) => !matches!(name.as_str(), "Int" | "Float" | "String" | "ID" | "Boolean"),
        Content::List(_) | Content::Enum(_) => false,
    };
    if let Some(other) = draft.value.as_ref().filter(|value| !has_fields(value) && !cursor.is_stored()) {
        let hint = "add them to the items of a list with each, or write object for a new object";
        return cursor.refuse(format!("{} is not an object, which add needs", other.written), hint);
    }
    draft.push(Step::Add(fields))
}

fn convert<'n>(_: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let conversion = conversion(cursor, draft.value.as_ref())?;
    draft.push(Step::Convert(conversion))
}

fn date<'n>(_: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let hint = "write { from: epoch_ms, to: rfc3339 }; the formats are rfc3339, epoch and epoch_ms";
    let mut fields = cursor.fields(hint)?;
    let [from, to] = ["from", "to"].map(|name| fields.require(name, hint, date_form));
    fields.finish();
    let (from, to) = (from?, to?);
    if let Some(other) = draft.value.as_ref().filter(|value| !cursor.is_stored() && !is_time(value, from)) {
        let hint = "rfc3339 is a string, epoch and epoch_ms are numbers; name the part that holds the time, and its \
                    format";
        return cursor.refuse(format!("{} is no time in this format", other.written), hint);
    }
    draft.push(Step::Convert(Conversion::Date(from, to)))
}

fn table<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let entries = cursor.entries("write NEW: old, one line per value");
    if let Some(Selected { content: Content::Enum(names), written, .. }) = &draft.value {
        let mut unmapped: Vec<&str> = names.iter().map(String::as_str).collect();
        unmapped.retain(|name| entries.iter().all(|entry| entry.key != *name));
        // Also of an enum that may be null.
        let is_unknown = |key: &str| key != "null" && names.iter().all(|name| name != key);
        for entry in entries.iter().filter(|entry| is_unknown(entry.key)) {
            let near = nearest(entry.key, unmapped.iter().copied());
            // Of a named shape, another use may have an enum with this name.
            if (near.is_some() || context.open.is_empty()) && !cursor.is_stored() {
                let hint = match near {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("remove it; its values are {}", names.join(", ")),
                };
                entry.key_cursor.report(format!("{written} is never {}", entry.key), hint);
                unmapped.retain(|name| Some(*name) != near);
            }
        }
        for name in unmapped.iter().filter(|_| draft.otherwise.is_none()) {
            let hint = format!("add {name}, or set otherwise for all other values");
            cursor.report(format!("{written} may be {name}, which is not mapped"), hint);
        }
    }
    if draft.otherwise.is_none() {
        warn_of_other_values(context, cursor, draft.value.as_ref(), &entries);
    }
    let pairs = entries.iter().map(|entry| (Literal(scalar_key(entry.key)), entry.value.literal())).collect();
    let otherwise = draft.otherwise.take();
    draft.push(Step::Map(pairs, otherwise))
}

fn default<'n>(context: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    draft.steps.push(Step::Default(cursor.literal()));
    if let Some(value) = &mut draft.value {
        // Of a named shape, another use may need it.
        if !value.nullable && context.open.is_empty() && !cursor.is_stored() {
            let message = format!("{} is never null or absent, so that default is never used", value.written);
            cursor.report(message, "remove it");
        }
        value.nullable = false;
    }
    Some(())
}

fn hide_null<'n>(_: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    if cursor.bool()? {
        draft.steps.push(Step::HideNull);
    }
    Some(())
}

fn wrap<'n>(_: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    let path = cursor.string()?;
    draft.steps.extend(path.split('.').rev().map(|name| Step::Wrap(name.to_owned())));
    draft.value = None;
    Some(())
}

fn required<'n>(_: &mut Context<'n>, cursor: &Cursor<'n>, draft: &mut Draft) -> Option<()> {
    if cursor.bool()? {
        draft.steps.push(Step::Required);
        if let Some(value) = &mut draft.value {
            value.nullable = false;
        }
    }
    Some(())
}

/// Returns true if the values of a type may be times in a format. Custom scalars may be.
fn is_time(value: &Selected, form: DateForm) -> bool {
    let Content::Scalar(name) = &value.content else { return false };
    match name.as_str() {
        "Int" | "Float" => form != DateForm::Rfc3339,
        "String" => form == DateForm::Rfc3339,
        "Boolean" => false,
        _ => true,
    }
}

fn date_form(cursor: &Cursor<'_>) -> Option<DateForm> {
    let forms = [("rfc3339", DateForm::Rfc3339), ("epoch", DateForm::Epoch), ("epoch_ms", DateForm::EpochMs)];
    cursor.choice(&forms, "is not a time format", "write rfc3339, epoch (seconds) or epoch_ms")
}
