//! More than a hundred mistakes in one configuration, all told in one run: each at its line, with a remedy, and nothing
//! at any other line. The mistakes are in the files of `core/tests/mistakes`, beside what has to be told of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use cutover_core::config::{Config, Problem};

/// The configuration, whose problems name no file.
const CONFIGURATION: &str = "cutover.yaml";

const FILES: [(&str, &str); 10] = [
    (CONFIGURATION, include_str!("mistakes/cutover.yaml")),
    ("adapter.yaml", include_str!("mistakes/adapter.yaml")),
    ("operations.graphql", include_str!("mistakes/operations.graphql")),
    ("schema.graphql", include_str!("mistakes/schema.graphql")),
    ("common.yaml", include_str!("mistakes/common.yaml")),
    ("second.yaml", include_str!("mistakes/second.yaml")),
    ("syntax.yaml", include_str!("mistakes/syntax.yaml")),
    ("syntax.graphql", include_str!("mistakes/syntax.graphql")),
    ("types.yaml", include_str!("mistakes/types.yaml")),
    ("types.graphql", include_str!("mistakes/types.graphql")),
];

/// A mistake in one of the files, as the end of its line describes it:
/// `# MISTAKE 7: a part of the message | a part of the remedy`.
struct Mistake {
    file: &'static str,
    line: usize,
    number: usize,
    message: &'static str,
    remedy: &'static str,
}

impl Mistake {
    /// Reads the mark at the end of a line, if it has one.
    fn read(file: &'static str, line: usize, text: &'static str) -> Option<Self> {
        let (_, mark) = text.split_once("# MISTAKE ")?;
        let (number, expected) = mark.split_once(": ").unwrap_or_else(|| panic!("{file}:{line}: {mark}"));
        let (message, remedy) = expected.split_once(" | ").unwrap_or_else(|| panic!("{file}:{line}: {mark}"));
        let number = number.parse().unwrap_or_else(|_| panic!("{file}:{line}: {number} is no number"));
        Some(Self { file, line, number, message, remedy })
    }

    fn is_told_by(&self, problem: &Problem) -> bool {
        file_of(problem) == self.file
            && problem.line == self.line
            && problem.message.contains(self.message)
            && problem.hint.contains(self.remedy)
    }
}

fn mistakes() -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (file, text) in FILES {
        let lines = text.lines().enumerate();
        mistakes.extend(lines.filter_map(|(index, line)| Mistake::read(file, index + 1, line)));
    }
    mistakes
}

fn file_of(problem: &Problem) -> &str {
    if problem.file.is_empty() { CONFIGURATION } else { &problem.file }
}

fn content(name: &str) -> Result<String, String> {
    let found = FILES.iter().find(|(file, _)| *file == name);
    found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "there is no such file".to_owned())
}

#[test]
fn all_mistakes_are_told_in_one_run_at_their_lines_with_their_remedies() {
    let mistakes = mistakes();
    assert!(mistakes.len() > 100, "{} mistakes", mistakes.len());
    let numbers: Vec<usize> = mistakes.iter().map(|mistake| mistake.number).collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=numbers.len()).collect::<Vec<_>>(), "each mistake has a number of its own");

    let text = content(CONFIGURATION).unwrap();
    let problems = Config::from_yaml_with(&text, &content).expect_err("the files have mistakes");
    let told = |problem: &Problem| {
        let Problem { line, message, hint, .. } = problem;
        format!("{}:{line}: {message} | {hint}", file_of(problem))
    };
    let untold: Vec<String> = mistakes
        .iter()
        .filter(|mistake| !problems.iter().any(|problem| mistake.is_told_by(problem)))
        .map(|Mistake { file, line, number, message, remedy }| {
            format!("{file}:{line}: MISTAKE {number}: {message} | {remedy}")
        })
        .collect();
    let unexpected: Vec<String> = problems
        .iter()
        .filter(|problem| !mistakes.iter().any(|mistake| mistake.is_told_by(problem)))
        .map(told)
        .collect();
    assert!(untold.is_empty() && unexpected.is_empty(), "untold: {untold:#?}\nunexpected: {unexpected:#?}");
}
