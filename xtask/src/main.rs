//! `cargo xtask dev | test | bench | build | doctor`.

mod deploy;
mod edge;
mod functions;
mod fuzz;
mod run;
mod tools;

use run::{Failure, cargo, replace_with, step};
use std::{path::PathBuf, process::ExitCode};
use tools::Purpose;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  dev                  install what is missing, start everything on this machine, stay until Ctrl-C
  test                 install what is missing, check and test everything
  bench edge [R] [S]   the Worker beside a bare pass-through: R rounds of S seconds each (9 and 2)
  bench adapter [R] [S] an adapted route beside a Worker written by hand for it
  bench core           one evaluation, natively
  bench calibration    how often the tests of a canary fire, computed exactly
  fuzz [S]             what reads foreign input, under a coverage-guided fuzzer: S seconds each (20)
  build edge           the Worker, into edge/build
  build functions      the functions for AWS Lambda on arm64, into target/lambda
  deploy [--env E] [--plan]
                       functions, infrastructure, secrets and Worker, into staging or production;
                       --plan shows what would change, and changes nothing
  doctor               what is here, what is missing, and how it gets here
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["dev", rest @ ..] => dev(rest),
        ["test", rest @ ..] => test(rest),
        ["bench", "edge", rest @ ..] => bench_workers("bench-edge", rest),
        ["bench", "adapter", rest @ ..] => bench_workers("bench-adapter", rest),
        ["bench", "core"] => cargo(&["bench", "-p", "cutover-core"]),
        ["bench", "calibration"] => {
            cargo(&["run", "--quiet", "-p", "cutover-tests", "--bin", "bench-calibration"])
        }
        ["build", "edge"] => tools::install(Purpose::Worker).and_then(|()| edge::build()),
        ["build", "functions"] => tools::install(Purpose::Deploy).and_then(|()| functions::build()),
        ["fuzz", rest @ ..] => fuzz::run_all(rest),
        ["deploy", rest @ ..] => deploy::deploy(rest),
        ["doctor"] => tools::doctor(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(PathBuf::from).unwrap_or(here)
}

/// The functions and whatever else `dev` and the tests start as processes of their own.
const PROCESSES: [&str; 8] =
    ["build", "-p", "cutover-lambda", "--bins", "-p", "cutover", "-p", "cutover-tests"];

fn dev(arguments: &[&str]) -> Result<(), Failure> {
    tools::install(Purpose::Run)?;
    edge::build()?;
    step("building the functions, the backends and the command line");
    cargo(&PROCESSES)?;
    // In the place of this process, so that whoever stops it stops what it started.
    replace_with(root().join("target/debug/dev"), arguments)
}

fn test(arguments: &[&str]) -> Result<(), Failure> {
    tools::install(Purpose::Test)?;
    step("formatting");
    cargo(&["fmt", "--all", "--check"])?;
    step("lints, for this machine");
    cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    step("lints, for the Worker");
    edge::clippy()?;
    edge::build()?;
    edge::size_gate()?;
    edge::dry_run()?;
    functions::build()?;
    step("building the functions, the backends and the command line");
    cargo(&PROCESSES)?;
    step("tests");
    let mut all = vec!["test", "--locked", "--workspace", "--no-fail-fast"];
    all.extend(arguments);
    cargo(&all)
}

fn bench_workers(binary: &str, arguments: &[&str]) -> Result<(), Failure> {
    tools::install(Purpose::Worker)?;
    edge::build()?;
    let mut all = vec!["run", "-p", "cutover-tests", "--bin", binary, "--"];
    all.extend(arguments);
    cargo(&all)
}
