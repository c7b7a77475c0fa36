//! The stand-ins for the platform are as unkind as it is, and lose nothing themselves.

use cutover_tests::{dynamodb::DynamoDb, fault_proxy::FaultProxy, kv_server::KvServer};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Instant};

const TABLE: &str = "arrivals";

/// Partition keys of the records.
const ISOLATES: u64 = 12;

/// A caller of DynamoDB's API without an SDK, which reads the stream of one table.
struct Reader {
    dynamodb: DynamoDb,
    client: reqwest::Client,
    arn: String,
    /// Shards in the order in which they were listed, with the records read.
    records: Vec<(String, Vec<Value>)>,
}

impl Reader {
    /// Creates the table with its stream.
    async fn start(shards: usize) -> Self {
        let dynamodb = DynamoDb::sharded(shards).await;
        let (client, arn) = (reqwest::Client::new(), String::new());
        let mut reader = Self { dynamodb, client, arn, records: Vec::new() };
        let request = json!({
            "TableName": TABLE,
            "AttributeDefinitions": [
                { "AttributeName": "pk", "AttributeType": "S" },
                { "AttributeName": "sk", "AttributeType": "N" },
            ],
            "KeySchema": [
                { "AttributeName": "pk", "KeyType": "HASH" },
                { "AttributeName": "sk", "KeyType": "RANGE" },
            ],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
        });
        let created = reader.table("CreateTable", &request).await;
        reader.arn = created["TableDescription"]["LatestStreamArn"].as_str().unwrap().to_owned();
        reader
    }

    async fn call(&self, target: String, request: &Value) -> (u16, Value) {
        let authorization = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                             SignedHeaders=host, Signature=0";
        let sent = self
            .client
            .post(self.dynamodb.url())
            .header("x-amz-target", target)
            .header("x-amz-date", "20260101T000000Z")
            .header("authorization", authorization)
            .header("content-type", "application/x-amz-json-1.0")
            .body(request.to_string());
        let response = sent.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn table(&self, action: &str, request: &Value) -> Value {
        let (status, body) = self.call(format!("DynamoDB_20120810.{action}"), request).await;
        assert_eq!(status, 200, "{action}: {body:#}");
        body
    }

    /// Calls the API of streams. Returns the type of the error if it refuses.
    async fn stream(&self, action: &str, request: &Value) -> Result<Value, String> {
        let (status, body) = self.call(format!("DynamoDBStreams_20120810.{action}"), request).await;
        if status == 200 {
            return Ok(body);
        }
        assert_eq!(status, 400, "{action}: {body:#}");
        Err(body["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned())
    }

    /// Stores a record of every isolate.
    async fn put(&self, sequence: u64) {
        for isolate in 0..ISOLATES {
            let item = json!({ "pk": { "S": isolate.to_string() }, "sk": { "N": sequence.to_string() } });
            self.table("PutItem", &json!({ "TableName": TABLE, "Item": item })).await;
        }
    }

    /// Returns the listed shards.
    async fn list(&self) -> Vec<Value> {
        let (mut shards, mut last) = (Vec::new(), Value::Null);
        loop {
            let mut request = json!({ "StreamArn": self.arn });
            if !last.is_null() {
                request["ExclusiveStartShardId"] = last;
            }
            let described = self.stream("DescribeStream", &request).await.unwrap();
            let description = &described["StreamDescription"];
            shards.extend(description["Shards"].as_array().unwrap().iter().cloned());
            last = description["LastEvaluatedShardId"].clone();
            if last.is_null() {
                return shards;
            }
        }
    }

    async fn iterator(&self, shard: &str, after: Option<&str>) -> Result<Value, String> {
        let mut request =
            json!({ "StreamArn": self.arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        if let Some(number) = after {
            request["ShardIteratorType"] = json!("AFTER_SEQUENCE_NUMBER");
            request["SequenceNumber"] = json!(number);
        }
        Ok(self.stream("GetShardIterator", &request).await?["ShardIterator"].clone())
    }

    /// Reads pages of every listed shard after the last record read. Returns true if nothing was new.
    async fn read(&mut self, pages: usize) -> bool {
        let mut is_idle = true;
        for shard in self.list().await {
            let id = shard["ShardId"].as_str().unwrap().to_owned();
            let known = self.records.iter().position(|(held, _)| *held == id);
            let index = known.unwrap_or_else(|| {
                self.records.push((id.clone(), Vec::new()));
                self.records.len() - 1
            });
            let last = self.records[index].1.last().map(|record| number(record).to_owned());
            let mut iterator = self.iterator(&id, last.as_deref()).await.unwrap();
            for _ in 0..pages {
                let page = self.stream("GetRecords", &json!({ "ShardIterator": iterator })).await.unwrap();
                let records = page["Records"].as_array().unwrap();
                is_idle &= records.is_empty();
                self.records[index].1.extend(records.iter().cloned());
                iterator = page["NextShardIterator"].clone();
                if iterator.is_null() {
                    let is_ended = shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string();
                    assert!(is_ended, "an open shard has no end: {shard:#}");
                    break;
                }
            }
        }
        is_idle
    }

    /// Returns the sequences of each isolate in the order in which they were read, shard after shard.
    fn sequences(&self) -> BTreeMap<u64, Vec<u64>> {
        let mut read: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for record in self.records.iter().flat_map(|(_, records)| records) {
            let keys = &record["dynamodb"]["Keys"];
            let number = |value: &Value| value.as_str().unwrap().parse().unwrap();
            read.entry(number(&keys["pk"]["S"])).or_default().push(number(&keys["sk"]["N"]));
        }
        read
    }
}

/// Returns the sequence number of a record.
fn number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sharded_stream_presents_every_record_exactly_once_in_the_order_of_its_key() {
    const ROUNDS: u64 = 8;
    let mut reader = Reader::start(2).await;
    reader.dynamodb.stream.page_sizes(3, 2);
    reader.dynamodb.stream.empty_pages(Some(3));
    for round in 0..ROUNDS {
        reader.put(round).await;
        match round {
            1 | 4 => reader.dynamodb.stream.split_all(),
            2 => reader.dynamodb.stream.split(&reader.dynamodb.stream.open_shards()[0]),
            // A listing omits a shard for a while.
            3 => reader.dynamodb.stream.unlist(&reader.dynamodb.stream.open_shards()[1]),
            5 => reader.dynamodb.stream.list_all(),
            _ => {}
        }
        reader.read(2).await;
    }
    // Two pages in a row of a shard may not be empty unless nothing follows, for each third page of all is.
    while !reader.read(3).await {}
    let all: Vec<u64> = (0..ROUNDS).collect();
    let expected: BTreeMap<u64, Vec<u64>> = (0..ISOLATES).map(|isolate| (isolate, all.clone())).collect();
    assert_eq!(reader.sequences(), expected);
    let shards = reader.list().await;
    // Two became four, five and ten.
    assert_eq!((shards.len(), reader.dynamodb.stream.open_shards().len()), (2 + 4 + 2 + 10, 10));
    let with_parent = shards.iter().filter(|shard| shard["ParentShardId"].is_string()).count();
    assert_eq!(with_parent, 4 + 2 + 10);
    assert!(reader.dynamodb.stream.reads() > ROUNDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sharded_stream_refuses_as_the_platform_does() {
    let reader = Reader::start(1).await;
    reader.put(0).await;
    let shard = reader.dynamodb.stream.open_shards().remove(0);
    let iterator = reader.iterator(&shard, None).await.unwrap();
    let request = json!({ "ShardIterator": iterator });

    reader.dynamodb.stream.throttle(1);
    let refused = reader.stream("GetRecords", &request).await.unwrap_err();
    assert_eq!(refused, "ProvisionedThroughputExceededException");
    let page = reader.stream("GetRecords", &request).await.unwrap();
    let first = number(&page["Records"][0]).to_owned();
    assert_eq!(page["Records"].as_array().unwrap().len() as u64, ISOLATES);

    reader.dynamodb.stream.expire_iterators();
    assert_eq!(reader.stream("GetRecords", &request).await.unwrap_err(), "ExpiredIteratorException");
    let request = json!({ "ShardIterator": reader.iterator(&shard, Some(&first)).await.unwrap() });
    let page = reader.stream("GetRecords", &request).await.unwrap();
    assert_eq!(page["Records"].as_array().unwrap().len() as u64, ISOLATES - 1);

    reader.dynamodb.stream.trim();
    assert_eq!(reader.stream("GetRecords", &request).await.unwrap_err(), "TrimmedDataAccessException");
    assert_eq!(reader.iterator(&shard, Some(&first)).await.unwrap_err(), "TrimmedDataAccessException");
    let request = json!({ "ShardIterator": reader.iterator(&shard, None).await.unwrap() });
    let page = reader.stream("GetRecords", &request).await.unwrap();
    assert_eq!(page["Records"], json!([]));

    reader.dynamodb.stream.split_all();
    let page = reader.stream("GetRecords", &request).await.unwrap();
    assert_eq!(page.get("NextShardIterator"), None, "the shard has ended");
    reader.dynamodb.stream.unlist_ended();
    assert_eq!(reader.iterator(&shard, None).await.unwrap_err(), "ResourceNotFoundException");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_requests_refuses_as_lambda_does() {
    const LIMIT: usize = 2;
    let kv = KvServer::start().await;
    kv.put("key", "value");
    let proxy = FaultProxy::start(([127, 0, 0, 1], kv.port()).into()).await;
    let client = reqwest::Client::new();
    let url = format!("{}/key", proxy.url());
    proxy.rps_limit(Some(LIMIT));
    let (begun, mut passed) = (Instant::now(), 0);
    for _ in 0..10 {
        let response = client.get(&url).send().await.unwrap();
        if response.status() == 200 {
            passed += 1;
        } else {
            assert_eq!(response.status(), 429);
            assert_eq!(response.text().await.unwrap(), r#"{"message":"Rate Exceeded."}"#);
        }
    }
    // A slow machine takes more than a second for ten requests.
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!((LIMIT..=LIMIT * seconds).contains(&passed), "{passed} requests in {seconds} s");
    proxy.rps_limit(None);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
}
