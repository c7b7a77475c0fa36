//! A proxy in front of Dynoxide that presents the one shard of each of its streams as many, as DynamoDB does: shards end and
//! split, pages are short or empty, listings omit shards, records become readable late and expire, iterators too, and calls are
//! throttled. All other calls pass through it untouched.

mod lateness;
mod shards;
mod upstream;

use crate::{
    fault_proxy::{answer, pass_on},
    server::Server,
};
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use cutover_lambda::clock;
use lateness::Lateness;
use serde_json::{Value, json};
use shards::{Place, Shard, Stream};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use upstream::fetch;

/// Prefix of the calls that the proxy handles.
const PREFIX: &str = "DynamoDBStreams_20120810.";

/// Media type of DynamoDB's responses.
const KIND: &str = "application/x-amz-json-1.0";

/// Most records in a page, and most shards in a listing, at DynamoDB.
const MOST_RECORDS: usize = 1_000;
const MOST_SHARDS: usize = 100;

/// Trouble with reading one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardTrouble {
    /// Every reading is throttled.
    Throttled,
    /// No reading is answered.
    Hanging,
}

/// A running proxy.
pub struct StreamProxy {
    shared: Arc<Shared>,
    server: Server,
}

struct Shared {
    target: String,
    client: reqwest::Client,
    streams: Mutex<Streams>,
}

struct Streams {
    database: dynoxide::Database,
    /// Number of shards with which a stream begins.
    shards: usize,
    /// The streams by their ARN.
    streams: BTreeMap<String, Stream>,
    /// Most records in a page.
    page: usize,
    /// Most shards in a listing.
    listing: usize,
    /// A page is empty whenever the number of the call is a multiple of this.
    empty: Option<u64>,
    /// Calls that are still throttled.
    throttled: u32,
    /// Shards that cannot be read.
    troubled: BTreeMap<String, ShardTrouble>,
    /// Number of times that all iterators expired.
    expiries: u64,
    /// Calls of `GetRecords`.
    reads: u64,
    /// Time that each of them takes.
    delay: Duration,
    /// Ages at which batches become readable.
    lateness: Lateness,
}

/// An error of the platform: the name of its type, and its message.
struct Refusal {
    kind: &'static str,
    message: &'static str,
}

const NOT_FOUND: Refusal =
    Refusal { kind: "ResourceNotFoundException", message: "Requested resource not found" };
const INVALID: Refusal = Refusal { kind: "ValidationException", message: "Invalid parameter" };
const EXPIRED: Refusal = Refusal { kind: "ExpiredIteratorException", message: "Iterator expired" };
const TRIMMED: Refusal = Refusal {
    kind: "TrimmedDataAccessException",
    message: "The operation attempted to read past the oldest stream record in a shard",
};
const TOO_MANY: Refusal =
    Refusal { kind: "LimitExceededException", message: "Too many operations for the stream" };
const TOO_FAST: Refusal =
    Refusal { kind: "ProvisionedThroughputExceededException", message: "Rate exceeded for shard" };

impl StreamProxy {
    /// Starts a proxy in front of a database that serves at an address. Each stream begins with the given number of shards.
    pub async fn start(target: SocketAddr, database: dynoxide::Database, shards: usize) -> Self {
        let streams = Streams {
            database,
            shards,
            streams: BTreeMap::new(),
            page: MOST_RECORDS,
            listing: MOST_SHARDS,
            empty: None,
            throttled: 0,
            troubled: BTreeMap::new(),
            expiries: 0,
            reads: 0,
            delay: Duration::ZERO,
            lateness: Lateness::none(),
        };
        let shared = Arc::new(Shared {
            target: format!("http://{target}"),
            client: reqwest::Client::new(),
            streams: Mutex::new(streams),
        });
        let app = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        Self { shared, server: Server::start(app).await }
    }

    /// Returns the address at which the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns the names of the open shards of all streams.
    pub fn open_shards(&self) -> Vec<String> {
        let mut open = Vec::new();
        self.change(|shard| {
            if shard.is_open {
                open.push(shard.id.clone());
            }
        });
        open
    }

    /// Ends an open shard; two begin in its place.
    pub fn split(&self, shard: &str) {
        self.split_where(|held| held.id == shard);
    }

    /// Ends every open shard; two begin in the place of each.
    pub fn split_all(&self) {
        self.split_where(|_| true);
    }

    /// Leaves a shard out of listings from now on. It can still be read.
    pub fn unlist(&self, shard: &str) {
        self.change(|held| held.is_listed = held.is_listed && held.id != shard);
    }

    /// Leaves the shards that have ended out of listings from now on. They can be read until [`Self::trim`].
    pub fn unlist_ended(&self) {
        self.change(|shard| shard.is_listed = shard.is_listed && shard.is_open);
    }

    /// Lists all shards again.
    pub fn list_all(&self) {
        self.change(|shard| shard.is_listed = true);
    }

    /// Lets all records up to now expire.
    pub fn trim(&self) {
        self.state().current().values_mut().for_each(Stream::trim);
    }

    /// Lets all iterators up to now expire.
    pub fn expire_iterators(&self) {
        self.state().expiries += 1;
    }

    /// Makes every nth page empty, although more may follow; `None` makes none empty.
    pub fn empty_pages(&self, every: Option<u64>) {
        self.state().empty = every;
    }

    /// Sets the most records in a page and the most shards in a listing.
    pub fn page_sizes(&self, records: usize, shards: usize) {
        let mut state = self.state();
        (state.page, state.listing) = (records, shards);
    }

    /// Lets every call of `GetRecords` take a time from now on.
    pub fn slow_reads(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Lets batches become readable late from now on: each at an age in this range, in milliseconds. In its shard none is read
    /// before those ahead of it.
    pub fn late_batches(&self, ages: RangeInclusive<u64>) {
        self.state().lateness = Lateness::drawn(ages);
    }

    /// Returns the time from which on all batches can be read, in milliseconds since 1970.
    pub fn readable_at(&self) -> i64 {
        let mut state = self.state();
        state.current();
        let records = state.streams.values().flat_map(|stream| &stream.shards).flat_map(Shard::records);
        records.map(|record| state.lateness.readable_at(record)).max().unwrap_or_default()
    }

    /// Throttles the next calls.
    pub fn throttle(&self, calls: u32) {
        self.state().throttled = calls;
    }

    /// Lets every reading of a shard fail from now on; `None` ends that.
    pub fn trouble(&self, shard: &str, trouble: Option<ShardTrouble>) {
        let mut state = self.state();
        match trouble {
            Some(trouble) => state.troubled.insert(shard.to_owned(), trouble),
            None => state.troubled.remove(shard),
        };
    }

    /// Returns the number of calls of `GetRecords` so far, which DynamoDB charges for.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    fn state(&self) -> MutexGuard<'_, Streams> {
        self.shared.streams.lock().expect("no handler panics")
    }

    /// Changes every shard, after all records up to now have found theirs.
    fn change(&self, change: impl FnMut(&mut Shard)) {
        self.state().current().values_mut().flat_map(|stream| &mut stream.shards).for_each(change);
    }

    /// Splits the open shards for which a condition holds.
    fn split_where(&self, condition: impl Fn(&Shard) -> bool) {
        for stream in self.state().current().values_mut() {
            for index in 0..stream.shards.len() {
                if stream.shards[index].is_open && condition(&stream.shards[index]) {
                    stream.split(index);
                }
            }
        }
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
    let action = target.and_then(|target| target.strip_prefix(PREFIX)).unwrap_or_default().to_owned();
    if !matches!(action.as_str(), "DescribeStream" | "GetShardIterator" | "GetRecords") {
        return pass_on(&shared.client, &shared.target, request).await;
    }
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
    let request: Value =
        serde_json::from_slice(&body.expect("the request's body is read")).expect("the SDK sends JSON");
    let delay = shared.streams.lock().expect("no handler panics").delay(&action, &request);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let answered = shared.streams.lock().expect("no handler panics").call(&action, &request);
    let (status, body) = match answered {
        Ok(body) => (200, body),
        Err(Refusal { kind, message }) => {
            let kind = format!("com.amazonaws.dynamodb.v20120810#{kind}");
            (400, json!({ "__type": kind, "message": message }))
        }
    };
    answer(StatusCode::from_u16(status).expect("a valid status"), KIND, body.to_string())
}

impl Streams {
    /// Returns the time that a call takes.
    fn delay(&self, action: &str, request: &Value) -> Duration {
        match self.trouble_of(request) {
            Some(ShardTrouble::Hanging) => Duration::from_secs(600),
            _ if action == "GetRecords" => self.delay,
            _ => Duration::ZERO,
        }
    }

    /// Returns the trouble with the shard that a call of `GetRecords` reads.
    fn trouble_of(&self, request: &Value) -> Option<ShardTrouble> {
        let shard = request["ShardIterator"].as_str()?.split('|').nth(2)?;
        self.troubled.get(shard).copied()
    }

    fn call(&mut self, action: &str, request: &Value) -> Result<Value, Refusal> {
        self.reads += u64::from(action == "GetRecords");
        if self.throttled > 0 {
            self.throttled -= 1;
            let is_read = action == "GetRecords" && self.throttled.is_multiple_of(2);
            return Err(if is_read { TOO_FAST } else { TOO_MANY });
        }
        if self.trouble_of(request).is_some() {
            return Err(TOO_FAST);
        }
        self.current();
        match action {
            "DescribeStream" => self.describe(request),
            "GetShardIterator" => self.iterator(request),
            _ => self.records(request),
        }
    }

    /// Fetches all records that are new, and returns all streams.
    fn current(&mut self) -> &mut BTreeMap<String, Stream> {
        let listed = serde_json::from_value(json!({})).expect("a request");
        let listed = self.database.list_streams(listed).expect("streams are listed");
        for listed in listed.streams {
            let arn = listed.stream_arn;
            let stream = self.streams.entry(arn.clone()).or_insert_with(|| Stream::new(self.shards));
            fetch(&self.database, &arn, stream);
        }
        &mut self.streams
    }

    fn describe(&self, request: &Value) -> Result<Value, Refusal> {
        let arn = request["StreamArn"].as_str().ok_or(INVALID)?;
        let stream = self.streams.get(arn).ok_or(NOT_FOUND)?;
        let upstream = serde_json::from_value(json!({ "StreamArn": arn })).map_err(|_| INVALID)?;
        let upstream = self.database.describe_stream(upstream).map_err(|_| NOT_FOUND)?;
        let mut described = serde_json::to_value(upstream).expect("a response is JSON");
        let begin = match request["ExclusiveStartShardId"].as_str() {
            None => 0,
            Some(last) => stream.shards.iter().position(|shard| shard.id == last).ok_or(NOT_FOUND)? + 1,
        };
        let most = limit(request).unwrap_or(MOST_SHARDS).min(self.listing);
        let listed: Vec<&Shard> = stream.shards[begin..].iter().filter(|shard| shard.is_listed).collect();
        let page = &listed[..listed.len().min(most)];
        let description = &mut described["StreamDescription"];
        description["Shards"] = page.iter().map(|shard| shard.described()).collect();
        if let Some(last) = page.last().filter(|_| page.len() < listed.len()) {
            description["LastEvaluatedShardId"] = json!(last.id);
        }
        Ok(described)
    }

    fn iterator(&self, request: &Value) -> Result<Value, Refusal> {
        let arn = request["StreamArn"].as_str().ok_or(INVALID)?;
        let id = request["ShardId"].as_str().ok_or(INVALID)?;
        let shard = self.streams.get(arn).and_then(|stream| stream.shard(id)).ok_or(NOT_FOUND)?;
        let number: Option<u128> = request["SequenceNumber"].as_str().and_then(|number| number.parse().ok());
        let place = match (request["ShardIteratorType"].as_str().ok_or(INVALID)?, number) {
            ("TRIM_HORIZON", None) => Place::TrimHorizon,
            ("LATEST", None) => Place::Latest,
            ("AT_SEQUENCE_NUMBER", Some(number)) => Place::At(number),
            ("AFTER_SEQUENCE_NUMBER", Some(number)) => Place::After(number),
            _ => return Err(INVALID),
        };
        let index = shard.index(place).ok_or(TRIMMED)?;
        Ok(json!({ "ShardIterator": self.written(index, id, arn) }))
    }

    fn records(&self, request: &Value) -> Result<Value, Refusal> {
        let iterator = request["ShardIterator"].as_str().ok_or(INVALID)?;
        let mut parts = iterator.splitn(4, '|');
        let mut next = || parts.next().ok_or(INVALID);
        let (expiries, index, id, arn) = (next()?, next()?, next()?, next()?);
        if expiries != self.expiries.to_string() {
            return Err(EXPIRED);
        }
        let index: usize = index.parse().map_err(|_| INVALID)?;
        let shard = self.streams.get(arn).and_then(|stream| stream.shard(id)).ok_or(NOT_FOUND)?;
        let is_empty = self.empty.is_some_and(|every| self.reads.is_multiple_of(every));
        let most = if is_empty { 0 } else { limit(request).unwrap_or(MOST_RECORDS).min(self.page) };
        let mut records = shard.page(index, most).ok_or(TRIMMED)?;
        let now = clock::now().millis();
        let is_readable = |record: &&Value| self.lateness.readable_at(record) <= now;
        records.truncate(records.iter().take_while(is_readable).count());
        let end = index + records.len();
        let mut page = json!({ "Records": records });
        if !shard.is_end(end) {
            page["NextShardIterator"] = json!(self.written(end, id, arn));
        }
        Ok(page)
    }

    /// Writes an iterator.
    fn written(&self, index: usize, id: &str, arn: &str) -> String {
        format!("{}|{index}|{id}|{arn}", self.expiries)
    }
}

fn limit(request: &Value) -> Option<usize> {
    request["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok())
}
