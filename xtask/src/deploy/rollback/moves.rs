//! One part of a deployment on its way to the version before: the settings that come with it, and those that forbid it.

use crate::run::Failure;

/// Settings that say where the data is. A version with others would read and write other data than the one that serves.
const DATA: [&str; 5] =
    ["CUTOVER_TABLE", "CUTOVER_ARRIVALS_TABLE", "CUTOVER_KV_API", "CUTOVER_KV_NAMESPACE", "CUTOVER_KV"];

/// A part that returns to the version before.
#[derive(Debug)]
pub struct Move {
    /// The function's name, or `the Worker`.
    pub part: String,
    /// The version that serves.
    pub current: String,
    /// The version to return to.
    pub before: String,
    /// The settings that differ, each as its name and its change, without values.
    pub changes: Vec<String>,
}

impl Move {
    /// Prints the versions, and the settings that change with them.
    pub fn show(&self) {
        eprintln!("    {}: {} -> {}", self.part, self.current, self.before);
        for change in &self.changes {
            eprintln!("        {change}");
        }
    }

    /// Returns true if a setting changes with the version.
    pub fn is_changed(&self, name: &str) -> bool {
        self.changes.iter().any(|change| change.split_whitespace().next() == Some(name))
    }

    /// Checks that the version before works on the data of the one that serves.
    ///
    /// # Errors
    /// Fails if it names another table or namespace.
    pub fn check(&self) -> Result<(), Failure> {
        let changed: Vec<&str> = DATA.into_iter().filter(|data| self.is_changed(data)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            format!(
                "{}: the version before, {}, works on other data: {} differs",
                self.part,
                self.before,
                changed.join(", ")
            ),
            "nothing was changed; deploy an earlier commit instead, which keeps today's settings",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_with_other_data_is_refused() {
        let part = |changes: &[&str]| Move {
            part: "cutover-staging-ingest".to_owned(),
            current: "3".to_owned(),
            before: "2".to_owned(),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
        };
        assert!(part(&[]).check().is_ok());
        let harmless = ["CUTOVER_ROOT_TOKEN_ARN is set again", "CUTOVER_TABLE_LIKE has its earlier value"];
        assert!(part(&harmless).check().is_ok());
        for name in DATA {
            let refused = part(&[harmless[0], &format!("{name} is not set any more")]).check().unwrap_err();
            let expected = format!("the version before, 2, works on other data: {name} differs");
            assert!(refused.to_string().contains(&expected), "{refused}");
        }
    }
}
