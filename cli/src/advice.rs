//! Hints in the language of the command line: the commands that help with a problem of the API.

/// Commands that help with a problem, by its code. NAME stands for the name in the path of the request.
const COMMANDS: [(&str, &str); 19] = [
    ("token_missing", "store a token with cutover login, or set CUTOVER_TOKEN"),
    ("token_unknown", "check the token: cutover login stores another one for the context"),
    ("token_expired", "ask an admin for cutover token rotate ID, and store the new token with cutover login"),
    ("jwt_refused", "sign in with your identity provider again, and store the token with cutover login"),
    ("role_too_low", "ask a user with that role; cutover whoami shows yours"),
    ("path_unknown", "check the URL, and deploy the functions in the version of this command"),
    ("no_emergency", "cutover status shows if an emergency is in force"),
    (
        "emergency_in_force",
        "clear it first: cutover emergency-clear REASON, or for this flag alone with --flag NAME",
    ),
    (
        "canary_running",
        "use cutover canary promote NAME or cutover canary rollback NAME; cutover disable NAME sends all \
                        users to legacy at once",
    ),
    ("canary_not_started", "start it: cutover canary start NAME"),
    (
        "canary_state",
        "see cutover canary status NAME: cutover canary resume NAME goes on after a pause, cutover canary \
                      retry NAME starts again after the end",
    ),
    ("canary_moved", "a promotion is one step up; cutover canary status NAME shows the step"),
    (
        "approval_needed",
        "approve it first: cutover canary approve NAME; the run then goes on by its evidence, and cutover \
                         canary promote NAME at once",
    ),
    ("flag_disabled", "enable it first: cutover enable NAME"),
    ("freeze_window", "wait until it closes, or override it with --reason WHY"),
    (
        "changed_since_asked",
        "withdraw it with cutover changes withdraw NAME, look at the difference, and request it again if it is still wanted",
    ),
    (
        "moves_users_back",
        "correct the file, or add --allow-moving-users if these users are to go back to legacy",
    ),
    ("too_many_runs", "end one of them first; cutover canary list shows all runs"),
    (
        "too_many_experiments",
        "pause or stop one of them first; cutover experiment list shows all experiments",
    ),
];

/// Commands that list the objects of a section of the API, for names that do not exist.
const LISTS: [(&str, &str); 9] = [
    ("flags", "cutover list shows all flags of routes, and cutover value list those with values"),
    ("value-flags", "cutover value list shows all flags with values, and cutover list those of routes"),
    ("segments", "cutover segment list shows all segments"),
    ("runs", "cutover canary runs NAME shows all its runs"),
    (
        "canary",
        "add canary_deployments.NAME to the configuration and apply it (cutover apply -f FILE), or check the spelling: \
                  cutover canary list shows all canaries",
    ),
    ("experiments", "cutover experiment list shows all experiments"),
    ("routes", "cutover route list shows all routes"),
    ("tokens", "cutover token list shows all tokens"),
    ("changes", "cutover changes list shows all pending changes"),
];

/// Parts of hints that speak of requests and headers, with the same in words of the command line. NAME stands as in
/// [`COMMANDS`].
const WORDS: [(&str, &str); 6] = [
    ("GET /canary/{name}", "cutover canary status NAME"),
    ("GET /audit", "cutover audit"),
    ("GET /status", "cutover status"),
    ("GET /flags", "cutover list"),
    // The commands send it by themselves.
    (", with the new ETag if you send If-Match", ""),
    ("retry with the new ETag in If-Match", "run the command again"),
];

/// A list of the API with names to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// Path below `/api/migration`.
    pub path: &'static str,
    /// Field with the items.
    pub items: &'static str,
    /// Field of an item with its name.
    pub name: &'static str,
}

/// Returns the hint for a problem of a request to a path, which the API describes by `detail`; `None` if the hint of the API
/// is as good.
pub fn hint(code: &str, path: &str, detail: &str) -> Option<String> {
    // The flag of an experiment or of a file is not in the path, and the hint of the API names it.
    if code == "flag_disabled" && section_in(path) != "canary" {
        return None;
    }
    if code == "not_found"
        && let Some(hint) = of_other_kind(path, detail)
    {
        return Some(hint);
    }
    let table: &[(&str, &str)] = if code == "not_found" { &LISTS } else { &COMMANDS };
    let key = if code == "not_found" { section_of(path, detail) } else { code };
    let (_, hint) = table.iter().find(|(held, _)| *held == key)?;
    Some(hint.replace("NAME", name_in(path).unwrap_or("NAME")))
}

/// Returns the hint for a flag that exists and is of the other kind than the path: the same command of that kind, or the one
/// that shows the flag. `None` if `detail` does not end with the other kind of the flag.
pub fn of_other_kind(path: &str, detail: &str) -> Option<String> {
    let (name, words) = if let Some(before) = detail.strip_suffix(" gives applications values") {
        (before.rsplit(' ').next()?, "cutover value")
    } else {
        (detail.strip_suffix(" decides routes")?.rsplit(' ').next()?, "cutover")
    };
    let act = path.split('?').next().and_then(|path| path.split('/').nth(3));
    let act = act.filter(|act| ["enable", "disable", "explain"].contains(act)).unwrap_or("get");
    Some(format!("{words} {act} {name}"))
}

/// Returns a hint of the API in words of the command line. `path` is that of the request.
pub fn in_commands(hint: &str, path: &str) -> String {
    let name = name_in(path).unwrap_or("NAME");
    WORDS
        .iter()
        .fold(hint.to_owned(), |hint, (words, command)| hint.replace(words, &command.replace("NAME", name)))
}

/// Returns the hint for a response of AWS in the place of the function.
pub fn of_aws(status: u16) -> &'static str {
    match status {
        403 => {
            "check the policy of the function URL; if its authorization is AWS_IAM, add --aws-iam. cutover preflight checks it"
        }
        429 => "the function has no free instance: try again, and raise its reserved concurrency",
        _ => "the function failed or ran out of time: look at its log, and try again",
    }
}

/// Returns the list with the names that a path may have.
pub fn list_of(path: &str) -> Option<List> {
    match section_in(path) {
        "flags" => Some(List { path: "/flags", items: "flags", name: "name" }),
        "value-flags" => Some(List { path: "/value-flags", items: "value_flags", name: "name" }),
        "segments" => Some(List { path: "/segments", items: "segments", name: "name" }),
        "routes" => Some(List { path: "/routes", items: "routes", name: "id" }),
        "canary" => Some(List { path: "/canary", items: "canaries", name: "flag" }),
        _ => None,
    }
}

/// Returns the name in a path, such as that of a flag or a route, if it needs no decoding.
pub fn name_in(path: &str) -> Option<&str> {
    let name = path.split('/').nth(2)?.split('?').next()?;
    let section = section_in(path);
    let is_section =
        matches!(section, "flags" | "value-flags" | "segments" | "canary" | "routes" | "tokens" | "changes");
    (is_section && !name.is_empty() && !name.contains('%')).then_some(name)
}

/// Returns the section of the objects of which one is missing: that of the path, except for flags, which several sections name,
/// and the runs of a canary.
fn section_of<'p>(path: &'p str, detail: &str) -> &'p str {
    match section_in(path) {
        "value-flags" => "value-flags",
        _ if detail.starts_with("there is no flag") => "flags",
        "canary" if detail.starts_with("there is no run") => "runs",
        "canary" if !detail.starts_with("there is no canary") => "",
        section => section,
    }
}

fn section_in(path: &str) -> &str {
    path.split(['/', '?']).nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    const FLAG_LISTS: &str =
        "cutover list shows all flags of routes, and cutover value list those with values";

    #[test]
    fn a_flag_of_the_other_kind_has_the_same_command_of_its_kind() {
        let with_values = "there is no flag \"button\": button gives applications values";
        let of_routes = "there is no flag with values \"reads\": reads decides routes";
        for (path, detail, expected) in [
            ("/flags/button/disable", with_values, "cutover value disable button"),
            ("/flags/button/explain?user=u1", with_values, "cutover value explain button"),
            ("/flags/button", with_values, "cutover value get button"),
            ("/flags/button/rollout", with_values, "cutover value get button"),
            ("/canary/button/start", with_values, "cutover value get button"),
            ("/emergency/rollback", with_values, "cutover value get button"),
            ("/metrics?flag=button", with_values, "cutover value get button"),
            ("/value-flags/reads/enable", of_routes, "cutover enable reads"),
            ("/value-flags/reads", of_routes, "cutover get reads"),
        ] {
            assert_eq!(hint("not_found", path, detail).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(of_other_kind("/flags/f/disable", "there is no flag \"f\""), None);
    }

    #[test]
    fn hints_name_the_command_to_type() {
        for (code, path, expected) in [
            ("canary_not_started", "/canary/f/promote", "start it: cutover canary start f"),
            ("flag_disabled", "/canary/f/promote?x=1", "enable it first: cutover enable f"),
            ("not_found", "/flags/f", FLAG_LISTS),
            ("not_found", "/tokens/1", "cutover token list shows all tokens"),
            ("not_found", "/experiments/e/start", "cutover experiment list shows all experiments"),
            ("not_found", "/routes/reviews", "cutover route list shows all routes"),
            ("not_found", "/segments/staff", "cutover segment list shows all segments"),
        ] {
            assert_eq!(hint(code, path, "").as_deref(), Some(expected), "{code} {path}");
        }
        assert_eq!(hint("changed_meanwhile", "/flags/f", ""), None);
        assert_eq!(hint("flag_disabled", "/experiments/e/start", ""), None, "the path names no flag");
        assert_eq!(hint("not_found", "/audit/7/changes", ""), None);
    }

    #[test]
    fn a_flag_without_a_canary_is_told_how_to_get_one() {
        for (detail, expected) in [
            ("there is no canary \"f\"", Some("add canary_deployments.f to the configuration")),
            ("there is no canary plan \"f\"", Some("add canary_deployments.f to the configuration")),
            ("there is no flag \"f\"", Some(FLAG_LISTS)),
            ("there is no run \"r1\"", Some("cutover canary runs f shows all its runs")),
            ("there is no part \"1\"", None),
        ] {
            let found = hint("not_found", "/canary/f/start", detail);
            let is_as_expected = match expected {
                Some(expected) => found.as_ref().is_some_and(|hint| hint.starts_with(expected)),
                None => found.is_none(),
            };
            assert!(is_as_expected, "{detail}: {found:?}");
        }
    }

    #[test]
    fn no_hint_speaks_http() {
        for (code, hint) in COMMANDS.iter().chain(&LISTS) {
            assert!(
                !["GET ", "POST ", "PUT ", "/canary", "Authorization"].iter().any(|word| hint.contains(word)),
                "{code}: {hint}"
            );
        }
    }

    #[test]
    fn a_flag_that_any_command_names_is_looked_up_in_the_list() {
        for path in ["/metrics?flag=f", "/emergency/rollback", "/flags/f"] {
            let found = hint("not_found", path, "there is no flag \"f\"");
            assert_eq!(found.as_deref(), Some(FLAG_LISTS), "{path}");
        }
        let found = hint("not_found", "/value-flags/f/enable", "there is no flag with values \"f\"").unwrap();
        assert!(found.starts_with("cutover value list shows all flags with values"), "{found}");
    }

    /// Returns the lines of code that name a request, in the functions that the command line calls. Isolates call those of
    /// `measurement`.
    fn lines_with_requests(folder: &Path, lines: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("measurement") {
                lines_with_requests(&path, lines);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let code = source.split("#[cfg(test)]").next().unwrap_or_default().lines().map(str::trim);
                lines.extend(
                    code.filter(|line| !line.starts_with("//") && is_request(line)).map(str::to_owned),
                );
            }
        }
    }

    fn is_request(text: &str) -> bool {
        ["GET /", "POST /", "PUT /", "PATCH /", "DELETE /"].iter().any(|words| text.contains(words))
    }

    #[test]
    fn every_request_in_a_remedy_of_the_api_has_its_command() {
        let mut lines = Vec::new();
        lines_with_requests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../lambda/src"), &mut lines);
        assert!(lines.len() >= 5, "the remedies are not found: {lines:?}");
        for line in lines {
            let shown = in_commands(&line, "/canary/f/promote");
            assert!(!is_request(&shown), "WORDS lacks the command for: {shown}");
        }
    }

    #[test]
    fn a_request_in_a_remedy_is_shown_as_the_command_to_type() {
        let hint = "a promotion is one step up; see GET /canary/{name} for the step and its percentage";
        let expected =
            "a promotion is one step up; see cutover canary status f for the step and its percentage";
        assert_eq!(in_commands(hint, "/canary/f/promote"), expected);
        let hint = "GET /audit lists these changes; apply the same file again to make the others, with the new ETag if you \
                    send If-Match";
        let expected = "cutover audit lists these changes; apply the same file again to make the others";
        assert_eq!(in_commands(hint, "/config"), expected);
    }

    #[test]
    fn a_name_is_taken_from_the_path() {
        assert_eq!(name_in("/canary/f/retry?keep_salt=true"), Some("f"));
        assert_eq!(name_in("/flags/a%20b"), None);
        assert_eq!(name_in("/emergency/clear"), None);
        assert_eq!(list_of("/flags/f/rollout").map(|list| list.items), Some("flags"));
        assert_eq!(list_of("/routes/r").map(|list| list.name), Some("id"));
        assert_eq!(list_of("/tokens/1"), None);
    }
}
