//! `cargo xtask fuzz`: everything that reads what somebody else wrote, under libFuzzer, which looks for inputs that reach
//! new code. Findings are kept in tests/fuzz/artifacts.

use crate::{
    root,
    run::{Failure, command, output, run, step},
    tools::cargo_home,
};
use std::fs;

/// The version of cargo-fuzz.
const CARGO_FUZZ: &str = "0.13.2";

/// Seconds of each target where nobody said how many.
const SECONDS: &str = "20";

/// Runs every target for so many seconds.
pub fn run_all(arguments: &[&str]) -> Result<(), Failure> {
    let seconds = match arguments {
        [] => SECONDS,
        [seconds] if seconds.parse::<u32>().is_ok() => seconds,
        _ => return Err(Failure::new("seconds must be a whole number", "cargo xtask fuzz [SECONDS]")),
    };
    install()?;
    let targets = root().join("tests/fuzz/targets");
    let unreadable = |error| Failure::new(format!("{}: {error}", targets.display()), "restore it");
    let mut names: Vec<String> = fs::read_dir(&targets)
        .map_err(unreadable)?
        .flatten()
        .filter_map(|entry| entry.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    names.sort();
    for name in names {
        step(&format!("{name}, for {seconds} s"));
        let limit = format!("-max_total_time={seconds}");
        let seeds = format!("tests/fuzz/seeds/{name}");
        let corpus = format!("target/fuzz-corpus/{name}");
        fs::create_dir_all(root().join(&corpus)).map_err(unreadable)?;
        let mut fuzz = fuzzer();
        fuzz.args([
            "fuzz",
            "run",
            "--sanitizer",
            "none",
            "--fuzz-dir",
            "tests/fuzz",
            "--target-dir",
            "target/fuzz",
            &name,
        ]);
        fuzz.args([
            &corpus,
            &seeds,
            "--",
            &limit,
            "-timeout=5",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]);
        run(
            &mut fuzz,
            "an input that it found is named above; make a test of it, and correct what it shows",
        )?;
    }
    Ok(())
}

/// cargo-fuzz asks for what only nightly has; with this the pinned toolchain has it too.
fn fuzzer() -> std::process::Command {
    let mut fuzz = command(cargo_home().join("bin/cargo-fuzz"));
    fuzz.env("RUSTC_BOOTSTRAP", "1");
    fuzz
}

fn install() -> Result<(), Failure> {
    if output(fuzzer().args(["fuzz", "--version"]), "").is_ok_and(|text| text.contains(CARGO_FUZZ)) {
        return Ok(());
    }
    step("installing cargo-fuzz");
    let mut install = command("cargo");
    install.args([
        "install",
        "--locked",
        "--debug",
        "--force",
        "cargo-fuzz",
        "--version",
        CARGO_FUZZ,
        "--root",
    ]);
    install.arg(cargo_home()).env("CARGO_TARGET_DIR", root().join("target/tools"));
    run(&mut install, "look at cargo's message; a C++ compiler is needed too")
}
