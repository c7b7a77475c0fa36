//! docs/guarantees.md is the page of promises: each promise is proven by tests that exist, and README and SECURITY say
//! nothing about safety without a link to a promise.

use crate::sources::{read, root};

/// The page of promises.
const PAGE: &str = "docs/guarantees.md";

/// The documents whose sentences about safety link a promise.
const DOCUMENTS: [&str; 2] = ["README.md", "SECURITY.md"];

/// Words of sentences about safety. "Within" before a number of seconds or minutes is another one.
const SAFETY_WORDS: [&str; 10] = [
    "never",
    "always",
    "only",
    "cannot",
    "nothing",
    "nobody",
    "no client",
    "at once",
    "by itself",
    "exactly once",
];

const UNITS: [&str; 6] = ["s", "ms", "second", "seconds", "minute", "minutes"];

/// Sections without links: the document, the heading, and the reason.
const EXEMPT: [(&str, &str, &str); 1] =
    [("SECURITY.md", "Known limits", "it says what is not promised, and a link would suggest the opposite")];

/// A paragraph, an item of a list or a row of a table.
struct Block {
    line: usize,
    heading: String,
    text: String,
}

/// The blocks of a document, without code.
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut heading, mut is_code, mut is_open) = ("", false, false);
    for (index, line) in document.lines().map(str::trim).enumerate() {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        if is_code || is_fence || line.is_empty() || line.starts_with('#') {
            if !is_code && line.starts_with('#') {
                heading = line.trim_start_matches('#').trim();
            }
            is_open = false;
            continue;
        }
        let is_row = line.starts_with('|');
        match blocks.last_mut() {
            Some(block) if is_open && !is_row && !line.starts_with("- ") => {
                block.text.push(' ');
                block.text.push_str(line);
            }
            _ => blocks.push(Block { line: index + 1, heading: heading.to_owned(), text: line.to_owned() }),
        }
        is_open = !is_row;
    }
    blocks
}

/// The words of a block in lower case, without code and the targets of links.
fn words(text: &str) -> Vec<String> {
    let prose = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let mut parts = prose.split("](");
    let mut visible = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        visible.push(' ');
        visible.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    visible
        .split(|c: char| !c.is_alphanumeric() && !['-', '\'', '.'].contains(&c))
        .map(|word| word.trim_matches('.').to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The first safety word of a block, if it has one.
fn safety_word(text: &str) -> Option<&'static str> {
    let words = words(text);
    let spoken = format!(" {} ", words.join(" "));
    let is_limit = |(index, word): (usize, &String)| {
        let mut next = words.iter().skip(index + 1).take(2);
        word == "within" && next.any(|next| UNITS.contains(&next.as_str()))
    };
    let found = SAFETY_WORDS.into_iter().find(|word| spoken.contains(&format!(" {word} ")));
    found.or_else(|| words.iter().enumerate().any(is_limit).then_some("within"))
}

/// The number of links to promises in a text.
fn links(text: &str) -> usize {
    let anchors = text.split("guarantees.md#g").skip(1);
    anchors.filter(|anchor| anchor.starts_with(|c: char| c.is_ascii_digit())).count()
}

/// The blocks of a document that speak of safety and link no promise.
fn unlinked(name: &str, document: &str) -> Vec<String> {
    let is_exempt = |block: &Block| {
        EXEMPT.iter().any(|(document, heading, _)| *document == name && *heading == block.heading)
    };
    let mut found = Vec::new();
    for block in blocks(document) {
        if let Some(word) = safety_word(&block.text)
            && links(&block.text) == 0
            && !is_exempt(&block)
        {
            found.push(format!("{name}:{}: \"{word}\" without a promise: {}", block.line, block.text));
        }
    }
    found
}

/// The faults of the page: promises out of order or out of form, and proofs that are no tests.
fn faults(page: &str, has_test: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, section) in page.split("\n### ").skip(1).enumerate() {
        let section = section.split("\n## ").next().unwrap_or_default();
        let (title, rest) = section.split_once('\n').unwrap_or((section, ""));
        let mut fault = |fault: &str| faults.push(format!("{title}: {fault}"));
        if !title.starts_with(&format!("G{}. ", index + 1)) {
            fault("is not the next number");
        }
        let paragraphs: Vec<&str> =
            rest.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()).collect();
        let [promise @ .., limits, proof] = paragraphs.as_slice() else {
            fault("has no promise, limits and proof");
            continue;
        };
        if promise.is_empty() || !limits.starts_with("Limits: ") || !proof.starts_with("Proof: ") {
            fault("is not a promise with `Limits: ` and `Proof: `, in this order");
        }
        let tests: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            fault("names no test");
        }
        for test in tests {
            if !test.split_once("::").is_some_and(|(file, name)| has_test(file, name)) {
                fault(&format!("{test} is no test"));
            }
        }
    }
    faults
}

/// Returns true if a line begins the function with this name.
fn begins_function(line: &str, name: &str) -> bool {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name));
    rest.is_some_and(|rest| rest.starts_with('('))
}

/// Returns true if a source file has a test with this name.
fn defines_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let Some(index) = lines.iter().position(|line| begins_function(line, name)) else { return false };
    let mut above = lines[..index].iter().rev().take_while(|line| line.starts_with(['#', '/']));
    above.any(|line| line.starts_with("#[") && line.contains("test"))
}

#[test]
fn every_promise_is_proven_by_tests_that_exist() {
    let page = read(&root().join(PAGE));
    let faults = faults(&page, |file, name| {
        let path = root().join(file);
        path.is_file() && defines_test(&read(&path), name)
    });
    assert!(page.matches("\n### G").count() > 20, "the promises were not found");
    assert!(faults.is_empty(), "{PAGE}:\n{}", faults.join("\n"));
}

#[test]
fn every_sentence_about_safety_links_a_promise() {
    let (mut found, mut linked) = (Vec::new(), 0);
    for name in DOCUMENTS {
        let document = read(&root().join(name));
        found.extend(unlinked(name, &document));
        linked += links(&document);
    }
    for (name, heading, reason) in EXEMPT {
        let document = read(&root().join(name));
        let is_there = blocks(&document).iter().any(|block| block.heading == heading);
        assert!(is_there, "{name} has no section {heading}, which is exempt because {reason}");
    }
    assert!(linked > 15, "only {linked} links to promises");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn planted_faults_are_found() {
    let link = "([G1](docs/guarantees.md#g1-x))";
    for sentence in [
        "It Never fails.",
        "Everybody is back at\nonce.",
        "It comes back within 4.9 s, as a rule.",
        "Within seconds all is well.",
        "| a | Nobody waits |",
        "- [nothing](docs/a.md) is lost",
    ] {
        assert_eq!(unlinked("README.md", sentence).len(), 1, "{sentence}");
        let linked = format!("{} {link}", sentence.trim_end_matches('|'));
        assert_eq!(unlinked("README.md", &linked), Vec::<String>::new());
        // A link in another block, or to the page alone, is none.
        for text in [format!("Before {link}.\n\n{sentence}"), format!("{sentence} [it](docs/guarantees.md)")]
        {
            assert_eq!(unlinked("README.md", &text).len(), 1, "{text}");
        }
    }
    for harmless in [
        "At most 3 within 60 windows.",
        "The log is append-only.",
        "`never`",
        "[x](docs/never.md)",
        "```\nnobody\n```",
    ] {
        assert_eq!(unlinked("README.md", harmless), Vec::<String>::new());
    }
    let limits = "## Known limits\n\nOnly this.";
    assert_eq!((unlinked("SECURITY.md", limits).len(), unlinked("README.md", limits).len()), (0, 1));

    let promise =
        |title: &str, proof: &str| format!("\n### {title}\n\nIt holds.\n\nLimits: some.\n\n{proof}\n");
    let check = |page: &str| faults(page, |file, name| (file, name) == ("a.rs", "good"));
    assert_eq!(check(&promise("G1. One", "Proof: `a.rs::good`")), Vec::<String>::new());
    for (page, expected) in [
        (promise("G1. One", "Proof: `a.rs::good`,\n`a.rs::gone`"), "G1. One: a.rs::gone is no test"),
        (promise("G1. One", "Proof: `a.rs`"), "G1. One: a.rs is no test"),
        (promise("G1. One", "Proof: later"), "G1. One: names no test"),
        (promise("G2. One", "Proof: `a.rs::good`"), "G2. One: is not the next number"),
        ("\n### G1. One\n\nIt holds.\n".to_owned(), "G1. One: has no promise, limits and proof"),
        (
            "\n### G1. One\n\nLimits: some.\n\nProof: `a.rs::good`\n".to_owned(),
            "G1. One: is not a promise with `Limits: ` and `Proof: `, in this order",
        ),
    ] {
        assert_eq!(check(&page), [expected]);
    }
    let source = "#[tokio::test]\n/// Why.\nasync fn good() {}\n\nfn helper() {}\n    #[test]\n    fn better(a: u8) {}\n";
    assert!(defines_test(source, "good") && defines_test(source, "better"));
    assert!(!defines_test(source, "helper") && !defines_test(source, "goo") && !defines_test(source, "bett"));
}
