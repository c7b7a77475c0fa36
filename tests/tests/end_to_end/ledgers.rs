//! Reads and writes of ledgers: what they cost, their order, and what is left of deleted flags.

use cutover_core::{
    Arm, FlagName, Reason, Timestamp,
    canary::{Evidence, Run, RunIdentity},
    compare::{DifferenceCount, DifferenceKind, Tally},
    config::Config,
    measurement::{batch::Batch, counts::Counts},
    statistics::split_mix::SplitMix64,
};
use cutover_lambda::{
    clock,
    measurement::evaluate::invocation,
    platform::Platform,
    store::{
        Cursor, Ledger, LedgerSubject, LedgerWrite, PackedEvidence, Parked, RollPart, RouteComparison,
        Series, Store,
    },
};
use cutover_tests::{
    batches::{cell, counts, name, store_batch},
    calls::{Call, CallProxy},
    dynamodb::DynamoDb,
    functions::{ManagementServer, connected, platform},
    gzip::decompress,
    kv_server::KvServer,
    stack::ROOT_TOKEN,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Number of flags of a large installation.
const FLAGS: usize = 300;

/// Most write units of one checkpoint in a partition, which takes 1 000 a second.
const MAX_UNITS: usize = 800;

/// Writes ledgers, with the evidence of a run if there is one.
async fn write(
    store: &Store,
    ledgers: impl Iterator<Item = (FlagName, Ledger)>,
    evidence: Option<&Evidence>,
) {
    let lease = store.take_lease(clock::now().millis(), 0).await.unwrap().expect("nobody holds it");
    let packed = evidence.map(|evidence| PackedEvidence::of(evidence).unwrap());
    for (flag, ledger) in ledgers {
        let (subject, evidence) = (LedgerSubject::Flag(&flag), packed.as_ref());
        let write = LedgerWrite { subject, ledger, evidence, counted: None, others: Vec::new(), lease };
        store.write_ledger(write).await.unwrap();
    }
    assert!(store.renew_lease(lease, clock::now().millis(), true).await.unwrap());
}

async fn evaluate(platform: &Platform) {
    assert!(invocation(platform).await.unwrap().worked, "somebody holds the lease");
}

/// Stores a batch with requests of some flags.
async fn send(store: &Store, sequence: u64, flags: &[&str], requests: u64) {
    let cells = flags.iter().map(|flag| cell(flag, None, Arm::New, counts(requests, 0))).collect();
    store_batch(store, &Batch { cells, ..Batch::empty("0".repeat(32), sequence) }).await;
}

/// Returns a ledger with series of full histograms, which are hardly compressed.
fn with_series(dice: &mut SplitMix64, series: usize) -> Ledger {
    let series = (0..series).map(|index| {
        let buckets: Vec<(usize, u64)> = (0..128).map(|bucket| (bucket, dice.draw() >> 16)).collect();
        let histogram = serde_json::from_value(json!(buckets)).unwrap();
        let counts = Counts { requests: 1 + index as u64, histogram, ..Counts::default() };
        Series {
            route: format!("route-{index}").parse().ok(),
            arm: Arm::New,
            reason: Reason::Rollout,
            counts,
        }
    });
    Ledger { series: series.collect(), ..Ledger::default() }
}

/// Returns a ledger with a little traffic, and large comparison results.
fn with_comparisons(dice: &mut SplitMix64) -> Ledger {
    let mut text = || (0..20).map(|_| format!("{:016x}", dice.draw())).collect::<String>();
    let differences = (0..24).map(|index| DifferenceCount {
        path: format!("field{index}"),
        kind: DifferenceKind::Value,
        count: 1,
        noise: 0,
        example: (text(), text()),
    });
    let tally = Tally { compared: 24, differences: differences.collect(), ..Tally::default() };
    let compared = RouteComparison { route: "r".parse().unwrap(), run: None, since: 0, until: 1, tally };
    let counts = Counts { requests: 3, ..Counts::default() };
    let series = vec![Series { route: None, arm: Arm::New, reason: Reason::Rollout, counts }];
    Ledger { series, comparisons: vec![compared], ..Ledger::default() }
}

/// H7, M19: what a page reads is bounded by what it shows. Deleted flags have left their ledgers, and all flags have comparison
/// results, which these pages do not show.
#[tokio::test(flavor = "multi_thread")]
async fn pages_about_many_flags_read_no_more_than_they_show() {
    let dynamodb = DynamoDb::start().await;
    let kv = KvServer::start().await;
    let kv_api = format!("http://127.0.0.1:{}", kv.port());
    let store = platform(&dynamodb, &[]).await.store;
    let proxy = CallProxy::start(dynamodb.url()).await;
    let server =
        ManagementServer::start(connected(&proxy.url(), &[("CUTOVER_KV_API", kv_api.as_str())])).await;
    let file = |share: u32| {
        let flag = |index| format!("  f{index:03}: {{ enabled: true, rollout_percentage: {share} }}\n");
        format!("feature_flags:\n{}", (0..FLAGS).map(flag).collect::<String>())
    };
    server.client.apply(&file(1)).await.expect(200);
    let mut dice = SplitMix64::new(3);
    let names = (0..FLAGS).flat_map(|index| [format!("f{index:03}"), format!("gone{index:03}")]);
    let ledgers: Vec<_> = names.map(|flag| (name(&flag), with_comparisons(&mut dice))).collect();
    write(&store, ledgers.into_iter(), None).await;

    let page = async |path: &str, accept: &str| {
        proxy.take();
        let url = format!("{}/api/migration{path}", server_url(&server));
        let request = reqwest::Client::new().get(url).bearer_auth(ROOT_TOKEN).header("accept", accept);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        (response.text().await.unwrap(), proxy.take())
    };
    for (path, accept, most_calls, most_bytes) in [
        ("/status", "*/*", 12, 600_000),
        ("/metrics", "*/*", 16, 1_200_000),
        ("/metrics", "text/plain", 20, 1_200_000),
    ] {
        let (text, calls) = page(path, accept).await;
        let bytes: usize = calls.iter().map(|call| call.response_bytes).sum();
        println!("{path} ({accept}): {} calls, {bytes} bytes", calls.len());
        assert!(calls.len() <= most_calls, "{path}: {:#?}", operations(&calls));
        assert!(bytes <= most_bytes, "{path}: {bytes} bytes");
        let read: Vec<String> = calls.iter().flat_map(Call::names).collect();
        let wasted = read.iter().find(|read| read.starts_with("LEDGER#gone") || read.contains("/CMP#"));
        assert_eq!(wasted, None, "{path}");
        let is_shown = path == "/status" || (text.contains("\"f299\"") && !text.contains("gone0"));
        assert!(is_shown, "{path}: {text}");
    }
    // Lambda limits a response to 6 MB: it is compressed for whoever accepts that, and can be about one flag.
    let url = format!("{}/api/migration/metrics", server_url(&server));
    let request = reqwest::Client::new().get(url).bearer_auth(ROOT_TOKEN).header("accept", "text/plain");
    let response = request.header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let packed = response.bytes().await.unwrap();
    let text = String::from_utf8(decompress(&packed)).unwrap();
    assert!(text.contains("\"f299\"") && packed.len() < text.len() / 4, "{} bytes", packed.len());
    for accept in ["*/*", "text/plain"] {
        let (text, calls) = page("/metrics?flag=f299", accept).await;
        assert!(text.contains("\"f299\"") && !text.contains("\"f298\""), "{text}");
        let read: Vec<String> = calls.iter().flat_map(Call::names).collect();
        assert!(!read.iter().any(|read| read.starts_with("LEDGER#f298")), "{read:?}");
    }
    server.client.get("/metrics?flag=gone299").await.expect(404);
    // A change of the file looks at no measurements of flags without a canary.
    proxy.take();
    server.client.apply(&file(2)).await.expect(200);
    let read: Vec<String> = proxy.take().iter().flat_map(Call::names).collect();
    let measured = read.iter().find(|read| read.starts_with("LEDGER#") || read.starts_with("METRICS/"));
    assert_eq!(measured, None, "PUT /config");
}

fn server_url(server: &ManagementServer) -> String {
    format!("http://{}", server.address)
}

fn operations(calls: &[Call]) -> Vec<(&str, Vec<String>)> {
    calls.iter().map(|call| (call.operation.as_str(), call.names())).collect()
}

/// Returns the sort keys of what is stored of a flag's ledger, in order.
fn left_of(dynamodb: &DynamoDb, flag: &str) -> Vec<String> {
    let partition = format!("LEDGER#{flag}");
    let items = dynamodb.items().into_iter().filter(|item| item["pk"]["S"] == partition.as_str());
    let mut left: Vec<String> = items.map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect();
    left.sort();
    left
}

/// A flag in the management API, and its ledger in the table.
struct Flags {
    dynamodb: DynamoDb,
    platform: Platform,
    server: ManagementServer,
}

impl Flags {
    async fn start(flags: &[&str]) -> Self {
        let dynamodb = DynamoDb::start().await;
        let platform = platform(&dynamodb, &[]).await;
        let server = ManagementServer::start(platform.clone()).await;
        let started = Self { dynamodb, platform, server };
        for flag in flags {
            started.create(flag).await;
        }
        started
    }

    async fn create(&self, flag: &str) {
        let body = json!({ "enabled": true });
        self.server.client.put(&format!("/flags/{flag}"), &body).await.expect(201);
    }

    async fn delete(&self, flag: &str) {
        self.server.client.send("DELETE", &format!("/flags/{flag}"), &[], None).await.expect(200);
    }

    async fn requests(&self, flag: &str) -> u64 {
        let ledger = self.platform.store.ledger(Some(&name(flag))).await.unwrap();
        ledger.series.iter().map(|series| series.counts.requests).sum()
    }
}

/// M19: ledgers of deleted flags stayed in the table for ever.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_the_ledger_of_a_deleted_flag() {
    let flags = Flags::start(&["one", "two"]).await;
    let store = &flags.platform.store;
    send(store, 1, &["one", "two"], 1).await;
    evaluate(&flags.platform).await;
    let config = Config::from_yaml(include_str!("../../../docs/example.yaml")).unwrap();
    let plan = config.canary_deployments.into_values().next().unwrap();
    let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
    let run = Run::start(identity, name("one"), plan, Timestamp::from_millis(0), "operator");
    let ledger = store.ledger(Some(&name("one"))).await.unwrap();
    write(store, [(name("one"), ledger)].into_iter(), Some(&Evidence::none(&run))).await;
    assert_eq!(left_of(&flags.dynamodb, "one"), ["EVIDENCE#000", "HEAD", "SERIES#000"]);

    flags.delete("one").await;
    evaluate(&flags.platform).await;
    assert_eq!(left_of(&flags.dynamodb, "one"), Vec::<String>::new());
    assert_eq!(flags.requests("two").await, 1, "the other stays");
    // What isolates report of it afterwards is nobody's, and the flag of the same name that is made later is another one.
    send(store, 2, &["one", "two"], 2).await;
    evaluate(&flags.platform).await;
    assert_eq!(left_of(&flags.dynamodb, "one"), Vec::<String>::new());
    flags.create("one").await;
    send(store, 3, &["one", "two"], 4).await;
    evaluate(&flags.platform).await;
    evaluate(&flags.platform).await;
    assert_eq!([flags.requests("one").await, flags.requests("two").await], [4, 7]);
    assert_eq!(store.cursor().await.unwrap().totals.batches, 3);
}

/// A flag that is deleted while its ledger cannot be read is behind no longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_goes_with_its_flag() {
    let flags = Flags::start(&["one", "two"]).await;
    let store = &flags.platform.store;
    send(store, 1, &["one", "two"], 1).await;
    evaluate(&flags.platform).await;
    flags.dynamodb.set_schema("LEDGER#one", "HEAD", 99);
    send(store, 2, &["one", "two"], 2).await;
    evaluate(&flags.platform).await;
    assert!(store.cursor().await.unwrap().parked.contains_key("one"));
    flags.delete("one").await;
    evaluate(&flags.platform).await;
    assert_eq!(left_of(&flags.dynamodb, "one"), Vec::<String>::new());
    assert_eq!(store.cursor().await.unwrap().parked, BTreeMap::new());
    assert_eq!(flags.requests("two").await, 3);
}

/// One was parked when its first batch arrived, the other by an earlier version, which did not note the names of such ledgers.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_that_was_never_read_goes_with_its_flag() {
    let names = ["one", "two"];
    let flags = Flags::start(&names).await;
    let store = &flags.platform.store;
    let ledgers = names.map(|flag| (name(flag), Ledger::default()));
    write(store, ledgers.into_iter(), None).await;
    names.iter().for_each(|flag| flags.dynamodb.set_schema(&format!("LEDGER#{flag}"), "HEAD", 99));
    evaluate(&flags.platform).await;
    let parked = Parked::default();
    let parked = BTreeMap::from([("two".to_owned(), parked)]);
    let cursor = Cursor { parked, ..store.cursor().await.unwrap() };
    flags.dynamodb.replace("FOLD", "CURSOR", "data", &json!(cursor).to_string());
    send(store, 1, &["one"], 1).await;
    evaluate(&flags.platform).await;
    assert_eq!(store.cursor().await.unwrap().parked.keys().collect::<Vec<_>>(), names);
    for flag in names {
        flags.delete(flag).await;
    }
    evaluate(&flags.platform).await;
    for flag in names {
        assert_eq!(left_of(&flags.dynamodb, flag), Vec::<String>::new());
    }
    assert_eq!(store.cursor().await.unwrap().parked, BTreeMap::new());
}

/// The real order of what the model of the log takes for granted: a ledger that was read before the cursor may lack what the
/// cursor promises.
#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_is_read_before_any_ledger() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let proxy = CallProxy::start(dynamodb.url()).await;
    let platform = connected(&proxy.url(), &[]);
    for sequence in 1..=2 {
        send(&store, sequence, &["one", "two"], 1).await;
        proxy.take();
        evaluate(&platform).await;
        let calls = proxy.take();
        let named = |prefix: &str| {
            calls
                .iter()
                .filter(|call| call.names().iter().any(|name| name.starts_with(prefix)))
                .collect::<Vec<_>>()
        };
        let (cursor, ledgers) = (named("FOLD/CURSOR"), named("LEDGER#"));
        assert_eq!(cursor[0].operation, "GetItem");
        assert!(ledgers.iter().any(|call| call.operation == "GetItem"), "{:#?}", operations(&calls));
        for ledger in ledgers {
            assert!(cursor[0].ended <= ledger.began, "{:#?}", operations(&calls));
        }
    }
}

/// C3: a partition takes 1 000 write units a second, and one that is asked for more delays or refuses what else is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_a_large_fleet_is_spread_over_partitions() {
    const ISOLATES: u64 = 30_000;
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let mut dice = SplitMix64::new(5);
    let now = u64::try_from(clock::now().millis()).unwrap();
    let roll: Vec<u8> = (0..ISOLATES)
        .flat_map(|_| {
            // Name, arrival of the newest batch, no promise of another, age of the snapshot, not lost.
            let name = [dice.draw().to_be_bytes(), dice.draw().to_be_bytes()].concat();
            [name.as_slice(), &now.to_be_bytes()[2..], &[0; 6], &[0; 4], &[0; 2]].concat()
        })
        .collect();
    let parts = roll.chunks(34 * 8_000).map(|part| RollPart { entries: part.to_vec(), stamps: Vec::new() });
    store.write_roll(parts.collect()).await.unwrap();
    let flags: Vec<String> = (0..20).map(|index| format!("f{index:02}")).collect();
    let ledgers: Vec<_> = flags.iter().map(|flag| (name(flag), with_series(&mut dice, 39))).collect();
    write(&store, ledgers.into_iter(), None).await;
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    send(&store, 1, &flags, 1).await;

    let proxy = CallProxy::start(dynamodb.url()).await;
    let platform = connected(&proxy.url(), &[]);
    evaluate(&platform).await;
    assert_eq!(platform.store.cursor().await.unwrap().totals.isolates, ISOLATES + 1, "the roll was read");
    let mut units: BTreeMap<String, usize> = BTreeMap::new();
    for (partition, added) in proxy.take().iter().flat_map(Call::put_units) {
        *units.entry(partition).or_default() += added;
    }
    println!("{units:#?}");
    assert!(units.values().sum::<usize>() > 2 * MAX_UNITS, "the case is not a large one: {units:?}");
    assert!(units.values().all(|units| *units <= MAX_UNITS), "{units:?}");
}
