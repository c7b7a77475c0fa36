//! Reads headers, and refuses those that an adapter cannot pass on.

use super::{graphql::Selected, mapping::Context};
use crate::{
    adapter::{IF_NONE_MATCH, Part, Template},
    config::reading::{Cursor, EntryCursor},
    request::token::is_token,
};

/// The use that an adapter makes of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Its value in the client's request selects the adapter.
    Select,
    /// It is forwarded to the backend.
    Forward,
    /// It is forwarded to the backend, by an adapter that adds entity tags of its own.
    ForwardBesideTags,
    /// It is kept from the backend's response.
    Keep,
    /// It is added to a client's response.
    Add,
    /// It is added to every response of the adapter, with or without a body.
    AddToAll,
}

/// Headers that concern one connection, and are consumed there (RFC 9110, section 7.6.1).
const OF_A_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A reason to refuse a header, as the end of a message, and the remedy.
struct Refusal {
    reason: &'static str,
    hint: &'static str,
}

fn refusal(name: &str, usage: Use) -> Option<Refusal> {
    match (name, usage) {
        (_, Use::Select) => None,
        _ if OF_A_CONNECTION.contains(&name) => {
            Some(Refusal { reason: "concerns a single connection and is never passed on", hint: "remove it" })
        }
        ("content-length" | "content-encoding", _) => Some(Refusal {
            reason: "describes a body that the adapter replaces by another one",
            hint: "remove it; the runtime sets it for the new body",
        }),
        (IF_NONE_MATCH, Use::ForwardBesideTags) => Some(Refusal {
            reason: "names tags of this adapter, which the backend does not know",
            hint: "remove it, and the edge answers 304; or remove etag, and the backend's tags pass with \
                   keep_headers: [etag]",
        }),
        ("set-cookie", Use::Keep) => Some(Refusal {
            reason: "may occur several times, and several cookies cannot be joined in one header",
            hint: "remove it; a route whose responses set cookies needs no adapter, or a legacy response",
        }),
        ("content-type", Use::Keep) => Some(Refusal {
            reason: "describes a body that the adapter replaces by another one",
            hint: "remove it; write headers: { content-type: ... } in a route, or content_type: for all \
                   routes",
        }),
        ("content-type", Use::AddToAll) => Some(Refusal {
            reason: "describes a body, which not every response has",
            hint: "write content_type: beside headers; it is for the responses with a body",
        }),
        _ => None,
    }
}

/// Returns the name of a header in lower case, and reports it if it is none, or cannot have this use.
pub(super) fn name(cursor: &Cursor<'_>, written: &str, usage: Use) -> Option<String> {
    let name = written.to_ascii_lowercase();
    if !is_token(&name) {
        return cursor.refuse(format!("{written:?} is not the name of a header"), hint(written));
    }
    // Stored adapters may still have names that were refused only later, unless no request with them
    // can be sent.
    match refusal(&name, usage).filter(|_| !cursor.is_stored()) {
        Some(Refusal { reason, hint }) => cursor.refuse(format!("{name} {reason}"), hint),
        None => Some(name),
    }
}

/// Reads a list of names of headers. Returns them in lower case, without those that are reported.
pub(super) fn names(cursor: Option<Cursor<'_>>, usage: Use) -> Vec<String> {
    let hint = "write a list such as [x-request-id, accept-language]";
    let items = cursor.map(|cursor| cursor.list(hint)).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for item in &items {
        let Some(name) = item.loose_string().and_then(|written| name(item, &written, usage)) else {
            continue;
        };
        if names.contains(&name) && !item.is_stored() {
            item.report(format!("{name} is in this list twice"), "remove one of the two");
        }
        names.push(name);
    }
    names
}

/// Reads headers that are added to the successes of a route, whose places are those of the value. Returns their
/// names, in lower case, with their values, without those that are reported.
pub(super) fn added<'n>(
    context: &mut Context<'n>,
    entries: &[EntryCursor<'n>],
    value: Option<&Selected>,
) -> Vec<(String, Template)> {
    report_repeated(entries);
    entries.iter().filter_map(|entry| one(context, entry, Use::Add, value)).collect()
}

/// Reads headers that are added to responses, also to those for which the backend was not asked: the
/// places in their values are those of the request.
pub(super) fn of_requests<'n>(
    context: &mut Context<'n>,
    entries: &[EntryCursor<'n>],
    usage: Use,
) -> Vec<(String, Template)> {
    report_repeated(entries);
    let read = |entry: &EntryCursor<'n>| {
        let (name, value) = one(context, entry, usage, None)?;
        if let Some(place) = value.0.iter().find(|part| matches!(part, Part::Value(_))) {
            let message = format!("{{{}}} is not a place in the request", place.name());
            let hint = "write a place such as {header.origin}, or this header in the routes";
            return entry.value.refuse(message, hint);
        }
        Some((name, value))
    };
    entries.iter().filter_map(read).collect()
}

/// Reports headers whose names differ only in case. Equal names have been reported.
fn report_repeated(entries: &[EntryCursor<'_>]) {
    for (index, entry) in entries.iter().enumerate() {
        let is_same =
            |held: &EntryCursor<'_>| held.key != entry.key && held.key.eq_ignore_ascii_case(entry.key);
        if entries.iter().take(index).any(is_same) && !entry.key_cursor.is_stored() {
            let message = format!("the header {} is here twice: names do not depend on case", entry.key);
            entry.key_cursor.report(message, "remove one of the two");
        }
    }
}

fn one<'n>(
    context: &mut Context<'n>,
    entry: &EntryCursor<'n>,
    usage: Use,
    value: Option<&Selected>,
) -> Option<(String, Template)> {
    let name = name(&entry.key_cursor, entry.key, usage);
    let value = context.template_of(&entry.value, value)?;
    check_value(&entry.value, &value);
    Some((name?, value))
}

/// Reports the value of a header if it has characters that no header can carry: controls, and those
/// beyond Latin-1.
fn check_value(cursor: &Cursor<'_>, value: &Template) {
    // The Worker leaves out the controls of an adapter that was stored earlier.
    let is_sendable = |c: char| u32::from(c) <= 0xff && (!c.is_control() || cursor.is_stored());
    let is_fit = |part: &Part| match part {
        Part::Text(text) => text.chars().all(is_sendable),
        Part::Request(_) | Part::Value(_) => true,
    };
    if !value.0.iter().all(is_fit) {
        let hint = "write it with ASCII characters, for example percent-encoded";
        cursor.report("the value has characters that no header can carry", hint);
    }
}

/// Reads a media type, the value of `content-type`.
pub(super) fn media_type(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.string()?;
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_type = essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    if !is_type || !text.chars().all(|c| c.is_ascii() && !c.is_control()) {
        let hint = "write one such as \"application/json; charset=utf-8\"";
        return cursor.refuse(format!("{text:?} is not a media type"), hint);
    }
    Some(text)
}

/// Returns the remedy for a name that is none: the name with a dash for everything else, if it has
/// letters.
fn hint(written: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = written.trim().trim_end_matches(':').chars().map(fit).collect();
    if name.contains(|c: char| c.is_ascii_alphabetic()) {
        format!("write a name without spaces and punctuation, such as {name}")
    } else {
        "write the name of a header, such as x-request-id".to_owned()
    }
}
