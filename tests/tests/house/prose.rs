//! Doc comments in plain English: no "what" for a noun, no comment of one word, `# Errors` wherever a public function can fail.

use crate::sources::{CRATES, files, read, shown};

/// Most occurrences of "what" in 1 000 words.
const MOST: f64 = 1.0;

/// Words that a doc comment must not begin with: they ask a question instead of answering it.
const QUESTIONS: [&str; 5] = ["What", "How", "Whether", "Why", "Who"];

/// A doc comment and the declaration after it.
struct Comment {
    line: usize,
    text: String,
    declaration: String,
}

fn comments(source: &str) -> Vec<Comment> {
    let lines: Vec<&str> = source.lines().collect();
    let doc = |line: &&str| {
        let line = line.trim_start();
        let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
        Some(text.trim().to_owned())
    };
    let (mut found, mut index) = (Vec::new(), 0);
    while index < lines.len() {
        let block: Vec<String> = lines[index..].iter().map_while(doc).collect();
        if block.is_empty() {
            index += 1;
            continue;
        }
        let after = index + block.len();
        let declared = lines[after..].iter().skip_while(|line| line.trim_start().starts_with("#["));
        let mut declaration = String::new();
        for line in declared {
            declaration.push_str(line.trim());
            declaration.push(' ');
            if line.trim_end().ends_with(['{', ';']) {
                break;
            }
        }
        found.push(Comment { line: index + 1, text: block.join(" "), declaration });
        index = after;
    }
    found
}

fn is_fallible(declaration: &str) -> bool {
    let is_function =
        ["pub fn ", "pub async fn ", "pub const fn "].iter().any(|start| declaration.starts_with(start));
    is_function
        && declaration.rsplit_once("->").is_some_and(|(_, returned)| {
            returned.split(|c: char| !c.is_alphanumeric()).any(|word| word == "Result")
        })
}

#[test]
fn doc_comments_read_like_english() {
    let (mut words, mut whats, mut findings) = (0, 0, Vec::new());
    for file in CRATES.iter().flat_map(|folder| files(folder, "rs")) {
        for Comment { line, text, declaration } in comments(&read(&file)) {
            let spoken: Vec<&str> = text
                .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '\'')
                .filter(|w| !w.is_empty())
                .collect();
            words += spoken.len();
            whats += spoken.iter().filter(|word| word.eq_ignore_ascii_case("what")).count();
            let mut find =
                |finding: &str| findings.push(format!("{}:{line}: {finding}: {text}", shown(&file)));
            if text.split_whitespace().count() < 2 {
                find("one word");
            }
            if spoken.first().is_some_and(|first| QUESTIONS.contains(first)) {
                find("begins with a question");
            }
            if is_fallible(&declaration) && !text.contains("# Errors") {
                find("returns a Result and has no `# Errors`");
            }
        }
    }
    let rate = whats as f64 * 1_000.0 / words as f64;
    println!("{words} words, {rate:.2} times \"what\" in 1 000");
    assert!(words > 20_000, "the comments were not found");
    assert!(rate <= MOST, "\"what\" {rate:.1} times in 1 000 words");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn the_check_finds_each_kind_of_fault() {
    let source = "/// Why.\npub x: u8,\n\n/// Reads it.\npub fn read(\n    a: u8,\n) -> Result<(), ()> {\n";
    let found = comments(source);
    assert_eq!((found.len(), found[0].text.as_str(), found[1].line), (2, "Why.", 4));
    assert!(is_fallible(&found[1].declaration) && !is_fallible(&found[0].declaration));
}
