//! Ledgers: what was measured of each flag, taken together. A ledger says up to which moment of arrival it holds
//! everything, so that taking arrivals in twice, late or from two sides changes nothing.

use super::{
    Store, StoreError,
    commit::{CommitError, build, number},
    item::{Item, NewItem, SCHEMA},
    keys::{self, Key},
};
use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};
use cutover_core::{
    Arm, FlagName, Reason, Revision, RouteId, RunId, Timestamp, batch::Counts, canary::Evidence,
    compare::Tally, histogram::Histogram,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts since the beginning, of one kind of request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteId>,
    /// The arm that served.
    pub arm: Arm,
    /// Why.
    pub reason: Reason,
    /// What was counted.
    pub counts: Counts,
}

/// What one window saw of one arm, for rates of the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// When the window began, in milliseconds since 1970.
    pub window: i64,
    /// The arm that served.
    pub arm: Arm,
    /// Requests.
    pub requests: u64,
    /// Errors of every class.
    pub errors: u64,
    /// The sum of the times to the response headers, in milliseconds.
    pub duration_ms: u64,
}

/// The response times of a run's step, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: u32,
    /// Of the new arm.
    pub new: Histogram,
    /// Of legacy.
    pub legacy: Histogram,
}

/// What was compared of a route since a run of its flag's canary began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteComparison {
    /// The route.
    pub route: RouteId,
    /// The run; none before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// When the first window began, in milliseconds since 1970.
    pub since: i64,
    /// When the last window began.
    pub until: i64,
    /// The counts.
    pub tally: Tally,
}

/// What was measured of a flag.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// All that arrived up to this moment is in it, in milliseconds since 1970.
    pub through: i64,
    /// Counts since the beginning.
    pub series: Vec<Series>,
    /// The last minutes.
    pub recent: Vec<Recent>,
    /// What is known of the newest run.
    #[serde(default)]
    pub evidence: Option<Evidence>,
    /// The response times of its step.
    #[serde(default)]
    pub times: Option<Times>,
    /// What was compared, by route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<RouteComparison>,
    /// How often it was written; 0 where it never was.
    #[serde(skip)]
    pub version: u64,
}

/// How far arrivals have been taken into the ledgers, and what was counted on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Every ledger holds all that arrived up to this moment, in milliseconds since 1970.
    pub through: i64,
    /// Outcomes that isolates said they lost.
    pub outcomes_lost: u64,
    /// Batches that were taken in.
    pub batches: u64,
}

/// A ledger that waits to be written.
pub struct LedgerWrite<'w> {
    /// The flag; `None` for requests that no flag decided.
    pub flag: Option<&'w FlagName>,
    /// The ledger; its version is the one that was read.
    pub ledger: &'w Ledger,
    /// The run that its evidence was judged by, at this version.
    pub run: Option<Revision>,
    /// What goes along: a record.
    pub others: Vec<NewItem>,
}

fn name(flag: Option<&FlagName>) -> &str {
    flag.map(FlagName::as_str).unwrap_or_default()
}

fn read(item: &Item) -> Result<Ledger, StoreError> {
    let ledger: Ledger = item.json("data")?;
    Ok(Ledger { version: item.number("version")?, ..ledger })
}

impl Store {
    /// The ledger of a flag.
    pub async fn ledger(&self, flag: Option<&FlagName>) -> Result<Ledger, StoreError> {
        let item = self.get(&Key::ledger(name(flag))).await?;
        item.as_ref().map_or_else(|| Ok(Ledger::default()), read)
    }

    /// All ledgers.
    pub async fn ledgers(&self) -> Result<Vec<(Option<FlagName>, Ledger)>, StoreError> {
        let items = self.all(keys::METRICS, keys::LEDGER).await?;
        items
            .iter()
            .map(|item| {
                let name = item.text(keys::SORT)?.strip_prefix(keys::LEDGER).unwrap_or_default();
                Ok((name.parse().ok(), read(item)?))
            })
            .collect()
    }

    /// Writes a ledger, on condition that it and the run are still as they were read.
    pub async fn write_ledger(&self, write: LedgerWrite<'_>) -> Result<(), CommitError> {
        let version = write.ledger.version;
        let item = NewItem::new(&Key::ledger(name(write.flag))).json("data", write.ledger)?;
        let mut items = vec![self.put_after(item, version)?];
        if let Some((flag, run)) = write.flag.zip(write.run) {
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

    /// How far arrivals have been taken in.
    pub async fn cursor(&self) -> Result<Cursor, StoreError> {
        let Some(item) = self.get(&Key::cursor()).await? else { return Ok(Cursor::default()) };
        Ok(Cursor {
            through: i64::try_from(item.number("through")?).unwrap_or_default(),
            outcomes_lost: item.optional_number("outcomes_lost").unwrap_or_default(),
            batches: item.optional_number("batches").unwrap_or_default(),
        })
    }

    /// Notes that a scheduled function came to its end.
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

    /// When each scheduled function last came to its end.
    pub async fn ticks(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let ticks = self.counters(&Key::ticks()).await?;
        let moment = |at: u64| Timestamp::from_millis(i64::try_from(at).unwrap_or_default());
        Ok(ticks.into_iter().map(|(function, at)| (function, moment(at))).collect())
    }

    /// Moves the cursor on. `false` where another tick moved it meanwhile.
    pub async fn move_cursor(&self, from: Cursor, to: Cursor) -> Result<bool, StoreError> {
        let unsigned = |at: i64| number(u64::try_from(at).unwrap_or_default());
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::cursor().attributes()))
            .update_expression(
                "SET #schema = :schema, through = :to, outcomes_lost = :lost, batches = :batches",
            )
            .condition_expression("attribute_not_exists(pk) OR through = :from")
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":schema", number(SCHEMA))
            .expression_attribute_values(":from", unsigned(from.through))
            .expression_attribute_values(":to", unsigned(to.through))
            .expression_attribute_values(":lost", number(to.outcomes_lost))
            .expression_attribute_values(":batches", number(to.batches))
            .send()
            .await;
        super::is_made(sent)
    }
}
