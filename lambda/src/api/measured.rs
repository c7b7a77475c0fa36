//! The measurements that are about the configuration of now: a deleted flag or route leaves its counts
//! in the table.

use crate::store::Ledger;
use cutover_core::{FlagName, RouteId, config::Config};
use std::collections::BTreeSet;

/// Ledgers by flag; `None` is the one for requests that no flag decided.
pub(super) type Ledgers = Vec<(Option<FlagName>, Ledger)>;

/// Removes the ledgers of flags that are gone.
pub(super) fn keep_flags(ledgers: &mut Ledgers, config: &Config) {
    ledgers.retain(|(flag, _)| flag.as_ref().is_none_or(|flag| config.feature_flags.contains_key(flag)));
}

/// Removes the series of routes that are gone, or another flag's by now.
pub(super) fn keep_routes(ledgers: &mut [(Option<FlagName>, Ledger)], config: &Config) {
    let routes: BTreeSet<(&FlagName, &RouteId)> =
        config.routes.iter().map(|route| (&route.flag, &route.id)).collect();
    for (flag, ledger) in ledgers {
        let Some(flag) = flag else { continue };
        ledger
            .series
            .retain(|series| series.route.as_ref().is_none_or(|route| routes.contains(&(&*flag, route))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Series;
    use cutover_core::{Arm, Reason, measurement::counts::Counts};

    #[test]
    fn counts_of_deleted_flags_and_routes_are_left_out() {
        let config = Config::from_yaml(
            "feature_flags: { a: { enabled: true }, b: { enabled: true } }\n\
             origins: { o: { url: \"http://o\" } }\nroutes:\n  - { id: one, match: { path: /x }, flag: a, legacy: o, new: o }\n  \
             - { id: two, match: { path: /y }, flag: b, legacy: o, new: o }\n",
        );
        let config = config.unwrap();
        let series = |route: Option<&str>| Series {
            route: route.map(|route| route.parse().unwrap()),
            arm: Arm::New,
            reason: Reason::Rollout,
            counts: Counts::default(),
        };
        let ledger = || {
            let routes = [None, Some("one"), Some("two"), Some("gone")];
            Ledger { series: routes.map(series).to_vec(), ..Ledger::default() }
        };
        let flag = |name: &str| Some(name.parse::<FlagName>().unwrap());
        let mut ledgers: Ledgers = [None, flag("a"), flag("gone")].map(|flag| (flag, ledger())).to_vec();
        keep_flags(&mut ledgers, &config);
        keep_routes(&mut ledgers, &config);
        let left: Vec<_> = ledgers
            .iter()
            .map(|(flag, ledger)| {
                let routes = ledger.series.iter().map(|series| series.route.as_ref().map(RouteId::as_str));
                (flag.as_ref().map(FlagName::as_str), routes.collect::<Vec<_>>())
            })
            .collect();
        let all = vec![None, Some("one"), Some("two"), Some("gone")];
        assert_eq!(left, [(None, all), (Some("a"), vec![None, Some("one")])]);
    }
}
