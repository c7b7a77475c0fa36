//! Reads the guard of a route.

use super::reading::{Cursor, Fields};
use crate::{
    graphql::{
        Guard, Introspection, Limit, Limits, MAX_BATCH, MAX_DOCUMENTS, TrustMode, TrustedDocuments, scan,
    },
    vocabulary::digest::Digest256,
};
use sha2::{Digest, Sha256};

const HINT: &str = "write guard: {} for the usual limits, or { limits: { depth: 12 }, introspection: allow, \
                    batches: 5, trusted_documents: { mode: log, documents: [] } }";

const DOCUMENTS_HINT: &str =
    "write a list whose items are documents of GraphQL, or their SHA-256 in 64 hexadecimal digits";

/// Reads a guard of a route that has adapters if `is_adapted` is true.
pub(super) fn read(cursor: &Cursor<'_>, is_adapted: bool) -> Option<Guard> {
    if is_adapted {
        let message =
            "this route has an adapter: its clients do not send GraphQL, so there is nothing to guard";
        cursor.report(message, "remove guard, or guard the route on which GraphQL passes through unchanged");
    }
    let mut fields = cursor.fields(HINT)?;
    let mut guard = Guard::default();
    fields.set("limits", &mut guard.limits, limits);
    fields.set("introspection", &mut guard.introspection, |cursor| {
        let choices = [("deny", Introspection::Deny), ("allow", Introspection::Allow)];
        cursor.choice(&choices, "is not a rule for introspection", "write deny or allow")
    });
    fields.set("batches", &mut guard.batches, |cursor| {
        cursor.whole_number_within((1.0, f64::from(MAX_BATCH)), "operations").map(Some)
    });
    if let Some(cursor) = fields.optional("trusted_documents")
        && let Some(trusted) = trusted_documents(&cursor, &guard)
    {
        guard.trusted_documents = trusted;
    }
    fields.finish()?;
    Some(guard)
}

fn limits(cursor: &Cursor<'_>) -> Option<Limits> {
    let mut fields = cursor.fields("write limits: { depth: 12, aliases: 30 }")?;
    let mut limits = Limits::default();
    for limit in Limit::ALL {
        let range = (f64::from(limit.minimum()), f64::from(limit.maximum));
        fields
            .set(limit.name, (limit.of)(&mut limits), |cursor| cursor.whole_number_within(range, limit.name));
    }
    fields.finish()?;
    Some(limits)
}

fn trusted_documents(cursor: &Cursor<'_>, guard: &Guard) -> Option<TrustedDocuments> {
    let mut fields = cursor.fields("write { mode: log, documents: [] }")?;
    let mode_hint =
        "write log, which logs other documents, then enforce, which refuses them; off does neither";
    let choices = [("off", TrustMode::Off), ("log", TrustMode::Log), ("enforce", TrustMode::Enforce)];
    let mode = fields.require("mode", mode_hint, |cursor| {
        cursor.choice(&choices, "is not a mode of trusted documents", mode_hint)
    });
    let documents = documents(&mut fields, guard);
    if mode == Some(TrustMode::Enforce) && documents.is_empty() {
        cursor.report(
            "no document is trusted, so that each request would be refused",
            "write the documents of your clients into documents, and begin with mode: log",
        );
    }
    fields.finish()?;
    Some(TrustedDocuments { mode: mode?, documents })
}

/// Reads documents and hashes of documents. Returns the hashes in ascending order.
fn documents(fields: &mut Fields<'_>, guard: &Guard) -> Vec<Digest256> {
    let items = fields.list("documents", DOCUMENTS_HINT);
    if let Some(first) = items.get(MAX_DOCUMENTS) {
        first.report(
            format!("{} documents are too many", items.len()),
            format!(
                "write at most {MAX_DOCUMENTS}, or guard clients with other documents on a route of their own"
            ),
        );
    }
    let mut documents: Vec<Digest256> = items.iter().filter_map(|item| document(item, guard)).collect();
    documents.sort_unstable();
    documents.dedup();
    documents
}

fn document(cursor: &Cursor<'_>, guard: &Guard) -> Option<Digest256> {
    let text = cursor.string()?;
    if let Ok(hash) = text.parse() {
        return Some(hash);
    }
    if !text.contains('{') {
        return cursor.refuse("this is neither a document nor the SHA-256 of one", DOCUMENTS_HINT);
    }
    match scan(&text, &guard.limits, guard.introspection == Introspection::Allow) {
        Ok(_) => Some(Digest256(Sha256::digest(text.as_bytes()).into())),
        Err(refusal) => cursor.refuse(
            format!("the guard itself would refuse this document: {refusal}"),
            "correct the document, or raise the limit in limits: it holds for trusted documents too",
        ),
    }
}
