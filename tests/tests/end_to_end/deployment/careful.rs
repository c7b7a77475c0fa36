//! Blocks of docs/DEPLOY.md in which a command fails: nothing after it is done.

use super::{fakes, secret, walk::Walk};
use cutover_tests::terraform::run;

/// Runs step 4 while one of the secrets cannot be looked up: neither that one nor any after it gets a value.
pub async fn no_secret_is_written_after_a_failure(walk: &Walk, block: &str) {
    let denied = "*get-secret-value*cutover-staging/edge*) echo AccessDeniedException >&2; exit 254 ;;";
    run_failing(walk, block, "aws", denied).await;
    assert_eq!(["edge", "root", "kv"].map(|name| secret(walk, name)), [None, None, None]);
}

/// Runs step 6 while no token can be created: the root token stays on.
pub async fn root_stays_on_without_a_new_token(walk: &Walk, block: &str) {
    run_failing(walk, block, "cutover", "'token create'*) exit 4 ;;").await;
    let settings = std::fs::read_to_string(walk.folder.join("infra/environments/staging.tfvars")).unwrap();
    assert!(!settings.contains("root_token"), "nobody could sign in any more:\n{settings}");
}

/// Runs a block with a program that fails for the arguments of a branch of a shell's `case`. The block must fail as well.
async fn run_failing(walk: &Walk, block: &str, program: &str, branch: &str) {
    let path = &walk.environment["PATH"];
    let folder = walk.folder.join("failing");
    let lines = format!("case \"$*\" in {branch} esac\nexport PATH='{path}'\nexec {program} \"$@\"\n");
    fakes::program(&folder, program, &lines);
    let mut command = walk.command("bash");
    command.args(["-c", &format!("set -euo pipefail\n{block}")]);
    command.env("PATH", format!("{}:{path}", folder.display()));
    // Commands wait for servers that run in this process.
    let (done, printed) = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    assert!(!done, "the block succeeded without {program}:\n{printed}");
}
