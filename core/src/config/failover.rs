//! Reads the help for an origin that fails, and checks which origins can help which.

use super::reading::{Cursor, EntryCursor, Fields, Names, Section};
use crate::{
    rules::{
        origin::{Failover, MAX_TIMEOUT_MS, Origin},
        route::Route,
    },
    vocabulary::names::OriginName,
};
use std::collections::BTreeMap;

pub(super) fn read(fields: &mut Fields<'_>, names: &Names<'_>) -> Failover {
    let hint = "name an origin that serves the same interface";
    let secondary = fields.optional("secondary").and_then(|cursor| {
        let name: OriginName = cursor.parse(hint)?;
        names.must_have(Section::Origins, name.as_str(), &cursor);
        Some(name)
    });
    let retry = fields.read("retry", Cursor::bool).unwrap_or_default();
    let health = fields.read("health", |cursor| {
        let path = cursor.string()?;
        let is_path = path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\'));
        let hint = "write a path that the origin answers with a status from 200 to 299, such as /healthz";
        if is_path { Some(path) } else { cursor.refuse(format!("{path:?} is not a path"), hint) }
    });
    Failover { secondary, retry, health }
}

/// Reports secondaries that could not help: those that have a secondary themselves, and those for which a request would
/// be under way for longer than a client waits.
pub(super) fn check_secondaries(entries: &[EntryCursor<'_>], origins: &BTreeMap<OriginName, Origin>) {
    for entry in entries {
        let Some(origin) = origins.get(entry.key) else { continue };
        let Some(name) = &origin.failover.secondary else { continue };
        let cursor = entry.value.at_field("secondary");
        let Some(secondary) = origins.get(name) else { continue };
        if name.as_str() == entry.key {
            cursor.report("an origin cannot be its own secondary", "name another origin");
        } else if secondary.failover.secondary.is_some() {
            let message = format!("the secondary {name} has a secondary itself");
            cursor.report(message, "name an origin without a secondary");
        }
        let both = origin.timeout_ms.saturating_add(secondary.timeout_ms);
        if both > MAX_TIMEOUT_MS {
            let message = format!("the origin and its secondary {name} may take {both} ms together");
            cursor.report(message, format!("lower timeout_ms: both may take {MAX_TIMEOUT_MS} ms together"));
        }
    }
}

/// Reports a route on which the backend of one arm would answer for the other one.
pub(super) fn check_arms(route: &Route, cursor: &Cursor<'_>, origins: &BTreeMap<OriginName, Origin>) {
    let secondary =
        |name: &OriginName| origins.get(name).and_then(|origin| origin.failover.secondary.as_ref());
    let (of_legacy, of_new) = (secondary(&route.legacy), secondary(&route.new));
    let is_shared = route.legacy != route.new
        && (of_legacy == Some(&route.new)
            || of_new == Some(&route.legacy)
            || of_legacy.is_some() && of_legacy == of_new);
    if is_shared {
        let message = format!("a secondary on the route {} serves both arms", route.id);
        let hint =
            "give each arm backends of its own: if the new one fails, legacy serves its requests by fallback";
        cursor.report(message, hint);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn problems(origins: &str) -> Vec<String> {
        let text = format!(
            "feature_flags: {{ f: {{ enabled: true }} }}\norigins: {{ {origins} }}\n\
             routes: [{{ id: all, match: {{ path: /x }}, flag: f, legacy: old, new: new }}]\n"
        );
        let problems = Config::from_yaml(&text).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.message).collect()
    }

    const OLD: &str = "old: { url: \"http://a\" }, old2: { url: \"http://b\" }";

    #[test]
    fn an_origin_may_have_a_secondary_a_retry_and_a_path_for_its_health() {
        let origins = "new: { url: \"http://c\", secondary: old2, retry: true, health: \"/healthz?deep=1\" }";
        assert_eq!(problems(&format!("{OLD}, {origins}")), [""; 0]);
    }

    #[test]
    fn a_secondary_that_cannot_help_is_refused() {
        for (new, expected) in [
            ("secondary: nowhere", "there is no origin \"nowhere\""),
            ("secondary: new", "an origin cannot be its own secondary"),
            ("secondary: old", "a secondary on the route all serves both arms"),
            ("secondary: old3", "the secondary old3 has a secondary itself"),
            (
                "secondary: old2, timeout_ms: 116000",
                "the origin and its secondary old2 may take 121000 ms together",
            ),
            ("health: healthz", "\"healthz\" is not a path"),
            ("health: \"//elsewhere\"", "\"//elsewhere\" is not a path"),
        ] {
            let origins = format!(
                "{OLD}, old3: {{ url: \"http://d\", secondary: old2 }}, new: {{ url: \"http://c\", {new} }}"
            );
            assert_eq!(problems(&origins), [expected], "{new}");
        }
        let origins = "old: { url: \"http://a\", secondary: two }, new: { url: \"http://b\", secondary: two }, \
                       two: { url: \"http://c\" }";
        assert_eq!(problems(origins), ["a secondary on the route all serves both arms"]);
    }
}
