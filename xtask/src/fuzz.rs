//! `cargo xtask fuzz`: every reader of foreign input under libFuzzer, a coverage-guided fuzzer. Findings are kept in
//! tests/fuzz/artifacts.

use crate::{
    root::root,
    run::{Failure, command, run, step},
    tools::{cargo_home, install_crate},
};
use std::fs;

/// The pinned version of cargo-fuzz.
const CARGO_FUZZ: &str = "0.13.2";

/// Default number of seconds per target.
const SECONDS: &str = "20";

/// Runs targets for the given number of seconds each: those that are named, or all of them.
///
/// # Errors
/// Fails if a tool is missing, or if a target finds an input that breaks it.
pub fn run_all(arguments: &[&str]) -> Result<(), Failure> {
    let (seconds, chosen) = arguments.split_first().unwrap_or((&SECONDS, &[]));
    if seconds.parse::<u32>().is_err() {
        return Err(Failure::new("seconds must be a whole number", "cargo xtask fuzz [SECONDS [TARGET...]]"));
    }
    install_crate("cargo-fuzz", CARGO_FUZZ)?;
    let targets = root().join("tests/fuzz/targets");
    let unreadable = |error| Failure::new(format!("{}: {error}", targets.display()), "restore it");
    let mut names: Vec<String> = fs::read_dir(&targets)
        .map_err(unreadable)?
        .flatten()
        .filter_map(|entry| entry.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    if let Some(unknown) = chosen.iter().find(|name| !names.iter().any(|known| known == *name)) {
        return Err(Failure::new(
            format!("there is no target {unknown}"),
            format!("one of {}", names.join(", ")),
        ));
    }
    names.retain(|name| chosen.is_empty() || chosen.contains(&name.as_str()));
    // All of them first, so that one that does not compile is known before the others have run.
    let build = ["--sanitizer", "none", "--fuzz-dir", "tests/fuzz", "--target-dir", "target/fuzz"];
    run(fuzzer().args(["fuzz", "build"]).args(build), "read the messages above")?;
    for name in names {
        step(&format!("{name}, for {seconds} s"));
        let limit = format!("-max_total_time={seconds}");
        let seeds = format!("tests/fuzz/seeds/{name}");
        let corpus = format!("target/fuzz-corpus/{name}");
        fs::create_dir_all(root().join(&corpus)).map_err(unreadable)?;
        let mut fuzz = fuzzer();
        fuzz.args(["fuzz", "run"]).args(build).arg(&name);
        fuzz.args([
            &corpus,
            &seeds,
            "--",
            &limit,
            "-timeout=5",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]);
        run(&mut fuzz, "the messages above name the input it found; turn it into a test and fix the fault")?;
    }
    Ok(())
}

/// Compiles the targets, without libFuzzer and its instrumentation: both are needed to run them only.
///
/// # Errors
/// Fails if a target does not compile.
pub fn check() -> Result<(), Failure> {
    let mut check = command("cargo");
    check.args([
        "check",
        "--locked",
        "--manifest-path",
        "tests/fuzz/Cargo.toml",
        "--target-dir",
        "target/fuzz-check",
    ]);
    // Otherwise its C++ would be compiled. Nothing is linked, so nothing has to be there.
    run(check.env("CUSTOM_LIBFUZZER_PATH", "target/libfuzzer.a"), "read the messages above")
}

/// cargo-fuzz uses unstable compiler options; RUSTC_BOOTSTRAP allows them with the pinned toolchain.
fn fuzzer() -> std::process::Command {
    let mut fuzz = command(cargo_home().join("bin/cargo-fuzz"));
    fuzz.env("RUSTC_BOOTSTRAP", "1");
    fuzz
}
