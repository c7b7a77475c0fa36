//! The text of the tour.

use crate::dev::{
    endpoints::Endpoints,
    steps::{Action, STEPS},
};

/// Longest line of an explanation.
const WIDTH: usize = 110;

/// Returns the tour with commands to copy. Below each command is a part of its output, as comments.
pub fn text(endpoints: &Endpoints) -> String {
    let mut text = String::from(
        "\n  The tour: five steps in two more terminals, both in this folder. First in both of them:\n\n",
    );
    for line in endpoints.exports() {
        text.push_str(&format!("    {line}\n"));
    }
    text.push_str("\n  Lines that begin with # are a part of what the command above them prints.\n");
    for (index, step) in STEPS.iter().enumerate() {
        text.push_str(&format!("\n  {}. {}\n\n", index + 1, step.title));
        for action in step.actions {
            text.push_str(&shown(action));
        }
    }
    text
}

fn shown(action: &Action) -> String {
    match action {
        Action::Say(sentence) => wrapped(sentence),
        Action::Background(line) => format!("    {line}     # in the second terminal; Ctrl-C ends it\n"),
        Action::Command { line, prints, .. } => {
            let printed: String = prints.iter().map(|line| format!("      # {line}\n")).collect();
            format!("    {line}\n{printed}")
        }
        Action::Interrupt => wrapped("That was the tour. Ctrl-C in the second terminal ends the traffic."),
    }
}

/// Breaks a sentence into lines.
fn wrapped(sentence: &str) -> String {
    let mut lines = vec![String::from("  ")];
    for word in sentence.split_whitespace() {
        let is_full = lines.last().is_some_and(|line| line.chars().count() + word.chars().count() > WIDTH);
        if is_full {
            lines.push(String::from("  "));
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
            line.push(' ');
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}
