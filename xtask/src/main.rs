//! `cargo xtask`: installs the tools, builds the Worker, and runs, tests, measures and deploys everything.

mod deploy;
mod dev;
mod dist;
mod edge;
mod functions;
mod fuzz;
mod programs;
mod root;
mod run;
mod suite;
mod tools;

use programs::PROGRAMS;
use root::root;
use run::{Failure, cargo, command, run, step};
use std::process::ExitCode;
use tools::Purpose;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  dev [--tour]            install what is missing, start everything on this machine, run until Ctrl-C;
                          --tour prints five steps to follow, with their output
  dev --legacy URL --new URL [--path /api]
                          the same with backends of your own behind the local edge; --config FILE takes a
                          configuration instead
                          --port BASE uses the ports BASE to BASE + 3 (8787), --wrangler runs the Worker in
                          `wrangler dev` instead of workerd alone
  test [FILTER]           install what is missing, lint and test everything
  test --deep             the same, and what takes longer: fuzzing, long distributions, the archives for AWS
  bench edge [R] [S]      the Worker against a bare pass-through: R rounds of S seconds each (9 and 2)
  bench adapter [R] [S]   an adapted route against a Worker written by hand for it, and with texts with places
                          CUTOVER_BASELINE=FOLDER compares with another build of the Worker
  bench ofrep [R] [S]     100 flags over OFREP against a Worker around flagd's evaluation core (30 and 0.8); fails
                          below three times its speed, by processor time
  bench core              one evaluation, natively
  bench fleet [ISOLATES...]
                          what fleets of isolates consume and cost: without sizes it writes docs/COST.md;
                          --experiments measures only the fleet with experiments anew, --page writes it from the units
                          measured before
  bench lambda [ROUNDS]   start and memory of each function, as a release binary (20)
  bench calibration [--runs N]
                          how often the tests of a canary fire: computed exactly, and simulated with N trials (40)
  fuzz [S [TARGET...]]    every reader of foreign input under a coverage-guided fuzzer, S seconds each (20)
  build edge              the Worker, into edge/build
  build functions         the functions for AWS Lambda on arm64, into target/lambda
  dist                    archives of the command line with checksums and an installer, into target/dist
  deploy [--env E] [--plan] [--yes] [--at-once] [--watch SECONDS]
                          functions, infrastructure, secrets and Worker, into staging or production;
                          --plan shows what would change and changes nothing, --yes asks nothing,
                          --at-once gives the Worker all requests without watching shares of them first,
                          --watch watches each share for so many seconds (60)
  deploy --rollback [--env E] [--yes]
                          the functions and the Worker, at their versions before
  doctor                  list the tools, installed or missing
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["dev", rest @ ..] => dev::dev(rest),
        ["test", rest @ ..] => suite::test(rest),
        ["bench", "edge", rest @ ..] => bench_programs("bench-edge", rest),
        ["bench", "adapter", rest @ ..] => bench_programs("bench-adapter", rest),
        ["bench", "ofrep", rest @ ..] => bench_ofrep(rest),
        ["bench", "core"] => cargo(&["bench", "-p", "cutover-core"]),
        ["bench", "fleet", "--page"] => bench_of_functions("bench-fleet", &["--page"], false),
        ["bench", "fleet", rest @ ..] => bench_of_functions("bench-fleet", rest, true),
        ["bench", "lambda", rest @ ..] => bench_of_functions("bench-lambda", rest, true),
        ["bench", "calibration", rest @ ..] => bench_calibration(rest),
        ["build", "edge"] => tools::install(Purpose::Worker).and_then(|()| edge::build()),
        ["build", "functions"] => tools::install(Purpose::Deploy).and_then(|()| functions::build()),
        ["dist"] => dist::dist(),
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

fn bench_programs(binary: &str, arguments: &[&str]) -> Result<(), Failure> {
    tools::install(Purpose::Worker)?;
    edge::build()?;
    cargo(&PROGRAMS)?;
    run(command(root().join("target/debug").join(binary)).args(arguments), "read the messages above")
}

/// Runs the benchmark whose JavaScript Worker is built around a package of npm.
fn bench_ofrep(arguments: &[&str]) -> Result<(), Failure> {
    tools::install(Purpose::Worker)?;
    tools::install_ofrep_packages()?;
    bench_programs("bench-ofrep", arguments)
}

/// Runs a benchmark that starts the release binaries of the functions, if it does.
fn bench_of_functions(binary: &str, arguments: &[&str], starts_them: bool) -> Result<(), Failure> {
    if starts_them {
        step("building the functions as they are deployed, for this machine");
        cargo(&["build", "--locked", "--release", "-p", "cutover-lambda"])?;
    }
    cargo(&PROGRAMS)?;
    run(command(root().join("target/debug").join(binary)).args(arguments), "read the messages above")
}

/// Prints the tables of docs/calibration.md. Only the domain is optimised for it.
fn bench_calibration(arguments: &[&str]) -> Result<(), Failure> {
    let selected = ["build", "--locked", "--workspace", "--bin", "bench-calibration"];
    let optimised = [
        "--config",
        "profile.dev.package.cutover-core.opt-level=3",
        "--config",
        "profile.dev.package.libm.opt-level=3",
    ];
    cargo(&[selected.as_slice(), optimised.as_slice()].concat())?;
    run(command(root().join("target/debug/bench-calibration")).args(arguments), "read the messages above")
}
