//! The measurements that are about the configuration of now. The ledgers of deleted flags are not read; those of deleted routes
//! are in the ledger of their flag.

use crate::{
    platform::Platform,
    store::{Ledger, LedgerParts, LedgerSubject, State, Store, error::StoreError},
};
use cutover_core::{
    ExperimentName, FlagName, RouteId, Timestamp,
    config::Config,
    experiment::{Judgement, Phase, TestKind, TestResult},
};
use std::collections::{BTreeMap, BTreeSet};

/// Ledgers by flag; `None` is the one for requests that no flag decided.
pub(super) type Ledgers = BTreeMap<Option<FlagName>, Ledger>;

/// Reads the ledgers of the flags that are configured, and the one for requests that no flag decided.
pub(super) async fn ledgers(
    store: &Store,
    config: &Config,
    parts: LedgerParts,
) -> Result<Ledgers, StoreError> {
    let flags: Vec<_> = std::iter::once(None).chain(config.feature_flags.keys().map(Some)).collect();
    store.ledgers_of(&flags, parts).await
}

/// Removes the series of routes that are gone, or another flag's by now.
pub(super) fn keep_routes(ledgers: &mut Ledgers, config: &Config) {
    let routes: BTreeSet<(&FlagName, &RouteId)> =
        config.routes.iter().map(|route| (&route.flag, &route.id)).collect();
    for (flag, ledger) in ledgers {
        let Some(flag) = flag else { continue };
        ledger
            .series
            .retain(|series| series.route.as_ref().is_none_or(|route| routes.contains(&(flag, route))));
    }
}

/// The newest phase of an experiment, as far as it is folded.
pub(super) struct MeasuredPhase {
    /// The phase; an empty one if nothing of it was folded.
    pub(super) phase: Phase,
    /// Arrival time up to which all reports are in it; `None` before the first one.
    pub(super) through: Option<Timestamp>,
}

/// Reads the phase of an experiment that is counted, or else the last one that was; `None` if none ever was.
pub(super) async fn phase(
    platform: &Platform,
    state: &State,
    name: &ExperimentName,
) -> Result<Option<MeasuredPhase>, StoreError> {
    let subject = LedgerSubject::Experiment(name);
    let (ledger, mut held) = platform.store.ledger_with_evidence::<Phase>(subject).await?;
    if let Some(held) = &mut held {
        held.hold_conclusion();
    }
    let phase = match (state.counted_phase(name), held) {
        (None, held) => held,
        (Some((identity, design)), Some(held)) if held.identity == identity && held.design == design => {
            Some(held)
        }
        (Some((identity, design)), _) => {
            Some(Phase::begin(identity, design, platform.settings.experiment_users))
        }
    };
    let through = (ledger.through > 0).then(|| Timestamp::from_millis(ledger.through));
    Ok(phase.map(|phase| MeasuredPhase { phase, through }))
}

/// Reads the newest phase of an experiment that was folded; `None` if there is none, or if it cannot be decoded.
pub(super) async fn folded_phase(store: &Store, name: &ExperimentName) -> Result<Option<Phase>, StoreError> {
    match store.ledger_with_evidence::<Phase>(LedgerSubject::Experiment(name)).await {
        Ok((_, held)) => Ok(held),
        Err(StoreError::Item(_) | StoreError::Later(_) | StoreError::Restless) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the tests that may be shown: while users are not split as configured, only those of the split and guardrails that
/// fire.
pub(super) fn shown_tests(judgement: &Judgement) -> impl Iterator<Item = &TestResult> {
    let is_hidden = is_hidden(judgement);
    judgement.tests.iter().filter(move |test| !is_hidden || test.fires || test.kind == TestKind::SampleRatio)
}

/// Returns true if users are not split as configured, so that no result is shown.
pub(super) fn is_hidden(judgement: &Judgement) -> bool {
    judgement.is_hidden()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Series;
    use cutover_core::{Arm, Reason, measurement::counts::Counts};

    #[test]
    fn counts_of_deleted_routes_are_left_out() {
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
        let mut ledgers: Ledgers = [None, flag("a")].map(|flag| (flag, ledger())).into();
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
