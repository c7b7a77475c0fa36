//! Help: commands grouped by purpose, examples, and exit codes. `-h` is short, with a command's own options; `--help` also has
//! those of all commands, under headings of their own at the end.

mod examples;

use anstyle::Style;
use clap::{Arg, Command};

/// Commands by purpose, in the order in which the help shows them.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Move users",
        &[
            "enable",
            "disable",
            "rollout",
            "canary",
            "experiment",
            "create-ab-test",
            "emergency-rollback",
            "emergency-clear",
        ],
    ),
    ("Look", &["status", "list", "get", "explain", "compare", "audit", "metrics"]),
    (
        "Configure",
        &["init", "apply", "diff", "export", "flag", "value", "segment", "route", "changes", "adapter"],
    ),
    ("Sign in and operate", &["login", "context", "whoami", "token", "preflight", "restore"]),
    ("Set up this machine", &["completions", "man", "version"]),
];

/// Commands that change nothing behind the management API.
const READERS: [&str; 14] = [
    "list",
    "get",
    "status",
    "compare",
    "diff",
    "export",
    "explain",
    "audit",
    "whoami",
    "preflight",
    "metrics",
    "context",
    "login",
    "__names",
];

/// Commands that never call the management API.
const LOCALS: [&str; 5] = ["init", "adapter", "completions", "man", "version"];

/// Options that matter only to changes.
const OF_CHANGES: [&str; 1] = ["reason"];

/// Options that matter only to commands that call the management API.
const OF_CALLS: [&str; 7] = ["context", "url", "token", "aws_iam", "insecure_http", "no_retry", "reason"];

/// Text below the help of `cutover`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done                                  7  no management API, or too busy
  1  failed, or responses differ           8  waits for a second person
  2  wrong usage, or not confirmed         9  a preflight check failed
  3  a file or a value has mistakes       10  a canary's run ended otherwise
  4  not signed in, or not allowed        11  the time to wait was over
  5  no such object                       12  a file would change something
  6  in conflict with the current state

Environment: CUTOVER_CONTEXT, CUTOVER_URL, CUTOVER_TOKEN, NO_COLOR.
More: docs/cli.md";

/// Example of `cutover init`.
pub const INIT: &str =
    "Example:\n  cutover init --legacy https://old.example --new https://new.example --path /v1";

/// Examples of `cutover rollout`.
pub const ROLLOUT: &str = "Examples:\n  cutover rollout reviews_read 2.5% --reason 'first users'\n  \
                           cutover rollout reviews_read 10% --wait --timeout 5m";

/// Example of `cutover explain`.
pub const EXPLAIN: &str = "Examples:\n  cutover explain reviews_read --user u1 --with country=NO\n  \
                           cutover explain --reasons";

/// Examples of `cutover apply`.
pub const APPLY: &str = "Examples:\n  cutover apply -f cutover.yaml --dry-run\n  cutover apply -f cutover.yaml --if-revision 17\n  \
     cutover export | sed ... | cutover apply -f -";

/// Examples of `cutover diff`.
pub const DIFF: &str =
    "Example:\n  cutover diff cutover.yaml\n\nExit status: 0 if there are no changes, 12 if there are.";

/// Examples of `cutover flag`.
pub const FLAG: &str = "Examples:\n  cutover flag create reviews_read --description 'GraphQL for reviews'\n  \
                        cutover flag edit reviews_read\n  cutover flag delete reviews_read";

/// Examples of `cutover value`.
pub const VALUE: &str = "Examples:\n  cutover value create button --type string --variant blue=B --variant red=R\n  \
                         cutover value edit button\n  cutover value explain button --user u1";

/// Examples of `cutover segment`.
pub const SEGMENT: &str = "Examples:\n  cutover segment create staff --include ann --include bob\n  \
                           cutover segment create north --condition 'country in NO,SE'";

/// Examples of `cutover route`.
pub const ROUTE: &str = "Examples:\n  cutover route list\n  cutover route get reviews.read\n  \
     cutover route delete reviews.read --reason 'served by reviews.all'";

/// Examples of `cutover audit`.
pub const AUDIT: &str = "Examples:\n  cutover audit --flag reviews_read --since yesterday\n  \
                         cutover audit show 17\n  cutover audit --all > audit.jsonl";

/// Examples of `cutover canary`.
pub const CANARY: &str = "Examples:\n  cutover canary plan reviews_read -f cutover.yaml\n  \
                          cutover canary start reviews_read\n  cutover canary watch reviews_read";

/// Examples of `cutover experiment`.
pub const EXPERIMENT: &str = "Examples:\n  cutover experiment create checkout --flag checkout --traffic-percentage 20\n  \
                              cutover experiment start checkout\n  \
                              cutover experiment status checkout\n  \
                              cutover experiment stop checkout --winner treatment --reason 'more orders'";

/// Examples of the emergency commands.
pub const EMERGENCY: &str = "Examples:\n  cutover emergency-rollback 'errors on checkout'\n  \
                             cutover emergency-rollback 'errors on checkout' --flag checkout\n  \
                             cutover emergency-clear 'fixed in 1.4.2' --at 0\n  \
                             cutover emergency-clear 'fixed in 1.4.2' --flag checkout";

/// Example of `cutover token`.
pub const TOKEN: &str = "Example:\n  cutover token create ann --role operator --expires 30d > ann.token";

/// Examples of `cutover context`.
pub const CONTEXT: &str = "Examples:\n  \
    cutover context add staging --url https://staging.example\n  \
    cutover context add live --url https://live.example --production \\\n    --token-stdin < live.token\n  \
    cutover context use staging\n  cutover list --context live";

/// Example of `cutover login`.
pub const LOGIN: &str = "Example:\n  cutover login --context live --token-stdin < live.token";

/// Example of `cutover preflight`.
pub const PREFLIGHT: &str =
    "Example:\n  cutover preflight --phase before\n\nExit status: 0 if all checks pass, 9 if one fails.";

/// Examples of `cutover completions`.
pub const COMPLETIONS: &str = "Examples:\n  source <(cutover completions bash)\n  \
                               cutover completions zsh > ~/.zfunc/_cutover\n  \
                               cutover completions fish > ~/.config/fish/completions/cutover.fish";

/// Groups the commands in the help, adds examples, and hides options in commands for which they mean nothing.
pub fn arranged(command: Command) -> Command {
    let options: Vec<Arg> = command.get_arguments().cloned().collect();
    let hidden = |ids: &[&str]| -> Vec<Arg> {
        let chosen = options.iter().filter(|option| ids.contains(&option.get_id().as_str()));
        // Without their heading, whose place would be before that of the first visible option.
        chosen.map(|option| option.clone().hide(true).help_heading(None::<&str>)).collect()
    };
    // Its short option is the file that it writes.
    let long_only = options.iter().filter(|option| option.get_id().as_str() == "encoding");
    let long_only: Vec<Arg> = long_only.map(|option| option.clone().short(None::<char>)).collect();
    let mut arranged = command.mut_subcommand("init", |command| command.args(long_only));
    for (commands, ids) in
        [(READERS.as_slice(), OF_CHANGES.as_slice()), (LOCALS.as_slice(), OF_CALLS.as_slice())]
    {
        for name in commands {
            arranged = arranged.mut_subcommand(name, |command| command.args(hidden(ids)));
        }
    }
    for (words, text) in examples::EXAMPLES {
        arranged = with_examples(arranged, words, text);
    }
    let template = template(&arranged);
    arranged.help_template(template)
}

/// Sets the text below the help of the command with these words.
fn with_examples(command: Command, words: &[&str], text: &'static str) -> Command {
    match words {
        [] => command.after_help(text),
        [first, others @ ..] => command.mut_subcommand(first, |inner| with_examples(inner, others, text)),
    }
}

fn template(command: &Command) -> String {
    let (heading, literal) = (Style::new().bold().underline(), Style::new().bold());
    let styled = |style: Style, text: &str| format!("{}{text}{}", style.render(), style.render_reset());
    let width =
        GROUPS.iter().flat_map(|(_, names)| names.iter()).map(|name| name.len()).max().unwrap_or_default();
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n\n".to_owned();
    for (title, names) in GROUPS {
        text.push_str(&format!("{}\n", styled(heading, &format!("{title}:"))));
        for name in names.iter().copied() {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let padding = " ".repeat(width - name.len());
            text.push_str(&format!("  {}{padding}  {about}\n", styled(literal, name)));
        }
        text.push('\n');
    }
    text.push_str(&format!("{}\n{{options}}{{after-help}}\n", styled(heading, "Options:")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands,
        terminal::{USUAL, wrapped},
    };
    use std::collections::BTreeSet;

    #[test]
    fn every_command_is_in_one_group_of_the_help() {
        let command = commands::command();
        let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
        let commands: BTreeSet<&str> = visible.map(Command::get_name).collect();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        assert_eq!(grouped.iter().copied().collect::<BTreeSet<_>>(), commands);
        assert_eq!(grouped.len(), commands.len(), "a command is in two groups");
        for command in commands {
            assert!(!command.contains(['{', '}']));
        }
    }

    #[test]
    fn the_document_has_every_command_and_every_exit_code() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let text = std::fs::read_to_string(document).unwrap();
        for name in GROUPS.iter().flat_map(|(_, names)| names.iter()) {
            assert!(text.contains(&format!("`{name}")), "{name} is not in docs/cli.md");
        }
        for code in 0..=12 {
            assert!(text.contains(&format!("\n| {code} | ")), "docs/cli.md has no exit code {code}");
            assert!(EXIT_CODES.contains(&format!("{code:>3}  ")), "the help has no exit code {code}");
        }
    }

    #[test]
    fn the_help_has_commands_options_and_exit_codes() {
        let help = commands::command().render_long_help().to_string();
        for part in [
            "Move users:\n  enable              Enable a flag",
            "--context <NAME>",
            "Exit codes:\n  0  done",
            "Usage: cutover",
        ] {
            assert!(help.contains(part), "{part:?} is missing:\n{help}");
        }
        assert!(!help.contains("__names"), "{help}");
    }

    /// Collects the texts below the help of a command and of those below it.
    fn written_by_hand(command: &Command, found: &mut Vec<String>) {
        found.extend(command.get_after_help().map(ToString::to_string));
        command.get_subcommands().for_each(|inner| written_by_hand(inner, found));
    }

    #[test]
    fn no_example_and_no_table_is_wider_than_a_terminal() {
        let mut found = Vec::new();
        written_by_hand(&commands::command(), &mut found);
        assert!(found.len() > 40, "{}", found.len());
        for line in found.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
    }

    #[test]
    fn the_list_of_commands_is_not_wider_than_a_terminal() {
        let help = commands::command().render_help().to_string();
        let list = help.split("Options:").next().unwrap();
        for line in list.lines() {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
    }

    /// Collects the visible commands without commands of their own: their words, and the text below their help.
    fn leaves(command: &Command, words: &str, found: &mut Vec<(String, String)>) {
        let inner: Vec<&Command> = command.get_subcommands().filter(|inner| !inner.is_hide_set()).collect();
        if inner.is_empty() {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            found.push((words.to_owned(), text));
        }
        for command in inner {
            leaves(command, &format!("{words} {}", command.get_name()), found);
        }
    }

    #[test]
    fn every_command_has_an_example_that_can_be_typed() {
        let mut found = Vec::new();
        leaves(&commands::command(), "cutover", &mut found);
        assert!(found.len() > 40, "{}", found.len());
        for (words, text) in found {
            assert!(text.contains(&format!("\n  {words}")), "{words} has no example: {text:?}");
            for line in text.lines().filter(|line| line.starts_with("  cutover ")) {
                let line = line.split([' ', '\n']).filter(|word| !word.is_empty());
                let typed: Vec<&str> = line.take_while(|word| !matches!(*word, "<" | ">" | "|")).collect();
                // Words between quotes are one argument of a shell, and a line may go on in the next one.
                if typed.iter().any(|word| word.contains('\'') || *word == "\\") {
                    continue;
                }
                let parsed = commands::parse(typed.iter().map(Into::into));
                assert!(parsed.is_ok(), "{typed:?}: {}", parsed.unwrap_err());
            }
        }
    }

    /// Returns the help of a command.
    fn help_of(name: &str) -> String {
        let mut command = commands::command();
        command.build();
        command.find_subcommand_mut(name).unwrap().render_long_help().to_string()
    }

    /// Commands whose short help is higher than a terminal, with the reason.
    const HIGH: [(&str, &str); 14] = [
        ("cutover", "it lists all commands"),
        ("cutover canary", "it lists all of its commands"),
        ("cutover canary wait", "it has goals and exit codes"),
        ("cutover canary plan", "it has the assumptions about the traffic"),
        ("cutover canary simulate", "it has the assumptions about the traffic"),
        ("cutover experiment", "it lists all of its commands"),
        ("cutover experiment create", "it has every field of an experiment"),
        ("cutover value create", "it has every field of a flag"),
        ("cutover emergency-clear", "its examples are read in an emergency"),
        ("cutover apply", "its examples are pipelines"),
        ("cutover audit", "it has commands, filters and examples"),
        ("cutover adapter try", "it shows an adapter's whole trial"),
        ("cutover adapter test", "it shows a file of pairs"),
        ("cutover preflight", "it has the URL of every part"),
    ];

    /// Collects the short help of a command and of those below it.
    fn short_helps(command: &mut Command, words: &str, found: &mut Vec<(String, String)>) {
        found.push((words.to_owned(), command.render_help().to_string()));
        for inner in command.get_subcommands_mut() {
            if !inner.is_hide_set() && inner.get_name() != "help" {
                let words = format!("{words} {}", inner.get_name());
                short_helps(inner, &words, found);
            }
        }
    }

    #[test]
    fn the_short_help_of_a_command_is_one_screen_and_the_long_one_ends_with_the_options_of_all() {
        let mut command = commands::command();
        command.build();
        let mut found = Vec::new();
        short_helps(&mut command, "cutover", &mut found);
        assert!(found.len() > 60, "{}", found.len());
        for (words, help) in found {
            let height = wrapped(&help, USUAL.columns).lines().count();
            let is_high = HIGH.iter().any(|(high, _)| *high == words);
            assert!(height <= USUAL.rows || is_high, "{words}: {height} lines\n{help}");
            assert!(
                !help.contains("Connection options:") && !help.contains("Output options:"),
                "{words}:\n{help}"
            );
        }
        let long = help_of("rollout");
        let headings = ["\nOptions:", "\nOutput options:", "\nConnection options:", "\nExamples:"];
        let places = headings.map(|heading| long.find(heading).unwrap());
        assert!(places.is_sorted(), "{long}");
        assert!(
            places[0] < long.find("--timeout").unwrap() && long.find("--timeout").unwrap() < places[1],
            "{long}"
        );
    }

    #[test]
    fn options_are_shown_where_they_matter() {
        for (name, option, is_shown) in [
            ("rollout", "--reason", true),
            ("rollout", "--aws-iam", true),
            ("list", "--reason", false),
            ("list", "--no-retry", true),
            ("list", "--no-headers", true),
            ("completions", "--no-retry", false),
            ("list", "--aws-iam", true),
            ("completions", "--url", false),
            ("adapter", "--token", false),
        ] {
            assert_eq!(help_of(name).contains(option), is_shown, "{name} {option}:\n{}", help_of(name));
        }
        assert!(help_of("rollout").contains("Examples:\n  cutover rollout "));
    }
}
