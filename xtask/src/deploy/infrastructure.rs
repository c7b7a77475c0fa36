//! The infrastructure, changed by exactly the plan that was shown.

use crate::{
    deploy::{
        options::Action,
        target::{TERRAFORM_FIX, Target},
    },
    root::root,
    run::{Failure, run, step},
};
use std::{
    fs,
    io::{IsTerminal, stdin},
    path::PathBuf,
};

/// Shows the changes, and makes them unless they are only to be shown.
///
/// # Errors
/// Fails if Terraform does, or if changes of production are not confirmed.
pub fn change(target: &Target) -> Result<(), Failure> {
    step(&format!("infrastructure of {}", target.environment()));
    let folder = fs::canonicalize(&target.options.infra).unwrap_or_else(|_| target.options.infra.clone());
    let plan = folder.join(".terraform").join(format!("{}.tfplan", target.environment()));
    let outcome = show_and_apply(target, &plan.display().to_string());
    // It holds the values of all variables.
    let _ = fs::remove_file(plan);
    outcome
}

fn show_and_apply(target: &Target, plan: &str) -> Result<(), Failure> {
    let archives = format!("-var=archives={}", archives(target).display());
    let (variables, out) = (target.variables_argument(), format!("-out={plan}"));
    let show = ["plan", "-input=false", "-lock-timeout=60s", &variables, &archives, &out];
    run(&mut target.terraform(&show), TERRAFORM_FIX)?;
    if target.options.action == Action::Plan {
        return Ok(());
    }
    if target.environment() == "production" && !target.options.is_confirmed {
        confirm(target.environment())?;
    }
    run(&mut target.terraform(&["apply", "-input=false", "-lock-timeout=60s", plan]), TERRAFORM_FIX)
}

/// Returns the folder of the archives, relative to the Terraform configuration where that is the project's own, so that
/// its state does not name this machine's folders.
fn archives(target: &Target) -> PathBuf {
    match &target.options.archives {
        Some(folder) => fs::canonicalize(folder).unwrap_or_else(|_| folder.clone()),
        None if target.options.infra == root().join("infra") => PathBuf::from("../target/lambda"),
        None => root().join("target/lambda"),
    }
}

/// Asks at the terminal for the name of the environment.
///
/// # Errors
/// Fails if there is no terminal, or if the answer is another one.
pub fn confirm(environment: &str) -> Result<(), Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::new(
            format!("{environment} is changed only if somebody confirms it"),
            "read the plan above, and run this again with --yes",
        ));
    }
    eprint!("    This changes {environment}. Type its name to go on: ");
    let mut answer = String::new();
    match stdin().read_line(&mut answer) {
        Ok(_) if answer.trim() == environment => Ok(()),
        _ => Err(Failure::new("not confirmed, so nothing was changed", "run this again")),
    }
}
