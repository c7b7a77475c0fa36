//! The one shard that Dynoxide has for each stream.

use crate::stream_proxy::shards::Stream;
use serde_json::json;

/// Appends the records of Dynoxide's shard that are new.
pub fn fetch(database: &dynoxide::Database, arn: &str, stream: &mut Stream) {
    let mut iterator = stream.upstream.take().unwrap_or_else(|| beginning(database, arn));
    loop {
        let request = serde_json::from_value(json!({ "ShardIterator": iterator })).expect("a request");
        let page = database.get_records(request).expect("Dynoxide reads its shard");
        iterator = page.next_shard_iterator.expect("Dynoxide's shard never ends");
        if page.records.is_empty() {
            break;
        }
        for record in page.records {
            stream.append(serde_json::to_value(record).expect("a record is JSON"));
        }
    }
    stream.upstream = Some(iterator);
}

/// Returns an iterator at the first record of Dynoxide's shard.
fn beginning(database: &dynoxide::Database, arn: &str) -> String {
    let request = serde_json::from_value(json!({ "StreamArn": arn })).expect("a request");
    let described = database.describe_stream(request).expect("Dynoxide describes its stream");
    let shard = described.stream_description.shards.first().expect("Dynoxide has one shard");
    let request = json!({ "StreamArn": arn, "ShardId": shard.shard_id, "ShardIteratorType": "TRIM_HORIZON" });
    let request = serde_json::from_value(request).expect("a request");
    let begun = database.get_shard_iterator(request).expect("Dynoxide's shard has a beginning");
    begun.shard_iterator.expect("an iterator")
}
