//! A guardrail that fires stops its experiment by itself: within one pass, with its record, and everybody is on control soon.

use super::{Functions, NAME, results};
use crate::kill_switch::{configuration, freeze_kv, until_decided, with_ballast, without_reports};
use cutover_tests::{
    batches::store_batch,
    calls::CallProxy,
    experiments::{Counted, CountedUser, document},
    functions::connected,
    invocations::Invocation,
    stack::Stack,
    webhook::{SECRET, Webhook},
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Longest time from the report of the harm to the last user on control.
const OFF_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_guardrail_that_fires_takes_everybody_back_to_control() {
    let webhook = Webhook::start().await;
    let mut options = without_reports();
    options
        .function_variables
        .extend([("CUTOVER_WEBHOOK_URL", webhook.url()), ("CUTOVER_WEBHOOK_SECRET", SECRET.to_owned())]);
    let stack = Stack::start(options).await;
    let management = stack.management();
    let text = configuration(&stack).replace(
        "flag_0: { enabled: true, rollout_percentage: 100 }",
        "flag_0: { enabled: true, rollout_percentage: 0 }",
    );
    // The snapshot is too large for answers: isolates have the brake alone while KV is frozen.
    management.apply(&with_ballast(&text)).await.expect(200);
    let mut running = document(Some("flag_0"));
    let experiment = format!("/experiments/{NAME}");
    management.put(&experiment, &running).await.expect(201);
    // The user of the requests is in a variant; whichever it is, it is on the new arm.
    let assigned = management.get(&format!("{experiment}/assign/u1")).await.expect(200).body;
    for written in running["variants"].as_array_mut().unwrap() {
        written["arm"] = json!(if written["key"] == assigned["variant"] { "new" } else { "legacy" });
    }
    let saved = management.put(&experiment, &running).await.expect(200).body;
    let phase = u32::try_from(saved["phase"].as_u64().unwrap()).unwrap();
    let counted = Counted { name: NAME.parse().unwrap(), phase };
    let path = "/api/v1/offers/0/reviews";
    until_decided(&stack, path, ("new", "EXPERIMENT")).await;
    stack.edge_holds(saved["revision"].as_u64().unwrap()).await;
    freeze_kv(&stack);

    let store = connected(&stack.dynamodb.url(), &[]).store;
    store_batch(&store, &counted.harmed("a".repeat(32), 1)).await;
    let began = Instant::now();
    let evaluated = stack.lambda.tick("evaluate").await.unwrap();
    assert_eq!(evaluated["experiments"][NAME]["kind"], "off", "{evaluated:#}");
    assert_eq!(evaluated["passes"], 1, "the first pass that reads the harm acts on it");
    until_decided(&stack, path, ("legacy", "BRAKED")).await;
    let took = began.elapsed();
    assert!(took < OFF_WITHIN, "{took:?}");
    stack.edge.kv().on_writes(None);

    let stopped = management.get(&format!("/experiments/{NAME}")).await.expect(200).body;
    assert_eq!((&stopped["state"], &stopped["outcome"]["winner"]), (&json!("stopped"), &json!(null)));
    let decision = stopped["outcome"]["decision"].as_str().unwrap();
    assert!(decision.contains("the guardrail error_rate fired"), "{decision}");
    let audit = management.get("/audit?action=experiment.stop").await.expect(200).body;
    let record = &audit["records"][0];
    assert_eq!((&record["actor"], &record["reason"]), (&json!("promote"), &json!(decision)), "{audit:#}");
    let shown = results(&management).await;
    assert_eq!(
        (&shown["conclusion"]["kind"], &shown["conclusion"]["variant"]),
        (&json!("off"), &json!("treatment"))
    );
    assert!(shown["harm"].as_str().unwrap().contains("error_rate"), "{shown:#}");
    stack.lambda.tick("promote").await.unwrap();
    let told = webhook.received();
    assert!(
        told.iter().any(|(event, body)| event == "experiment_stopped" && body["experiment"] == NAME),
        "{told:?}"
    );
    // The end has its record too, and each can be made again.
    stack.lambda.tick("evaluate").await.unwrap();
    let records = management.get(&format!("/experiments/{NAME}/records")).await.expect(200).body;
    let records: Vec<cutover_core::experiment::Record> =
        serde_json::from_value(records["records"].clone()).unwrap();
    assert!(cutover_core::experiment::replay(&records).is_empty());
    assert_eq!(records.len(), 2);
}

/// The judgement in memory suffices: neither a ledger that cannot be written nor one that is parked lets the harm go
/// on.
#[tokio::test(flavor = "multi_thread")]
async fn a_guardrail_stops_its_experiment_while_its_evidence_cannot_be_written() {
    for is_parked in [false, true] {
        let functions = Functions::start(&[]).await;
        let (root, store) = (functions.root(), &functions.platform.store);
        let counted = Counted::begin(root, NAME).await;
        let proxy = CallProxy::start(functions.dynamodb.url()).await;
        let ledger = format!("LEDGER#experiment/{NAME}/HEAD");
        proxy.refuse(move |call| call.operation == "TransactWriteItems" && call.names().contains(&ledger));
        let evaluate =
            async || Invocation::start(&proxy.url(), Duration::ZERO, Duration::ZERO).ended().await.unwrap();
        if is_parked {
            let harmless = CountedUser { hash: 1_000, variant: 0, events: Vec::new() };
            store_batch(store, &counted.batch("b".repeat(32), 1, &[harmless])).await;
            assert_eq!(evaluate().await.behind, [format!("experiment/{NAME}")]);
        }
        store_batch(store, &counted.harmed("a".repeat(32), 1)).await;
        let evaluated = evaluate().await;
        assert_eq!(evaluated.behind, [format!("experiment/{NAME}")], "its evidence is not written");
        let stopped = root.get(&format!("/experiments/{NAME}")).await.expect(200).body;
        assert_eq!(stopped["state"], "stopped", "parked: {is_parked}");
        let decision = stopped["outcome"]["decision"].as_str().unwrap();
        assert!(decision.contains("the guardrail error_rate fired"), "{decision}");
        proxy.refuse_none();
        functions.evaluate().await;
        functions.evaluate().await;
        assert!(store.cursor().await.unwrap().parked.is_empty(), "it catches up");
    }
}

/// A harm that a checkpoint finds in a parked ledger is not lost with the checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_harm_found_while_catching_up_stops_its_experiment_without_a_cursor() {
    let functions = Functions::start(&[]).await;
    let (root, store) = (functions.root(), &functions.platform.store);
    let counted = Counted::begin(root, NAME).await;
    let proxy = CallProxy::start(functions.dynamodb.url()).await;
    let ledger = format!("LEDGER#experiment/{NAME}/HEAD");
    let evaluate = async || Invocation::start(&proxy.url(), Duration::ZERO, Duration::ZERO).ended().await;
    let of_ledger = ledger.clone();
    proxy.refuse(move |call| call.operation == "TransactWriteItems" && call.names().contains(&of_ledger));
    let harmless = CountedUser { hash: 1_000, variant: 0, events: Vec::new() };
    store_batch(store, &counted.batch("b".repeat(32), 1, &[harmless])).await;
    assert_eq!(evaluate().await.unwrap().behind, [format!("experiment/{NAME}")]);
    store_batch(store, &counted.harmed("a".repeat(32), 1)).await;
    proxy.refuse(move |call| {
        let names = call.names();
        call.operation == "TransactWriteItems"
            && (names.contains(&ledger) || names.contains(&"FOLD/CURSOR".to_owned()))
    });
    evaluate().await.unwrap_err();
    let stopped = root.get(&format!("/experiments/{NAME}")).await.expect(200).body;
    assert_eq!(stopped["state"], "stopped", "{stopped:#}");
}

/// Nobody of them is known to be exposed, as in an experiment whose users are nearly all left out: the hour alone sees
/// the harm.
#[tokio::test(flavor = "multi_thread")]
async fn an_hour_stops_an_experiment_whose_harmed_users_are_not_remembered() {
    let functions = Functions::start(&[]).await;
    let (root, store) = (functions.root(), &functions.platform.store);
    let counted = Counted::begin(root, NAME).await;
    let visitors: Vec<CountedUser> = (1_001..1_041_u64)
        .map(|hash| CountedUser { hash, variant: u8::from(!hash.is_multiple_of(2)), events: Vec::new() })
        .collect();
    store_batch(store, &counted.batch("b".repeat(32), 1, &visitors)).await;
    functions.evaluate().await;
    assert_eq!(functions.results().await["conclusion"]["kind"], "continue");
    store_batch(store, &counted.guarded("a".repeat(32), 1)).await;
    functions.evaluate().await;
    let results = functions.results().await;
    assert_eq!(
        (&results["conclusion"]["kind"], &results["state"]),
        (&json!("off"), &json!("stopped")),
        "{results:#}"
    );
    let stopped = root.get(&format!("/experiments/{NAME}")).await.expect(200).body;
    let decision = stopped["outcome"]["decision"].as_str().unwrap();
    assert!(
        decision.contains("the guardrail error_rate fired: of 40 users with an event within an hour"),
        "{decision}"
    );
    let users = |variant: usize| results["variants"][variant]["users"].as_u64();
    assert_eq!((users(0), users(1)), (Some(20), Some(20)), "they are in no sum of the phase");
    // What it was stopped for stays the conclusion of the phase, in its last record too.
    functions.evaluate().await;
    let (records, _) = store.experiment_records(&NAME.parse().unwrap(), "", 100).await.unwrap();
    assert!(records.last().unwrap().circumstances.ended.is_some());
    assert!(
        records.last().unwrap().harm().is_some() && cutover_core::experiment::replay(&records).is_empty()
    );
}
