//! Reads the names of headers, and refuses those that an adapter cannot pass on.

use crate::{
    adapter::{IF_NONE_MATCH, Part, Template},
    config::reading::Cursor,
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
    /// It is added to the client's response.
    Add,
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
            hint: "remove it; write headers: { content-type: ... } in the routes that do not send \
                   application/json",
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
    items.iter().filter_map(|item| name(item, &item.loose_string()?, usage)).collect()
}

/// Reports the value of a header if it has characters beyond Latin-1, which no header can carry.
pub(super) fn check_value(cursor: &Cursor<'_>, value: &Template) {
    let is_fit = |part: &Part| match part {
        Part::Text(text) => text.chars().all(|c| u32::from(c) <= 0xff),
        Part::Request(_) | Part::Value(_) => true,
    };
    if !value.0.iter().all(is_fit) {
        let hint = "write it with ASCII characters, for example percent-encoded";
        cursor.report("the value has characters that no header can carry", hint);
    }
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
