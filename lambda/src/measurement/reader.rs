//! Reading of the log, shard by shard, a page of each at a time.

use crate::{
    clock,
    store::{Arrival, PageError, Store, error::StoreError},
};
use cutover_core::measurement::log::{Positions, Progress};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Time after which the shards are listed again.
const LISTED_FOR: Duration = Duration::from_secs(10);

/// Time after a shard was read to its end for which those that follow it must be listed before the log counts as read, in
/// milliseconds. They are listed within seconds. A shard that nothing follows for so long is the last of its line: its
/// stream was switched off.
const FOLLOWED_WITHIN_MS: i64 = 10 * 60_000;

/// Number of shards that are read at once. Each page has at most 1 MB.
const MAX_READS: usize = 16;

/// Empty pages in a row after which a shard has been read to its present end. One alone may be empty although more follows.
const EMPTY_PAGES: u32 = 2;

/// Parts of some shards that were read at once.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// A page of each shard that could be read.
    pub(super) pages: Vec<ShardPage>,
    /// Failure to read one of the others, where the next attempt goes on.
    pub(super) failure: Option<StoreError>,
}

/// Part of a shard that was read at once.
#[derive(Debug)]
pub(super) struct ShardPage {
    /// The shard.
    pub(super) shard: String,
    /// The batches, in their order.
    pub(super) arrivals: Vec<Arrival>,
    /// Progress in the shard after them; `None` if there was no record.
    pub(super) progress: Option<Progress>,
    /// True if records of the shard have expired unread.
    pub(super) has_gap: bool,
}

impl ShardPage {
    fn empty(shard: String) -> Self {
        Self { shard, arrivals: Vec::new(), progress: None, has_gap: false }
    }
}

#[derive(Debug, Default)]
struct Shard {
    iterator: Option<String>,
    /// Empty pages since the last record.
    empty: u32,
    /// True if records behind the noted position have expired, so that the shard is read from its oldest record on.
    from_oldest: bool,
    /// True if the shard could not be read in this look.
    has_failed: bool,
}

impl Shard {
    /// Returns true if the shard was read to its present end.
    fn is_at_end(&self) -> bool {
        self.empty >= EMPTY_PAGES
    }

    /// Returns true if another page of the shard is to be read in this look.
    fn is_due(&self) -> bool {
        !self.is_at_end() && !self.has_failed
    }
}

/// A reader of the log.
#[derive(Debug)]
pub(super) struct Reader {
    store: Store,
    stream: String,
    listed_at: Option<Instant>,
    /// Shards that are not read to their end.
    open: BTreeMap<String, Shard>,
    /// Shards that others were listed to follow.
    followed: BTreeSet<String>,
}

impl Reader {
    /// Creates a reader of a stream.
    pub(super) fn new(store: Store, stream: String) -> Self {
        Self { store, stream, listed_at: None, open: BTreeMap::new(), followed: BTreeSet::new() }
    }

    /// Lists the shards again if it is time, or if one has ended: others go on in its place. Returns them if they were listed.
    pub(super) async fn list(&mut self, read: &Positions) -> Result<Option<BTreeSet<String>>, StoreError> {
        if self.listed_at.is_some_and(|listed| listed.elapsed() < LISTED_FOR) {
            return Ok(None);
        }
        let shards = self.store.shards(&self.stream).await?;
        // Those of which only the position is known too: a listing may be old, and reading tells if a shard is gone.
        let known = read.iter().map(|(shard, _)| shard.to_owned());
        for shard in shards.keys().cloned().chain(known) {
            if !matches!(read.of(&shard), Some(Progress::End(_))) {
                self.open.entry(shard).or_default();
            }
        }
        self.followed.extend(shards.values().flatten().cloned());
        self.listed_at = Some(Instant::now());
        Ok(Some(shards.into_keys().collect()))
    }

    /// Reads a shard too that is not listed.
    pub(super) fn open(&mut self, shard: String) {
        self.open.entry(shard).or_default();
    }

    /// Returns true if nothing is left to be read in this look of the shards that are known. One that could not be read waits
    /// for the next look.
    pub(super) fn is_done(&self) -> bool {
        !self.open.values().any(Shard::is_due)
    }

    /// Returns true if every shard was read to its present end, and `read` is the progress in them. A log always has an open
    /// shard: while none is known, the listing omits it. So it does while none is listed to follow one that has just ended.
    pub(super) fn is_at_end(&self, read: &Positions, now: i64) -> bool {
        let is_read = !self.open.is_empty() && self.open.values().all(Shard::is_at_end);
        is_read && !self.lacks_follower(read, now)
    }

    /// Returns true if a shard was read to its end lately, by whomever, and none that follows it was listed.
    fn lacks_follower(&self, read: &Positions, now: i64) -> bool {
        read.iter().any(|(shard, progress)| match progress {
            Progress::End(at) => {
                now.saturating_sub(*at) < FOLLOWED_WITHIN_MS && !self.followed.contains(shard)
            }
            Progress::Through(_) => false,
        })
    }

    /// Begins another look at the shards that were read to their present end or could not be read, and at the listing if it
    /// lacks one.
    pub(super) fn look_again(&mut self, read: &Positions, now: i64) {
        if self.lacks_follower(read, now) {
            self.listed_at = None;
        }
        for shard in self.open.values_mut() {
            shard.empty = shard.empty.min(EMPTY_PAGES - 1);
            shard.has_failed = false;
        }
    }

    /// Reads a page of some shards that are not at their end, behind the positions `read`. The failure of one shard takes
    /// nothing away of the others. A shard with a batch that arrived after `began`, in milliseconds since 1970, was read far
    /// enough for this look: under steady load it has no end.
    pub(super) async fn pages(&mut self, read: &Positions, began: i64) -> Pages {
        let due = self.open.iter().filter(|(_, shard)| shard.is_due()).take(MAX_READS);
        let mut reading = JoinSet::new();
        for (name, shard) in due {
            let from = if shard.from_oldest { None } else { read.of(name).cloned() };
            let (store, stream, name) = (self.store.clone(), self.stream.clone(), name.clone());
            let iterator = shard.iterator.clone();
            reading.spawn(async move {
                let page = match iterator {
                    Some(iterator) => Ok(Some(iterator)),
                    None => store.iterator(&stream, &name, from.as_ref()).await,
                };
                match page {
                    Ok(Some(iterator)) => (name, store.page(&iterator).await.map(Some)),
                    Ok(None) => (name, Ok(None)),
                    Err(error) => (name, Err(error)),
                }
            });
        }
        let Pages { mut pages, mut failure } = Pages::default();
        while let Some(joined) = reading.join_next().await {
            let (name, page) = match joined {
                Ok(read) => read,
                Err(error) => {
                    // It does not say which shard: this look ends.
                    self.open.values_mut().for_each(|shard| shard.has_failed = true);
                    failure = Some(StoreError::Call(error.to_string()));
                    continue;
                }
            };
            let Some(shard) = self.open.get_mut(&name) else { continue };
            match page {
                Ok(Some(page)) => {
                    shard.from_oldest = false;
                    let is_current = page.arrivals.last().is_some_and(|arrival| arrival.at >= began);
                    shard.empty = match page.last {
                        Some(_) if is_current => EMPTY_PAGES,
                        Some(_) => 0,
                        None => shard.empty + 1,
                    };
                    let last = page.last.map(Progress::Through);
                    let is_over = page.next.is_none();
                    shard.iterator = page.next;
                    let progress = if is_over { Some(Progress::End(clock::now().millis())) } else { last };
                    if is_over {
                        self.open.remove(&name);
                        self.listed_at = None;
                    }
                    pages.push(ShardPage { shard: name, arrivals: page.arrivals, progress, has_gap: false });
                }
                Ok(None) => {
                    self.open.remove(&name);
                }
                Err(PageError::Expired) => shard.iterator = None,
                // Records have expired unread; those that are left are read from the oldest on.
                Err(PageError::Trimmed) if !shard.from_oldest => {
                    (shard.iterator, shard.from_oldest) = (None, true);
                    pages.push(ShardPage { has_gap: true, ..ShardPage::empty(name) });
                }
                // The shard is gone.
                Err(PageError::Trimmed) => {
                    self.open.remove(&name);
                    let progress = Some(Progress::End(clock::now().millis()));
                    pages.push(ShardPage { progress, ..ShardPage::empty(name) });
                }
                Err(PageError::Store(error)) => {
                    shard.has_failed = true;
                    failure = Some(error);
                }
            }
        }
        Pages { pages, failure }
    }
}
