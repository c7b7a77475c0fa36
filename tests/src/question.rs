//! Questions to the control plane, and other messages that are signed as isolates sign them.

use crate::stack::INGEST_SECRET;
use cutover_core::signature;
use cutover_lambda::clock;
use serde_json::Value;

/// Sends a question to a function, signed with a secret. Returns the status and the body of the response.
pub async fn ask_with(url: &str, question: &str, secret: &str) -> (u16, Value) {
    ask_over(&reqwest::Client::new(), url, question, secret).await
}

/// Sends a question as [`ask_with`] does, over the connections of a client.
pub async fn ask_over(client: &reqwest::Client, url: &str, question: &str, secret: &str) -> (u16, Value) {
    post_signed(client, &format!("{url}/v1/questions"), question, secret).await
}

/// Sends a message to a URL, signed with a secret. Returns the status and the body of the response; null if it is not JSON.
pub async fn post_signed(client: &reqwest::Client, url: &str, message: &str, secret: &str) -> (u16, Value) {
    let now = clock::now().millis();
    let response = client
        .post(url)
        .header(signature::TIMESTAMP, now.to_string())
        .header(signature::SIGNATURE, signature::sign(secret, now, message.as_bytes()))
        .header("content-type", "application/json")
        .body(message.to_owned())
        .send()
        .await
        .expect("the function answers");
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.expect("the body is text")).unwrap_or_default())
}

/// Sends a question of a local stack.
pub async fn ask(url: &str, question: &str) -> (u16, Value) {
    ask_with(url, question, INGEST_SECRET).await
}
