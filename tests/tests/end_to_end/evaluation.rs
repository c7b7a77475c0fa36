//! The evaluation of arrivals on DynamoDB's API, without the Worker: ledgers that cannot be read, and flags that are behind.

use cutover_core::{
    Arm, FlagName, Reason, Revision, Timestamp,
    canary::{Run, RunIdentity},
    config::Config,
    measurement::{
        batch::{Batch, Cell},
        counts::Counts,
    },
};
use cutover_lambda::{
    clock,
    measurement::evaluate::tick_within,
    platform::Platform,
    store::{
        AuditRecord, BatchStatus, Brakes, Commit, Cursor, EmergencyChange, Ledger, LedgerWrite, RUNS, Role,
        StoreError, Write,
    },
};
use cutover_tests::{dynamodb::DynamoDb, fault_proxy::Fault, functions::platform};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

const MINUTE: i64 = 60_000;

/// Longest period of arrivals that is read at once.
const STRETCH: i64 = 2 * MINUTE;

/// The flags of every batch.
const FLAGS: [&str; 3] = ["one", "three", "two"];

/// Media type of DynamoDB's responses.
const KIND: &str = "application/x-amz-json-1.0";

/// Ticks that begin no further stretch, over one table.
struct Evaluation {
    dynamodb: DynamoDb,
    live: Platform,
    /// Its arrivals settle for an hour, so that its ticks fold in nothing new: they catch up.
    late: Platform,
    /// Contents of the ledgers that are damaged, by flag.
    damaged: BTreeMap<&'static str, String>,
}

impl Evaluation {
    async fn start() -> Self {
        let dynamodb = DynamoDb::start().await;
        let live = platform(&dynamodb, &[]).await;
        let late = platform(&dynamodb, &[("CUTOVER_SETTLE_MS", "3600000")]).await;
        Self { dynamodb, live, late, damaged: BTreeMap::new() }
    }

    /// Stores a batch of all flags. Its requests are a power of two, so that their sum names the batches.
    async fn arrive(&self, sequence: u64, at: i64) {
        let cell = |name: &&str| Cell {
            flag: Some(flag(name)),
            route: None,
            arm: Arm::New,
            reason: Reason::Rollout,
            revision: Revision(1),
            canary: None,
            counts: Counts { requests: 1_u64 << sequence, ..Counts::default() },
        };
        // An isolate at rest is not missed.
        let cells = FLAGS.iter().map(cell).collect();
        let batch = Batch { schema: 2, idle: true, cells, ..Batch::empty("0".repeat(32), sequence) };
        let body = serde_json::to_string(&batch).unwrap();
        let stored = self.live.store.store_batch(&batch, &body, at).await.unwrap();
        assert_eq!(stored, BatchStatus::New);
    }

    async fn cursor(&self) -> Cursor {
        self.live.store.cursor().await.unwrap()
    }

    async fn requests(&self, name: &str) -> u64 {
        let ledger = self.live.store.ledger(Some(&flag(name))).await.unwrap();
        ledger.series.iter().map(|series| series.counts.requests).sum()
    }

    /// Ticks until everything that has arrived was read.
    async fn read_all(&self, last: i64) {
        for _ in 0..15 {
            tick_within(&self.live, Duration::ZERO).await.unwrap();
            if self.cursor().await.through > last {
                return;
            }
        }
        panic!("the cursor does not reach {last}: {:?}", self.cursor().await);
    }

    fn damage(&mut self, name: &'static str) {
        let whole = self.dynamodb.replace("METRICS", &format!("LEDGER#{name}"), "data", "{}");
        self.damaged.insert(name, whole);
    }

    fn repair(&mut self) {
        for (name, whole) in std::mem::take(&mut self.damaged) {
            self.dynamodb.replace("METRICS", &format!("LEDGER#{name}"), "data", &whole);
        }
    }
}

fn flag(name: &str) -> FlagName {
    name.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_another_schema_hides_no_other() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    for name in ["one", "two"] {
        let flag = flag(name);
        let ledger = Ledger::default();
        let write = LedgerWrite { flag: Some(&flag), ledger, evidence: None, run: None, others: Vec::new() };
        store.write_ledger(write).await.unwrap();
    }
    dynamodb.set_schema("METRICS", "LEDGER#one", 2);
    let read: Vec<_> = store.ledgers().await.unwrap().into_iter().map(|(flag, _)| flag).collect();
    assert_eq!(read, [Some(flag("two"))]);
    assert!(matches!(store.ledger(Some(&flag("one"))).await, Err(StoreError::Item(_))));
}

/// A ledger that other ticks write while it is read is not damaged.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_lost_a_race_is_told_from_damaged_evidence() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let data = serde_json::to_string(&Ledger { evidence_version: 1, ..Ledger::default() }).unwrap();
    let ledger = |version: u64| {
        let version = version.to_string();
        json!({ "Item": { "schema": { "N": "1" }, "version": { "N": version }, "data": { "S": data } } })
    };
    let read = async |versions: [u64; 4]| {
        for version in versions {
            // The ledger, and then no evidence of its version.
            for body in [ledger(version), json!({})] {
                let answer = Fault::Answer(200, KIND, body.to_string().into());
                dynamodb.proxy.on_next("x-amz-target", "GetItem", answer);
            }
        }
        store.ledger_with_evidence(Some(&flag("one"))).await.unwrap_err()
    };
    assert_eq!(read([1, 2, 3, 4]).await, StoreError::Restless);
    assert!(matches!(read([4, 4, 4, 4]).await, StoreError::Item(_)));
}

/// A tick catches up one stretch at least, and no flag is folded twice or left out, also if it is stopped before it has noted
/// its progress.
#[tokio::test(flavor = "multi_thread")]
async fn flags_that_are_behind_are_caught_up_also_by_ticks_that_are_stopped() {
    let mut evaluation = Evaluation::start().await;
    let now = clock::now().millis();
    let last = now - 2 * MINUTE;
    for sequence in 1..=18 {
        evaluation.arrive(sequence, last - (18 - i64::try_from(sequence).unwrap()) * MINUTE).await;
    }
    let all: u64 = (1..=18).map(|sequence| 1_u64 << sequence).sum();
    // Both flags get a ledger, and fall behind at different times.
    tick_within(&evaluation.live, Duration::ZERO).await.unwrap();
    evaluation.damage("one");
    for _ in 0..2 {
        tick_within(&evaluation.live, Duration::ZERO).await.unwrap();
    }
    evaluation.damage("two");
    evaluation.read_all(last).await;
    let before = evaluation.cursor().await;
    assert_eq!(before.behind.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(before.behind["two"] - before.behind["one"], 2 * STRETCH);
    assert_eq!(evaluation.requests("three").await, all, "the others do not wait");

    evaluation.repair();
    tick_within(&evaluation.live, Duration::ZERO).await.unwrap();
    let first = evaluation.cursor().await;
    assert!(first.through > before.through, "the newest arrivals are folded in too");
    assert_eq!(first.behind["one"], before.behind["one"] + STRETCH);
    assert_eq!(first.behind["two"], before.behind["two"]);

    // The ledger is written, and the progress is not noted.
    let refusal =
        json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "no" });
    let refusal = Fault::Answer(400, KIND, refusal.to_string().into());
    evaluation.dynamodb.proxy.on_next("x-amz-target", "UpdateItem", refusal);
    assert!(tick_within(&evaluation.late, Duration::ZERO).await.is_err());
    assert_eq!(evaluation.cursor().await, first);
    tick_within(&evaluation.late, Duration::ZERO).await.unwrap();
    assert_eq!(evaluation.cursor().await.behind["one"], first.behind["one"] + 2 * STRETCH);

    let mut ticks = 0;
    while !evaluation.cursor().await.behind.is_empty() {
        tick_within(&evaluation.late, Duration::ZERO).await.unwrap();
        ticks += 1;
        assert!(ticks < 20, "{:?}", evaluation.cursor().await);
    }
    for name in FLAGS {
        assert_eq!(evaluation.requests(name).await, all, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_is_read_once_for_all_flags_that_missed_it() {
    let mut evaluation = Evaluation::start().await;
    let last = clock::now().millis() - 2 * MINUTE;
    for sequence in 1..=18 {
        evaluation.arrive(sequence, last - (18 - i64::try_from(sequence).unwrap()) * MINUTE).await;
    }
    tick_within(&evaluation.live, Duration::ZERO).await.unwrap();
    FLAGS.into_iter().for_each(|name| evaluation.damage(name));
    evaluation.read_all(last).await;
    evaluation.repair();
    let before = evaluation.dynamodb.proxy.writes();
    tick_within(&evaluation.late, Duration::ZERO).await.unwrap();
    let calls = evaluation.dynamodb.proxy.writes() - before;
    // A stretch touches up to three minutes of eight partitions; everything else takes about thirty calls.
    assert!(calls < 75, "{calls} calls of DynamoDB");
    let behind = evaluation.cursor().await.behind;
    assert!(
        behind.len() == 3 && behind["one"] == behind["two"] && behind["two"] == behind["three"],
        "{behind:?}"
    );
}

/// Batches are kept for two days. A flag that was behind for longer has counts that nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn counts_that_expired_before_they_were_folded_are_a_gap() {
    let evaluation = Evaluation::start().await;
    let now = clock::now().millis();
    let two_days = 48 * 60 * MINUTE;
    let since = now - two_days - 60 * MINUTE;
    let behind = BTreeMap::from([("one".to_owned(), since)]);
    let cursor = Cursor { through: now, behind, ..Cursor::default() };
    assert!(evaluation.live.store.move_cursor(&Cursor::default(), &cursor).await.unwrap());
    // After the last minute that may expire while it is read.
    evaluation.arrive(1, now - two_days + 2 * MINUTE).await;
    tick_within(&evaluation.late, Duration::ZERO).await.unwrap();
    let noted = evaluation.cursor().await;
    let gap = noted.gaps["one"];
    assert_eq!(gap.since.millis(), since);
    assert!(
        gap.until.millis() > now - two_days && gap.until.millis() < now - two_days + 2 * MINUTE,
        "{gap:?}"
    );
    assert_eq!(noted.behind["one"], gap.until.millis() + STRETCH);
    assert_eq!(evaluation.requests("one").await, 2);
    tick_within(&evaluation.late, Duration::ZERO).await.unwrap();
    assert_eq!(evaluation.cursor().await.gaps, noted.gaps, "noted once");
}

/// The schedule was switched off for longer than batches are kept.
#[tokio::test(flavor = "multi_thread")]
async fn counts_that_expired_while_nothing_was_evaluated_are_a_gap_of_every_active_run() {
    let evaluation = Evaluation::start().await;
    let store = &evaluation.live.store;
    let now = clock::now().millis();
    let (started, since) =
        (Timestamp::from_millis(now - 96 * 60 * MINUTE), Timestamp::from_millis(now - 72 * 60 * MINUTE));
    let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
    let plan = config.canary_deployments.into_values().next().unwrap();
    let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
    let run = Run::start(identity, flag("one"), plan, started, "operator");
    let write = Write::Object {
        section: RUNS.to_owned(),
        name: "one".to_owned(),
        value: Some(json!(run)),
        expected: None,
    };
    let commit = Commit {
        from: Revision::default(),
        writes: vec![write],
        emergency: EmergencyChange::Keep,
        brakes: Brakes::default(),
        audit: AuditRecord::new(started, "operator", Role::Operator, "canary.start", None),
        reply: None,
    };
    store.commit(commit).await.unwrap();
    let cursor = Cursor { through: since.millis(), ..Cursor::default() };
    assert!(store.move_cursor(&Cursor::default(), &cursor).await.unwrap());
    tick_within(&evaluation.live, Duration::ZERO).await.unwrap();
    let noted = evaluation.cursor().await;
    let gap = noted.gaps["one"];
    assert_eq!((gap.since, noted.through), (since, gap.until.millis() + STRETCH));
    assert_eq!(noted.through_of(&run), since.millis(), "its evidence has a hole");
    tick_within(&evaluation.live, Duration::ZERO).await.unwrap();
    assert_eq!(evaluation.cursor().await.gaps, noted.gaps, "noted once");
}
