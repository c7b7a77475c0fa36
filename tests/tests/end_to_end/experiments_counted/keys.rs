//! The key of a phase is a secret: it is in the snapshot while the phase runs, and nowhere that a caller sees.

use super::{Functions, NAME};
use cutover_tests::{batches::store_batch, experiments::Counted};
use serde_json::{Value, json};

/// Returns the key of the phase of the experiment as it is stored; `None` if it has none.
fn key(functions: &Functions) -> Option<String> {
    let items = functions.dynamodb.items();
    let sort = format!("experiment_phases#{NAME}");
    let item = items.iter().find(|item| item["sk"]["S"] == sort.as_str())?;
    let phase: Value = serde_json::from_str(item["data"]["S"].as_str()?).unwrap();
    phase["key"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_phase_is_in_no_answer_and_ends_with_it() {
    let functions = Functions::start(&[]).await;
    let root = functions.root();
    let counted = Counted::begin(root, NAME).await;
    let drawn = key(&functions).expect("a running phase has a key");
    assert!(drawn.len() == 32 && drawn.bytes().all(|digit| digit.is_ascii_hexdigit()), "{drawn}");
    let label = async || {
        let labels = functions.platform.store.state().await.unwrap().snapshot().experiment_labels;
        labels.into_values().next().map(|label| (label.phase, label.key))
    };
    assert_eq!(label().await, Some((1, drawn.clone())));
    store_batch(&functions.platform.store, &counted.batch("a".repeat(32), 1, &[])).await;
    functions.evaluate().await;

    // A pause keeps the key, so that users are recognised afterwards; nobody is counted meanwhile.
    let post = async |path: &str, body: Option<Value>| {
        let headers = [("content-type", "application/json")];
        let body = body.map(|body| body.to_string());
        root.send("POST", &format!("/experiments/{NAME}/{path}"), &headers, body.as_deref()).await.expect(200)
    };
    post("pause", None).await;
    assert_eq!((key(&functions), label().await), (Some(drawn.clone()), None));
    post("start", None).await;
    assert_eq!(label().await, Some((1, drawn.clone())));

    let is_silent = async || {
        for path in [
            "/config",
            "/experiments",
            "/experiments/e",
            "/experiments/e/results",
            "/experiments/e/records",
            "/experiments/e/assign/user-1",
            "/audit",
            "/audit/1/changes",
            "/changes",
            "/metrics",
            "/status",
            "/publication",
        ] {
            let answer = root.get(path).await;
            assert!(!answer.body.to_string().contains(&drawn), "{path} has the key");
        }
    };
    is_silent().await;

    post("stop", Some(json!({ "reason": "enough" }))).await;
    assert_eq!((key(&functions), label().await), (None, None));
    is_silent().await;
    let left = functions.dynamodb.items().iter().filter(|item| item.to_string().contains(&drawn)).count();
    assert_eq!(left, 0, "a stopped experiment's key is left in the table");

    // The next phase has another one, and a deletion removes it.
    let mut next = cutover_tests::experiments::document(None);
    next["state"] = json!("draft");
    root.put(&format!("/experiments/{NAME}"), &next).await.expect(200);
    assert_eq!(key(&functions), None);
    post("start", None).await;
    assert_ne!(key(&functions).expect("a key"), drawn);
    post("pause", None).await;
    root.send("DELETE", &format!("/experiments/{NAME}"), &[], None).await.expect(200);
    assert_eq!(key(&functions), None);
}
