//! The management API that options, variables and contexts lead to.

use super::*;

const STAGING: &str = "https://staging.example";
const LIVE: &str = "https://live.example";

fn contexts() -> Contexts {
    let mut contexts = Contexts::default();
    for (name, url, token) in [("staging", STAGING, "of_staging"), ("live", LIVE, "of_live")] {
        let production = name == "live";
        let token = Some(token.to_owned());
        contexts.add(name, Context { url: url.to_owned(), token, production, ..Context::default() }).unwrap();
    }
    contexts
}

/// Options, environment variables, and the URL, token and environment that they lead to.
fn check(options: [Option<&str>; 3], variables: &[(&str, &str)], expected: [Option<&str>; 3]) {
    let [context, url, token] = options.map(|option| option.map(str::to_owned));
    let connection = Connection { context, url, token, ..Connection::default() };
    let variable =
        |name: &str| variables.iter().find(|(held, _)| *held == name).map(|(_, value)| (*value).to_owned());
    let target = connection.resolve(&variable, &contexts()).unwrap();
    let environment = target.environment.map(|environment| environment.to_string());
    let found = [target.url.as_deref(), target.token.as_deref(), environment.as_deref()];
    assert_eq!(found, expected, "{options:?} {variables:?}");
}

#[test]
fn options_come_before_variables_and_these_before_the_context() {
    let (other, live) = ("https://other.example", Some("live (live.example)"));
    let staging = [Some(STAGING), Some("of_staging"), Some("staging (staging.example)")];
    check([None; 3], &[], staging);
    check([None; 3], &[("CUTOVER_CONTEXT", "live")], [Some(LIVE), Some("of_live"), live]);
    check([Some("live"), None, None], &[("CUTOVER_CONTEXT", "staging")], [Some(LIVE), Some("of_live"), live]);
    check([None, None, Some("mine")], &[], [staging[0], Some("mine"), staging[2]]);
    let variables = [("CUTOVER_URL", other), ("CUTOVER_TOKEN", "theirs")];
    check([None; 3], &variables, [Some(other), Some("theirs"), Some("other.example")]);
    check([None, Some(LIVE), None], &variables, [Some(LIVE), Some("theirs"), live]);
    // A context that is named as an option is one.
    check([Some("live"), None, None], &variables, [Some(LIVE), Some("of_live"), live]);
}

#[test]
fn a_context_that_is_named_goes_before_the_variable_of_a_function() {
    let variable = || Some("https://of.variable".to_owned());
    let stored = "https://of.context".to_owned();
    for (context, option, expected) in [
        (None, None, "https://of.variable"),
        (Some("live"), None, "https://of.context"),
        (Some("live"), Some("https://of.option"), "https://of.option"),
        (Some("live"), Some(""), "https://of.context"),
    ] {
        let connection = Connection { context: context.map(str::to_owned), ..Connection::default() };
        let found = connection.first(option, Some(&stored), variable);
        assert_eq!(found.as_deref(), Some(expected), "{context:?} {option:?}");
    }
}

#[test]
fn the_token_of_a_context_is_sent_to_its_own_url_only() {
    let other = "https://other.example";
    check([None; 3], &[("CUTOVER_URL", other)], [Some(other), None, Some("other.example")]);
    check([Some("live"), Some(other), None], &[], [Some(other), None, Some("other.example")]);
    // The same URL, as it may also be written.
    let written = "https://staging.example/api/migration/";
    check(
        [None, Some(written), None],
        &[],
        [Some(STAGING), Some("of_staging"), Some("staging (staging.example)")],
    );
}

#[test]
fn an_emergency_takes_each_way_that_can_be_used() {
    const OTHER: &str = "https://other.example";
    const OWN: &str = "https://emergency.example";
    let ways = |context: Option<&str>, variables: &[(&str, &str)], is_readable: bool| {
        let connection = Connection { context: context.map(str::to_owned), ..Connection::default() };
        let variable = |name: &str| {
            let given = variables.iter().find(|(held, _)| *held == name);
            given.map(|(_, value)| (*value).to_owned())
        };
        let unreadable = || Err(Failure::Io("contexts.json cannot be read".to_owned()));
        let contexts = if is_readable { Ok(contexts()) } else { unreadable() };
        let ways = connection.emergency_ways(None, &variable, contexts).ok()?;
        Some((ways.urls, ways.target.token, ways.failures.len()))
    };
    let (url, token) = (("CUTOVER_URL", OTHER), ("CUTOVER_TOKEN", "theirs"));
    let (own, unknown) = (("CUTOVER_EMERGENCY_URL", OWN), ("CUTOVER_CONTEXT", "liv"));
    let malformed = ("CUTOVER_EMERGENCY_URL", "emergency.example");
    for (variables, is_readable, urls, failures) in [
        (&[url, token][..], true, &[OTHER][..], 0),
        (&[url, own, token], true, &[OWN, OTHER], 0),
        (&[url, token, unknown], true, &[OTHER], 1),
        (&[url, token], false, &[OTHER], 1),
        (&[url, token, unknown], false, &[OTHER], 1),
        (&[url, malformed, token], true, &[OTHER], 1),
        (&[("CUTOVER_URL", "other.example"), own, token], true, &[OWN], 1),
        (&[malformed, token, unknown], false, &[], 2),
    ] {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        let expected = Some((urls, Some("theirs".to_owned()), failures));
        assert_eq!(ways(None, variables, is_readable), expected, "{variables:?} {is_readable}");
    }
    // An operator who names a context means no other deployment.
    assert_eq!(ways(Some("liv"), &[url, token], true), None);
    assert_eq!(ways(Some("live"), &[url, token], false), None);
}

#[test]
fn an_emergency_with_its_url_and_token_needs_no_context() {
    let live = || Some("live".to_owned());
    let (url, token) = (Some(LIVE.to_owned()), Some("t".to_owned()));
    let unreadable = || Err(Failure::Io("contexts.json cannot be read".to_owned()));
    let given = Connection { context: live(), url, token: token.clone(), ..Connection::default() };
    let ways = given.emergency_ways(None, &|_| None, unreadable()).unwrap();
    assert_eq!((ways.urls, ways.failures.len()), (vec![LIVE.to_owned()], 1));
    assert_eq!(ways.target.token.as_deref(), Some("t"));
    let without_url = Connection { context: live(), token, ..Connection::default() };
    assert!(without_url.emergency_ways(Some(LIVE), &|_| None, unreadable()).is_ok());
    assert!(without_url.emergency_ways(None, &|_| None, unreadable()).is_err());
}

#[test]
fn an_unknown_context_is_an_error() {
    let connection = Connection { context: Some("liv".to_owned()), ..Connection::default() };
    let refused = connection.resolve(&|_| None, &contexts()).unwrap_err().to_string();
    assert!(refused.contains("did you mean live?"), "{refused}");
}
