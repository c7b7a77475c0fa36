//! Pages of the records of a run, whatever the records hold: a response of a function is limited to 6 MB.

use cutover_core::{
    Arm, Timestamp,
    canary::{Reason, Record, Run, Window},
    measurement::batch::{SeenUser, UserWindow, WINDOW_MS},
    statistics::split_mix::SplitMix64,
};
use cutover_lambda::{
    measurement::packing,
    store::{HoldState, NewItem, Store, keys::Key},
};
use cutover_tests::{
    batches::begin_runs,
    calls::CallProxy,
    dynamodb::DynamoDb,
    functions::{ManagementServer, connected, platform},
    stack::ROOT_TOKEN,
};
use serde_json::{Value, json};

/// Largest response of a function, in bytes as Lambda passes it on: as a string in JSON.
const MAX_RESPONSE: usize = 6_000_000;

/// Largest part of a record that is too large for an item, in bytes.
const PART: usize = 350_000;

/// Returns a record of windows with some users each.
fn record(run: &Run, at: i64, windows: i64, dice: &mut SplitMix64) -> Record {
    let window = |index: i64| Window {
        start: index * WINDOW_MS,
        end: (index + 1) * WINDOW_MS,
        users: vec![UserWindow {
            flag: run.flag.clone(),
            canary: (run.id.clone(), 0),
            share: run.share(),
            window: index * WINDOW_MS,
            settle_ms: 1_000,
            seen: (0..200).map(|_| SeenUser(dice.draw(), Arm::Legacy)).collect(),
            events: Vec::new(),
            compared: Vec::new(),
        }],
        ..Window::default()
    };
    Record::evaluation(Timestamp::from_millis(at), "test", run, None, (0..windows).map(window).collect()).0
}

/// Returns the items of a record as evaluation stores them: its text, or compressed parts.
fn items(record: &Record) -> Vec<NewItem> {
    let (run, at, text) = (record.run.id.as_str(), record.at.millis(), json!(record).to_string());
    let item = NewItem::new(&Key::record(run, at, "evaluation"));
    if text.len() <= PART {
        return vec![item.text("record", text)];
    }
    let packed = packing::pack(text.as_bytes());
    let parts = packed.chunks(PART).enumerate().map(|(part, chunk)| {
        NewItem::new(&Key::record_part(run, at, "evaluation", part)).bytes("data", chunk.to_vec())
    });
    let count = packed.chunks(PART).count() as u64;
    let item = item.number("parts", count).number("bytes", text.len() as u64);
    std::iter::once(item).chain(parts).collect()
}

/// Stores records of a run beside a reason for waiting, as a decision does.
async fn store_records(store: &Store, run: &Run, records: &[Record]) {
    let waiting =
        HoldState { run: run.id.clone(), step: 0, reason: Reason::NoData, since: run.step_started_at };
    // A transaction has at most 4 MB.
    for (version, records) in records.chunks(6).enumerate() {
        let items = records.iter().flat_map(items).collect();
        store.note_waiting(&run.flag, &waiting, version as u64, items).await.unwrap();
    }
}

/// H7: records of a long run were read whole, and answered in one response, which Lambda refuses above 6 MB.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_large_records_stay_below_the_limit_of_a_response() {
    let dynamodb = DynamoDb::start().await;
    let store = platform(&dynamodb, &[]).await.store;
    let run = begin_runs(&store, &["one"]).await.remove(0);
    let mut dice = SplitMix64::new(7);
    // One in the middle is larger than an item, and almost a page.
    let records: Vec<Record> = (1..=18)
        .map(|index| record(&run, index * 1_000_000, if index == 9 { 450 } else { 45 }, &mut dice))
        .collect();
    store_records(&store, &run, &records).await;
    let all: usize = records.iter().map(|record| json!(record).to_string().len()).sum();
    assert!(all > MAX_RESPONSE, "{all} bytes fit into one response");

    let proxy = CallProxy::start(dynamodb.url()).await;
    let server = ManagementServer::start(connected(&proxy.url(), &[])).await;
    let page = async |limit: usize, after: &str| -> (Vec<Value>, Option<String>) {
        let after = after.replace('#', "%23");
        let path = format!("/api/migration/canary/one/runs/{}/records?limit={limit}&after={after}", run.id);
        let url = format!("http://{}{path}", server.address);
        let response = reqwest::Client::new().get(url).bearer_auth(ROOT_TOKEN).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        let passed_on = json!(text).to_string().len();
        assert!(passed_on < MAX_RESPONSE, "{passed_on} bytes");
        let mut body: Value = serde_json::from_str(&text).unwrap();
        let next = body["next_after"].as_str().map(str::to_owned);
        (body["records"].as_array_mut().map(std::mem::take).unwrap(), next)
    };
    for limit in [500, 4] {
        let (mut read, mut pages, mut after) = (Vec::new(), 0, String::new());
        loop {
            let (records, next) = page(limit, &after).await;
            assert!((1..=limit).contains(&records.len()));
            read.extend(records.iter().map(|record| record["at"].clone()));
            pages += 1;
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        println!("{pages} pages of at most {limit} records");
        assert!(pages >= 3, "{pages}");
        let expected: Vec<Value> = records.iter().map(|record| json!(record.at)).collect();
        assert_eq!(read, expected, "each record once, in order");
    }
    // What is no end of a page is told so.
    let path = format!("/api/migration/canary/one/runs/{}/records?after=gK", run.id);
    let url = format!("http://{}{path}", server.address);
    let refused = reqwest::Client::new().get(url).bearer_auth(ROOT_TOKEN).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    // The table is asked for no more than the page, and one record to know if there is another one.
    proxy.take();
    page(3, "").await;
    let calls = proxy.take();
    let limits: Vec<&Value> =
        calls.iter().map(|call| &call.request["Limit"]).filter(|limit| !limit.is_null()).collect();
    assert!(!limits.is_empty() && limits.iter().all(|limit| **limit == json!(4)), "{limits:?}");
    let bytes: usize = calls.iter().map(|call| call.response_bytes).sum();
    assert!(bytes < 2_000_000, "{bytes} bytes were read for a page of three records");
}
