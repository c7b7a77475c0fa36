//! The scheduled tick beside evaluation: it keeps Workers KV in line with the table and delivers notifications. Where nobody
//! has evaluated for a while, it does so itself.

use crate::{
    canary::{decide, notify},
    change::notes,
    clock,
    measurement::evaluate,
    platform::Platform,
    publication::{publish::PublishError, reconcile},
    store::{Cursor, error::StoreError},
};
use cutover_core::Timestamp;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Time without a holder of the lease of evaluation after which this tick takes it.
const IDLE: Duration = Duration::from_secs(20);

/// Summary of a tick.
#[derive(Debug, Serialize)]
pub struct Tick {
    /// Summary of the reconciliation of Workers KV.
    #[serde(flatten)]
    pub publication: reconcile::Tick,
    /// Outcome for each canary that was decided because nobody else evaluates, by flag.
    pub canaries: BTreeMap<String, decide::Outcome>,
    /// Number of notifications that were delivered.
    pub delivered: usize,
}

/// Failure of a part of a tick. The other parts were completed.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// The table could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Runs one tick.
///
/// # Errors
///
/// Fails if a decision, the publication or the delivery of notifications fails. The other parts are
/// attempted regardless.
pub async fn tick(platform: &Platform) -> Result<Tick, TickError> {
    let stood_in = evaluate::stand_in(platform, IDLE).await;
    // These follow all decisions, and the failure of one undoes none and stops no other.
    let (publication, delivered, lapsed) =
        tokio::join!(reconcile::tick(platform), notify::deliver(platform), notes::end_lapsed(platform));
    if let Err(error) = lapsed {
        tracing::warn!(%error, "requests that have lapsed are recorded by the next tick");
    }
    let store = &platform.store;
    let (head, published, cursor) = tokio::try_join!(store.head(), store.published(), store.cursor())?;
    let lag = head.revision.0.saturating_sub(published.0);
    let evaluation_lag_seconds = evaluation_lag_seconds(&cursor, clock::now());
    let stood_in = stood_in.map(Option::unwrap_or_default);
    tracing::info!(
        event = "tick",
        lag,
        evaluation_lag_seconds,
        emergency = u8::from(head.emergency.is_some()),
        revision = head.revision.0,
        canaries = stood_in.as_ref().map_or(0, |stood_in| stood_in.canaries.len()),
        "looked"
    );
    let canaries = stood_in?.canaries;
    platform.store.note_tick(decide::ACTOR, clock::now()).await?;
    Ok(Tick { publication: publication?, canaries, delivered: delivered? })
}

/// Returns the age of the newest arrivals that have been evaluated, in seconds; 0 before the first evaluation.
fn evaluation_lag_seconds(cursor: &Cursor, now: Timestamp) -> i64 {
    if cursor.through == 0 { 0 } else { (now.millis() - cursor.through).max(0) / 1_000 }
}
