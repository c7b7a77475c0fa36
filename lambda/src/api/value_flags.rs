//! `GET /value-flags` and `GET /value-flags/{name}`, and the JSON form of a flag with values in every response.

use crate::{
    access::auth::Caller,
    api::{
        extract::{FlagPath, Page, Parameters},
        object_list::object_list,
        respond::{json_response, with_meta},
    },
    clock,
    platform::Platform,
    problem::Problem,
    store::{Meta, State as Truth},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    FlagName, Timestamp,
    config::{Config, nearest},
    values::{
        document::ValueFlag,
        stale::{StaleAfter, stale},
    },
};
use serde_json::{Value, json};

/// Section of the configuration that holds the flags with values.
pub(super) const SECTION: &str = "flags";

/// Fields of a flag that responses compute at their time.
pub(super) const COMPUTED: [&str; 2] = ["in_force", "stale"];

/// Returns a flag with values as JSON, with the salt in force and the state that its schedule has brought about by
/// `now`.
pub(super) fn value_flag_json(
    name: &FlagName,
    flag: &ValueFlag,
    now: Timestamp,
    meta: Option<&Meta>,
) -> Value {
    let in_force = flag.in_force(now);
    let body = json!({
        "name": name,
        "type": flag.kind,
        "description": flag.description,
        "enabled": flag.enabled,
        "variants": flag.variants,
        "default": flag.default,
        "off": flag.off,
        "rules": flag.rules,
        "prerequisites": flag.prerequisites,
        "schedule": flag.schedule,
        "permanent": flag.permanent,
        "salt": flag.salt_or(name),
        "in_force": {
            "enabled": in_force.enabled,
            "default": in_force.default,
            "since": in_force.since,
            "until": in_force.until,
        },
    });
    with_meta(body, meta)
}

/// Returns a flag as JSON at `now`, with the reason for which it is stale.
fn shown(state: &Truth, name: &FlagName, flag: &ValueFlag, now: Timestamp) -> Value {
    let meta = state.meta(SECTION, name.as_str());
    let mut body = value_flag_json(name, flag, now, meta);
    let stale = meta.and_then(|meta| stale(flag, now, meta.updated_at, StaleAfter::default()));
    if let Some(fields) = body.as_object_mut() {
        fields.insert("stale".to_owned(), json!(stale));
    }
    body
}

pub(super) async fn list(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(page): Parameters<Page>,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let now = clock::now();
    let flags = state.config.flags.iter().map(|entry| (entry.0.as_str(), entry));
    object_list(&page, &state, "value_flags", flags, |(name, flag)| shown(&state, name, flag, now))
}

/// Returns one flag, always as a whole: a schedule changes its state without a new version.
pub(super) async fn one(
    _: Caller,
    State(platform): State<Platform>,
    FlagPath(name): FlagPath,
) -> Result<Response, Problem> {
    let state = platform.store.state().await?;
    let flag = find(&state, &name)?;
    Ok(json_response(StatusCode::OK, &shown(&state, &name, flag, clock::now())))
}

/// Finds a flag with values by its name.
///
/// # Errors
///
/// Returns the problem `not_found` if there is none, with the flag that was most likely meant.
pub(super) fn find<'t>(state: &'t Truth, name: &FlagName) -> Result<&'t ValueFlag, Problem> {
    state.config.flags.get(name).ok_or_else(|| missing(&state.config, name))
}

fn missing(config: &Config, name: &FlagName) -> Problem {
    let missing = Problem::not_found("flag with values", name.as_str());
    if config.feature_flags.contains_key(name) {
        let detail = format!("{}: {name} decides routes", missing.detail);
        let hint = format!("it is one of the flags of routes, below /flags (cutover get {name})");
        return Problem { detail, hint, ..missing };
    }
    let hint = match nearest(name.as_str(), config.flags.keys().map(FlagName::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => "list the flags with values, and check the spelling".to_owned(),
    };
    Problem { hint, ..missing }
}

/// Iterates over the flags with values that have a flag as a prerequisite.
pub(super) fn dependents<'c>(config: &'c Config, name: &FlagName) -> impl Iterator<Item = &'c FlagName> {
    let names_it = move |flag: &ValueFlag| flag.prerequisites.iter().any(|needed| needed.flag == *name);
    config.flags.iter().filter(move |(_, flag)| names_it(flag)).map(|(other, _)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
feature_flags: { routed: { enabled: true } }
flags:
  colour: { type: string, variants: { a: A, b: B }, default: a, off: b }
  behind:
    type: boolean
    variants: { x: true, y: false }
    default: x
    off: y
    prerequisites: [{ flag: colour, variant: a }, { flag: routed, variant: new }]
";

    fn truth() -> Truth {
        let mut truth = Truth::default();
        truth.config = Config::from_yaml(CONFIG).unwrap();
        truth
    }

    #[test]
    fn a_flag_that_is_missed_is_looked_for_in_both_kinds() {
        for (name, hint) in [
            ("colou", "did you mean colour?"),
            ("routed", "it is one of the flags of routes, below /flags (cutover get routed)"),
            ("zzzzzz", "list the flags with values, and check the spelling"),
        ] {
            let missing = find(&truth(), &name.parse().unwrap()).unwrap_err();
            assert_eq!((missing.code, missing.hint.as_str()), ("not_found", hint), "{name}");
        }
        assert!(find(&truth(), &"colour".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_flag_of_either_kind_is_used_by_those_that_need_it() {
        let config = truth().config;
        for (name, expected) in [("colour", 1), ("routed", 1), ("behind", 0)] {
            assert_eq!(dependents(&config, &name.parse().unwrap()).count(), expected, "{name}");
        }
    }
}
