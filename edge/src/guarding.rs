//! Requests of guarded routes, checked before a backend gets them.

use crate::wire::{Packed, guard_verdict};
use cutover_core::{
    Ruleset,
    graphql::{GuardedRequest, Refusal, inspect, response_type},
};

/// The result of a check, as JavaScript gets it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Number of documents that are not trusted and may be sent on.
    pub untrusted: u32,
    /// The number of [`guard_verdict`].
    pub verdict: u32,
    /// Two lines that belong to it: of a refusal the media type and the body of the response; of documents that are not
    /// trusted the route, and the SHA-256 of one of them, or nothing if that is not known. Empty otherwise.
    pub lines: String,
}

/// Checks a request of a route. The values of `packed` are `Content-Type`, `Content-Encoding`, `Accept` and `Upgrade`.
/// `body` is `None` if it is too large to be read, and `digest` returns the SHA-256 of its argument. Returns `None` if
/// there is no such route.
pub fn check(
    rules: &Ruleset,
    route: usize,
    packed: &Packed<'_>,
    body: Option<&[u8]>,
    digest: impl Fn(&[u8]) -> [u8; 32],
) -> Option<Checked> {
    let route = rules.routes().get(route)?;
    let Some(guard) = &route.guard else { return Some(Checked::default()) };
    let mut values = packed.values();
    let mut next = || values.next().flatten();
    let (content_type, content_encoding, accept, upgrade) = (next(), next(), next(), next());
    if upgrade.is_some() {
        // Through a WebSocket documents would pass unseen, whatever the URL asks for.
        return Some(refused(Refusal::Upgrade, accept));
    }
    let request =
        GuardedRequest { method: packed.method, query: packed.query, content_type, content_encoding, body };
    Some(match inspect(&request, guard, digest) {
        Ok(inspected) if inspected.untrusted == 0 => Checked::default(),
        Ok(inspected) => Checked {
            untrusted: inspected.untrusted,
            verdict: inspected.untrusted << guard_verdict::UNTRUSTED_SHIFT,
            lines: format!("{}\n{}", route.id, inspected.unknown.map(String::from).unwrap_or_default()),
        },
        Err(refusal) => refused(refusal, accept),
    })
}

fn refused(refusal: Refusal, accept: Option<&str>) -> Checked {
    Checked {
        untrusted: 0,
        verdict: u32::from(refusal.status()),
        lines: format!("{}\n{}", response_type(accept), refusal.body()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{test_support::snapshot, wire::ABSENT};
    use cutover_core::{
        PartsPerMillion,
        graphql::{Guard, TrustMode, TrustedDocuments},
        vocabulary::digest::Digest256,
    };

    const TYPES: &str = "application/json\n\0\napplication/json";

    fn rules(guard: Option<Guard>) -> Ruleset {
        let mut snapshot = snapshot(1, PartsPerMillion::default());
        snapshot.routes[0].guard = guard;
        Ruleset::compile(&snapshot).unwrap()
    }

    /// Stands in for SHA-256: the length of the text in each byte.
    fn digest(text: &[u8]) -> [u8; 32] {
        [u8::try_from(text.len()).unwrap(); 32]
    }

    fn checked(rules: &Ruleset, packed: &str, body: Option<&str>) -> Checked {
        check(rules, 0, &Packed::new(packed), body.map(str::as_bytes), digest).unwrap()
    }

    #[test]
    fn a_request_passes_or_is_refused_in_the_type_that_the_client_accepts() {
        let rules = rules(Some(Guard::default()));
        let post = format!("POST\nhttps://h/graphql?x=1\n{TYPES}");
        assert_eq!(checked(&rules, &post, Some(r#"{"query":"{ a }"}"#)), Checked::default());
        let refused = checked(&rules, &post, Some(r#"{"query":"{ a"}"#));
        assert_eq!(refused.verdict, 400);
        let (media_type, body) = refused.lines.split_once('\n').unwrap();
        assert_eq!(media_type, "application/json");
        assert!(body.contains("GRAPHQL_PARSE_FAILED"), "{body}");
        assert_eq!(checked(&rules, &post, None).verdict, 413);

        let get = format!("GET\nhttps://h/graphql?query=%7Ba%7D\n{ABSENT}\n{ABSENT}\n{ABSENT}");
        assert_eq!(checked(&rules, &get, Some("")), Checked::default());
        assert_eq!(checked(&rules, &format!("{get}\n{ABSENT}"), Some("")), Checked::default());
        let refused = checked(&rules, &format!("{get}\nwebsocket"), Some(""));
        assert_eq!(refused.verdict, 400);
        assert!(refused.lines.contains("UPGRADE_NOT_ALLOWED"), "{}", refused.lines);
        let get = get.replace("%7Ba%7D", "mutation%7Ba%7D");
        let refused = checked(&rules, &get, Some(""));
        assert_eq!(refused.verdict, 405);
        assert!(refused.lines.starts_with("application/graphql-response+json\n{"), "{}", refused.lines);
    }

    #[test]
    fn documents_that_are_not_trusted_are_told_with_their_route() {
        let trusted_documents =
            TrustedDocuments { mode: TrustMode::Log, documents: vec![Digest256([5; 32])] };
        let rules = rules(Some(Guard { trusted_documents, ..Guard::default() }));
        let post = format!("POST\nhttps://h/graphql\n{TYPES}");
        assert_eq!(checked(&rules, &post, Some(r#"{"query":"{ a }"}"#)), Checked::default());
        let other = checked(&rules, &post, Some(r#"{"query":"{ ab }"}"#));
        assert_eq!((other.untrusted, other.verdict), (1, 1 << guard_verdict::UNTRUSTED_SHIFT));
        assert_eq!(other.lines, format!("route\n{}", "06".repeat(32)));
        let unknown = checked(&rules, &post, Some(r#"{"documentId":"a"}"#));
        assert_eq!(unknown.lines, "route\n");
    }

    #[test]
    fn a_route_without_a_guard_lets_everything_pass() {
        let rules = rules(None);
        assert_eq!(checked(&rules, "PUT\nhttps://h/graphql", None), Checked::default());
        assert_eq!(check(&rules, 9, &Packed::new(""), None, digest), None);
    }
}
