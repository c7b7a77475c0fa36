//! DynamoDB's API over HTTP in this process, for the real AWS SDK.

use crate::{
    fault_proxy::{Fault, FaultProxy},
    gzip::decompress,
    patience::until,
    stream_proxy::StreamProxy,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use cutover_core::measurement::batch::Batch;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::task::JoinHandle;

/// Name of the table.
pub const TABLE: &str = "cutover";

/// A running DynamoDB, empty and in memory, behind a proxy that can inject faults.
pub struct DynamoDb {
    database: dynoxide::Database,
    server: JoinHandle<()>,
    /// The streams of the tables as shards, which tests can split and trim.
    pub stream: StreamProxy,
    /// The proxy to which the functions connect.
    pub proxy: FaultProxy,
}

impl DynamoDb {
    /// Starts the database on a free port. The stream of a table has one shard.
    pub async fn start() -> Self {
        Self::sharded(1).await
    }

    /// Starts the database on a free port. The stream of a table begins with the given number of shards.
    pub async fn sharded(shards: usize) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("a bound address");
        let database = dynoxide::Database::memory().expect("a database in memory");
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        let stream = StreamProxy::start(address, database.clone(), shards).await;
        let proxy = FaultProxy::start(stream.address()).await;
        Self { database, server, stream, proxy }
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        self.proxy.url()
    }

    /// Replaces a string in an item of the table behind the functions' back, and returns the one before: so an item is
    /// damaged, and repaired.
    pub fn replace(&self, partition: &str, sort: &str, attribute: &str, value: &str) -> String {
        let before = self.put(partition, sort, attribute, &json!({ "S": value }));
        before["S"].as_str().unwrap_or_else(|| panic!("no string {attribute}: {before:#}")).to_owned()
    }

    /// Sets an attribute of an item of the table to a value in the form of DynamoDB's API.
    pub fn set(&self, partition: &str, sort: &str, attribute: &str, value: &Value) {
        self.put(partition, sort, attribute, value);
    }

    /// Gives an item of the table another schema number, as if a later version had written it.
    pub fn set_schema(&self, partition: &str, sort: &str, schema: u64) {
        self.set_number(partition, sort, "schema", schema);
    }

    /// Sets a number in an item of the table.
    pub fn set_number(&self, partition: &str, sort: &str, attribute: &str, value: u64) {
        self.put(partition, sort, attribute, &json!({ "N": value.to_string() }));
    }

    /// Returns all items of the table, with their attributes as in DynamoDB's API, as a backup has them.
    pub fn items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        let mut request = json!({ "TableName": TABLE });
        loop {
            let scan = serde_json::from_value(request.clone()).expect("a request");
            let page = self.database.scan(scan).expect("the table is there");
            let page = serde_json::to_value(page).expect("a response");
            items.extend(page["Items"].as_array().into_iter().flatten().cloned());
            match page.get("LastEvaluatedKey") {
                Some(last) if !last.is_null() => request["ExclusiveStartKey"] = last.clone(),
                _ => return items,
            }
        }
    }

    /// Replaces the items of the table by those of a backup. The table of batches, which has no backup, stays as it is.
    pub fn restore(&self, backup: &[Value]) {
        for item in self.items() {
            let key = json!({ "pk": item["pk"], "sk": item["sk"] });
            let request =
                serde_json::from_value(json!({ "TableName": TABLE, "Key": key })).expect("a request");
            self.database.delete_item(request).expect("the item is deleted");
        }
        for item in backup {
            let request =
                serde_json::from_value(json!({ "TableName": TABLE, "Item": item })).expect("a request");
            self.database.put_item(request).expect("the item is put");
        }
    }

    /// Refuses the next requests for an action, as a table does that is read too often. [`FaultProxy::forget_next`] ends it.
    pub fn throttle(&self, action: &'static str, requests: usize) {
        let refusal = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "message": "-",
        });
        let fault = Fault::Answer(400, "application/x-amz-json-1.0", refusal.to_string().into());
        for _ in 0..requests {
            self.proxy.on_next("x-amz-target", action, fault.clone());
        }
    }

    /// Ends the lease of evaluation, if there was one: its holder is taken for dead.
    pub fn lapse_lease(&self) {
        let key = json!({ "pk": { "S": "FOLD" }, "sk": { "S": "LEASE" } });
        let held = serde_json::from_value(json!({ "TableName": TABLE, "Key": key })).expect("a request");
        if self.database.get_item(held).expect("the table is there").item.is_some() {
            self.put("FOLD", "LEASE", "until", &json!({ "N": "0" }));
        }
    }

    /// Waits until the only isolate has reported this many more times, and promised another batch with the last one.
    pub async fn stores_more_batches(&self, times: u64) {
        let last = || {
            let newest = self.batches().into_iter().max_by_key(|batch| batch.sequence);
            newest.map_or((0, 0), |batch| (batch.sequence, batch.open))
        };
        let (from, _) = last();
        let is_reported = async || {
            let (number, open) = last();
            number >= from + times && open > 0
        };
        until(Duration::from_secs(60), "reported again, with requests open", is_reported).await;
    }

    /// Returns the batches that were stored.
    pub fn batches(&self) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut request = json!({ "TableName": format!("{TABLE}-arrivals") });
        loop {
            let page = serde_json::from_value(request.clone()).expect("a request");
            let page = self.database.scan(page).expect("the table is there");
            let page = serde_json::to_value(page).expect("a response");
            for item in page["Items"].as_array().expect("items") {
                let packed = STANDARD.decode(item["d"]["B"].as_str().expect("bytes")).expect("base64");
                batches.push(serde_json::from_slice(&decompress(&packed)).expect("a batch"));
            }
            if page["LastEvaluatedKey"].is_null() {
                return batches;
            }
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
        }
    }

    /// Sets an attribute of an item that exists, and returns the value before.
    fn put(&self, partition: &str, sort: &str, attribute: &str, value: &Value) -> Value {
        let request = json!({
            "TableName": TABLE,
            "Key": { "pk": { "S": partition }, "sk": { "S": sort } },
            "UpdateExpression": "SET #attribute = :value",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeNames": { "#attribute": attribute },
            "ExpressionAttributeValues": { ":value": value },
            "ReturnValues": "UPDATED_OLD",
        });
        let request = serde_json::from_value(request).expect("a request");
        let updated = self.database.update_item(request).expect("the item is there");
        let updated = serde_json::to_value(updated).expect("a response");
        updated["Attributes"][attribute].clone()
    }
}

impl Drop for DynamoDb {
    fn drop(&mut self) {
        self.server.abort();
    }
}
