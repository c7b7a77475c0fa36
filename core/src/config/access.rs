//! Reads the access to evaluations, the part `ofrep` of a file.

use super::reading::{Cursor, Fields, Value};
use crate::values::access::{Access, AccessToken, FlagPattern};
use std::num::NonZeroU32;

/// Most tokens. Each request with a token is compared with all of them.
const MAX_TOKENS: usize = 100;

/// Most patterns of one token, and most origins.
const MAX_ITEMS: usize = 100;

/// Limits of the requests of one token in a second.
const REQUESTS: (f64, f64) = (1.0, 100_000.0);

const TOKENS_HINT: &str = "write a list, each item with name, sha256 and flags";
const HASH_HINT: &str =
    "write the SHA-256 of the token, which `openssl dgst -sha256` prints; never the token itself";
const PATTERN_HINT: &str = "write the name of a flag, the beginning of names and *, or * for all flags";
const ORIGIN_HINT: &str = "write an origin such as https://app.example, or \"*\" for every page";

/// Reads the access to evaluations.
pub(super) fn read(cursor: &Cursor<'_>) -> Option<Access> {
    let mut fields = cursor.fields("write tokens below ofrep")?;
    let tokens = tokens(&mut fields);
    let origins = fields.list("origins", "write a list of origins");
    report_count(cursor.at_field("origins"), origins.len(), MAX_ITEMS);
    let origins = origins.iter().filter_map(|origin| origin.parse(ORIGIN_HINT)).collect();
    let anonymous = fields.read("anonymous", Cursor::bool).unwrap_or_default();
    let requests_per_second = fields.present("requests_per_second").and_then(|cursor| {
        cursor.whole_number_within(REQUESTS, "requests in a second").and_then(NonZeroU32::new)
    });
    fields.finish()?;
    if tokens.is_empty() && !anonymous {
        let hint = "write tokens, or anonymous: true if everybody may evaluate all flags";
        return cursor.refuse("nobody may evaluate flags", hint);
    }
    Some(Access { tokens, origins, anonymous, requests_per_second })
}

/// Reads the tokens, and reports those with the name or the hash of an earlier one.
fn tokens(fields: &mut Fields<'_>) -> Vec<AccessToken> {
    let items = fields.list("tokens", TOKENS_HINT);
    let mut tokens: Vec<AccessToken> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if index == MAX_TOKENS {
            item.report(
                format!("there are more than {MAX_TOKENS} tokens"),
                "give one token to several callers",
            );
        }
        let Some(token) = token(item) else { continue };
        if tokens.iter().any(|earlier| earlier.name == token.name) {
            let message = format!("the token {} is already in this list", token.name);
            item.at_field("name").report(message, "give each token a name of its own");
        }
        if tokens.iter().any(|earlier| earlier.sha256 == token.sha256) {
            let message = format!("the token {} is another one of this list", token.name);
            item.at_field("sha256").report(message, "draw a token for each name");
        }
        tokens.push(token);
    }
    tokens
}

fn token(cursor: &Cursor<'_>) -> Option<AccessToken> {
    let mut fields = cursor.fields("write { name, sha256, flags }")?;
    let name =
        fields.require("name", "write whose token it is", |cursor| cursor.parse("choose another name"));
    let sha256 = fields.require("sha256", HASH_HINT, |cursor| cursor.parse(HASH_HINT));
    let flags = fields.required("flags", PATTERN_HINT).map(|cursor| patterns(&cursor));
    fields.finish()?;
    Some(AccessToken { name: name?, sha256: sha256?, flags: flags? })
}

fn patterns(cursor: &Cursor<'_>) -> Vec<FlagPattern> {
    let items = cursor.list("write a list of names, or [\"*\"]");
    if matches!(cursor.value(), Value::List(list) if list.is_empty()) {
        cursor.report("the token may evaluate no flag", PATTERN_HINT);
    }
    report_count(cursor.clone(), items.len(), MAX_ITEMS);
    items.iter().filter_map(|item| item.parse(PATTERN_HINT)).collect()
}

/// Reports a list with too many items.
fn report_count(cursor: Cursor<'_>, count: usize, most: usize) {
    if count > most {
        cursor.report(format!("{count} items are too many"), format!("write at most {most}"));
    }
}
