//! Flags that are behind: their ledger could not be read or written when arrivals were folded. What they missed is read again
//! and folded before anything newer, apart from the other flags, which do not wait for it.

use crate::{
    clock,
    measurement::folding::{FlagArrivals, Folding, MAX_STRETCH_MS, note_unreadable},
    platform::Platform,
    store::{Cursor, FlagGap, Store, error::StoreError, oldest_kept},
};
use cutover_core::{FlagName, Timestamp};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Catches up the flags that are behind, from the oldest missed arrivals on, each stretch for all flags that miss it. Begins
/// no further stretch after `patience`. Returns the flags that are still behind.
///
/// The progress is noted after each stretch, and a ledger knows its own: a tick that is stopped repeats nothing.
pub(super) async fn catch_up(
    platform: &Platform,
    folding: &mut Folding<'_>,
    patience: Duration,
) -> Result<Vec<String>, StoreError> {
    let started = Instant::now();
    let store = &platform.store;
    let mut cursor = store.cursor().await?;
    if cursor.behind.is_empty() {
        return Ok(Vec::new());
    }
    // Another tick may have moved the cursor since the state was read.
    folding.renew().await?;
    let mut readable = BTreeSet::new();
    let mut next = looked_up(store, &cursor, &mut readable).await;
    let mut is_first = true;
    // If another tick has moved the cursor, it goes on from there.
    while next == cursor || store.move_cursor(&cursor, &next).await? {
        cursor = next.clone();
        let oldest = readable.iter().filter_map(|name| cursor.behind.get(name)).min().copied();
        let Some(from) = oldest.filter(|_| is_first || started.elapsed() <= patience) else { break };
        is_first = false;
        let until = cursor.through.min(from.saturating_add(MAX_STRETCH_MS));
        let is_due = |name: &&String| cursor.behind.get(*name).is_some_and(|through| *through < until);
        let due: Vec<String> = readable.iter().filter(is_due).cloned().collect();
        let arrivals = match store.arrivals(from, until).await {
            Ok(arrivals) => arrivals,
            Err(error) => {
                due.iter().for_each(|name| note_unreadable(name, &error));
                break;
            }
        };
        for name in &due {
            let flag = name.parse::<FlagName>().ok();
            if folding.fold(FlagArrivals { flag: flag.as_ref(), arrivals: &arrivals, until }).await {
                next.note_complete(name, until);
            } else {
                readable.remove(name);
            }
        }
    }
    Ok(cursor.behind.into_keys().collect())
}

/// Notes that the counts of a flag in a period have expired before they were folded. Both times are in milliseconds since
/// 1970.
pub(super) fn note_gap(cursor: &mut Cursor, flag: &str, since: i64, until: i64) {
    let (since, until) = (Timestamp::from_millis(since), Timestamp::from_millis(until));
    tracing::error!(event = "flag_gap", flag, %since, %until, "counts of a flag have expired");
    cursor.gaps.insert(flag.to_owned(), FlagGap { since, until });
}

/// Looks up how far each flag that is behind is complete, and adds those with a readable ledger to `readable`. Returns the
/// cursor with these times, and with the gaps of flags whose missed arrivals have expired.
async fn looked_up(store: &Store, cursor: &Cursor, readable: &mut BTreeSet<String>) -> Cursor {
    let kept = oldest_kept(clock::now().millis());
    let mut next = cursor.clone();
    for (name, through) in &cursor.behind {
        let flag = name.parse::<FlagName>().ok();
        let ledger = match store.ledger_with_evidence(flag.as_ref()).await {
            Ok((ledger, _)) => ledger,
            Err(error) => {
                note_unreadable(name, &error);
                continue;
            }
        };
        readable.insert(name.clone());
        // The ledger knows more than the cursor if a tick was stopped before it noted its progress.
        let complete = ledger.through.max(*through);
        if complete < kept {
            note_gap(&mut next, name, complete, kept);
        }
        next.note_complete(name, complete.max(kept));
    }
    next
}
