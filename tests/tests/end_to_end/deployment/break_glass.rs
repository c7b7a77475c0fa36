//! Blocks of docs/OPERATIONS.md that must work at the worst time, with a server in the place of Cloudflare.

use super::cloudflare::Cloudflare;
use cutover_tests::{paths, terraform::run};
use std::{fs, process::Command};

fn runbook() -> String {
    fs::read_to_string(paths::root().join("docs/OPERATIONS.md")).unwrap()
}

/// Returns the blocks of the runbook.
fn blocks() -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None::<String>);
    for line in runbook().lines().map(str::trim) {
        match (open.take(), line.starts_with("```")) {
            (Some(block), true) => blocks.push(block),
            (Some(block), false) => open = Some(format!("{block}{line}\n")),
            (None, true) => open = Some(String::new()),
            (None, false) => {}
        }
    }
    blocks
}

/// Runs a script in a shell at the root of the project. Returns true if it ended well, and what it printed.
async fn shell(cloudflare: &Cloudflare, script: &str) -> (bool, String) {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("set -euo pipefail\n{script}")]).current_dir(paths::root());
    command.env("PATH", paths::search_path()).envs(cloudflare.variables());
    command.env("CI", "1").env("WRANGLER_SEND_METRICS", "false");
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_resort_works_while_the_newest_version_does_not_serve() {
    let block = blocks().into_iter().find(|block| block.contains("put FORCE_LEGACY")).unwrap();
    let cloudflare = Cloudflare::start().await;
    // After a rollback, and while a deployment gives a new version its share.
    for serving in [&["old"][..], &["new", "old"]] {
        cloudflare.clear();
        cloudflare.release(&[["old", "a"]]);
        cloudflare.upload("new", "b");
        cloudflare.deploy(serving);
        let (done, printed) = shell(&cloudflare, &block).await;
        assert!(done, "{block}\n{printed}");
        assert_eq!(cloudflare.serving(), ["secret-2"], "{printed}");
    }
    // The shorter way is refused then.
    cloudflare.deploy(&["old"]);
    let shorter = "printf true | npx wrangler secret put FORCE_LEGACY --env staging";
    let (done, printed) = shell(&cloudflare, shorter).await;
    assert!(!done && printed.contains("Secret edit failed"), "{printed}");
    for refused in ["npx wrangler secret put", "npx wrangler secret delete"] {
        assert!(!runbook().contains(refused), "{refused}");
    }
}

/// Without it they would change whichever workspace is selected, which may be production.
#[test]
fn blocks_that_change_the_state_of_terraform_select_the_workspace() {
    let changing: Vec<_> =
        blocks().into_iter().filter(|block| block.contains("terraform -chdir=infra")).collect();
    assert!(changing.iter().any(|block| block.contains(" state rm ")), "{changing:?}");
    for block in changing {
        let first = block.lines().find(|line| line.starts_with("terraform")).unwrap();
        // What follows does not run if that fails.
        assert_eq!(first, "terraform -chdir=infra workspace select staging &&", "{block}");
    }
}
