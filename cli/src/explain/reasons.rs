//! The legend of reasons: what each code in decisions, headers and counts means.

use cutover_core::Reason;

/// All reasons, in the order in which the edge meets them.
pub(super) const ORDER: [Reason; 18] = [
    Reason::NoSnapshot,
    Reason::NoRoute,
    Reason::Limited,
    Reason::Emergency,
    Reason::Disabled,
    Reason::Blacklisted,
    Reason::Whitelisted,
    Reason::Condition,
    Reason::NoKey,
    Reason::Experiment,
    Reason::Rollout,
    Reason::Braked,
    Reason::Diverted,
    Reason::Guarded,
    Reason::Cached,
    Reason::Unadapted,
    Reason::Fallback,
    Reason::Internal,
];

/// Returns the arm that a reason leads to.
pub(super) fn arm(reason: Reason) -> &'static str {
    match reason {
        Reason::Whitelisted => "new",
        Reason::Rollout | Reason::Experiment | Reason::Cached => "either",
        Reason::Guarded | Reason::Limited => "none",
        Reason::Emergency
        | Reason::Disabled
        | Reason::Blacklisted
        | Reason::Condition
        | Reason::NoKey
        | Reason::NoRoute
        | Reason::NoSnapshot
        | Reason::Fallback
        | Reason::Internal
        | Reason::Unadapted
        | Reason::Diverted
        | Reason::Braked => "legacy",
    }
}

/// Describes a reason in a line.
pub(super) fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::Emergency => "an emergency, FORCE_LEGACY or a lost control plane",
        Reason::Disabled => "the flag is disabled, or there is none of that name",
        Reason::Blacklisted => "the user is on the blacklist",
        Reason::Whitelisted => "the user is on the whitelist",
        Reason::Condition => "a condition of the flag does not hold",
        Reason::NoKey => "the request has no user id",
        Reason::Rollout => "the user's bucket; the only reason that is evidence",
        Reason::NoRoute => "no route matches the request",
        Reason::NoSnapshot => "the edge has no configuration yet",
        Reason::Fallback => "the new backend failed, and legacy served the request",
        Reason::Internal => "the edge failed",
        Reason::Unadapted => "the adapter has no route for the request",
        Reason::Diverted => "the new backend failed several times in a row",
        Reason::Braked => "a change that lowered the flag has just been made",
        Reason::Experiment => "the user's variant in the experiment of the flag",
        Reason::Limited => "a rate limit of the route refused the request",
        Reason::Guarded => "the guard of the route refused the request",
        Reason::Cached => "the request went through the cache of its route",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_legend_has_every_reason_and_so_has_the_document() {
        assert_eq!(BTreeSet::from(ORDER), BTreeSet::from(Reason::ALL));
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let text = std::fs::read_to_string(document).unwrap();
        let rows = ORDER.map(|reason| format!("| `{reason}` | {} | {} |\n", arm(reason), meaning(reason)));
        let table = format!("| reason | arm | |\n|---|---|---|\n{}", rows.concat());
        assert!(text.contains(&table), "docs/cli.md does not have\n{table}");
    }

    #[test]
    fn a_row_fits_a_terminal() {
        for reason in ORDER {
            let columns = "NO_SNAPSHOT".len() + "legacy".len() + meaning(reason).len() + 4;
            assert!(columns <= 80, "{reason}: {columns} columns");
        }
    }
}
