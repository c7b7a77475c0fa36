//! `cargo xtask dev`: all of Cutover on this machine, until Ctrl-C.

use cutover_tests::dev::{
    arguments::Arguments,
    endpoints::file,
    schedule::{self, INTERVAL},
    serve,
};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(mistake) => {
            eprintln!("error: {mistake}");
            return ExitCode::from(2);
        }
    };
    let mut interrupt = signal(SignalKind::interrupt()).expect("a handler for Ctrl-C can be installed");
    let mut terminate = signal(SignalKind::terminate()).expect("a handler for SIGTERM can be installed");
    let served = async {
        let stack = match serve::start(&arguments).await {
            Ok(stack) => stack,
            Err(problem) => return problem,
        };
        loop {
            tokio::time::sleep(INTERVAL).await;
            schedule::tick(&stack.lambda).await;
        }
    };
    let problem = tokio::select! {
        problem = served => Some(problem),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    // Leaving the select dropped the stack, which stops every process that it started.
    match problem {
        Some(problem) => {
            let problem = problem.strip_prefix("error: ").unwrap_or(&problem);
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("stopped");
            let _ = std::fs::remove_file(file("endpoints", "json", arguments.port));
            ExitCode::SUCCESS
        }
    }
}
