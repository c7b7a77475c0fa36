//! A row of the table of commands.

use crate::command_line::scene::{Step, Who};

/// A command, as it is typed.
#[derive(Debug)]
pub struct Row {
    /// The command, such as `canary start`.
    pub name: &'static str,
    /// Name of the file with its screen, which is that of the command unless stated.
    pub screen: &'static str,
    /// Arguments, with words of the scene in braces.
    pub arguments: &'static [&'static str],
    /// Caller.
    pub who: Who,
    /// Steps before each run.
    pub before: Vec<Step>,
    /// Exit code.
    pub code: i32,
    /// Kind of the command.
    pub kind: Kind,
    /// Text on the screen at which Ctrl-C is pressed, for a command without an end.
    pub interrupted_at: Option<&'static str>,
    /// True for a command that does not send its request again, because the response has a secret that is not stored, or
    /// because a shell waits for it.
    pub is_sent_once: bool,
    /// True for an output that a shell reads and no person, which is neither narrow nor kept.
    pub is_script: bool,
    /// True for a command that asks an operator at a terminal, and is interrupted there; nobody is asked elsewhere.
    pub is_question: bool,
    /// True for an output in the order of random ids.
    pub is_unordered: bool,
    /// True for a row of every run of the suite.
    pub is_short: bool,
}

/// Effect of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It never calls the management API.
    Local,
    /// It reads from the management API.
    Reading,
    /// It changes the state of the deployment.
    Changing,
}

impl Row {
    pub(super) fn new(kind: Kind, name: &'static str, arguments: &'static [&'static str]) -> Self {
        Self {
            name,
            screen: name,
            arguments,
            who: Who::Root,
            before: Vec::new(),
            code: 0,
            kind,
            interrupted_at: None,
            is_sent_once: false,
            is_script: false,
            is_question: false,
            is_unordered: false,
            is_short: false,
        }
    }

    /// Returns the command with its arguments.
    pub fn words(&self) -> Vec<&'static str> {
        self.name.split(' ').chain(self.arguments.iter().copied()).collect()
    }

    pub(super) fn exits(self, code: i32) -> Self {
        Self { code, ..self }
    }

    /// Turns the row into that of a question: its screen, and its end by Ctrl-C before the answer.
    pub(super) fn asks(self, screen: &'static str) -> Self {
        Self { screen, is_question: true, interrupted_at: Some("Go on? [y/N]"), ..self.exits(130) }
    }

    pub(super) fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }

    pub(super) fn after(self, steps: impl IntoIterator<Item = Step>) -> Self {
        Self { before: steps.into_iter().collect(), ..self }
    }

    pub(super) fn short(self) -> Self {
        Self { is_short: true, ..self }
    }

    pub(super) fn sent_once(self) -> Self {
        Self { is_sent_once: true, ..self }
    }
}
