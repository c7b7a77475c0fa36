//! Commands that newcomers look for under another name. They do nothing but name the command to use, because the nearest
//! spelling may do the opposite: that of `rollback` is `rollout`.

/// Commands that do not exist, with the one to use.
const ELSEWHERE: [(&str, &str); 6] = [
    (
        "rollback",
        "cutover canary rollback FLAG ends a run, cutover disable FLAG sends all users of a flag to legacy, and cutover \
         emergency-rollback REASON those of all flags",
    ),
    ("delete", "cutover flag delete FLAG, cutover route delete ID or cutover canary delete FLAG"),
    ("logs", "cutover audit shows all changes, and cutover canary replay FLAG all decisions of a run"),
    (
        "canary abort",
        "cutover canary rollback FLAG sends all users back to legacy, and cutover canary pause FLAG keeps them",
    ),
    (
        "logout",
        "cutover context remove NAME removes the token from this machine, and cutover token revoke ID ends it everywhere",
    ),
    ("changes reject", "cutover changes withdraw ID"),
];

/// Returns the mistake of a command line that clap does not understand, if one of its commands is to be found elsewhere. `words`
/// begin with the name of the program, and `is_command` tells commands from names.
pub fn mistake(words: &[&str], is_command: impl Fn(&str) -> bool) -> Option<String> {
    let (_, words) = words.split_first()?;
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with('-')).collect();
    ELSEWHERE.iter().find_map(|(name, command)| {
        let parts: Vec<&str> = name.split(' ').collect();
        let start = words.windows(parts.len()).position(|window| window == parts)?;
        // Otherwise it is the argument of a command, or a command of another one.
        let is_first = !words.iter().take(start).any(|word| is_command(word));
        is_first.then(|| format!("there is no command {name}\n  hint: use {command}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Option<String> {
        let words: Vec<&str> = line.split(' ').collect();
        mistake(&words, |word| ["canary", "changes", "token", "flag", "enable"].contains(&word))
    }

    #[test]
    fn a_command_of_another_name_is_found() {
        for (line, expected) in [
            ("cutover rollback reviews_read", "cutover canary rollback FLAG"),
            ("cutover --context live rollback", "cutover disable FLAG"),
            ("cutover delete reviews_read", "cutover flag delete FLAG"),
            ("cutover logs", "cutover audit"),
            ("cutover canary abort reviews_read", "cutover canary rollback FLAG"),
            ("cutover logout", "cutover context remove NAME"),
            ("cutover changes reject 8c3f", "cutover changes withdraw ID"),
        ] {
            let found = found(line).unwrap_or_default();
            assert!(found.contains("\n  hint: use ") && found.contains(expected), "{line}: {found}");
        }
    }

    #[test]
    fn names_and_commands_of_other_commands_are_not_meant() {
        for line in [
            "cutover",
            "cutover enable logs",
            "cutover token delete 1",
            "cutover flag abort",
            "cutover abort",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }
}
