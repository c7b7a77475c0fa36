//! Experiments that are counted and judged: exact counts, ends of phases, guardrails that stop them, and keys that nobody sees.

mod crowd;
mod endings;
mod exact;
mod guardrail;
mod keys;
mod through_worker;

use cutover_lambda::{measurement::evaluate::invocation, platform::Platform};
use cutover_tests::{
    client::Management,
    dynamodb::DynamoDb,
    functions::{ManagementServer, platform},
};
use serde_json::Value;

/// Name of the experiment of these tests.
const NAME: &str = "e";

/// The functions in this process over one table.
struct Functions {
    dynamodb: DynamoDb,
    platform: Platform,
    management: ManagementServer,
}

impl Functions {
    async fn start(variables: &[(&'static str, &str)]) -> Self {
        let dynamodb = DynamoDb::start().await;
        let platform = platform(&dynamodb, variables).await;
        let management = ManagementServer::start(platform.clone()).await;
        Self { dynamodb, platform, management }
    }

    fn root(&self) -> &Management {
        &self.management.client
    }

    async fn evaluate(&self) {
        assert!(invocation(&self.platform).await.unwrap().worked, "somebody holds the lease");
    }

    async fn results(&self) -> Value {
        results(self.root()).await
    }
}

/// Returns the results of the experiment.
async fn results(root: &Management) -> Value {
    root.get(&format!("/experiments/{NAME}/results")).await.expect(200).body
}
