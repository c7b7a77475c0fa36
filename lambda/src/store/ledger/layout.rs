//! The items of a ledger, and their limits. Everything is measured before it is written: what is too large loses its rarest
//! parts first.

use crate::{
    observe::hex::hex,
    store::{
        error::StoreError,
        item::{Item, pack, unpack},
        ledger::model::{Ledger, RouteComparison, Series},
    },
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Attribute of the head.
pub(super) const HEAD: &str = "head";

/// Attribute of a part.
pub(super) const DATA: &str = "data";

/// Prefix of the names of parts with series.
const SERIES: &str = "SERIES#";

/// Prefix of the names of parts with the comparisons of a route.
const COMPARISON: &str = "CMP#";

/// Number of series in a part.
const SERIES_IN_PART: usize = 40;

/// Largest head, in bytes as it is stored.
const MAX_HEAD: usize = 32_000;

/// Largest part with series, in bytes as it is stored.
const MAX_SERIES: usize = 100_000;

/// Largest part with the comparisons of a route, in bytes as it is stored.
const MAX_COMPARISON: usize = 32_000;

/// Parts of ledgers that a reader needs beside their heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerParts {
    /// None: the counts of the last minutes are in the head.
    None,
    /// The counts since the beginning.
    Series,
    /// The comparison results.
    Comparisons,
}

impl LedgerParts {
    /// Returns true if a part, by its name, is one of these.
    pub(super) fn has(self, part: &str) -> bool {
        match self {
            Self::None => false,
            Self::Series => part.starts_with(SERIES),
            Self::Comparisons => part.starts_with(COMPARISON),
        }
    }
}

/// A ledger as it is stored: its head and its parts by name, compressed.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) head: Vec<u8>,
    pub(super) parts: BTreeMap<String, Vec<u8>>,
}

/// Lays a ledger out, and notes the digests of its parts in it. If a part would be too large, the ledger loses what is rarest:
/// series of single routes are merged, differences are counted without their kind, old windows are forgotten.
pub(super) fn lay_out(ledger: &mut Ledger) -> Result<Layout, StoreError> {
    let mut parts = BTreeMap::new();
    for compared in &mut ledger.comparisons {
        let part = loop {
            let part = pack(&*compared)?;
            if part.len() <= MAX_COMPARISON || !compared.tally.drop_rarest() {
                break part;
            }
        };
        parts.insert(format!("{COMPARISON}{}", compared.route), part);
    }
    let series = loop {
        let series: Result<Vec<_>, _> = ledger.series.chunks(SERIES_IN_PART).map(pack).collect();
        let series = series?;
        if series.iter().all(|part| part.len() <= MAX_SERIES) || !ledger.merge_rarest() {
            break series;
        }
    };
    parts.extend(series.into_iter().enumerate().map(|(index, part)| (format!("{SERIES}{index:03}"), part)));
    ledger.parts = parts.iter().map(|(name, part)| (name.clone(), digest(part))).collect();
    let head = loop {
        let head = head_of(ledger)?;
        if head.len() <= MAX_HEAD {
            break head;
        }
        // Windows are ordered by time.
        if !ledger.recent.is_empty() {
            ledger.recent.remove(0);
        } else if ledger.times.take().is_none() {
            let bytes = head.len();
            return Err(StoreError::Item(format!(
                "the head of a ledger has {bytes} bytes, too many to store"
            )));
        }
    };
    Ok(Layout { head, parts })
}

/// Returns the head of a ledger: all of it but what its parts hold.
fn head_of(ledger: &Ledger) -> Result<Vec<u8>, StoreError> {
    let Ledger { through, written_at, positions, stream, recent, evidence_version, times, parts, .. } =
        ledger;
    pack(&Ledger {
        through: *through,
        written_at: *written_at,
        positions: positions.clone(),
        stream: stream.clone(),
        series: Vec::new(),
        recent: recent.clone(),
        evidence_version: *evidence_version,
        times: times.clone(),
        comparisons: Vec::new(),
        parts: parts.clone(),
        version: 0,
    })
}

/// Reads the head of a ledger. One that an earlier version wrote is whole, and has no parts.
pub(super) fn read_head(item: &Item) -> Result<Ledger, StoreError> {
    let ledger: Ledger = match item.optional_text(DATA) {
        Some(_) => item.json(DATA)?,
        None => unpack(&bytes_of(item, HEAD)?)?,
    };
    Ok(Ledger { version: item.number("version")?, ..ledger })
}

/// Joins a head with its parts. Returns `None` if a part is not the one that the head names: the ledger was written meanwhile.
pub(super) fn join(
    mut ledger: Ledger,
    parts: &BTreeMap<String, Vec<u8>>,
) -> Result<Option<Ledger>, StoreError> {
    for (name, wanted) in &ledger.parts {
        let Some(part) = parts.get(name).filter(|part| digest(part) == *wanted) else { return Ok(None) };
        if name.starts_with(SERIES) {
            ledger.series.extend(unpack::<Vec<Series>>(part)?);
        } else {
            ledger.comparisons.push(unpack::<RouteComparison>(part)?);
        }
    }
    Ok(Some(ledger))
}

/// Returns bytes of an item that it must have.
pub(super) fn bytes_of(item: &Item, name: &str) -> Result<Vec<u8>, StoreError> {
    item.bytes(name).ok_or_else(|| StoreError::Item(format!("an item lacks {name}")))
}

fn digest(part: &[u8]) -> String {
    hex(&Sha256::digest(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        item::NewItem,
        keys::Key,
        ledger::model::{StepTimes, WindowCounts},
    };
    use cutover_core::{
        Arm, Reason, RouteId,
        compare::{DifferenceCount, DifferenceKind, RuleCount, Tally},
        measurement::{counts::Counts, histogram::Histogram},
    };

    /// Numbers as good as random, so that they are hardly compressed.
    struct Random(u64);

    impl Random {
        fn number(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 ^ (self.0 >> 29)
        }

        fn text(&mut self, length: usize) -> String {
            let letter = |number: u64| char::from(b'a' + u8::try_from((number >> 40) % 26).unwrap());
            (0..length).map(|_| letter(self.number())).collect()
        }

        fn histogram(&mut self) -> Histogram {
            // Sums of all buckets stay within 64 bits.
            let buckets: Vec<(usize, u64)> = (0..128).map(|bucket| (bucket, self.number() >> 8)).collect();
            serde_json::from_value(serde_json::to_value(buckets).unwrap()).unwrap()
        }
    }

    /// The largest ledger that there can be: everything is full, and every number is long.
    fn worst() -> Ledger {
        let mut random = Random(1);
        let mut ledger = Ledger::default();
        for _ in 0..120 {
            let mut count = || random.number() >> 8;
            let counts = Counts {
                requests: count(),
                server_errors: count(),
                timeouts: count(),
                unreachable: count(),
                unauthorized: count(),
                not_found: count(),
                client_errors: count(),
                gave_up: count(),
                slow_success: count(),
                slow_rollback: count(),
                duration_ms: count(),
                histogram: random.histogram(),
            };
            let route = random.text(128).parse().ok();
            ledger.series.push(Series { route, arm: Arm::New, reason: Reason::Rollout, counts });
        }
        for window in 0..60 {
            for arm in [Arm::New, Arm::Legacy] {
                let mut count = || random.number() >> 8;
                let (requests, errors, duration_ms) = (count(), count(), count());
                let window = window * 10_000;
                ledger.recent.push(WindowCounts { window, arm, requests, errors, duration_ms });
            }
        }
        let (new, legacy) = (random.histogram(), random.histogram());
        ledger.times = Some(StepTimes { run: "r1".parse().unwrap(), step: 3, new, legacy });
        for _ in 0..8 {
            let difference = |random: &mut Random| DifferenceCount {
                path: random.text(123),
                kind: DifferenceKind::Value,
                count: random.number() >> 16,
                noise: random.number() >> 16,
                example: (random.text(400), random.text(400)),
            };
            let rule = |random: &mut Random| RuleCount {
                path: random.text(100),
                compared: random.number(),
                matched: random.number(),
            };
            let tally = Tally {
                compared: random.number(),
                differences: (0..64).map(|_| difference(&mut random)).collect(),
                rules: (0..64).map(|_| rule(&mut random)).collect(),
                ..Tally::default()
            };
            let route = random.text(128).parse().unwrap();
            ledger.comparisons.push(RouteComparison { route, run: None, since: 0, until: 1, tally });
        }
        ledger
    }

    fn requests(ledger: &Ledger) -> u64 {
        ledger.series.iter().map(|series| series.counts.requests).sum()
    }

    fn differences(ledger: &Ledger) -> u64 {
        let tallies = ledger.comparisons.iter().map(|compared| &compared.tally);
        let counted = |tally: &Tally| {
            tally.differences.iter().map(|held| held.count + held.noise).sum::<u64>() + tally.others
        };
        tallies.map(counted).sum()
    }

    /// H8: each item is far below 400 KB, and a ledger is a small part of a transaction, whatever was counted.
    #[test]
    fn h8_the_worst_ledger_fits_into_its_items() {
        let whole = worst();
        let mut ledger = whole.clone();
        let layout = lay_out(&mut ledger).unwrap();
        assert!(layout.parts.len() <= 3 + 8, "{:?}", layout.parts.keys());
        assert!(layout.head.len() <= MAX_HEAD, "{}", layout.head.len());
        let mut sum = layout.head.len();
        for (name, part) in &layout.parts {
            let limit = if name.starts_with(SERIES) { MAX_SERIES } else { MAX_COMPARISON };
            assert!(part.len() <= limit, "{name}: {}", part.len());
            let item = NewItem::new(&Key::ledger_part(&"f".repeat(128), name)).bytes(DATA, part.clone());
            assert!(item.size() <= limit + 1_000, "{name}: {}", item.size());
            sum += item.size();
        }
        assert!(sum <= 600_000, "{sum}");
        assert_eq!(requests(&ledger), requests(&whole), "no request is lost");
        assert_eq!(differences(&ledger), differences(&whole), "no difference is lost");
        let dropped = ledger.comparisons.iter().any(|compared| compared.tally.differences.len() < 64);
        assert!(dropped, "the case is not the worst one");
    }

    #[test]
    fn the_rarest_series_are_merged_first() {
        let series = |requests: u64, route: &str| Series {
            route: route.parse().ok(),
            arm: Arm::New,
            reason: Reason::Rollout,
            counts: Counts { requests, ..Counts::default() },
        };
        let series = vec![series(9, "busy"), series(1, "rare"), series(3, "other"), series(5, "")];
        let mut ledger = Ledger { series, ..Ledger::default() };
        assert!(ledger.merge_rarest());
        let of = |ledger: &Ledger, route: Option<&str>| {
            let mut found = ledger.series.iter();
            let found = found.find(|series| series.route.as_ref().map(RouteId::as_str) == route);
            found.map(|series| series.counts.requests)
        };
        let routes = [Some("busy"), Some("rare"), Some("other"), None];
        assert_eq!(routes.map(|route| of(&ledger, route)), [Some(9), None, Some(3), Some(6)]);
        assert!(ledger.merge_rarest() && ledger.merge_rarest());
        assert_eq!(of(&ledger, None), Some(18));
        assert!(!ledger.merge_rarest(), "no series has a route");
    }

    #[test]
    fn a_ledger_is_joined_from_its_parts_and_no_others() {
        let mut ledger = worst();
        let layout = lay_out(&mut ledger).unwrap();
        let head = unpack::<Ledger>(&layout.head).unwrap();
        assert!(head.series.is_empty() && head.comparisons.is_empty());
        let mut joined = join(head.clone(), &layout.parts).unwrap().unwrap();
        joined.comparisons.sort_by(|a, b| a.route.cmp(&b.route));
        ledger.comparisons.sort_by(|a, b| a.route.cmp(&b.route));
        assert_eq!(joined, ledger);
        let name = layout.parts.keys().next().unwrap();
        let mut without = layout.parts.clone();
        without.remove(name);
        assert_eq!(join(head.clone(), &without).unwrap(), None);
        let mut other = layout.parts.clone();
        other.insert(name.clone(), pack("another write's").unwrap());
        assert_eq!(join(head, &other).unwrap(), None);
    }
}
