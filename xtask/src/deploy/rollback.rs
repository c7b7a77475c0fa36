//! The functions, back at the versions before. Terraform publishes a version of every function with every change of
//! any, so the versions before belong together.

use crate::{
    deploy::target::{Settings, Target},
    functions::{EMERGENCY, FUNCTIONS},
    run::{Failure, output, run, step},
};

/// The alias that URLs and schedules call.
const ALIAS: &str = "live";

const FIX: &str = "`aws sts get-caller-identity` shows whether there are AWS credentials; allow lambda:GetAlias, \
                   lambda:ListVersionsByFunction and lambda:UpdateAlias";

/// Points the alias of every function at the version before. All versions are found before the first alias is moved.
///
/// # Errors
/// Fails if there is no version before, or if an alias cannot be moved.
pub fn roll_back(target: &Target, settings: &Settings) -> Result<(), Failure> {
    step("the functions, to their versions before");
    let names = FUNCTIONS.iter().chain([&EMERGENCY]);
    let names: Vec<String> = names.map(|name| format!("cutover-{}-{name}", target.environment())).collect();
    let mut moves = Vec::new();
    for name in &names {
        let alias = ["lambda", "get-alias", "--function-name", name, "--name", ALIAS];
        let alias = [&alias[..], &["--query", "FunctionVersion"]].concat();
        let current = output(&mut target.aws(settings, &alias), FIX)?;
        let versions =
            ["lambda", "list-versions-by-function", "--function-name", name, "--query", "Versions[].Version"];
        let versions = output(&mut target.aws(settings, &versions), FIX)?;
        let before = before(&current, &versions).ok_or_else(|| {
            Failure::new(format!("{name} has no version before {current}"), "deploy an earlier commit")
        })?;
        moves.push((name, current, before));
    }
    for (name, current, before) in moves {
        let version = before.to_string();
        let update = ["lambda", "update-alias", "--function-name", name, "--name", ALIAS];
        let update = [&update[..], &["--function-version", &version, "--query", "FunctionVersion"]].concat();
        run(&mut target.aws(settings, &update), FIX)?;
        eprintln!("    {name}: {current} -> {before}");
    }
    Ok(())
}

/// Returns the newest version that is older than the current one.
fn before(current: &str, versions: &str) -> Option<u64> {
    let current: u64 = current.parse().ok()?;
    versions
        .split_whitespace()
        .filter_map(|version| version.parse().ok())
        .filter(|version| *version < current)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_before_is_the_newest_older_one() {
        let versions = "$LATEST\t1\t2\t9\t10\t11";
        assert_eq!(before("10", versions), Some(9));
        assert_eq!(before("9", versions), Some(2));
        assert_eq!(before("1", versions), None);
        assert_eq!(before("$LATEST", versions), None);
    }
}
