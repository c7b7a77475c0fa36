//! The functions, back at the versions before. Terraform publishes a version of every function with every change of
//! any, so the versions before belong together.

use crate::{
    deploy::{
        rollback::moves::Move,
        target::{Settings, Target},
    },
    functions::{EMERGENCY, FUNCTIONS},
    run::{Failure, exchange, run, step},
};
use std::collections::BTreeSet;

/// The alias that URLs and schedules call.
const ALIAS: &str = "live";

const FIX: &str = "`aws sts get-caller-identity` shows whether there are AWS credentials; allow lambda:GetAlias, \
                   lambda:ListVersionsByFunction and lambda:UpdateAlias";

/// Remedy if a rollback is refused before it began.
const DEPLOY: &str = "nothing was changed; deploy an earlier commit instead";

/// The functions on their way to the versions before.
pub struct Functions {
    /// The release of the versions before.
    pub release: String,
    /// The functions that do not serve their version before yet.
    pub moves: Vec<Move>,
}

impl Functions {
    /// Finds the versions before, and shows them.
    ///
    /// # Errors
    /// Fails if a function has no version before, serves an older one, or has one with other data, and if the versions before
    /// were not deployed together.
    pub fn find(target: &Target, settings: &Settings) -> Result<Self, Failure> {
        step("the functions, and the settings that their versions before bring back");
        let mut moves = Vec::new();
        let mut releases = BTreeSet::new();
        for name in FUNCTIONS.iter().chain([&EMERGENCY]) {
            let function = format!("cutover-{}-{name}", target.environment());
            let alias = ["lambda", "get-alias", "--function-name", &function, "--name", ALIAS];
            let alias = [&alias[..], &["--query", "FunctionVersion"]].concat();
            let current = exchange(&mut target.aws(settings, &alias), "", FIX)?;
            let list = ["lambda", "list-versions-by-function", "--function-name", &function];
            let listed = exchange(&mut target.aws_json(settings, &list), "", FIX)?;
            let versions = read(&target.read(&["versions"], &listed, FIX)?);
            let before = before(&current, &versions)
                .map_err(|why| Failure::new(format!("{function} serves version {current}, {why}"), DEPLOY))?;
            releases.insert(before.release.clone());
            let before = before.number.to_string();
            if before == current {
                eprintln!("    {function}: {current} is the version before");
                continue;
            }
            let changes = target.read(&["function_settings", &before, &current], &listed, FIX)?;
            let changes = changes.lines().map(str::to_owned).collect();
            let part = Move { part: function, current, before, changes };
            part.show();
            part.check()?;
            moves.push(part);
        }
        let release = releases.pop_first().unwrap_or_default();
        if !releases.is_empty() {
            let what = "the versions before were not deployed together: a deployment broke off half-way";
            return Err(Failure::new(what, "deploy again, or deploy an earlier commit; nothing was changed"));
        }
        Ok(Self { release, moves })
    }
}

/// Points the aliases at the versions before.
///
/// # Errors
/// Fails at the first alias that cannot be moved; run again, it goes on there.
pub fn carry_out(target: &Target, settings: &Settings, moves: &[Move]) -> Result<(), Failure> {
    for Move { part, current, before, .. } in moves {
        let update = ["lambda", "update-alias", "--function-name", part, "--name", ALIAS];
        let update = [&update[..], &["--function-version", before, "--query", "FunctionVersion"]].concat();
        run(&mut target.aws(settings, &update), FIX)?;
        eprintln!("    {part}: {current} -> {before}");
    }
    Ok(())
}

/// A published version of a function.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    number: u64,
    /// The release that it was deployed with, the same of all functions.
    release: String,
}

/// Parses the published versions, the newest first. `$LATEST` is none.
fn read(printed: &str) -> Vec<Version> {
    let versions = printed.lines().filter_map(|line| {
        let (number, release) = line.split_once(' ').unwrap_or((line, ""));
        Some(Version { number: number.parse().ok()?, release: release.trim().to_owned() })
    });
    let mut versions: Vec<Version> = versions.collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.number));
    versions
}

/// Returns the version before the newest one, or the reason why the function cannot serve it. A function returns by one
/// version only: CHANGELOG.md says of each release which of its data the one before cannot read, and not of older ones.
fn before<'v>(current: &str, versions: &'v [Version]) -> Result<&'v Version, String> {
    let [newest, before, ..] = versions else { return Err("and has no version before".to_owned()) };
    let is = |version: &Version| current == version.number.to_string();
    if is(newest) || is(before) {
        return Ok(before);
    }
    Err(format!("which is older than the one before the newest, {}", newest.number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_before_is_one_behind_the_newest_and_no_further() {
        let versions = read("$LATEST d\n1 a\n2 b\n9 c\n10 d\n11 e");
        let number = |current: &str| before(current, &versions).map(|version| version.number);
        assert_eq!(number("11"), Ok(10));
        // A rollback that broke off goes on where it was, and one that is done goes no further.
        assert_eq!(number("10"), Ok(10));
        for older in ["9", "1", "$LATEST"] {
            assert!(
                number(older).unwrap_err().contains("older than the one before the newest, 11"),
                "{older}"
            );
        }
        assert!(before("1", &read("$LATEST\n1 a")).unwrap_err().contains("no version before"));
        assert_eq!(before("2", &read("2 b\n1 a")).unwrap().release, "a");
    }
}
