//! The Worker: its new version gets a few requests first, and all of them if it stays healthy.

use crate::{
    deploy::{
        checks,
        secrets::{GENERATED, Secrets},
        target::Target,
    },
    run::{Failure, output, run, step, with_input},
};
use std::{fs, process::Stdio, thread::sleep};

/// Shares of the requests that the new version gets before it gets all of them, in percent.
const SHARES: [u8; 3] = [1, 10, 50];

/// Looks at the new version's health while it has a share.
const LOOKS: u32 = 12;

/// Looks that must fail in a row before the new version counts as ill.
const PATIENCE: u32 = 3;

/// The variable with the URL of the Worker, as users call it.
const EDGE_URL: &str = "CUTOVER_EDGE_URL";

/// The message of the versions of the Worker that are uploaded here. Their tag is the release of the functions that served
/// when they were uploaded, by which a rollback finds the version that belongs to earlier functions.
pub const MESSAGE: &str = "cargo xtask deploy";

/// Remedy for a failure of wrangler.
pub const FIX: &str = "read the messages above; sign in with `npx wrangler login` or CLOUDFLARE_API_TOKEN";

/// Remedy if a secret of the Worker cannot be set. Cloudflare sets none while the newest version does not serve.
const SECRET_FIX: &str = "read the messages above; if the newest version of the Worker does not serve, as after a rollback, \
                          use --at-once";

/// Deploys the Worker, and gives it the secrets that it lacks.
///
/// # Errors
/// Fails if wrangler does, or if the new version is ill: the version before then serves all requests again.
pub fn deploy(secrets: &Secrets<'_>) -> Result<(), Failure> {
    step("the Worker");
    let target = secrets.target;
    let urls = [("INGEST_URL", "ingest_url"), ("ASK_URL", "ask_url")];
    let variables = urls.map(|(name, output)| Ok(format!("{name}:{}", target.output(output)?)));
    let [ingest, ask]: [Result<String, Failure>; 2] = variables;
    let (ingest, ask) = (ingest?, ask?);
    let is_at_once = target.options.is_at_once || served(target)?.is_none();
    let release = release(secrets)?;
    let version = ["--var", &ingest, "--var", &ask, "--tag", &release, "--message", MESSAGE];
    if is_at_once {
        run(target.wrangler(&["deploy"]).args(version), FIX)?;
        return give_secrets(secrets);
    }
    // Each makes a version of its own, so they go before the new one.
    give_secrets(secrets)?;
    gradually(secrets, &version)
}

/// Returns the release of the functions that serve, which Terraform writes at the end of their descriptions.
fn release(secrets: &Secrets<'_>) -> Result<String, Failure> {
    let function = format!("cutover-{}-management", secrets.target.environment());
    let question = ["lambda", "get-function-configuration", "--function-name", &function];
    let question = [&question[..], &["--qualifier", "live", "--query", "Description"]].concat();
    let fix = "allow lambda:GetFunctionConfiguration, compare the folder given by --infra with the project's own, and run \
               this again";
    let description = output(&mut secrets.target.aws(secrets.settings, &question), fix)?;
    let release = description.rsplit_once('(').and_then(|(_, end)| end.strip_suffix(')'));
    release
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("{function} is described without a release: {description}"), fix))
}

fn give_secrets(secrets: &Secrets<'_>) -> Result<(), Failure> {
    let target = secrets.target;
    let held = output(&mut target.wrangler(&["secret", "list"]), FIX)?;
    for (name, worker) in GENERATED {
        if let Some(worker) = worker
            && !held.contains(worker)
            && let Some(value) = secrets.value(name)?
        {
            with_input(&mut target.wrangler(&["secret", "put", worker]), &value, SECRET_FIX)?;
        }
    }
    Ok(())
}

/// Returns the version that serves all requests, or `None` if there is no Worker yet.
fn served(target: &Target) -> Result<Option<String>, Failure> {
    let mut status = target.wrangler(&["deployments", "status", "--json"]);
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("wrangler: {error}"), FIX);
    let done = status.stdin(Stdio::null()).output().map_err(|error| failed(&error))?;
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    if !done.status.success() {
        let said = format!("{printed}{}", String::from_utf8_lossy(&done.stderr));
        if is_absent(&said) {
            return Ok(None);
        }
        eprint!("{said}");
        return Err(failed(&"it does not say which version of the Worker is deployed"));
    }
    let versions = target.read(&["served"], &printed, FIX)?;
    match versions.lines().collect::<Vec<_>>().as_slice() {
        [only] => Ok(Some((*only).to_owned())),
        _ => Err(Failure::new(
            "several versions of the Worker share the requests",
            format!(
                "end that deployment first: npx wrangler versions deploy VERSION@100% --env \"{}\"",
                target.wrangler_environment()
            ),
        )),
    }
}

/// Returns true if Cloudflare says that there is no such Worker.
fn is_absent(said: &str) -> bool {
    ["code: 10007", "code: 10090", "has no deployments"].iter().any(|answer| said.contains(answer))
}

/// The question that the new version alone answers with its own id.
struct Look<'l> {
    url: &'l str,
    /// The name of the Worker.
    worker: &'l str,
    version: &'l str,
    /// The edge token, to whose holders alone a version says its id.
    token: &'l str,
}

fn gradually(secrets: &Secrets<'_>, version: &[&str]) -> Result<(), Failure> {
    let target = secrets.target;
    let url = std::env::var(EDGE_URL).ok().filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| {
        let fix =
            "set it to the URL of your API, so that the new version's health is looked at, or use --at-once";
        Failure::new(format!("{EDGE_URL} is not set"), fix)
    })?;
    if !is_safe(&url) {
        return Err(Failure::new(
            format!("{url} is not https"),
            format!("correct {EDGE_URL}: it gets the edge token"),
        ));
    }
    let token = secrets.value("edge")?.unwrap_or_default();
    let old = served(target)?.unwrap_or_default();
    let new = upload(target, version)?;
    let name = checks::worker(target)?.name;
    let look = Look { url: &url, worker: &name, version: &new, token: &token };
    for share in SHARES {
        step(&format!("the new version of the Worker gets {share} % of the requests"));
        let outcome = split(target, &shares(&new, &old, share)).and_then(|()| watch(target, &look));
        if let Err(failure) = outcome {
            step("back to the version before");
            split(target, &[format!("{old}@100%")])?;
            return Err(failure);
        }
    }
    split(target, &[format!("{new}@100%")])?;
    run(&mut target.wrangler(&["triggers", "deploy"]), FIX)?;
    step(&format!(
        "the Worker is {new}; `cargo xtask deploy --env {} --rollback` undoes it",
        target.environment()
    ));
    Ok(())
}

/// Returns true if nobody on the way to a URL can read a token that is sent to it.
fn is_safe(url: &str) -> bool {
    ["https://", "http://127.0.0.1:", "http://localhost:"].iter().any(|start| url.starts_with(start))
}

/// Uploads a new version, which gets no requests yet. Returns its id.
fn upload(target: &Target, version: &[&str]) -> Result<String, Failure> {
    let notes = target.options.infra.join(".terraform").join("wrangler.ndjson");
    let notes = std::path::absolute(&notes).unwrap_or(notes);
    let _ = fs::remove_file(&notes);
    let mut upload = target.wrangler(&["versions", "upload"]);
    upload.args(version);
    run(upload.env("WRANGLER_OUTPUT_FILE_PATH", &notes), FIX)?;
    let noted = fs::read_to_string(&notes)
        .map_err(|error| Failure::new(format!("{}: {error}", notes.display()), "run this again"))?;
    target.read(&["uploaded"], &noted, FIX)
}

/// Returns the shares of two versions, as `wrangler versions deploy` takes them.
fn shares(new: &str, old: &str, share: u8) -> [String; 2] {
    [format!("{new}@{share}%"), format!("{old}@{}%", 100_u8.saturating_sub(share))]
}

fn split(target: &Target, shares: &[String]) -> Result<(), Failure> {
    let shares = shares.iter().map(String::as_str);
    let arguments: Vec<&str> = ["versions", "deploy"].into_iter().chain(shares).chain(["--yes"]).collect();
    run(&mut target.wrangler(&arguments), FIX)
}

/// Looks at the health of the new version until its time is over. Another version, or another Worker, would say nothing
/// about it, so the answer must name it.
fn watch(target: &Target, look: &Look<'_>) -> Result<(), Failure> {
    let health = ["health", look.url, look.worker, look.version];
    let mut failed = 0;
    for _ in 0..LOOKS {
        sleep(target.options.watch / LOOKS);
        let answered = target.read(&health, look.token, "").ok();
        if answered.as_deref() == Some(look.version) {
            failed = 0;
            continue;
        }
        if let Some(other) = answered {
            eprintln!("    /_cutover/health was answered by the version {other:?}");
        }
        failed += 1;
        if failed == PATIENCE {
            return Err(Failure::new(
                "the new version of the Worker does not answer /_cutover/health as it should",
                format!(
                    "look at `npx wrangler tail`, and at the messages above. If another version answers: {EDGE_URL} must be \
                     the URL of {}. If the version is empty: wrangler.toml must bind version_metadata to CUTOVER_VERSION, and \
                     CUTOVER_EDGE_TOKEN of the Worker must be the secret `edge` of Secrets Manager",
                    target.environment()
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_share_all_requests() {
        assert_eq!(shares("b", "a", 1), ["b@1%".to_owned(), "a@99%".to_owned()]);
        assert!(SHARES.is_sorted() && SHARES.iter().all(|share| (1..100).contains(share)));
    }

    #[test]
    fn a_worker_that_cannot_be_asked_for_is_not_absent() {
        assert!(is_absent("This Worker does not exist on your account. [code: 10007]"));
        assert!(is_absent("The Worker cutover-edge has no deployments."));
        assert!(!is_absent("Authentication error [code: 10000]") && !is_absent("fetch failed"));
    }
}
