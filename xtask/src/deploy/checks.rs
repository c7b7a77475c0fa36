//! Checks before anything is built or changed.

use crate::{
    deploy::target::{Settings, Target},
    root::root,
    run::{Failure, output, step},
};

/// Instances that AWS keeps for functions without a reservation.
const UNRESERVED: u32 = 100;

/// The Worker in one environment of wrangler.toml.
pub struct Worker {
    /// The name of the Worker.
    pub name: String,
    /// The id that `CUTOVER_KV` is bound to; empty if it is not bound.
    pub namespace: String,
}

/// Reads the Worker of the environment.
///
/// # Errors
/// Fails if wrangler.toml cannot be parsed.
pub fn worker(target: &Target) -> Result<Worker, Failure> {
    let file = target.wrangler_file().display().to_string();
    let arguments = ["worker", &file, target.wrangler_environment()];
    let printed =
        target.read(&arguments, "", "correct wrangler.toml; `npx wrangler deploy --dry-run` checks it")?;
    let mut lines = printed.lines().map(str::to_owned);
    Ok(Worker { name: lines.next().unwrap_or_default(), namespace: lines.next().unwrap_or_default() })
}

/// Checks the settings that Terraform and wrangler must agree about.
///
/// # Errors
/// Fails if one is missing, or if the Worker of the environment reads another namespace.
pub fn settings_agree(target: &Target, settings: &Settings) -> Result<(), Failure> {
    let file = target.variables();
    let shown = file.strip_prefix(root()).unwrap_or(&file).display();
    for (name, value) in
        [("cloudflare_account_id", &settings.account), ("kv_namespace_id", &settings.namespace)]
    {
        if value.is_none() {
            return Err(Failure::new(
                format!("{name} is not set in {shown}"),
                "`npx wrangler whoami` shows the account, `npx wrangler kv namespace create CUTOVER_KV` creates the \
                 namespace; docs/DEPLOY.md has the steps",
            ));
        }
    }
    let (bound, wanted) = (worker(target)?.namespace, settings.namespace.as_deref().unwrap_or_default());
    if bound == wanted {
        return Ok(());
    }
    Err(Failure::new(
        format!(
            "wrangler.toml does not bind the KV namespace {wanted} in {}, but {bound:?}",
            target.environment()
        ),
        "set the id of CUTOVER_KV of this environment to it, so that the edge reads the published snapshot",
    ))
}

/// Checks that the account allows the instances that the functions reserve.
///
/// # Errors
/// Fails if it does not: Terraform would fail with half of the functions made.
pub fn account_allows(target: &Target, settings: &Settings) -> Result<(), Failure> {
    if settings.reserved == 0 {
        return Ok(());
    }
    let query = ["lambda", "get-account-settings", "--query", "AccountLimit.ConcurrentExecutions"];
    let Some(limit) = output(&mut target.aws(settings, &query), "").ok().and_then(|text| text.parse().ok())
    else {
        step("SKIPPED: the limit of the account, because `aws lambda get-account-settings` does not say it");
        return Ok(());
    };
    fits(settings.reserved, limit).map_err(|what| {
        let fix = format!(
            "ask AWS for more (`aws service-quotas request-service-quota-increase --service-code lambda --quota-code \
             L-B99A9384 --desired-value {}`), or lower `concurrency` in infra/environments/{}.tfvars: -1 reserves none",
            settings.reserved + UNRESERVED,
            target.environment()
        );
        Failure::new(what, fix)
    })
}

fn fits(reserved: u32, limit: u32) -> Result<(), String> {
    if reserved.saturating_add(UNRESERVED) <= limit {
        return Ok(());
    }
    Err(format!(
        "the account allows {limit} concurrent instances; `concurrency` reserves {reserved}, and AWS keeps {UNRESERVED} more \
         unreserved"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_account_allows_no_reservation() {
        assert!(fits(119, 10).unwrap_err().contains("allows 10 concurrent instances"));
        assert!(fits(1, 10).is_err() && fits(119, 218).is_err());
        assert!(fits(119, 219).is_ok() && fits(119, 1000).is_ok());
    }
}
