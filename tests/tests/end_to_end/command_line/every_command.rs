//! One table of every command. On a terminal of 80 columns each prints the screen that is kept in `screens`, and no line is
//! wider; a pipe that is closed ends it quietly; and a management API that fails twice first changes nothing of it.
//!
//! With CUTOVER_UPDATE=1 the screens are written. A third of the rows is part of every run of the suite; with CUTOVER_DEEP=1 all
//! are.

use super::{
    documents,
    head::head,
    masks::masked,
    rows::{Kind, Row, rows},
    scene::{FAULT, Scene, Words},
};
use cutover_tests::{command, is_deep, paths, terminal};
use futures_util::{StreamExt, stream};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Commands that the completions of shells do not tell: help itself, and a name that is replaced before clap reads it.
const UNTOLD: [&str; 2] = ["help", "start-canary"];

/// Rows that are checked at the same time, if they change nothing.
const AT_ONCE: usize = 4;

/// Exit code of a process that wrote into a closed pipe, as shells report it.
const CLOSED_PIPE: i32 = 141;

/// Enters the alternate screen of a terminal and hides the cursor, and undoes both.
const ALTERNATE_SCREEN: [&str; 2] = ["\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"];

/// Folder with the screens.
const SCREENS: &str = "tests/tests/end_to_end/command_line/screens";

fn is_update() -> bool {
    std::env::var_os("CUTOVER_UPDATE").is_some()
}

fn file(screen: &str) -> PathBuf {
    paths::root().join(SCREENS).join(format!("{}.txt", screen.replace(' ', "-")))
}

/// Returns the commands that the binary tells its completions of, also those that its help hides.
fn commands(completions: &str) -> BTreeSet<String> {
    let command = |line: &str| {
        let (parent, name) = line.trim().strip_suffix(')')?.split_once(',')?;
        let parents: Vec<&str> = parent.strip_prefix("cutover")?.split("__subcmd__").skip(1).collect();
        let is_help = name == "help" || parents.contains(&"help");
        (!is_help).then(|| [&parents[..], &[name]].concat().join(" "))
    };
    completions.lines().filter_map(command).collect()
}

/// Returns the commands that have no commands below them.
fn leaves(commands: &BTreeSet<String>) -> BTreeSet<&str> {
    let is_leaf = |command: &&str| !commands.iter().any(|other| other.starts_with(&format!("{command} ")));
    commands.iter().map(String::as_str).filter(is_leaf).collect()
}

#[tokio::test]
async fn every_command_of_the_binary_has_a_row() {
    let completions = command::cutover_alone(&["completions", "bash"], "").await.out;
    let commands = commands(&completions);
    for known in ["rollout", "canary start", "token rotate", "adapter try", "__names", "create-ab-test"] {
        assert!(commands.contains(known), "{known} is not found in {commands:?}");
    }
    let rows = rows();
    let named: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    let leaves = leaves(&commands);
    let missing: Vec<_> = leaves.difference(&named).collect();
    assert!(missing.is_empty(), "commands without a row: {missing:?}");
    let is_known = |name: &str| commands.contains(name) || UNTOLD.contains(&name);
    let unknown: Vec<_> = named.iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "rows without a command: {unknown:?}");
    let screens: BTreeSet<PathBuf> =
        rows.iter().filter(|row| !row.is_script).map(|row| file(row.screen)).collect();
    let kept = fs::read_dir(paths::root().join(SCREENS)).into_iter().flatten();
    let kept: BTreeSet<PathBuf> = kept.map(|entry| entry.expect("a file").path()).collect();
    let left: Vec<_> = kept.difference(&screens).collect();
    assert!(left.is_empty(), "screens without a row: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_fits_a_terminal_and_survives_a_closed_pipe_and_two_failures() {
    let scene = Scene::prepare().await;
    let is_whole = is_deep() || is_update();
    let rows = rows().into_iter().filter(|row| is_whole || row.is_short);
    let (changing, others): (Vec<Row>, Vec<Row>) = rows.partition(|row| row.kind == Kind::Changing);
    let checks = others.iter().map(|row| check(&scene, row));
    let mut findings = stream::iter(checks).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.concat();
    findings.sort();
    for row in &changing {
        findings.extend(check(&scene, row).await);
    }
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// Checks a row in all ways. Returns the findings.
async fn check(scene: &Scene, row: &Row) -> Vec<String> {
    let mut findings = on_a_terminal(scene, row).await;
    if !row.is_question {
        findings.extend(in_a_pipe(scene, row).await);
    }
    if row.kind == Kind::Reading && row.interrupted_at.is_none() && !row.is_sent_once {
        findings.extend(as_json(scene, row).await);
    }
    // Without an end there is nothing to compare; the watch of a run that is over is a row of its own.
    if row.kind != Kind::Local && row.interrupted_at.is_none() {
        findings.extend(after_failures(scene, row).await);
    }
    findings.into_iter().map(|finding| format!("{}: {finding}", row.screen)).collect()
}

async fn on_a_terminal(scene: &Scene, row: &Row) -> Vec<String> {
    let words = scene.ready(&row.before, None).await;
    let shown = terminal::shown(scene.command(&words, row.who, &row.words()), row.interrupted_at).await;
    let visible = terminal::visible(&shown.output);
    let mut findings = Vec::new();
    if shown.code != row.code {
        findings.push(format!("exits with {}, not {}: {visible}", shown.code, row.code));
    }
    findings.extend(alternate_screen(&shown.output, row.name == "canary watch"));
    if row.is_script {
        return findings;
    }
    let width = |line: &str| line.chars().count();
    for line in visible.lines().filter(|line| width(line) > usize::from(terminal::COLUMNS)) {
        findings.push(format!("a line of {} columns: {line}", width(line)));
    }
    let screen =
        format!("$ {}\n{}[exit {}]\n", typed(row), comparable(scene, &words, row, &visible), shown.code);
    findings.extend(difference(&file(row.screen), &screen));
    findings
}

/// Checks that a command that has an alternate screen leaves it once, after it has entered it, and that others have none.
fn alternate_screen(output: &str, is_expected: bool) -> Option<String> {
    let [entered, left] = ALTERNATE_SCREEN.map(|sequence| output.match_indices(sequence).collect::<Vec<_>>());
    let is_right = match (&entered[..], &left[..], is_expected) {
        ([entered], [left], true) => entered.0 < left.0 && !output.contains("\x1b[2J"),
        ([], [], false) => true,
        _ => false,
    };
    let [entered, left] = [entered.len(), left.len()];
    (!is_right).then(|| format!("enters the alternate screen {entered} times, and leaves it {left} times"))
}

/// Returns the command as it is typed in a shell.
fn typed(row: &Row) -> String {
    let quoted = |word: &str| if word.contains(' ') { format!("'{word}'") } else { word.to_owned() };
    std::iter::once("cutover").chain(row.words()).map(quoted).collect::<Vec<_>>().join(" ")
}

/// Returns an output with nothing in it that differs from run to run.
fn comparable(scene: &Scene, words: &Words, row: &Row, output: &str) -> String {
    let masked = masked(output, &scene.names(words));
    if !row.is_unordered {
        return masked;
    }
    let mut lines: Vec<&str> = masked.lines().collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

/// Compares a screen with the one that is kept, or keeps it. Lines may be broken elsewhere, by the width of a number that is
/// masked.
fn difference(file: &Path, screen: &str) -> Option<String> {
    if is_update() {
        fs::create_dir_all(file.parent()?).expect("the folder can be made");
        fs::write(file, screen).expect("the screen can be written");
        return None;
    }
    let Ok(kept) = fs::read_to_string(file) else {
        return Some("no screen is kept; CUTOVER_UPDATE=1 writes it".to_owned());
    };
    if kept.split_whitespace().eq(screen.split_whitespace()) {
        return None;
    }
    let mut pairs = kept.lines().zip(screen.lines());
    let first = pairs.find(|(kept, shown)| kept != shown);
    Some(format!(
        "not the screen that is kept; CUTOVER_UPDATE=1 writes it anew; first difference: {first:?}\n{screen}"
    ))
}

async fn in_a_pipe(scene: &Scene, row: &Row) -> Option<String> {
    let words = scene.ready(&row.before, None).await;
    let (code, err) = head(scene.command(&words, row.who, &row.words()), row.interrupted_at.is_some()).await;
    let is_quiet = [row.code, CLOSED_PIPE].contains(&code) && !err.contains("panicked");
    (!is_quiet).then(|| format!("exits with {code} in front of `head -1`: {err}"))
}

/// Checks the documents that a command prints for programs.
async fn as_json(scene: &Scene, row: &Row) -> Vec<String> {
    let words = scene.ready(&row.before, None).await;
    let arguments = [&row.words()[..], &["--json"]].concat();
    let done = command::run(scene.command(&words, row.who, &arguments), "").await;
    let mut findings: Vec<String> =
        documents::faults(&done.out).into_iter().map(|fault| format!("with --json: {fault}")).collect();
    if done.code != row.code {
        findings.push(format!("with --json: exits with {}, not {}: {}", done.code, row.code, done.err));
    }
    findings
}

async fn after_failures(scene: &Scene, row: &Row) -> Option<String> {
    let words = scene.ready(&row.before, None).await;
    let expected = command::run(scene.command(&words, row.who, &row.words()), "").await;
    let expected_out = comparable(scene, &words, row, &expected.out);
    let (proxy, url) = scene.failing().await;
    let words = scene.ready(&row.before, Some(url)).await;
    let done = command::run(scene.command(&words, row.who, &row.words()), "").await;
    if row.is_sent_once {
        let is_told = done.code == 1 && done.out.is_empty() && done.err.contains(FAULT);
        return (!is_told).then(|| format!("does not tell that it failed: {done:?}"));
    }
    let out = comparable(scene, &words, row, &done.out);
    let is_same = done.code == expected.code && out == expected_out;
    if !is_same {
        return Some(format!(
            "fails after two failures: exits with {}, not {}: {}{}instead of\n{expected_out}",
            done.code, expected.code, out, done.err
        ));
    }
    // Otherwise nothing was tried.
    (proxy.awaited() > 0).then(|| format!("{} of two failures did not meet it", proxy.awaited()))
}

#[test]
fn an_alternate_screen_that_is_left_open_is_found() {
    let [enter, leave] = ALTERNATE_SCREEN;
    for (output, is_expected, is_right) in [
        (format!("a{enter}b{leave}c"), true, true),
        (format!("a{enter}b"), true, false),
        (format!("{leave}{enter}"), true, false),
        (format!("{enter}{leave}{leave}"), true, false),
        ("a".to_owned(), true, false),
        ("a".to_owned(), false, true),
        (format!("{enter}{leave}"), false, false),
    ] {
        assert_eq!(alternate_screen(&output, is_expected).is_none(), is_right, "{output:?} {is_expected}");
    }
}

#[test]
fn commands_are_read_from_completions() {
    let completions = "        case \"${cmd},${i}\" in\n            cutover,canary)\n                cmd=\"cutover__subcmd__canary\"\n\
                       \x20           cutover,help)\n            cutover,create-ab-test)\n\
                       \x20           cutover__subcmd__canary,start)\n            cutover__subcmd__canary,help)\n\
                       \x20           cutover__subcmd__help,canary)\n            cutover__subcmd__help__subcmd__canary,start)\n\
                       \x20       cutover)\n";
    let found = commands(completions);
    assert_eq!(Vec::from_iter(&found), ["canary", "canary start", "create-ab-test"]);
    assert_eq!(Vec::from_iter(leaves(&found)), ["canary start", "create-ab-test"]);
}
