//! The Worker, back at the version of the release to which the functions return.

use crate::{
    deploy::{
        rollback::moves::Move,
        target::Target,
        worker::{FIX, MESSAGE},
    },
    run::{Failure, exchange, run, step},
};

/// The message of the deployment that a rollback makes.
const NOTE: &str = "cargo xtask deploy --rollback";

/// The variable that sends everybody to legacy.
const FORCE_LEGACY: &str = "FORCE_LEGACY";

const FIX_OF_REFUSAL: &str = "nothing was changed; deploy an earlier commit instead";

/// Returns the move of the Worker to a release, and shows it; `None` if a version of the release serves already.
///
/// # Errors
/// Fails if no version of the release served before, if one did and was left by a rollback, if the Worker was changed by hand
/// since, if it has other data or another `FORCE_LEGACY`, or if wrangler does not say.
pub fn find(target: &Target, release: &str) -> Result<Option<Move>, Failure> {
    step("the Worker, and the settings that its version before brings back");
    let list = |of: &str| exchange(&mut target.wrangler(&[of, "list", "--json"]), "", FIX);
    let both = format!("[{},{}]", list("deployments")?, list("versions")?);
    let found = target.read(&["worker_before", release, MESSAGE], &both, FIX)?;
    let (current, before) = match found.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["stays"] => {
            eprintln!("    the Worker is at its version before");
            return Ok(None);
        }
        ["moves", current, before] => ((*current).to_owned(), (*before).to_owned()),
        _ => {
            let reason = found.strip_prefix("refused ").unwrap_or(&found);
            return Err(Failure::new(reason, FIX_OF_REFUSAL));
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
    if part.is_changed(FORCE_LEGACY) {
        let what = format!("{FORCE_LEGACY} differs: the rollback would send users to another arm than now");
        return Err(Failure::new(what, FIX_OF_REFUSAL));
    }
    Ok(Some(part))
}

/// Gives all requests to the version before.
///
/// # Errors
/// Fails if wrangler does.
pub fn carry_out(target: &Target, part: &Move) -> Result<(), Failure> {
    step("the Worker returns to its version before");
    let all = format!("{}@100%", part.before);
    // `wrangler rollback` would overrule Cloudflare if that refuses to bring back replaced secrets.
    run(&mut target.wrangler(&["versions", "deploy", &all, "--yes", "--message", NOTE]), FIX)
}
