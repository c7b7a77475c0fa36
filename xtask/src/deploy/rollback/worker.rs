//! The Worker, back at the version that served all requests before.

use crate::{
    deploy::{rollback::moves::Move, target::Target, worker::FIX},
    run::{Failure, exchange, run, step},
};

/// The message of the deployment that a rollback makes, by which a second run knows that it is done.
const MESSAGE: &str = "cargo xtask deploy --rollback";

const FIX_OF_REFUSAL: &str = "nothing was changed; deploy an earlier commit instead";

/// Returns the move of the Worker, and shows it; `None` if a rollback made the newest deployment.
///
/// # Errors
/// Fails if no version served before, if that was a rollback, if it has other data, or if wrangler does not say.
pub fn find(target: &Target) -> Result<Option<Move>, Failure> {
    step("the Worker, and the settings that its version before brings back");
    let deployments = exchange(&mut target.wrangler(&["deployments", "list", "--json"]), "", FIX)?;
    let versions = target.read(&["served_before", MESSAGE], &deployments, FIX)?;
    let (current, before) = match versions.split_whitespace().collect::<Vec<_>>().as_slice() {
        [] => {
            eprintln!("    the Worker is at its version before");
            return Ok(None);
        }
        [current, before] => ((*current).to_owned(), (*before).to_owned()),
        [_, _, _] => {
            let what = "a rollback came before the newest deployment: the functions would return to the versions that it \
                        left, the Worker to the one that it chose";
            return Err(Failure::new(what, FIX_OF_REFUSAL));
        }
        _ => {
            let what = "no version of the Worker served all requests before this one";
            return Err(Failure::new(what, FIX_OF_REFUSAL));
        }
    };
    let view =
        |version: &str| exchange(&mut target.wrangler(&["versions", "view", version, "--json"]), "", FIX);
    let both = format!("[{},{}]", view(&before)?, view(&current)?);
    let changes = target.read(&["worker_settings"], &both, FIX)?;
    let changes = changes.lines().map(str::to_owned).collect();
    let part = Move { part: "the Worker".to_owned(), current, before, changes };
    part.show();
    part.check()?;
    Ok(Some(part))
}

/// Gives all requests to the version before.
///
/// # Errors
/// Fails if wrangler does.
pub fn carry_out(target: &Target, part: &Move) -> Result<(), Failure> {
    step("the Worker returns to its version before");
    run(&mut target.wrangler(&["rollback", &part.before, "--yes", "--message", MESSAGE]), FIX)
}
