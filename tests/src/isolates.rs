//! Isolates that only ask, by the schedule of the Worker: for the times at which many of them hear of a change.

use crate::{question::ask_over, server::Server, stack::INGEST_SECRET};
use cutover_core::{Revision, measurement::question::Question, statistics::split_mix::SplitMix64};
use cutover_lambda::{measurement::ask, platform::Platform};
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Milliseconds from an answer to the next question, as in `edge/src/schedule.rs`: that crate is built for Workers alone.
const QUESTION_MS: RangeInclusive<u64> = 4_000..=4_800;

/// News that an isolate heard.
#[derive(Debug, Clone, Copy)]
pub struct News {
    /// Number of the isolate.
    pub isolate: usize,
    /// Newest revision that it knows of since.
    pub revision: u64,
    /// True if the answer has an emergency or a brake.
    pub is_stop: bool,
    /// Time at which it asked.
    pub asked: Instant,
    /// Time at which it had the answer.
    pub answered: Instant,
}

/// Isolates that ask until they are dropped.
pub struct Isolates {
    count: usize,
    news: Arc<Mutex<Vec<News>>>,
    tasks: Vec<JoinHandle<()>>,
    _servers: Vec<Server>,
}

impl Isolates {
    /// Starts isolates, each anywhere inside its interval, in front of processes of `ask`: one for each platform.
    pub async fn start(platforms: Vec<Platform>, count: usize, seed: u64) -> Self {
        let mut tasks = Vec::new();
        let mut servers = Vec::new();
        for platform in platforms {
            servers.push(Server::start(ask::router(platform)).await);
        }
        let news = Arc::new(Mutex::new(Vec::new()));
        let client = reqwest::Client::new();
        for isolate in 0..count {
            let url = servers[isolate % servers.len()].url();
            let dice = SplitMix64::new(seed.wrapping_add(isolate as u64));
            tasks.push(tokio::spawn(live(isolate, client.clone(), url, dice, Arc::clone(&news))));
        }
        Self { count, news, tasks, _servers: servers }
    }

    /// Waits until every isolate knows of a revision. Returns the answers by which each learned of it.
    pub async fn heard(&self, revision: u64, patience: Duration) -> Vec<News> {
        let deadline = Instant::now() + patience;
        loop {
            let mut first: BTreeMap<usize, News> = BTreeMap::new();
            for news in self.news.lock().expect("no task panics inside").iter() {
                if news.revision >= revision {
                    first.entry(news.isolate).or_insert(*news);
                }
            }
            if first.len() == self.count {
                return first.into_values().collect();
            }
            let count = first.len();
            assert!(Instant::now() < deadline, "{count} of {} isolates know of {revision}", self.count);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Isolates {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Asks for ever.
async fn live(
    isolate: usize,
    client: reqwest::Client,
    url: String,
    mut dice: SplitMix64,
    news: Arc<Mutex<Vec<News>>>,
) {
    let mut held = 0;
    let first = dice.draw() % (interval(&mut dice) + 1);
    tokio::time::sleep(Duration::from_millis(first)).await;
    loop {
        let asked = Instant::now();
        let question =
            Question { isolate: Some(format!("{isolate:032x}")), ..Question::since(Revision(held)) };
        let (status, answer) = ask_over(&client, &url, &question.encode(), INGEST_SECRET).await;
        assert_eq!(status, 200, "{answer:#}");
        let revision = answer["revision"].as_u64().unwrap_or_default();
        if revision > held {
            held = revision;
            let is_stop = answer["emergency"].is_object() || answer["brakes"].is_array();
            let heard = News { isolate, revision, is_stop, asked, answered: Instant::now() };
            news.lock().expect("no task panics inside").push(heard);
        }
        tokio::time::sleep(Duration::from_millis(interval(&mut dice))).await;
    }
}

fn interval(dice: &mut SplitMix64) -> u64 {
    QUESTION_MS.start() + dice.draw() % (QUESTION_MS.end() - QUESTION_MS.start() + 1)
}

#[cfg(test)]
mod tests {
    /// The isolates of tests ask as those of the Worker do.
    #[test]
    fn the_schedule_is_that_of_the_worker() {
        let schedule = include_str!("../../edge/src/schedule.rs");
        assert!(schedule.contains("const QUESTION_MS: RangeInclusive<i64> = 4_000..=4_800;"));
    }
}
