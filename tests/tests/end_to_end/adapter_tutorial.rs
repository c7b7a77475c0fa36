//! docs/adapter-tutorial.md, from two URLs to pairs that pass: its commands are run against the two backends of the catalogue.

use cutover_origins::{Backend, Origin};
use cutover_tests::{dev::expectation::missing, paths};
use std::{path::Path, process::Command};

/// A fenced block of a section: its language, and its text.
struct Block {
    language: String,
    text: String,
}

/// Returns the blocks of the section with this number.
fn blocks(page: &str, number: u8) -> Vec<Block> {
    let (_, section) = page.split_once(&format!("\n## {number}. ")).expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let fenced = section.split("```").skip(1).step_by(2);
    let block = |text: &str| {
        let (language, text) = text.split_once('\n').expect("a block begins with its language");
        Block { language: language.to_owned(), text: text.to_owned() }
    };
    fenced.map(block).collect()
}

/// Returns the lines of a text that are not empty, without their indentation and with single spaces.
fn plain(text: &str) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(line).filter(|line| !line.is_empty()).collect()
}

/// Returns the blocks of YAML of a section that are not lines of a file, one after the other.
fn strange(page: &str, number: u8, file: &str) -> Vec<String> {
    let lines = plain(file);
    let is_strange = |block: &Block| {
        let own = plain(&block.text);
        !lines.windows(own.len()).any(|part| part == own)
    };
    let yaml = blocks(page, number).into_iter().filter(|block| block.language == "yaml");
    yaml.filter(is_strange).map(|block| block.text).collect()
}

#[test]
fn every_step_shows_lines_of_the_adapter_that_it_leads_to() {
    let page = std::fs::read_to_string(paths::root().join("docs/adapter-tutorial.md")).unwrap();
    let adapter = std::fs::read_to_string(paths::root().join("tests/catalogue/adapter.yaml")).unwrap();
    for number in 3..=7 {
        assert_eq!(strange(&page, number, &adapter), Vec::<String>::new(), "step {number}");
        assert!(!strange(&page, number, "shapes:").is_empty(), "step {number} shows nothing");
    }
}

/// The reader's machine: a folder with the description of the old interface, and both backends.
struct Desk {
    folder: tempfile::TempDir,
    old: Origin,
    new: Origin,
}

impl Desk {
    /// Runs the commands of a block. Returns the exit code of the last one, and everything that was printed.
    fn run(&self, block: &Block) -> (Option<i32>, String) {
        let script = block.text.replace("https://old.example", &self.old.url());
        let script = script.replace("https://new.example", &self.new.url());
        let path =
            format!("{}:{}", paths::root().join("target/debug").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(self.folder.path()).env("PATH", path);
        shell.env_remove("CUTOVER_URL").env_remove("CUTOVER_TOKEN");
        let done = shell.output().unwrap();
        let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (done.status.code(), text.concat())
    }

    fn copy(&self, from: &Path, to: &str) {
        std::fs::copy(from, self.folder.path().join(to)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_leads_from_two_urls_to_pairs_that_pass() {
    let page = std::fs::read_to_string(paths::root().join("docs/adapter-tutorial.md")).unwrap();
    let example = paths::root().join("tests/catalogue");
    let desk = Desk {
        folder: tempfile::tempdir().unwrap(),
        old: Origin::start_catalogue(Backend::Legacy).await,
        new: Origin::start_catalogue(Backend::New).await,
    };
    desk.copy(&example.join("openapi.yaml"), "openapi.yaml");

    let written = desk.run(&blocks(&page, 1)[0]);
    assert_eq!(written.0, Some(0), "{}", written.1);
    assert!(written.1.contains("/api/work/{id}"), "it is left to legacy:\n{}", written.1);
    let generated = std::fs::read_to_string(desk.folder.path().join("catalogue/adapter.yaml")).unwrap();
    assert_eq!(strange(&page, 1, &generated), Vec::<String>::new(), "{generated}");
    let tried = desk.run(&blocks(&page, 2)[0]);
    assert_eq!(tried.0, Some(1), "the links are missing:\n{}", tried.1);
    let printed = tried.1.replace(&desk.new.url(), "https://new.example");
    let shown = blocks(&page, 2).remove(1);
    let shown: Vec<&str> = shown.text.lines().collect();
    assert_eq!(missing(&printed, &shown), Vec::<&str>::new(), "{printed}");

    // Steps 3 to 7 end at the adapter of the repository.
    for name in ["adapter.yaml", "operations.graphql", "schema.graphql"] {
        desk.copy(&example.join(name), &format!("catalogue/{name}"));
    }
    let last = blocks(&page, 8);
    let requests = last.iter().find(|block| block.language == "yaml").expect("the requests");
    std::fs::write(desk.folder.path().join("requests.yaml"), &requests.text).unwrap();
    let commands =
        last.iter().find(|block| block.text.starts_with("cutover adapter test ")).expect("the commands");
    let tested = desk.run(commands);
    assert_eq!(tested.0, Some(0), "{}", tested.1);
    assert!(tested.1.contains("4 pairs: 4 ok, 0 different\n"), "{}", tested.1);

    // Without the links of step 3.
    let path = desk.folder.path().join("catalogue/adapter.yaml");
    let mut adapter = std::fs::read_to_string(&path).unwrap();
    for line in blocks(&page, 3)[0].text.lines() {
        assert!(adapter.contains(line), "{line}");
        adapter = adapter.replacen(&format!("{line}\n"), "", 1);
    }
    std::fs::write(&path, adapter).unwrap();
    let tested = desk.run(commands);
    let shown = last.iter().find(|block| block.text.starts_with("DIFFERENT")).expect("the differences");
    let shown: Vec<&str> = shown.text.lines().collect();
    assert_eq!(missing(&tested.1, &shown), Vec::<&str>::new(), "{}", tested.1);
}
