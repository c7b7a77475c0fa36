//! `cargo xtask bench adapter`: an adapted route beside a Worker written by hand in JavaScript that does the same for one
//! endpoint, in one workerd process, in front of one GraphQL origin, in interleaved runs.

use super::{
    edge::{Spread, processor_seconds},
    load,
};
use crate::{
    http,
    kv_server::KvServer,
    paths,
    workerd::{Worker, Workerd},
};
use cutover_core::{Snapshot, config::Config, snapshot::Revision};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const CONNECTIONS: usize = 16;
const NAMES: [&str; 4] = ["adapter-one", "js-one", "adapter-list", "js-list"];

/// An origin that answers every operation with one review, or with twenty.
async fn start_origin() -> u16 {
    let review = |id: usize| {
        format!(
            r#"{{"id":"{id}","offerId":"4","authorId":"user-1","rating":5,"text":"Très bien, would buy again.","createdAt":"2024-01-08T12:00:00Z","updatedAt":"2024-01-08T12:00:00Z","isModerated":false}}"#
        )
    };
    let list: Vec<String> = (1..=20).map(review).collect();
    let body = format!(r#"{{"data":{{"review":{},"reviews":[{}]}}}}"#, review(7), list.join(","));
    let one = format!(r#"{{"data":{{"review":{}}}}}"#, review(7));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    let answer = |body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
            .into_bytes()
    };
    let answers = (answer(&one), answer(&body));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (one, list) = answers.clone();
            tokio::spawn(async move {
                let _ = socket.set_nodelay(true);
                let mut buffer = Vec::with_capacity(16 * 1024);
                loop {
                    // A request ends with its body, whose length it tells.
                    let end = loop {
                        let text = String::from_utf8_lossy(&buffer);
                        let whole = text.split_once("\r\n\r\n").map(|(head, _)| {
                            let length = head.lines().find_map(|line| {
                                let (name, value) = line.split_once(':')?;
                                name.eq_ignore_ascii_case("content-length")
                                    .then(|| value.trim().parse::<usize>().ok())?
                            });
                            head.len() + 4 + length.unwrap_or_default()
                        });
                        match whole {
                            Some(end) if buffer.len() >= end => break end,
                            _ => {}
                        }
                        if !matches!(socket.read_buf(&mut buffer).await, Ok(1..)) {
                            return;
                        }
                    };
                    let is_list = String::from_utf8_lossy(&buffer[..end]).contains("query Reviews(");
                    buffer.drain(..end);
                    if socket.write_all(if is_list { &list } else { &one }).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Everybody goes through an adapter with one route, that of the load generator.
fn snapshot(origin: &str, list: bool) -> Snapshot {
    let folder = paths::root().join("tests/reviews");
    let adapter = std::fs::read_to_string(folder.join("adapter.yaml")).expect("the example is there");
    let (head, routes) = adapter.split_once("routes:\n").expect("the example has routes");
    let wanted = if list { "operation: Reviews\n" } else { "operation: Review\n" };
    let route =
        routes.split("\n\n").find(|route| route.contains(wanted)).expect("the example has the operation");
    let route = route.replace("path: /api/v1/reviews }", "path: \"/api/v1/reviews/{id}\" }");
    let route = route.replace("      link: true\n", "");
    let adapter = format!("{head}routes:\n{route}\n");
    let config = "adapters: { reviews: reviews/adapter.yaml }\n\
                  feature_flags: { reviews: { enabled: true, rollout_percentage: 100 } }\n\
                  origins: { rest: { url: \"ORIGIN\" }, graphql: { url: \"ORIGIN\" } }\n\
                  routes: [{ id: reviews, match: { path: \"/api/v1/reviews/{*rest}\" }, flag: reviews, legacy: rest, \
                  new: graphql, adapt: [reviews] }]\n"
        .replace("ORIGIN", origin);
    let files = |name: &str| match name {
        "reviews/adapter.yaml" => Ok(adapter.clone()),
        name => std::fs::read_to_string(folder.join("..").join(name)).map_err(|error| error.to_string()),
    };
    let config = Config::from_yaml_with(&config, &files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    config.snapshot(Revision(1), None)
}

/// What was found of one kind of answer: an adapted route over the Worker that was written by hand.
pub struct Ratios {
    /// Of the requests per second.
    pub throughput: Spread,
    /// Of the processor time that workerd takes for a request. What waits beside it does not count, so it is steadier.
    pub cpu: Spread,
}

/// Runs everything; returns the ratios for one review and for twenty.
pub async fn run(rounds: usize, seconds: f64) -> [Ratios; 2] {
    let origin = format!("http://127.0.0.1:{}", start_origin().await);
    let mut stores = Vec::new();
    for list in [false, true] {
        let store = KvServer::start().await;
        store.put("snapshot", snapshot(&origin, list).encode().expect("a snapshot is JSON"));
        stores.push(store);
    }
    let ingest = super::edge::start_ingest().await;
    let script = paths::root().join("tests/bench/adapter.js");
    let edge = |name, store: &KvServer| Worker::edge(name, store.port()).with("INGEST_URL", &ingest);
    let by_hand = |name, mode| {
        Worker::javascript(name, &script).with("NEW", &origin).with("ORIGIN", &origin).with("MODE", mode)
    };
    let workerd = Workerd::start(&[
        edge("adapter-one", &stores[0]),
        by_hand("js-one", "one"),
        edge("adapter-list", &stores[1]),
        by_hand("js-list", "list"),
    ]);
    for pair in NAMES.chunks(2) {
        // Both say the same, or they do not do the same job.
        let mut said = Vec::new();
        for name in pair {
            let answer =
                http::get(workerd.port(name), "/api/v1/reviews/7?page=2", &[("x-user-id", "u")]).await;
            let mut body = answer.json();
            body["timestamp"] = "now".into();
            said.push((answer.status, body));
        }
        assert_eq!(said[0], said[1]);
    }
    for name in NAMES {
        load::run(workerd.port(name), CONNECTIONS, Duration::from_secs_f64(1.0), 100_000).await;
    }
    let mut ratios = [(); 2].map(|()| (Vec::new(), Vec::new()));
    for round in 0..rounds {
        let (mut rate, mut cost) = ([0.0; NAMES.len()], [0.0; NAMES.len()]);
        for step in 0..NAMES.len() {
            let at = (step + round) % NAMES.len();
            let before = processor_seconds(workerd.id());
            rate[at] =
                load::run(workerd.port(NAMES[at]), CONNECTIONS, Duration::from_secs_f64(seconds), 100_000)
                    .await;
            cost[at] = (processor_seconds(workerd.id()) - before) / (rate[at] * seconds);
        }
        for (kind, (rates, costs)) in ratios.iter_mut().enumerate() {
            rates.push(rate[2 * kind] / rate[2 * kind + 1]);
            costs.push(cost[2 * kind] / cost[2 * kind + 1]);
        }
        eprintln!(
            "round {:2}: one review {:.3}, twenty {:.3}",
            round + 1,
            rate[0] / rate[1],
            rate[2] / rate[3]
        );
    }
    ratios.map(|(rates, costs)| Ratios { throughput: Spread::of(rates), cpu: Spread::of(costs) })
}
