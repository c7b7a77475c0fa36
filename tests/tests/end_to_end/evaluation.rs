//! The evaluation of batches on DynamoDB's API, without the Worker: folds that die, ledgers that cannot be read, logs that have
//! expired.

use cutover_core::{
    Arm, Epoch, FlagName, Reason, Revision, Timestamp,
    canary::{Run, RunIdentity},
    config::Config,
    measurement::{batch::Batch, counts::Counts},
};
use cutover_lambda::{
    clock,
    measurement::evaluate::invocation,
    platform::Platform,
    store::{
        AuditRecord, BatchStatus, Brakes, Commit, CommitError, Cursor, EmergencyChange, Ledger, LedgerParts,
        LedgerSubject, LedgerWrite, RUNS, Role, Series, StoreError, Write,
    },
};
use cutover_tests::{
    batches::{cell, counts, requests_in_ledger, store_batch},
    dynamodb::DynamoDb,
    fault_proxy::Fault,
    functions::platform,
    invocations::advance,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, pin::pin, time::Duration};

/// The flags of every batch.
const FLAGS: [&str; 3] = ["one", "three", "two"];

/// Media type of DynamoDB's responses.
const KIND: &str = "application/x-amz-json-1.0";

/// Evaluation over one table.
struct Evaluation {
    dynamodb: DynamoDb,
    platform: Platform,
    /// Flags whose ledgers are damaged.
    damaged: Vec<&'static str>,
}

impl Evaluation {
    async fn start() -> Self {
        let dynamodb = DynamoDb::start().await;
        let platform = platform(&dynamodb, &[]).await;
        Self { dynamodb, platform, damaged: Vec::new() }
    }

    /// Stores a batch of all flags. Its requests are a power of two, so that their sum names the batches.
    async fn arrive(&self, sequence: u64) {
        assert_eq!(self.send(sequence, 1 << sequence).await, BatchStatus::New);
    }

    async fn send(&self, sequence: u64, requests: u64) -> BatchStatus {
        let cells = FLAGS.map(|name| cell(name, None, Arm::New, counts(requests, 0))).to_vec();
        // It promises no other, and is not missed.
        let batch = Batch { cells, ..Batch::empty("0".repeat(32), sequence) };
        store_batch(&self.platform.store, &batch).await
    }

    async fn evaluate(&self) {
        let tick = invocation(&self.platform).await.unwrap();
        assert!(tick.worked, "somebody holds the lease");
    }

    /// Runs an invocation that dies when it has waited `waits` times. Returns true if it was over before. Its lease lapses.
    async fn die_after(&self, waits: usize) -> bool {
        let mut invocation = pin!(invocation(&self.platform));
        let over = advance(invocation.as_mut(), waits).await.is_some_and(|ended| ended.is_ok());
        if !over {
            self.dynamodb.lapse_lease();
        }
        over
    }

    async fn cursor(&self) -> Cursor {
        self.platform.store.cursor().await.unwrap()
    }

    async fn requests(&self, name: &str) -> u64 {
        requests_in_ledger(&self.platform.store, name).await
    }

    fn damage(&mut self, name: &'static str) {
        self.dynamodb.set_schema(&format!("LEDGER#{name}"), "HEAD", 99);
        self.damaged.push(name);
    }

    fn repair(&mut self) {
        for name in std::mem::take(&mut self.damaged) {
            self.dynamodb.set_schema(&format!("LEDGER#{name}"), "HEAD", 1);
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
    let lease = store.take_lease(clock::now().millis(), 0).await.unwrap().expect("nobody holds it");
    for name in ["one", "two"] {
        let flag = flag(name);
        let ledger = Ledger::default();
        let write = LedgerWrite {
            subject: LedgerSubject::Flag(&flag),
            ledger,
            evidence: None,
            counted: None,
            others: Vec::new(),
            lease,
        };
        store.write_ledger(write).await.unwrap();
    }
    dynamodb.set_schema("LEDGER#one", "HEAD", 2);
    let (one, two) = (flag("one"), flag("two"));
    let read = store.ledgers_of(&[Some(&one), Some(&two)], LedgerParts::Series).await.unwrap();
    assert_eq!(read.into_keys().collect::<Vec<_>>(), [Some(two)]);
    assert!(matches!(store.ledger(Some(&one)).await, Err(StoreError::Later(2))));
}

fn series(route: Option<&str>, requests: u64) -> Series {
    let counts = Counts { requests, ..Counts::default() };
    let route = route.map(|route| route.parse().unwrap());
    Series { route, arm: Arm::New, reason: Reason::Rollout, counts }
}

/// Returns the items of a ledger, by sort key.
fn ledger_items(dynamodb: &DynamoDb, flag: &str) -> BTreeMap<String, Value> {
    let items = dynamodb.items().into_iter().filter(|item| item["pk"]["S"] == format!("LEDGER#{flag}"));
    items.map(|item| (item["sk"]["S"].as_str().unwrap().to_owned(), item)).collect()
}

/// H8: a ledger is a head and parts, of which those are written that have changed. One that an earlier version wrote, in
/// one item, is read too.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_written_in_parts_and_only_where_it_has_changed() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let lease = store.take_lease(clock::now().millis(), 0).await.unwrap().expect("nobody holds it");
    let one = flag("one");
    let write = async |ledger: Ledger| {
        let (subject, evidence) = (LedgerSubject::Flag(&one), None);
        let write = LedgerWrite { subject, ledger, evidence, counted: None, others: Vec::new(), lease };
        store.write_ledger(write).await.unwrap()
    };
    write(Ledger::default()).await;
    assert_eq!(ledger_items(&dynamodb, "one").keys().collect::<Vec<_>>(), ["HEAD"]);
    let old = Ledger { through: 5, series: vec![series(None, 7)], ..Ledger::default() };
    let text = json!({ "S": serde_json::to_string(&old).unwrap() });
    dynamodb.set("LEDGER#one", "HEAD", "data", &text);
    let mut ledger = store.ledger(Some(&one)).await.unwrap();
    assert_eq!((ledger.through, &ledger.series, ledger.version), (5, &old.series, 1));

    // 90 series are three parts.
    ledger.series.extend((0..89).map(|index| series(Some(&format!("route-{index:02}")), index)));
    let written = write(ledger).await;
    let before = ledger_items(&dynamodb, "one");
    let names = ["HEAD", "SERIES#000", "SERIES#001", "SERIES#002"];
    assert_eq!(before.keys().collect::<Vec<_>>(), names);
    assert!(before["HEAD"]["data"].is_null(), "the form of the earlier version is gone");
    let mut changed = written.clone();
    changed.series[50].counts.requests += 1;
    for name in names {
        // Whoever writes a part anew takes this out.
        dynamodb.set("LEDGER#one", name, "mark", &json!({ "S": "untouched" }));
    }
    let written = write(changed.clone()).await;
    let after = ledger_items(&dynamodb, "one");
    let touched = after.iter().filter(|(_, item)| item["mark"].is_null()).map(|(name, _)| name.as_str());
    assert_eq!(touched.collect::<Vec<_>>(), ["HEAD", "SERIES#001"]);
    for read in [
        store.ledger(Some(&one)).await.unwrap(),
        store.ledgers_of(&[Some(&one)], LedgerParts::Series).await.unwrap().pop_first().unwrap().1,
    ] {
        assert_eq!((&read.series, read.version), (&changed.series, 3));
        assert_eq!(read, written);
    }
    // A part of another write is not taken for this one's.
    let earlier = &before["SERIES#001"]["data"];
    dynamodb.set("LEDGER#one", "SERIES#001", "data", earlier);
    assert!(matches!(store.ledger(Some(&one)).await, Err(StoreError::Item(_))));
    assert!(store.ledgers_of(&[Some(&one)], LedgerParts::Series).await.unwrap().is_empty());
    let heads = store.ledgers_of(&[Some(&one)], LedgerParts::None).await.unwrap();
    assert!(heads[&Some(one)].series.is_empty(), "parts were read that nobody wants");
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
        store.ledger_with_evidence::<()>(LedgerSubject::Flag(&flag("one"))).await.unwrap_err()
    };
    assert_eq!(read([1, 2, 3, 4]).await, StoreError::Restless);
    assert!(matches!(read([4, 4, 4, 4]).await, StoreError::Item(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_stored_once_and_another_one_under_its_name_is_refused() {
    let evaluation = Evaluation::start().await;
    assert_eq!(evaluation.send(1, 2).await, BatchStatus::New);
    assert_eq!(evaluation.send(1, 2).await, BatchStatus::Duplicate);
    assert_eq!(evaluation.send(1, 4).await, BatchStatus::Conflict);
    evaluation.evaluate().await;
    evaluation.evaluate().await;
    assert_eq!(evaluation.requests("one").await, 2);
    assert_eq!(evaluation.cursor().await.totals.batches, 1);
}

/// An invocation may be ended at any time: by its time limit, by lack of memory, by the platform.
#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_dies_anywhere_loses_nothing_and_counts_nothing_twice() {
    let evaluation = Evaluation::start().await;
    let mut sequence = 0;
    let mut sum = 0;
    let mut waits = 0;
    loop {
        sequence += 1;
        evaluation.send(sequence, 1).await;
        sum += 1;
        waits += 1;
        if evaluation.die_after(waits).await {
            break;
        }
        assert!(waits < 2_000, "an invocation ends");
    }
    // Once more from the first step on, with ledgers that are there.
    for waits in 1..waits {
        sequence += 1;
        evaluation.send(sequence, 1).await;
        sum += 1;
        evaluation.die_after(waits).await;
    }
    evaluation.dynamodb.lapse_lease();
    evaluation.evaluate().await;
    println!("an invocation that died at each of {waits} waits, twice: {sum} batches");
    for name in FLAGS {
        assert_eq!(evaluation.requests(name).await, sum, "{name}");
    }
    assert_eq!(evaluation.cursor().await.totals.batches, sum);
}

/// A write whose answer is lost may have been made.
#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail_or_whose_answer_is_lost_change_no_sum() {
    let evaluation = Evaluation::start().await;
    let refusal =
        json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "no" });
    let mut sequence = 0;
    for fault in [Fault::Lost, Fault::Answer(400, KIND, refusal.to_string().into())] {
        for skipped in 0..6 {
            sequence += 1;
            evaluation.send(sequence, 1).await;
            for _ in 0..skipped {
                evaluation.dynamodb.proxy.on_next("x-amz-target", "TransactWriteItems", Fault::None);
            }
            evaluation.dynamodb.proxy.on_next("x-amz-target", "TransactWriteItems", fault.clone());
            // It may fail; another one follows.
            let _ = invocation(&evaluation.platform).await;
            evaluation.dynamodb.proxy.forget_next();
            evaluation.dynamodb.lapse_lease();
        }
    }
    evaluation.evaluate().await;
    for name in FLAGS {
        assert_eq!(evaluation.requests(name).await, sequence, "{name}");
    }
    assert_eq!(evaluation.cursor().await.parked, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_whose_ledger_cannot_be_read_is_parked_and_holds_no_other_up() {
    let mut evaluation = Evaluation::start().await;
    evaluation.arrive(1).await;
    evaluation.evaluate().await;
    evaluation.damage("one");
    for sequence in 2..=4 {
        evaluation.arrive(sequence).await;
        evaluation.evaluate().await;
    }
    evaluation.damage("two");
    evaluation.arrive(5).await;
    evaluation.evaluate().await;
    let cursor = evaluation.cursor().await;
    assert_eq!(cursor.parked.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert!(cursor.parked["one"].through < cursor.parked["two"].through, "{cursor:#?}");
    assert_eq!(evaluation.requests("three").await, 0b11_1110, "the others do not wait");

    evaluation.repair();
    evaluation.arrive(6).await;
    evaluation.evaluate().await;
    assert_eq!(evaluation.cursor().await.parked, BTreeMap::new());
    evaluation.arrive(7).await;
    evaluation.evaluate().await;
    for name in FLAGS {
        assert_eq!(evaluation.requests(name).await, 0b1111_1110, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_flag_is_caught_up_by_an_invocation_that_dies_anywhere() {
    let mut evaluation = Evaluation::start().await;
    evaluation.arrive(1).await;
    evaluation.evaluate().await;
    evaluation.damage("one");
    for sequence in 2..=5 {
        evaluation.arrive(sequence).await;
    }
    evaluation.evaluate().await;
    evaluation.repair();
    let mut waits = 1;
    while !evaluation.die_after(waits).await {
        waits += 1;
        assert!(waits < 2_000, "an invocation ends");
    }
    evaluation.evaluate().await;
    assert_eq!(evaluation.cursor().await.parked, BTreeMap::new());
    for name in FLAGS {
        assert_eq!(evaluation.requests(name).await, 0b11_1110, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_lease_writes_nothing() {
    let evaluation = Evaluation::start().await;
    let store = &evaluation.platform.store;
    let now = clock::now().millis();
    let old = store.take_lease(now, 0).await.unwrap().expect("nobody holds it");
    assert_eq!(store.take_lease(now + 9_000, 0).await.unwrap(), None);
    let new = store.take_lease(now + 11_000, 0).await.unwrap().expect("it has lapsed");
    assert!(!store.renew_lease(old, now + 12_000, false).await.unwrap());
    let cursor = Cursor { through: 1, ..Cursor::default() };
    assert!(matches!(store.write_cursor(&cursor, old).await, Err(CommitError::Conflict)));
    let flag = flag("one");
    let write = |lease| LedgerWrite {
        subject: LedgerSubject::Flag(&flag),
        ledger: Ledger::default(),
        evidence: None,
        counted: None,
        others: Vec::new(),
        lease,
    };
    assert!(matches!(store.write_ledger(write(old)).await, Err(CommitError::Conflict)));
    store.write_ledger(write(new)).await.unwrap();
    store.write_cursor(&cursor, new).await.unwrap();
    // A transaction may take longer than the lease lasts, so that two work at once: its term is a condition of decisions too.
    let decision = |lease| Commit {
        from: Revision::default(),
        epoch: Epoch::default(),
        writes: Vec::new(),
        emergency: EmergencyChange::Keep,
        brakes: Brakes::default(),
        audit: AuditRecord::new(clock::now(), "promote", Role::Operator, "canary.rollback", None),
        reply: None,
        lease: Some(lease),
    };
    assert!(matches!(store.commit(decision(old)).await, Err(CommitError::Conflict)));
    store.commit(decision(new)).await.unwrap();
    assert!(store.renew_lease(new, now + 12_000, true).await.unwrap(), "given up");
    assert_eq!(store.take_lease(now + 13_000, 20_000).await.unwrap(), None, "it was held just now");
    assert!(store.take_lease(now + 13_000, 0).await.unwrap().is_some());
}

/// The table of batches was made anew, or the schedule was off for longer than the log is kept.
#[tokio::test(flavor = "multi_thread")]
async fn counts_that_expired_before_they_were_folded_are_a_gap_of_every_active_run() {
    let evaluation = Evaluation::start().await;
    let store = &evaluation.platform.store;
    let started = clock::now();
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
        epoch: Epoch::default(),
        writes: vec![write],
        emergency: EmergencyChange::Keep,
        brakes: Brakes::default(),
        audit: AuditRecord::new(started, "operator", Role::Operator, "canary.start", None),
        reply: None,
        lease: None,
    };
    store.commit(commit).await.unwrap();
    evaluation.arrive(1).await;
    evaluation.evaluate().await;
    let before = evaluation.cursor().await;
    assert_eq!(before.gaps, BTreeMap::new());
    let replaced = serde_json::to_string(&Cursor { stream: "another".to_owned(), ..before.clone() }).unwrap();
    evaluation.dynamodb.replace("FOLD", "CURSOR", "data", &replaced);
    evaluation.arrive(2).await;
    evaluation.evaluate().await;
    let noted = evaluation.cursor().await;
    let gap = noted.gaps["one"];
    assert_eq!(gap.since, Timestamp::from_millis(before.through));
    assert_eq!(noted.through_of(&run), before.through, "its evidence has a hole");
    evaluation.evaluate().await;
    assert_eq!(evaluation.cursor().await.gaps, noted.gaps, "noted once");
}

/// The log still has what arrived between the backup and the restore, but not the state in which it was counted.
#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_before_a_restore_is_in_no_ledger() {
    let evaluation = Evaluation::start().await;
    evaluation.arrive(1).await;
    evaluation.evaluate().await;
    let backup = evaluation.dynamodb.items();
    evaluation.arrive(2).await;
    evaluation.evaluate().await;
    evaluation.arrive(3).await;
    evaluation.dynamodb.restore(&backup);
    let now = clock::now();
    let restored = Timestamp::from_millis(now.millis() + 1_000);
    let commit = Commit {
        from: Revision::default(),
        epoch: Epoch::default().restored(restored),
        writes: Vec::new(),
        emergency: EmergencyChange::Keep,
        brakes: Brakes::default(),
        audit: AuditRecord::new(now, "operator", Role::Admin, "restore", None),
        reply: None,
        lease: None,
    };
    evaluation.platform.store.commit(commit).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    evaluation.arrive(4).await;
    evaluation.evaluate().await;
    assert_eq!(evaluation.requests("one").await, (1 << 1) + (1 << 4));
    // A fold that begins anew passes over the same.
    evaluation.arrive(5).await;
    evaluation.evaluate().await;
    assert_eq!(evaluation.requests("one").await, (1 << 1) + (1 << 4) + (1 << 5));
}
