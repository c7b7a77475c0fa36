//! `cutover completions`: the commands and options, which are known here, and names, for which the script calls
//! `cutover __names`.

use crate::output;
use clap_complete::Shell;

/// Commands that are followed by a name, with the kind of that name. Bash and Zsh compare them with the words before the
/// cursor.
const NAMED: [(&str, &[&str]); 9] = [
    (
        "flags",
        &[
            "get",
            "enable",
            "disable",
            "rollout",
            "explain",
            "start-canary",
            "flag get",
            "flag edit",
            "flag delete",
        ],
    ),
    (
        "canaries",
        &[
            "canary status",
            "canary watch",
            "canary wait",
            "canary runs",
            "canary start",
            "canary retry",
            "canary promote",
            "canary approve",
            "canary pause",
            "canary resume",
            "canary rollback",
            "canary delete",
            "canary replay",
            "canary plan",
            "canary simulate",
        ],
    ),
    (
        "experiments",
        &[
            "experiment get",
            "experiment start",
            "experiment pause",
            "experiment stop",
            "experiment status",
            "experiment watch",
            "experiment replay",
            "experiment plan",
            "experiment assign",
            "experiment delete",
        ],
    ),
    (
        "values",
        &["value get", "value edit", "value enable", "value disable", "value explain", "value delete"],
    ),
    ("segments", &["segment get", "segment edit", "segment delete"]),
    ("tokens", &["token rotate", "token revoke"]),
    ("changes", &["changes show", "changes approve", "changes withdraw"]),
    ("contexts", &["context use", "context remove", "context show"]),
    ("routes", &["compare report", "route get", "route delete"]),
];

/// Options that are followed by a name, with its kind, and the commands that have them; none stands for all commands.
const OPTIONS: [(&str, &str, &[&str]); 2] = [
    ("flag", "flags", &["emergency-rollback", "emergency-clear", "audit", "metrics"]),
    ("context", "contexts", &[]),
];

/// Command that is followed by the name of a flag and the id of one of its runs.
const WITH_RUN: &str = "canary replay";

/// Prints the completions of a shell for the given command line.
pub fn print(shell: Shell, command: &mut clap::Command) {
    output::data(&script(shell, command));
}

fn script(shell: Shell, command: &mut clap::Command) -> String {
    // Into memory first: clap panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "cutover", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    script.push_str(&match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
        _ => String::new(),
    });
    script
}

/// Returns the lines of a `case` that set the kind by the option before the cursor.
fn options() -> String {
    OPTIONS.iter().map(|(option, kind, _)| format!("        --{option}) kind={kind} ;;\n")).collect()
}

/// Returns the lines of a `case` that set the kind by the words before the cursor.
fn cases() -> String {
    let case = |(kind, commands): &(&str, &[&str])| {
        let quoted: Vec<String> = commands.iter().map(|command| format!("\"{command}\"")).collect();
        format!("        {}) kind={kind} ;;\n", quoted.join("|"))
    };
    NAMED.iter().map(case).collect()
}

fn bash() -> String {
    format!(
        r#"
_cutover_names() {{
    _cutover "$@"
    local IFS=$' \t\n' kind="" flag=""
    case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{}    esac
    [[ -n $kind ]] || case "${{COMP_WORDS[*]:1:COMP_CWORD-1}}" in
{}        "{WITH_RUN} "*) kind=runs flag=${{COMP_WORDS[3]}} ;;
        *) return 0 ;;
    esac
    [[ "$2" == -* ]] || COMPREPLY=($(compgen -W "$(cutover __names "$kind" ${{flag:+"$flag"}} 2>/dev/null)" -- "$2"))
}}
complete -F _cutover_names -o bashdefault -o default cutover
"#,
        options(),
        cases()
    )
}

fn zsh() -> String {
    format!(
        r#"
_cutover_names() {{
    local kind="" flag=""
    case "${{words[CURRENT-1]}}" in
{}    esac
    [[ -n $kind ]] || case "${{words[2,CURRENT-1]}}" in
{}        "{WITH_RUN} "*) kind=runs flag=${{words[4]}} ;;
    esac
    if [[ -n $kind && ${{words[CURRENT]}} != -* ]]; then
        compadd -- ${{(f)"$(cutover __names $kind ${{flag:+$flag}} 2>/dev/null)"}}
    else
        _cutover "$@"
    fi
}}
compdef _cutover_names cutover
"#,
        options(),
        cases()
    )
}

fn fish() -> String {
    let mut script = "\n".to_owned();
    for (kind, commands) in NAMED {
        for command in commands {
            let seen: Vec<String> =
                command.split(' ').map(|word| format!("__fish_seen_subcommand_from {word}")).collect();
            script.push_str(&format!(
                "complete -c cutover -n \"{}\" -f -a \"(cutover __names {kind} 2>/dev/null)\"\n",
                seen.join("; and ")
            ));
        }
    }
    for (option, kind, commands) in OPTIONS {
        let seen = if commands.is_empty() {
            String::new()
        } else {
            format!(" -n \"__fish_seen_subcommand_from {}\"", commands.join(" "))
        };
        script.push_str(&format!(
            "complete -c cutover{seen} -l {option} -x -a \"(cutover __names {kind} 2>/dev/null)\"\n"
        ));
    }
    let seen = WITH_RUN.replace(' ', "; and __fish_seen_subcommand_from ");
    script.push_str(&format!(
        "complete -c cutover -n \"__fish_seen_subcommand_from {seen}; and test (count (commandline -opc)) -ge 4\" -f -a \
         \"(cutover __names runs (commandline -opc)[4] 2>/dev/null)\"\n"
    ));
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    /// Returns the completions that Bash offers for the last of these words, with two flags, and one of each other kind.
    fn offered(words: &[&str]) -> Vec<String> {
        let script = script(Shell::Bash, &mut commands::command());
        let (last, quoted) = (words.last().unwrap(), words.join(" "));
        let input = format!(
            "{script}\n\
             cutover() {{ [[ \"$1 $2\" == '__names flags' ]] && printf 'reviews_read\\nreviews_write\\n'; \
             [[ \"$1 $2\" == '__names canaries' ]] && echo reviews_read; \
             [[ \"$*\" == '__names runs reviews_read' ]] && echo r7; \
             [[ \"$1 $2\" == '__names contexts' ]] && echo staging; \
             [[ \"$1 $2\" == '__names routes' ]] && echo reviews.read; \
             [[ \"$1 $2\" == '__names experiments' ]] && echo checkout; \
             [[ \"$1 $2\" == '__names values' ]] && echo button; \
             [[ \"$1 $2\" == '__names segments' ]] && echo staff; \
             [[ \"$1 $2\" == '__names tokens' ]] && echo 0123abcd; true; }}\n\
             COMP_WORDS=(cutover {quoted}); COMP_CWORD={}\n\
             _cutover_names cutover '{last}' ''\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words.len(),
        );
        let mut bash = Command::new("bash");
        let mut bash =
            bash.args(["--norc", "-s"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        bash.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = bash.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_commands_and_names() {
        assert_eq!(offered(&["rollout", "rev"]), ["reviews_read", "reviews_write"]);
        assert_eq!(offered(&["rollout", "reviews_w"]), ["reviews_write"]);
        assert_eq!(offered(&["token", "revoke", "0"]), ["0123abcd"]);
        assert_eq!(offered(&["canary", "wait", "re"]), ["reviews_read"]);
        assert_eq!(offered(&["canary", "replay", "re"]), ["reviews_read"]);
        assert_eq!(offered(&["canary", "replay", "reviews_read", "r"]), ["r7"]);
        assert_eq!(offered(&["context", "use", "s"]), ["staging"]);
        assert_eq!(offered(&["list", "--context", "s"]), ["staging"]);
        assert_eq!(offered(&["audit", "--limit", "5", "--flag", "reviews_w"]), ["reviews_write"]);
        assert_eq!(offered(&["route", "delete", "rev"]), ["reviews.read"]);
        assert_eq!(offered(&["experiment", "stop", "c"]), ["checkout"]);
        assert_eq!(offered(&["value", "explain", "b"]), ["button"]);
        assert_eq!(offered(&["segment", "edit", "s"]), ["staff"]);
        assert!(offered(&["roll"]).contains(&"rollout".to_owned()));
        assert!(offered(&["rollout", "--ye"]).contains(&"--yes".to_owned()));
    }

    #[test]
    fn every_shell_asks_for_names() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell, &mut commands::command());
            assert!(script.contains("cutover __names"), "{shell}");
            assert!(script.contains("emergency-rollback"), "{shell}");
        }
    }

    /// Of names it knows nothing: there is no shell of it to try them in.
    #[test]
    fn powershell_completes_commands_and_options() {
        let script = script(Shell::PowerShell, &mut commands::command());
        assert!(script.contains("Register-ArgumentCompleter -Native -CommandName 'cutover' -ScriptBlock {"));
        let (_, start) = script.split_once("\n        'cutover;canary;start' {\n").expect("the command");
        let (start, _) = start.split_once("\n            break\n").expect("its end");
        for option in ["'--yes'", "'--context'", "'-o'", "'--format'"] {
            assert!(start.contains(&format!("[CompletionResult]::new({option}, ")), "{option}:\n{start}");
        }
        assert!(!script.contains("cutover __names"));
    }

    #[test]
    fn names_are_completed_for_commands_that_exist() {
        let root = commands::command();
        for command in
            NAMED.iter().flat_map(|(_, commands)| commands.iter()).filter(|name| **name != "start-canary")
        {
            let mut found = Some(&root);
            for word in command.split(' ') {
                found = found.and_then(|command| command.find_subcommand(word));
            }
            assert!(found.is_some(), "{command}");
        }
    }

    #[test]
    fn options_with_names_are_those_of_their_commands() {
        let mut root = commands::command();
        root.build();
        for (option, _, named) in OPTIONS {
            for command in named {
                let command = root.find_subcommand(command).unwrap();
                assert!(
                    command.get_arguments().any(|argument| argument.get_long() == Some(option)),
                    "{option}"
                );
            }
        }
    }

    /// Collects the commands with an argument for the name of an object.
    fn with_names(command: &clap::Command, words: &str, found: &mut Vec<String>) {
        let is_name = |argument: &clap::Arg| {
            matches!(argument.get_id().as_str(), "flag" | "id" | "route" | "run" | "experiment" | "segment")
        };
        if command.get_positionals().any(is_name) {
            found.push(words.trim_start().to_owned());
        }
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            with_names(inner, &format!("{words} {}", inner.get_name()), found);
        }
    }

    /// Commands that name a new object.
    const NEW: [&str; 4] = ["flag create", "experiment create", "value create", "segment create"];

    #[test]
    fn every_argument_for_the_name_of_an_object_is_completed() {
        let mut found = Vec::new();
        with_names(&commands::command(), "", &mut found);
        assert!(found.len() > 20, "{found:?}");
        for command in found {
            let is_completed = NAMED.iter().any(|(_, commands)| commands.contains(&command.as_str()));
            // The name of a new object is not known yet.
            assert!(is_completed || NEW.contains(&command.as_str()), "{command}");
        }
    }
}
