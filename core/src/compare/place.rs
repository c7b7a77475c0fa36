//! The place that a comparison has come to: the path, the rules for it, and the budget.

use crate::compare::{
    budget::{Budget, Limits},
    path::{ITEMS, Path},
    policy::Rule,
};

/// A place in a body, with the rules of the route.
#[derive(Debug)]
pub(super) struct Place<'r, 'v> {
    rules: &'r [Rule],
    pub(super) path: Path<'v>,
    pub(super) budget: Budget,
}

impl<'r, 'v> Place<'r, 'v> {
    /// Begins at the root of a body.
    pub(super) fn root(rules: &'r [Rule], limits: Limits) -> Self {
        Self { rules, path: Path::default(), budget: Budget::of(limits.work) }
    }

    /// Returns the rules for this place as one.
    pub(super) fn rule(&self) -> Rule {
        if self.rules.is_empty() { Rule::default() } else { Rule::merged(self.rules, self.path.names()) }
    }

    /// Returns the rules for the list at this place as one, of which `own` are those that name the
    /// list itself. The options for its order and its keys may also name its items: `data[]`.
    pub(super) fn list_rule(&self, own: &Rule) -> Rule {
        let mut rule = own.clone();
        if !self.rules.is_empty() {
            let items = Rule::merged(self.rules, &[self.path.names(), [ITEMS].as_slice()].concat());
            rule.unordered |= items.unordered;
            rule.key_by = rule.key_by.or(items.key_by);
        }
        rule
    }

    /// Returns true if any rule permits a distance between numbers.
    pub(super) fn has_tolerances(&self) -> bool {
        self.rules.iter().any(|rule| rule.tolerance.is_some())
    }
}
