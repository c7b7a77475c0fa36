//! Failures of commands, and the exit codes that scripts can act on.

use crate::output::{field, list, text};
use cutover_core::config::Problem;
use serde_json::{Value, json};
use std::{fmt, process::ExitCode, time::Duration};

/// Reason for which a command failed.
#[derive(Debug)]
pub enum Failure {
    /// An argument or an environment variable is missing or malformed. Exit code 2, as for
    /// arguments that clap rejects.
    Usage(String),
    /// A file has mistakes. Exit code 3.
    File {
        /// The file's name.
        name: String,
        /// All mistakes, in the order of the file.
        problems: Vec<Problem>,
    },
    /// The management API refused the request. Exit code 3 for bad input, 4 for missing rights, 5
    /// if the object does not exist, 6 if it has changed meanwhile, 7 for too many requests, else 1.
    Refused {
        /// HTTP status of the response.
        status: u16,
        /// Description of the problem.
        detail: String,
        /// Suggested remedy.
        hint: String,
        /// The problem document of the response; null if there was none.
        problem: Box<Value>,
        /// Time after which the management API asked to be called again.
        retry_after: Option<Duration>,
    },
    /// The change is stored until a second person approves it. Exit code 8.
    Waits(String),
    /// This number of preflight checks failed; standard output lists them. Exit code 9.
    Preflight(usize),
    /// A run ended, but not as it should have. Exit code 10.
    Missed(String),
    /// The time to wait for a run or for a change was over first. Exit code 11.
    TimeOver(String),
    /// The management API cannot be reached. Exit code 7.
    Unreachable(String),
    /// A file or a response cannot be read or written. Exit code 1.
    Io(String),
    /// Responses differ; standard output lists the differences. Exit code 1, as of `diff`.
    Different(String),
    /// A file would change this number of objects; standard output lists the changes. Exit code 12.
    Changes(usize),
    /// Another failure of a command whose exit code 1 stands for responses that differ. Exit code 2.
    Trouble(Box<Failure>),
}

impl Failure {
    /// Returns the exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Trouble(_) => 2,
            Failure::File { .. } => 3,
            Failure::Refused { status, .. } => match status {
                400 | 413 | 422 => 3,
                401 | 403 => 4,
                404 => 5,
                409 | 412 => 6,
                429 => 7,
                _ => 1,
            },
            Failure::Unreachable(_) => 7,
            Failure::Waits(_) => 8,
            Failure::Preflight(_) => 9,
            Failure::Missed(_) => 10,
            Failure::TimeOver(_) => 11,
            Failure::Changes(_) => 12,
            Failure::Io(_) | Failure::Different(_) => 1,
        }
    }

    /// Describes the failure for programs: `code`, `detail`, `hint`, the exit code, and `field`, `errors` and `difference` as
    /// the API gave them.
    pub fn json(&self) -> Value {
        let (code, message) = match self {
            Failure::Trouble(failure) => {
                let mut document = failure.json();
                if let Some(fields) = document.as_object_mut() {
                    fields.insert("exit_code".to_owned(), json!(self.code()));
                }
                return document;
            }
            Failure::File { problems, .. } => {
                let detail = self.to_string().lines().last().unwrap_or_default().replacen("error: ", "", 1);
                return json!({ "code": "invalid", "detail": detail, "errors": problems, "exit_code": self.code() });
            }
            Failure::Refused { status, detail, hint, problem, .. } => {
                let mut document =
                    json!({ "code": "refused", "status": status, "detail": detail, "hint": hint });
                if let Some(fields) = document.as_object_mut() {
                    for name in ["code", "field", "errors", "difference"] {
                        if let Some(value) = problem.get(name) {
                            fields.insert(name.to_owned(), value.clone());
                        }
                    }
                    fields.insert("exit_code".to_owned(), json!(self.code()));
                }
                return document;
            }
            Failure::Usage(_) => ("usage", self.to_string()),
            Failure::Waits(_) => ("waits_for_approval", self.to_string()),
            Failure::Preflight(_) => ("preflight_failed", self.to_string()),
            Failure::Missed(_) => ("missed", self.to_string()),
            Failure::TimeOver(_) => ("time_over", self.to_string()),
            Failure::Unreachable(_) => ("unreachable", self.to_string()),
            Failure::Io(_) => ("unreadable", self.to_string()),
            Failure::Different(_) => ("different", self.to_string()),
            Failure::Changes(_) => ("changes", self.to_string()),
        };
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let (detail, hint) = message.split_once("\n  hint: ").unwrap_or((message, ""));
        json!({ "code": code, "detail": detail, "hint": hint, "exit_code": self.code() })
    }

    /// Says how to go on after another caller has changed the object first.
    pub fn or_overtaken(self, hint: impl FnOnce() -> String) -> Self {
        match self {
            Failure::Refused { status: 412, detail, problem, retry_after, .. } => {
                Failure::Refused { status: 412, detail, hint: hint(), problem, retry_after }
            }
            other => other,
        }
    }

    /// Returns the first line, which says what failed.
    pub fn cause(&self) -> String {
        let text = self.to_string();
        let line = text.lines().next().unwrap_or_default();
        line.strip_prefix("error: ").unwrap_or(line).to_owned()
    }

    /// Adds a hint behind the one that the failure has.
    pub fn with_hint(self, more: &str) -> Self {
        let followed = |text: String| format!("{text}\n  hint: {more}");
        match self {
            Failure::Refused { status, detail, hint, problem, retry_after } => {
                let hint = if hint.is_empty() { more.to_owned() } else { format!("{hint}\n  hint: {more}") };
                Failure::Refused { status, detail, hint, problem, retry_after }
            }
            Failure::Unreachable(text) => Failure::Unreachable(followed(text)),
            Failure::Usage(text) => Failure::Usage(followed(text)),
            Failure::Io(text) => Failure::Io(followed(text)),
            other => other,
        }
    }

    /// Says that the change may have been made although the command failed.
    pub fn of_unknown_outcome(self) -> Self {
        let advice = "the change may have been made; look at cutover audit --limit 5 before trying again";
        match self {
            Failure::Refused { status, detail, problem, retry_after, .. } => {
                Failure::Refused { status, detail, hint: advice.to_owned(), problem, retry_after }
            }
            Failure::Unreachable(text) => Failure::Unreachable(format!("{text}\n  hint: {advice}")),
            other => other,
        }
    }

    /// Gives mistakes and unreadable files the exit code 2, for commands in which 1 stands for
    /// responses that differ.
    pub fn beside_differences(self) -> Self {
        match self {
            Failure::File { .. } | Failure::Io(_) => Failure::Trouble(Box::new(self)),
            other => other,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text)
            | Failure::Missed(text)
            | Failure::TimeOver(text)
            | Failure::Unreachable(text)
            | Failure::Io(text)
            | Failure::Different(text) => write!(f, "error: {text}"),
            // Such commands change nothing in any case.
            Failure::Trouble(failure) => match failure.as_ref() {
                Failure::File { name, problems } => mistakes(f, name, problems),
                other => write!(f, "{other}"),
            },
            Failure::Waits(text) => f.write_str(text),
            Failure::Preflight(failed) => {
                let s = if *failed == 1 { "" } else { "s" };
                write!(f, "error: {failed} check{s} failed; remedies are listed above")
            }
            Failure::Changes(1) => f.write_str("1 object differs from the file"),
            Failure::Changes(count) => write!(f, "{count} objects differ from the file"),
            Failure::File { name, problems } => {
                mistakes(f, name, problems)?;
                f.write_str("; nothing was changed")
            }
            Failure::Refused { detail, hint, problem, .. } => {
                for error in list(problem, "errors") {
                    writeln!(
                        f,
                        "{}: {}\n  hint: {}",
                        place(error),
                        text(error, "message"),
                        text(error, "hint")
                    )?;
                }
                write!(f, "error: {detail}")?;
                if !hint.is_empty() {
                    write!(f, "\n  hint: {hint}")?;
                }
                Ok(())
            }
        }
    }
}

/// Returns the place of one of the mistakes of a document: its field, or the document as a whole.
fn place(error: &Value) -> String {
    let place = field(error, "field");
    if place.is_empty() { "the document".to_owned() } else { place }
}

/// Writes the mistakes of a file, and their number.
fn mistakes(f: &mut fmt::Formatter<'_>, name: &str, problems: &[Problem]) -> fmt::Result {
    for problem in problems {
        // A problem in a file that this one refers to already names that file.
        let file = if problem.file.is_empty() { format!("{name}:") } else { String::new() };
        writeln!(f, "{file}{problem}\n  hint: {}", problem.hint)?;
    }
    write!(f, "error: {}", counts(name, problems))
}

/// Returns the number of mistakes in each file.
fn counts(name: &str, problems: &[Problem]) -> String {
    let mut files: Vec<(&str, usize)> = Vec::new();
    for problem in problems {
        let file = if problem.file.is_empty() { name } else { problem.file.as_str() };
        match files.iter_mut().find(|(held, _)| *held == file) {
            Some((_, count)) => *count += 1,
            None => files.push((file, 1)),
        }
    }
    let count = |(file, count): (&str, usize)| {
        let s = if count == 1 { "" } else { "s" };
        format!("{count} mistake{s} in {file}")
    };
    files.into_iter().map(count).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_counted_by_the_file_that_has_them() {
        let problem = |file: &str| Problem {
            file: file.to_owned(),
            line: 1,
            column: 2,
            field: "field".to_owned(),
            message: "a mistake".to_owned(),
            hint: "correct it".to_owned(),
        };
        let cases: [(&[&str], &str); 3] = [
            (&["adapter.yaml", "adapter.yaml"], "error: 2 mistakes in adapter.yaml; nothing was changed"),
            (
                &["", "adapter.yaml", ""],
                "error: 2 mistakes in cutover.yaml, 1 mistake in adapter.yaml; nothing",
            ),
            (&[""], "error: 1 mistake in cutover.yaml; nothing was changed"),
        ];
        for (files, expected) in cases {
            let problems = files.iter().map(|file| problem(file)).collect();
            let text = Failure::File { name: "cutover.yaml".to_owned(), problems }.to_string();
            assert!(text.contains(&format!("\n{expected}")), "{text}");
        }
        let failure = Failure::File { name: "adapter.yaml".to_owned(), problems: vec![problem("")] };
        let text = failure.beside_differences().to_string();
        assert!(text.ends_with("\nerror: 1 mistake in adapter.yaml"), "{text}");
    }

    #[test]
    fn programs_get_what_the_api_said_and_the_exit_code() {
        let mistake = json!({ "line": 2, "column": 17, "field": "a", "message": "m", "hint": "h" });
        let problem = json!({ "code": "invalid", "field": "a", "errors": [mistake], "title": "x" });
        let refused = Failure::Refused {
            status: 422,
            detail: "no".to_owned(),
            hint: "do".to_owned(),
            problem: Box::new(problem),
            retry_after: None,
        };
        let expected = json!({
            "code": "invalid", "status": 422, "detail": "no", "hint": "do", "field": "a", "errors": [mistake],
            "exit_code": 3,
        });
        assert_eq!(refused.json(), expected);
        assert_eq!(refused.to_string(), "a: m\n  hint: h\nerror: no\n  hint: do");
        let usage = Failure::Usage("no token given\n  hint: set one".to_owned());
        let expected =
            json!({ "code": "usage", "detail": "no token given", "hint": "set one", "exit_code": 2 });
        assert_eq!(usage.json(), expected);
        let busy = Failure::Refused {
            status: 429,
            detail: "slow down".to_owned(),
            hint: String::new(),
            problem: Box::default(),
            retry_after: None,
        };
        assert_eq!(busy.json()["exit_code"], 7, "it may be tried again, unlike a refusal");
        assert_eq!(Failure::Preflight(2).json()["exit_code"], 9);
        let file = Failure::File { name: "f.yaml".to_owned(), problems: Vec::new() };
        assert_eq!(file.json()["exit_code"], 3);
        assert_eq!(file.beside_differences().json()["exit_code"], 2);
    }
}
