//! Ledgers: the aggregated measurements of each flag. A ledger is written together with the positions in the log up to which
//! it is complete, so that folding batches in twice, late or concurrently changes nothing.

use crate::store::{
    error::{CommitError, StoreError},
    item::{Item, NewItem, SCHEMA, number, split_text},
    keys,
    keys::Key,
    lease::Lease,
    table::Store,
    transaction::build,
};
use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};
use cutover_core::{
    Arm, FlagName, Reason, Revision, RouteId, RunId, Timestamp,
    canary::Evidence,
    compare::Tally,
    measurement::{counts::Counts, histogram::Histogram, log::Positions},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Number of attempts to read a ledger with its evidence while both keep changing.
const MAX_READS: usize = 4;

/// Counts since the beginning for one combination of route, arm and reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Route of the requests; `None` for the routes that are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// Arm that served the requests.
    pub arm: Arm,
    /// Reason for choosing that arm.
    pub reason: Reason,
    /// Aggregated counts.
    pub counts: Counts,
}

/// Counts of one arm in one arrival window, for rates over the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowCounts {
    /// Start of the arrival window, in milliseconds since 1970.
    pub window: i64,
    /// Arm that served the requests.
    pub arm: Arm,
    /// Number of requests.
    pub requests: u64,
    /// Number of errors, of every class.
    pub errors: u64,
    /// Sum of the times to the response headers, in milliseconds.
    pub duration_ms: u64,
}

/// Response times of one step of a run, for display only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTimes {
    /// Run that the times belong to.
    pub run: RunId,
    /// Step that the times belong to.
    pub step: u32,
    /// Response times of the new arm.
    pub new: Histogram,
    /// Response times of the legacy arm.
    pub legacy: Histogram,
}

/// Comparison results of a route since a run of its flag's canary began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteComparison {
    /// Route that was compared.
    pub route: RouteId,
    /// Run of the canary; `None` before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Start of the first window, in milliseconds since 1970.
    pub since: i64,
    /// Start of the last window, in milliseconds since 1970.
    pub until: i64,
    /// Counted differences.
    pub tally: Tally,
}

/// Aggregated measurements of a flag.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Arrival time up to which the ledger is complete, in milliseconds since 1970.
    pub through: i64,
    /// Positions in the log up to which the ledger holds all batches, see [`cutover_core::measurement::log`].
    #[serde(default)]
    pub positions: Positions,
    /// Stream that the positions belong to.
    #[serde(default)]
    pub stream: String,
    /// Counts since the beginning, by route, arm and reason.
    pub series: Vec<Series>,
    /// Counts of the last minutes, by window and arm.
    pub recent: Vec<WindowCounts>,
    /// Version of the ledger with which its evidence was last written, see
    /// [`Store::ledger_with_evidence`]; 0 if never.
    #[serde(default)]
    pub evidence_version: u64,
    /// Response times of that run's current step.
    #[serde(default)]
    pub times: Option<StepTimes>,
    /// Comparison results, by route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<RouteComparison>,
    /// Number of times the ledger has been written, for optimistic locking; 0 if never.
    #[serde(skip)]
    pub version: u64,
}

/// A ledger to be written, with the conditions of the write.
pub struct LedgerWrite<'w> {
    /// Flag of the ledger; `None` for requests that no flag decided.
    pub flag: Option<&'w FlagName>,
    /// New content of the ledger; its version is the one that was read.
    pub ledger: Ledger,
    /// Evidence of the newest run, if it has changed.
    pub evidence: Option<&'w Evidence>,
    /// Version of the run that the evidence was evaluated with; the run must still have it.
    pub run: Option<Revision>,
    /// Further items to put in the same transaction: records of evaluations.
    pub others: Vec<NewItem>,
    /// Lease that the writer must still hold.
    pub lease: Lease,
}

fn name(flag: Option<&FlagName>) -> &str {
    flag.map(FlagName::as_str).unwrap_or_default()
}

fn read(item: &Item) -> Result<Ledger, StoreError> {
    let ledger: Ledger = item.json("data")?;
    Ok(Ledger { version: item.number("version")?, ..ledger })
}

/// Splits evidence into items. It may hold thousands of users, and an item is limited to 400 KB.
fn evidence_items(flag: &str, version: u64, evidence: &Evidence) -> Result<Vec<NewItem>, StoreError> {
    let text = serde_json::to_string(evidence).map_err(|error| StoreError::Item(error.to_string()))?;
    let chunks = split_text(&text);
    let count = chunks.len() as u64;
    let items = chunks.into_iter().enumerate().map(|(part, chunk)| {
        NewItem::new(&Key::evidence(flag, part))
            .number("version", version)
            .number("parts", count)
            .text("data", chunk)
    });
    Ok(items.collect())
}

impl Store {
    /// Returns the ledger of a flag; an empty one if it was never written.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn ledger(&self, flag: Option<&FlagName>) -> Result<Ledger, StoreError> {
        let item = self.get(&Key::ledger(name(flag))).await?;
        item.as_ref().map_or_else(|| Ok(Ledger::default()), read)
    }

    /// Returns all ledgers that can be decoded, by flag; `None` is the one for requests that no flag decided. One that
    /// cannot, or has another schema, does not hide the others; it is parked, and `evaluate` says so.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read.
    pub async fn ledgers(&self) -> Result<Vec<(Option<FlagName>, Ledger)>, StoreError> {
        let items = self.all_readable(keys::METRICS, keys::LEDGER).await?;
        let ledger = |item: &Item| {
            let name = item.text(keys::SORT).ok()?.strip_prefix(keys::LEDGER)?;
            Some((name.parse::<FlagName>().ok(), read(item).ok()?))
        };
        Ok(items.iter().filter_map(ledger).collect())
    }

    /// Returns the ledgers of these flags that exist and can be decoded, by flag.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read.
    pub async fn ledgers_of<'f>(
        &self,
        flags: impl Iterator<Item = &'f FlagName>,
    ) -> Result<BTreeMap<FlagName, Ledger>, StoreError> {
        let rows = self.get_many(flags.map(|flag| Key::ledger(flag.as_str())).collect()).await?;
        let ledger = |attributes| {
            let item = Item::new(attributes).ok()?;
            let name = item.text(keys::SORT).ok()?.strip_prefix(keys::LEDGER)?;
            Some((name.parse::<FlagName>().ok()?, read(&item).ok()?))
        };
        Ok(rows.into_iter().filter_map(ledger).collect())
    }

    /// Returns the ledger of a flag and the evidence of its newest run.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read, an item cannot be decoded, or the evidence is not the one that the ledger names:
    /// with [`StoreError::Restless`] if another pass wrote both meanwhile.
    pub async fn ledger_with_evidence(
        &self,
        flag: Option<&FlagName>,
    ) -> Result<(Ledger, Option<Evidence>), StoreError> {
        let mut versions = BTreeSet::new();
        for _ in 0..MAX_READS {
            let ledger = self.ledger(flag).await?;
            if ledger.evidence_version == 0 {
                return Ok((ledger, None));
            }
            if let Some(text) = self.evidence_text(name(flag), ledger.evidence_version).await? {
                let evidence = serde_json::from_str(&text)
                    .map_err(|error| StoreError::Item(format!("evidence: {error}")))?;
                return Ok((ledger, Some(evidence)));
            }
            versions.insert(ledger.version);
        }
        // Both are written in one transaction: without one in all this time, they do not belong together.
        if versions.len() == 1 {
            return Err(StoreError::Item("evidence: not the version that the ledger names".to_owned()));
        }
        Err(StoreError::Restless)
    }

    /// Joins the parts of the evidence of a flag; `None` if another version has been written
    /// meanwhile.
    async fn evidence_text(&self, flag: &str, version: u64) -> Result<Option<String>, StoreError> {
        let mut text = String::new();
        let (mut part, mut count) = (0, 1);
        while part < count {
            let Some(item) = self.get(&Key::evidence(flag, part)).await? else { return Ok(None) };
            if item.number("version")? != version {
                return Ok(None);
            }
            text.push_str(item.text("data")?);
            count = usize::try_from(item.number("parts")?).unwrap_or_default();
            part += 1;
        }
        Ok(Some(text))
    }

    /// Returns the evidence of the newest run of a flag; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails as [`Self::ledger_with_evidence`] does.
    pub async fn evidence(&self, flag: &FlagName) -> Result<Option<Evidence>, StoreError> {
        Ok(self.ledger_with_evidence(Some(flag)).await?.1)
    }

    /// Writes a ledger on condition that neither it nor the run has changed since they were read.
    ///
    /// # Errors
    ///
    /// Returns [`CommitError::Conflict`] if either has changed, and fails if the table cannot be
    /// written.
    pub async fn write_ledger(&self, write: LedgerWrite<'_>) -> Result<(), CommitError> {
        let LedgerWrite { flag, mut ledger, evidence, .. } = write;
        let version = ledger.version;
        let mut parts = Vec::new();
        if let Some(evidence) = evidence {
            ledger.evidence_version = version + 1;
            parts = evidence_items(name(flag), ledger.evidence_version, evidence)?;
        }
        let item = NewItem::new(&Key::ledger(name(flag))).json("data", &ledger)?;
        let mut items = vec![self.put_after(item, version)?];
        for part in parts {
            // The condition on the ledger guards its parts.
            let put = Put::builder().table_name(&self.table).set_item(Some(part.into_attributes()));
            items.push(TransactWriteItem::builder().put(build(put.build())?).build());
        }
        if let Some((flag, run)) = flag.zip(write.run) {
            let check = ConditionCheck::builder()
                .table_name(&self.table)
                .set_key(Some(Key::object(super::RUNS, flag.as_str()).attributes()))
                .condition_expression("version = :run")
                .expression_attribute_values(":run", number(run.0));
            items.push(TransactWriteItem::builder().condition_check(build(check.build())?).build());
        }
        items.push(self.check_lease(write.lease)?);
        for other in write.others {
            items.push(self.put_new(other)?);
        }
        self.transact(items).await
    }

    /// Returns the counters stored in an item, by name.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn counters(&self, key: &Key) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(self.get(key).await?.map(|item| item.numbers()).unwrap_or_default())
    }

    /// Records the time at which a scheduled function completed.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn note_tick(&self, function: &str, at: Timestamp) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::ticks().attributes()))
            .update_expression("SET #schema = :schema, #function = :at")
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_names("#function", function)
            .expression_attribute_values(":schema", number(SCHEMA))
            .expression_attribute_values(":at", number(u64::try_from(at.millis()).unwrap_or_default()))
            .send()
            .await?;
        Ok(())
    }

    /// Returns the time at which each scheduled function last completed.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn ticks(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let ticks = self.counters(&Key::ticks()).await?;
        let timestamp = |ms: u64| Timestamp::from_millis(i64::try_from(ms).unwrap_or_default());
        Ok(ticks.into_iter().map(|(function, ms)| (function, timestamp(ms))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::item::MAX_TEXT;
    use cutover_core::{
        canary::{Run, RunIdentity},
        config::Config,
        measurement::batch::{SeenUser, UserWindow},
    };

    fn run(flag: &str, began: i64) -> Run {
        let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
        let plan = config.canary_deployments.into_values().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        Run::start(identity, flag.parse().unwrap(), plan, Timestamp::from_millis(began), "operator")
    }

    /// Evidence of thousands of users is larger than an item may be.
    #[test]
    fn large_evidence_is_stored_in_parts() {
        let run = run("one", 0);
        let mut evidence = Evidence::none(&run);
        evidence.unripe.push(UserWindow {
            flag: run.flag.clone(),
            canary: (run.id.clone(), 0),
            share: run.share(),
            window: 0,
            settle_ms: 1,
            seen: (0..30_000).map(|number| SeenUser(u64::MAX - number, Arm::New)).collect(),
            events: Vec::new(),
            compared: Vec::new(),
        });
        let items = evidence_items("f", 7, &evidence).unwrap();
        assert!(items.len() > 1);
        let mut text = String::new();
        for (index, item) in items.into_iter().enumerate() {
            let item = Item::new(item.into_attributes()).unwrap();
            assert_eq!(item.text(keys::SORT).unwrap(), format!("EVIDENCE#f#{index:03}"));
            assert_eq!(item.number("version").unwrap(), 7);
            let part = item.text("data").unwrap();
            assert!(part.len() <= MAX_TEXT);
            text.push_str(part);
        }
        assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    }

    /// A ledger of an earlier version had its evidence inside, of another kind.
    #[test]
    fn evidence_of_an_earlier_version_is_ignored() {
        let old = serde_json::json!({
            "through": 5, "series": [], "recent": [], "evidence": { "run": "r1", "bake": [[0.0], [0.0]] },
        });
        let read: Ledger = serde_json::from_value(old).unwrap();
        assert_eq!((read.through, read.evidence_version), (5, 0));
    }
}
