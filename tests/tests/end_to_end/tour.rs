//! The tour of `cargo xtask dev --tour`: each command, in order, prints what the tour says. By default without the steps that
//! wait for a canary; all of them with `--deep`.

use cutover_tests::{
    dev::{
        expectation::missing,
        steps::{Action, STEPS},
    },
    is_deep, paths,
    process::{Process, free_row},
};
use std::{path::PathBuf, process::Command, time::Duration};
use tempfile::TempDir;

/// A terminal whose variables outlive a command.
struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// Opens a terminal after these commands.
    fn after(exports: &[&str]) -> Self {
        let terminal = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(terminal.variables(), exports.join("\n")).unwrap();
        terminal
    }

    fn variables(&self) -> PathBuf {
        self.folder.path().join("variables")
    }

    /// Returns a shell that reads the variables and then runs a script.
    fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(". {}\n{script}", self.variables().display())]).current_dir(paths::root());
        shell.env("XDG_CONFIG_HOME", paths::root().join("target/no-contexts")).env_remove("CUTOVER_CONTEXT");
        shell
    }

    /// Runs a command. Returns its exit code and everything that it printed.
    fn run(&self, line: &str) -> (i32, String) {
        let keep = format!("status=$?\nexport -p > {}\nexit $status", self.variables().display());
        let output = self.shell(&format!("{line}\n{keep}")).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code().unwrap(), text.concat())
    }
}

#[test]
fn every_command_of_the_tour_prints_what_the_tour_says() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut dev = Command::new(paths::root().join("target/debug/dev"));
    dev.args(["--tour", "--port", &free_row().to_string()]);
    let mut dev = Process::start("dev --tour", dev, log.path());
    let text = dev.wait_for("being ready", Duration::from_secs(180), |output| {
        output.contains("Ctrl-C stops everything").then(|| output.to_owned())
    });
    let (before, steps) = text.split_once("\n  1. ").expect("the tour is printed");
    let exports: Vec<&str> =
        before.lines().map(str::trim).filter(|line| line.starts_with("export ")).collect();
    assert_eq!(exports.len(), 5, "{before}");
    let terminal = Terminal::after(&exports);
    let mut background = None;
    for step in STEPS.iter().filter(|step| is_deep() || !step.is_long) {
        assert!(steps.contains(step.title), "{text}");
        for action in step.actions {
            match action {
                Action::Say(_) => {}
                Action::Background(line) => {
                    let log = terminal.folder.path().join("background");
                    background = Some(Process::start(line, terminal.shell(&format!("exec {line}")), &log));
                }
                Action::Interrupt => background = None,
                Action::Command { line, prints, code } => {
                    assert!(steps.contains(line), "{line} is not printed:\n{text}");
                    let is_shown = |part: &&str| steps.contains(&format!("      # {part}\n"));
                    assert!(prints.iter().all(is_shown), "{prints:?} is not printed:\n{text}");
                    let (found, printed) = terminal.run(line);
                    assert_eq!(found, *code, "{line}:\n{printed}\n{}", dev.output());
                    let missing = missing(&printed, prints);
                    assert!(
                        missing.is_empty(),
                        "{line}: {missing:?} is not in:\n{printed}\n{}",
                        dev.output()
                    );
                }
            }
        }
    }
    assert!(background.is_none(), "the tour leaves traffic behind");
}

#[test]
fn the_tour_ends_what_it_begins() {
    let actions: Vec<&Action> = STEPS.iter().flat_map(|step| step.actions).collect();
    let position = |wanted: fn(&Action) -> bool| actions.iter().position(|action| wanted(action));
    assert_eq!(STEPS.len(), 5);
    assert!(
        position(|action| matches!(action, Action::Background(_)))
            < position(|action| matches!(action, Action::Interrupt))
    );
    // What breaks the new backend is healed after it.
    let broken = |line: &str| line.contains("_control") && !line.contains("'{}'");
    let healed = |line: &str| line.contains("_control") && line.contains("'{}'");
    let lines: Vec<&str> = actions
        .iter()
        .filter_map(|action| if let Action::Command { line, .. } = action { Some(*line) } else { None })
        .collect();
    let last = |wanted: &dyn Fn(&str) -> bool| lines.iter().rposition(|line| wanted(line));
    assert!(last(&broken).is_some() && last(&broken) < last(&healed), "{lines:#?}");
}
