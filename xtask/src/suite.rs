//! `cargo xtask test`: every check of the project, the quick ones first.

use crate::{
    dist, edge, functions, fuzz,
    run::{Failure, cargo, command, output, run, step},
    tools::{self, Purpose},
};
use std::{process::Command, time::Instant};

/// Threads of the tests. Most of them wait for processes and timers, so there are more threads than cores.
const THREADS: &str = "--test-threads=6";

/// The module name of end-to-end tests that measure time, and so run by themselves.
const ALONE: &str = "::alone::";

/// Seconds of fuzzing per target in a deep run.
const FUZZ_SECONDS: &str = "60";

/// Runs the suite; with `--deep` also its long parts. Other arguments select tests by name, as in `cargo test`.
///
/// # Errors
/// Fails at the first step that fails.
pub fn test(arguments: &[&str]) -> Result<(), Failure> {
    let is_deep = arguments.contains(&"--deep");
    let filters: Vec<&str> = arguments.iter().copied().filter(|argument| *argument != "--deep").collect();
    tools::install(Purpose::Test)?;
    timed("formatting", || cargo(&["fmt", "--all", "--check"]))?;
    timed("building and linting everything for this machine", || {
        run(linting(&mut command("cargo"))?.args(["build", "--locked", "--workspace", "--all-targets"]), FIX)
    })?;
    timed("lints for the Worker", edge::clippy)?;
    timed("the Worker", || {
        edge::build()?;
        edge::check_javascript()?;
        edge::size_gate()?;
        edge::dry_run()
    })?;
    timed("documentation", || {
        let mut doc = command("cargo");
        doc.args(["doc", "--locked", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings");
        // The other crates are programs; documenting them means checking all of their dependencies.
        doc.args(if is_deep { ["--workspace", "--quiet"] } else { ["-p", "cutover-core"] });
        run(&mut doc, FIX)
    })?;
    // They use the library as no other crate does, and are run by a deep run only.
    timed("targets of the fuzzer", fuzz::check)?;
    if is_deep {
        timed("the archives for AWS", functions::build)?;
        timed("the archives of the command line", dist::dist)?;
    }
    // Always the whole workspace: another selection of packages would choose other features of shared dependencies, and
    // compile them again.
    timed("tests", || {
        let targets = ["--lib", "--bins", "--tests"];
        // The harness runs what any filter matches, so chosen tests cannot be split into two runs.
        let alone: &[&str] = if filters.is_empty() { &["--skip", ALONE] } else { &[] };
        cargo_test(&targets, &filters, &[alone, &[THREADS]].concat(), is_deep)
    })?;
    if !filters.is_empty() {
        return Ok(());
    }
    timed("examples in the documentation", || cargo_test(&["--doc"], &[], &[], is_deep))?;
    if is_deep {
        timed("licences and sources of dependencies", deny)?;
        timed("fuzzing", || fuzz::run_all(&[FUZZ_SECONDS]))?;
    }
    // Last, and without a line of ours behind it: the output of a run ends with what the test runner prints.
    step("tests that measure time, one by one");
    cargo_test(&["--test", "end_to_end"], &[ALONE], &["--test-threads=1"], is_deep)
}

const FIX: &str = "read the messages above";

/// Checks the dependencies against deny.toml.
fn deny() -> Result<(), Failure> {
    tools::install_crate("cargo-deny", CARGO_DENY)?;
    let deny = |checks: &[&str]| {
        let mut deny = command(tools::cargo_home().join("bin/cargo-deny"));
        deny.args(["--all-features", "check", "--hide-inclusion-graph"]).args(checks);
        deny
    };
    run(
        &mut deny(&["licenses", "bans", "sources"]),
        "read the messages above; deny.toml says what is allowed",
    )?;
    // The advisories are in a repository of their own, which not every machine reaches.
    let fetched = output(command(tools::cargo_home().join("bin/cargo-deny")).args(["fetch", "db"]), "");
    if fetched.is_err() {
        step("SKIPPED: advisories, because their database cannot be fetched");
        return Ok(());
    }
    run(&mut deny(&["advisories"]), "read the messages above")
}

/// The pinned version of cargo-deny.
const CARGO_DENY: &str = "0.20.2";

/// Runs one step of the suite and prints how long it took.
fn timed(name: &str, work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    step(name);
    let started = Instant::now();
    let outcome = work();
    step(&format!("{name}: {} s", started.elapsed().as_secs()));
    outcome
}

/// Lets clippy compile the workspace's own crates: lints and programs from one build, where `cargo clippy` would analyse
/// every dependency a second time.
fn linting(cargo: &mut Command) -> Result<&mut Command, Failure> {
    let sysroot = output(command("rustc").args(["--print", "sysroot"]), "install Rust with rustup")?;
    Ok(cargo
        .env("RUSTC_WORKSPACE_WRAPPER", format!("{sysroot}/bin/clippy-driver"))
        .env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__"))
}

fn cargo_test(targets: &[&str], filters: &[&str], harness: &[&str], is_deep: bool) -> Result<(), Failure> {
    let mut test = command("cargo");
    linting(&mut test)?.args(["test", "--locked", "--workspace", "--no-fail-fast"]).args(targets);
    test.arg("--").args(harness).args(filters);
    if is_deep {
        // Tests that only a deep run has time for are marked as ignored.
        test.arg("--include-ignored");
        test.env("CUTOVER_DEEP", "1");
    }
    run(&mut test, FIX)
}
