//! The emergency override: sends all traffic of some or all flags to legacy, before any other rule.

use crate::vocabulary::{names::FlagName, timestamp::Timestamp};
use serde::{Deserialize, Serialize};

/// Most declarations of an emergency that are kept. They are in the head, which every question is answered from.
const MAX_DECLARATIONS: usize = 8;

/// An emergency, in force until an operator clears it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// Flags held on legacy; `None` means all flags, including those created later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<FlagName>>,
    /// Reason given by the operator who declared it last.
    pub reason: String,
    /// Name of the operator who declared it last.
    pub by: String,
    /// Time at which it was first declared.
    pub since: Timestamp,
    /// All declarations, the oldest first. An emergency of an earlier version has none; see [`Emergency::declared`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declarations: Vec<Declaration>,
}

/// One declaration of an emergency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// Flags that it named; `None` means all flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<FlagName>>,
    /// Reason given by the operator.
    pub reason: String,
    /// Name of the operator.
    pub by: String,
    /// Time of the declaration.
    pub since: Timestamp,
}

impl Declaration {
    /// Returns true if another declaration says the same, at whatever time.
    fn repeats(&self, other: &Self) -> bool {
        (&self.flags, &self.reason, &self.by) == (&other.flags, &other.reason, &other.by)
    }
}

impl From<Declaration> for Emergency {
    /// Creates the emergency of a first declaration.
    fn from(declaration: Declaration) -> Self {
        let Declaration { flags, reason, by, since } = declaration.clone();
        Self { flags, reason, by, since, declarations: vec![declaration] }
    }
}

impl Emergency {
    /// Returns true if this emergency holds the flag on legacy.
    pub fn covers(&self, flag: &FlagName) -> bool {
        self.flags.as_ref().is_none_or(|flags| flags.contains(flag))
    }

    /// Returns all declarations, the oldest first; at least one.
    pub fn declared(&self) -> Vec<Declaration> {
        if !self.declarations.is_empty() {
            return self.declarations.clone();
        }
        let Self { flags, reason, by, since, .. } = self.clone();
        vec![Declaration { flags, reason, by, since }]
    }

    /// Returns the emergency after another declaration, which releases no flag. One that says the same as the last one, and
    /// holds no further flag, is not kept again. Of more than eight the first one and the latest are kept.
    #[must_use]
    pub fn widened(&self, declaration: Declaration) -> Self {
        let flags = flags_of_both(self.flags.as_deref(), declaration.flags.as_deref());
        let mut declarations = self.declared();
        // After a release the same words may hold a flag anew.
        let is_wider = flags != self.flags;
        if is_wider || !declarations.last().is_some_and(|last| last.repeats(&declaration)) {
            declarations.push(declaration.clone());
        }
        while declarations.len() > MAX_DECLARATIONS {
            declarations.remove(1);
        }
        let Declaration { reason, by, .. } = declaration;
        Self { flags, reason, by, since: self.since, declarations }
    }

    /// Returns a later emergency that holds the flags of this one too.
    #[must_use]
    pub fn and(&self, later: &Self) -> Self {
        Self { flags: flags_of_both(self.flags.as_deref(), later.flags.as_deref()), ..later.clone() }
    }

    /// Returns the emergency without some of its flags; `None` if it then holds none. `known` are the names of all flags that
    /// exist: an emergency on all flags holds the others of them afterwards, but no flag that is created later.
    #[must_use]
    pub fn without<'f>(
        &self,
        released: &[FlagName],
        known: impl Iterator<Item = &'f FlagName>,
    ) -> Option<Self> {
        let held = known.filter(|flag| self.covers(flag) && !released.contains(flag));
        let flags: Vec<FlagName> = held.cloned().collect();
        (!flags.is_empty()).then(|| Self { flags: Some(flags), ..self.clone() })
    }
}

/// Returns the flags of two emergencies, without repetitions; `None` if one of them is on all flags.
fn flags_of_both(held: Option<&[FlagName]>, named: Option<&[FlagName]>) -> Option<Vec<FlagName>> {
    let (held, named) = held.zip(named)?;
    let added = named.iter().filter(|flag| !held.contains(flag));
    Some(held.iter().chain(added).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<FlagName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// A declaration by an operator, about some flags or, without names, about all.
    fn declaration(by: &str, flags: &[&str], at: i64) -> Declaration {
        Declaration {
            flags: (!flags.is_empty()).then(|| names(flags)),
            reason: format!("reason of {by}"),
            by: by.to_owned(),
            since: Timestamp::from_millis(at),
        }
    }

    #[test]
    fn a_second_declaration_releases_no_flag_and_forgets_no_reason() {
        let first = Emergency::from(declaration("ann", &["a"], 1_000));
        let both = first.widened(declaration("bob", &["a", "b"], 2_000));
        assert_eq!(both.flags, Some(names(&["a", "b"])));
        assert_eq!((both.by.as_str(), both.since), ("bob", Timestamp::from_millis(1_000)));
        let by: Vec<&str> = both.declarations.iter().map(|declared| declared.by.as_str()).collect();
        assert_eq!(by, ["ann", "bob"]);
        let all = both.widened(declaration("cid", &[], 3_000));
        assert_eq!(all.flags, None);
        assert_eq!(all.widened(declaration("dan", &["a"], 4_000)).flags, None, "all flags stay held");
        assert_eq!(all.declarations[1].flags, Some(names(&["a", "b"])));
        assert_eq!(all.declarations[1].since, Timestamp::from_millis(2_000));
    }

    #[test]
    fn two_emergencies_hold_the_flags_of_both() {
        let emergency = |flags: &[&str]| Emergency::from(declaration("ann", flags, 1_000));
        let both = emergency(&["a", "b"]).and(&emergency(&["b", "c"]));
        assert_eq!(both.flags, Some(names(&["a", "b", "c"])));
        assert_eq!(emergency(&[]).and(&both).flags, None);
        assert_eq!(both.and(&emergency(&[])).flags, None);
    }

    #[test]
    fn a_declaration_that_is_repeated_is_kept_once_and_many_are_limited() {
        let mut emergency = Emergency::from(declaration("ann", &[], 0));
        for second in 1..100 {
            emergency = emergency.widened(declaration("ann", &[], second * 1_000));
        }
        assert_eq!(emergency.declarations.len(), 1);
        for person in 0..20 {
            emergency = emergency.widened(declaration(&format!("p{person}"), &[], 200_000));
        }
        let by: Vec<&str> = emergency.declarations.iter().map(|declared| declared.by.as_str()).collect();
        assert_eq!(by, ["ann", "p13", "p14", "p15", "p16", "p17", "p18", "p19"]);
    }

    #[test]
    fn a_declaration_that_is_repeated_after_a_release_is_kept() {
        let known = names(&["a", "b"]);
        for flags in [&["a", "b"][..], &[]] {
            let left = Emergency::from(declaration("ann", flags, 0)).without(&known[..1], known.iter());
            let again = left.unwrap().widened(declaration("ann", flags, 1_000));
            let since: Vec<i64> = again.declarations.iter().map(|declared| declared.since.millis()).collect();
            assert_eq!(since, [0, 1_000], "{flags:?}: it holds a again");
            assert!(again.covers(&known[0]));
            let third = again.widened(declaration("ann", flags, 2_000));
            assert_eq!(third.declarations.len(), 2, "{flags:?}: it holds nothing more");
        }
    }

    #[test]
    fn an_emergency_of_an_earlier_version_is_read_and_its_reason_kept() {
        let old = r#"{"flags":["a"],"reason":"old","by":"ann","since":"2026-01-01T00:00:00Z"}"#;
        let emergency: Emergency = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_string(&emergency).unwrap(), old, "and written as it was");
        assert_eq!(emergency.declared().len(), 1);
        let widened = emergency.widened(declaration("bob", &["b"], 0));
        let reasons: Vec<&str> =
            widened.declarations.iter().map(|declared| declared.reason.as_str()).collect();
        assert_eq!(reasons, ["old", "reason of bob"]);
    }

    /// The fields that edges of the version before know, as they read them.
    #[derive(Deserialize)]
    struct Before {
        #[serde(default)]
        flags: Option<Vec<FlagName>>,
        reason: String,
    }

    #[test]
    fn edges_of_the_version_before_hold_the_same_flags() {
        let known = names(&["a", "b", "c"]);
        let emergency = Emergency::from(declaration("ann", &[], 0)).widened(declaration("bob", &["a"], 1));
        let left = emergency.without(&names(&["b"]), known.iter()).unwrap();
        for (emergency, expected) in [(&emergency, None), (&left, Some(names(&["a", "c"])))] {
            let before: Before = serde_json::from_str(&serde_json::to_string(emergency).unwrap()).unwrap();
            assert_eq!((before.flags, before.reason.as_str()), (expected, "reason of bob"));
        }
    }

    #[test]
    fn flags_are_released_one_by_one_until_none_is_held() {
        let known = names(&["a", "b", "c"]);
        let two = Emergency::from(declaration("ann", &["a", "b"], 0));
        let one = two.without(&names(&["a"]), known.iter()).unwrap();
        assert!(!one.covers(&known[0]) && one.covers(&known[1]) && !one.covers(&known[2]));
        assert_eq!(one.without(&names(&["b"]), known.iter()), None);
        let all = Emergency::from(declaration("ann", &[], 0));
        assert_eq!(all.without(&known, known.iter()), None);
        assert_eq!(one.declarations, two.declarations, "its reasons remain");
    }
}
