//! Ledgers: the aggregated measurements of each flag. A ledger records the arrival time up to which
//! it is complete, so that folding arrivals in twice, late or concurrently changes nothing.

use crate::store::{
    commit::{CommitError, build, number},
    error::StoreError,
    item::{Item, NewItem, SCHEMA, split_text},
    keys,
    keys::Key,
    table::Store,
};
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem};
use cutover_core::{
    Arm, FlagName, Reason, Revision, RouteId, RunId, Timestamp,
    canary::{Evidence, Run},
    compare::Tally,
    measurement::{counts::Counts, histogram::Histogram},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
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

/// A period whose counts of a flag are unknown: its ledger was behind for so long that they have expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagGap {
    /// Arrival time up to which the ledger was complete.
    pub since: Timestamp,
    /// Arrival time from which on it was complete again.
    pub until: Timestamp,
}

/// Progress of folding arrivals into the ledgers, with totals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Arrival time up to which every ledger is complete that is not [`Self::behind`], in milliseconds since 1970.
    pub through: i64,
    /// Ledgers that could not be read or written, by flag, each with the arrival time up to which it is complete. The
    /// empty name is the ledger for requests that no flag decided.
    pub behind: BTreeMap<String, i64>,
    /// Last gap of each flag that has one.
    pub gaps: BTreeMap<String, FlagGap>,
    /// Number of outcomes that isolates reported as lost.
    pub outcomes_lost: u64,
    /// Number of users in reports that were refused.
    pub users_lost: u64,
    /// Number of responses that may hide an error and were not inspected.
    pub uninspected: u64,
    /// Number of batches that have been folded in.
    pub batches: u64,
}

impl Cursor {
    /// Returns the arrival time up to which the counts of a run's step are complete, in milliseconds since 1970. A gap in the
    /// step ends that until the step begins anew, because an operator resumes the run.
    pub fn through_of(&self, run: &Run) -> i64 {
        let flag = run.flag.as_str();
        let through = self.behind.get(flag).copied().unwrap_or(self.through);
        let gap = self.gaps.get(flag).filter(|gap| gap.until > run.step_started_at);
        gap.map_or(through, |gap| gap.since.millis().min(through))
    }

    /// Notes the arrival time up to which the ledger of a flag that is behind is complete, in milliseconds since 1970.
    pub fn note_complete(&mut self, flag: &str, complete: i64) {
        if complete < self.through {
            self.behind.insert(flag.to_owned(), complete);
        } else {
            self.behind.remove(flag);
        }
    }
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
}

fn name(flag: Option<&FlagName>) -> &str {
    flag.map(FlagName::as_str).unwrap_or_default()
}

/// Decodes a map of flags that earlier versions did not write.
fn optional_json<T: DeserializeOwned>(item: &Item, name: &str) -> Result<BTreeMap<String, T>, StoreError> {
    item.optional_text(name).map_or_else(|| Ok(BTreeMap::new()), |_| item.json(name))
}

fn json_text(value: &impl Serialize) -> Result<AttributeValue, StoreError> {
    let text = serde_json::to_string(value).map_err(|error| StoreError::Item(error.to_string()))?;
    Ok(AttributeValue::S(text))
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
    /// cannot, or has another schema, does not hide the others; it is [`Cursor::behind`], and `evaluate` says so.
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
    /// with [`StoreError::Restless`] if other ticks wrote both meanwhile.
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
        for other in write.others {
            items.push(self.put_new(other)?);
        }
        self.transact(items).await
    }

    /// Returns the time up to which arrivals have been folded into the ledgers, with the totals.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn cursor(&self) -> Result<Cursor, StoreError> {
        let Some(item) = self.get(&Key::cursor()).await? else { return Ok(Cursor::default()) };
        Ok(Cursor {
            through: i64::try_from(item.number("through")?).unwrap_or_default(),
            outcomes_lost: item.optional_number("outcomes_lost").unwrap_or_default(),
            users_lost: item.optional_number("users_lost").unwrap_or_default(),
            uninspected: item.optional_number("uninspected").unwrap_or_default(),
            batches: item.optional_number("batches").unwrap_or_default(),
            behind: optional_json(&item, "behind")?,
            gaps: optional_json(&item, "gaps")?,
        })
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

    /// Advances the cursor, or the flags that are behind. Returns false if another tick has moved either meanwhile.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn move_cursor(&self, from: &Cursor, to: &Cursor) -> Result<bool, StoreError> {
        let unsigned = |ms: i64| number(u64::try_from(ms).unwrap_or_default());
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::cursor().attributes()))
            .update_expression(
                "SET #schema = :schema, through = :to, outcomes_lost = :lost, users_lost = :users_lost, \
                 uninspected = :uninspected, batches = :batches, behind = :behind, gaps = :gaps",
            )
            // Gaps are noted with the progress of their flag, so these two tell if anything has changed.
            .condition_expression(
                "attribute_not_exists(pk) OR (through = :from AND \
                 (attribute_not_exists(behind) OR behind = :behind_before))",
            )
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":schema", number(SCHEMA))
            .expression_attribute_values(":from", unsigned(from.through))
            .expression_attribute_values(":to", unsigned(to.through))
            .expression_attribute_values(":lost", number(to.outcomes_lost))
            .expression_attribute_values(":users_lost", number(to.users_lost))
            .expression_attribute_values(":uninspected", number(to.uninspected))
            .expression_attribute_values(":batches", number(to.batches))
            .expression_attribute_values(":behind_before", json_text(&from.behind)?)
            .expression_attribute_values(":behind", json_text(&to.behind)?)
            .expression_attribute_values(":gaps", json_text(&to.gaps)?)
            .send()
            .await;
        crate::store::table::is_made(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::item::MAX_TEXT;
    use cutover_core::{
        canary::RunIdentity,
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

    /// The run of a flag whose ledger is behind must not climb on the progress of the others.
    #[test]
    fn a_flag_that_is_behind_is_complete_up_to_its_own_time() {
        let (one, other) = (run("one", 0), run("other", 0));
        let behind = BTreeMap::from([("one".to_owned(), 5)]);
        let cursor = Cursor { through: 9, behind, ..Cursor::default() };
        assert_eq!([&one, &other].map(|run| cursor.through_of(run)), [5, 9]);
    }

    /// Counts that have expired are unknown; a step that has some of them in it is never complete.
    #[test]
    fn a_gap_ends_the_counts_of_a_step_until_it_begins_anew() {
        let time = Timestamp::from_millis;
        let gaps = BTreeMap::from([("one".to_owned(), FlagGap { since: time(3), until: time(6) })]);
        let cursor = Cursor { through: 9, gaps, ..Cursor::default() };
        let started = run("one", 5);
        assert_eq!(cursor.through_of(&started), 3);
        assert_eq!(cursor.through_of(&started.paused("").resumed(time(8), "")), 9);
        assert_eq!(cursor.through_of(&run("other", 5)), 9);
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
