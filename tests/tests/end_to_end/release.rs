//! A release of the command line: the installer, the archives of `cargo xtask dist`, and the workflow that makes them.

use cutover_core::config::Node;
use cutover_tests::paths;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const VERSION: &str = "9.8.7";

/// A folder with a release: the installer, one archive for this machine, and the checksums.
struct Release {
    folder: TempDir,
}

fn shell(folder: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(folder).status().unwrap();
    assert!(status.success(), "{script}");
}

impl Release {
    /// Makes a release whose program prints its version.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let installer = fs::read_to_string(paths::root().join("xtask/src/dist/install.sh")).unwrap();
        fs::write(folder.path().join("install.sh"), installer.replace("@VERSION@", VERSION)).unwrap();
        let release = Self { folder };
        let name = release.name();
        let script = format!(
            "mkdir {name}; printf '#!/bin/sh\\necho cutover {VERSION}\\n' > {name}/cutover; chmod 755 {name}/cutover; \
             tar -czf {name}.tar.gz {name}; rm -r {name}; \
             {{ sha256sum {name}.tar.gz || shasum -a 256 {name}.tar.gz; }} > SHA256SUMS"
        );
        shell(release.folder.path(), &script);
        release
    }

    /// Returns the name of the archive for this machine.
    fn name(&self) -> String {
        let system = if cfg!(target_os = "macos") { "apple-darwin" } else { "unknown-linux-gnu" };
        format!("cutover-{VERSION}-{}-{system}", std::env::consts::ARCH)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the installer for a user with this home, and a prefix if one is given. Returns its exit code and what it printed.
    fn install(&self, home: &Path, prefix: Option<&Path>) -> (Option<i32>, String) {
        install(&self.path("install.sh"), home, prefix)
    }
}

fn install(script: &Path, home: &Path, prefix: Option<&Path>) -> (Option<i32>, String) {
    let mut install = Command::new("sh");
    install.arg(script).env("HOME", home).env_remove("PREFIX").env_remove("CUTOVER_RELEASE");
    if let Some(prefix) = prefix {
        install.env("PREFIX", prefix);
    }
    let done = install.output().unwrap();
    let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (done.status.code(), text)
}

fn version(program: &Path) -> String {
    let done = Command::new(program).arg("--version").output().unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_installer_puts_the_program_where_its_user_may_write() {
    let release = Release::new();
    let home = tempfile::tempdir().unwrap();
    let (code, printed) = release.install(home.path(), None);
    let installed = home.path().join(".local/bin/cutover");
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains(&format!("installed cutover {VERSION} as {}", installed.display())),
        "{printed}"
    );
    assert!(printed.contains("add it to your path"), "{printed}");
    assert_eq!(version(&installed), format!("cutover {VERSION}"));

    // Again, and elsewhere.
    fs::write(&installed, "an older version").unwrap();
    assert_eq!(release.install(home.path(), None).0, Some(0));
    let prefix = home.path().join("of mine");
    assert_eq!(release.install(home.path(), Some(&prefix)).0, Some(0));
    for program in [installed, prefix.join("bin/cutover")] {
        assert_eq!(version(&program), format!("cutover {VERSION}"));
        let files = fs::read_dir(program.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "nothing else is left there");
    }
}

#[test]
fn an_archive_with_another_checksum_is_not_installed() {
    let release = Release::new();
    let home = tempfile::tempdir().unwrap();
    let refused = |expected: &str| {
        let (code, printed) = release.install(home.path(), None);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains(expected), "{printed}");
        assert!(!home.path().join(".local/bin/cutover").exists());
    };
    let archive = release.path(&format!("{}.tar.gz", release.name()));
    let mut bytes = fs::read(&archive).unwrap();
    bytes.push(0);
    fs::write(&archive, bytes).unwrap();
    refused("is wrong; nothing was installed");
    fs::remove_file(&archive).unwrap();
    refused("has no cutover-9.8.7-");
    fs::write(release.path("SHA256SUMS"), "").unwrap();
    refused("this release has no archive for");
    fs::remove_file(release.path("SHA256SUMS")).unwrap();
    refused("has no SHA256SUMS");
}

#[test]
#[ignore = "needs the archives that cargo xtask test --deep builds"]
fn the_archives_of_dist_are_installed() {
    let home = tempfile::tempdir().unwrap();
    let (code, printed) = install(&paths::root().join("target/dist/install.sh"), home.path(), None);
    assert_eq!(code, Some(0), "{printed}");
    let expected = concat!("cutover ", env!("CARGO_PKG_VERSION"));
    assert_eq!(version(&home.path().join(".local/bin/cutover")), expected);
}

#[test]
fn a_release_is_tested_and_its_actions_are_pinned() {
    let text = fs::read_to_string(paths::root().join(".github/workflows/release.yml")).unwrap();
    let workflow = Node::from_yaml(&text).unwrap_or_else(|problem| panic!("{problem}")).to_json();
    let steps = workflow["jobs"]["release"]["steps"].as_array().unwrap();
    let runs: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let position = |wanted: &str| runs.iter().position(|run| run.contains(wanted)).expect(wanted);
    assert!(position("cargo xtask test") < position("cargo xtask dist"), "{runs:?}");
    assert!(position("cargo xtask dist") < position("target/dist/*"), "{runs:?}");
    let uses: Vec<&str> = steps.iter().filter_map(|step| step["uses"].as_str()).collect();
    assert!(!uses.is_empty());
    for action in uses {
        let (_, commit) = action.split_once('@').unwrap();
        assert!(commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{action}");
    }
}
