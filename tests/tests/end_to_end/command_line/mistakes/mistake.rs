//! A mistake, and the answer that is expected to it.

use crate::command_line::{
    head::head,
    scene::{Scene, Step, Who},
};
use cutover_tests::command;

/// Words that no answer to a mistake has: those of libraries, of Rust, and of earlier versions that were misunderstood.
const NEVER: [&str; 14] = [
    "panicked",
    "Failed to",
    "deserialize",
    "invalid type",
    "invalid float literal",
    "invalid digit",
    "unknown variant",
    "missing field",
    "expected f64",
    "canarys",
    "not certainly somebody else",
    "GET /",
    "POST /",
    "number of share",
];

/// Exit code of a process that wrote into a closed pipe, as shells report it.
const CLOSED_PIPE: i32 = 141;

/// A mistake and the answer to it.
#[derive(Debug)]
pub struct Mistake {
    /// Number in the table; a letter tells several forms of one mistake apart.
    pub number: &'static str,
    attempt: Attempt,
    who: Who,
    before: Vec<Step>,
    /// Exit code, or status.
    code: i32,
    says: &'static [&'static str],
    never: &'static [&'static str],
    /// True for one that only deep runs have time for.
    pub is_slow: bool,
}

/// A thing that is tried.
#[derive(Debug)]
pub enum Attempt {
    /// A command line, which may begin with environment variables. One without a value is not set.
    Command(&'static [&'static str]),
    /// A command line in front of `head -1`.
    Head(&'static [&'static str]),
    /// A request with a JSON body.
    Request {
        method: &'static str,
        path: &'static str,
        header: (&'static str, &'static str),
        body: &'static str,
    },
}

impl Mistake {
    pub(super) fn of(number: &'static str, attempt: Attempt, code: i32) -> Self {
        let (who, before) = (Who::Root, Vec::new());
        Self { number, attempt, who, before, code, says: &[], never: &[], is_slow: false }
    }

    pub(super) fn by(self, who: Who) -> Self {
        Self { who, ..self }
    }

    pub(super) fn after(self, steps: impl IntoIterator<Item = Step>) -> Self {
        Self { before: steps.into_iter().collect(), ..self }
    }

    pub(super) fn says(self, says: &'static [&'static str]) -> Self {
        Self { says, ..self }
    }

    pub(super) fn never(self, never: &'static [&'static str]) -> Self {
        Self { never, ..self }
    }

    pub(super) fn slow(self) -> Self {
        Self { is_slow: true, ..self }
    }

    /// Makes the attempt. Returns the exit code or the status, and everything that was said.
    async fn attempted(&self, scene: &Scene) -> (i32, String, Vec<String>) {
        let words = scene.ready(&self.before, None).await;
        let says = self.says.iter().map(|text| words.fill(text)).collect();
        let prepared = |line: &'static [&'static str]| {
            let is_variable = |word: &&&str| word.starts_with("CUTOVER_");
            let variables: Vec<&str> = line.iter().take_while(is_variable).copied().collect();
            let mut command = scene.command(&words, self.who, &line[variables.len()..]);
            for variable in variables {
                let (name, value) = variable.split_once('=').expect("a variable has a value");
                if value.is_empty() {
                    command.env_remove(name);
                } else {
                    command.env(name, words.fill(value));
                }
            }
            command
        };
        let (code, said) = match self.attempt {
            Attempt::Command(line) => {
                let done = command::run(prepared(line), "").await;
                (done.code, done.out + &done.err)
            }
            Attempt::Head(line) => head(prepared(line), false).await,
            Attempt::Request { method, path, header, body } => {
                let headers = [("content-type", "application/json"), header];
                let answer = scene.management(self.who).send(method, path, &headers, Some(body)).await;
                (i32::from(answer.status), answer.body.to_string())
            }
        };
        (code, said, says)
    }

    /// Returns the ways in which the answer is not as it should be.
    pub(super) async fn findings(&self, scene: &Scene) -> Vec<String> {
        let (code, said, says) = self.attempted(scene).await;
        let is_expected =
            code == self.code || matches!(self.attempt, Attempt::Head(_)) && code == CLOSED_PIPE;
        let mut findings = Vec::new();
        if !is_expected {
            findings.push(format!("ends with {code}, not {}", self.code));
        }
        let missing = says.iter().filter(|text| !said.contains(text.as_str()));
        findings.extend(missing.map(|text| format!("does not say {text:?}")));
        let wrong = NEVER.iter().chain(self.never).filter(|text| said.contains(**text));
        findings.extend(wrong.map(|text| format!("says {text:?}")));
        findings.into_iter().map(|finding| format!("{}: {finding}:\n{said}", self.number)).collect()
    }
}
