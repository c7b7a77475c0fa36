//! The functions' library in this process: for tests that call a part of it, on arrivals of any time.

use crate::{
    client::Management,
    dynamodb::DynamoDb,
    lambda::Lambda,
    process::free_port,
    server::Server,
    stack::{ROOT_TOKEN, environment},
};
use cutover_lambda::{api::router::router, platform::Platform, settings::environment::Settings};
use std::{collections::BTreeMap, net::SocketAddr};

/// Returns the dependencies of the functions over a database, with further variables. The table is created if it does not
/// exist.
pub async fn platform(dynamodb: &DynamoDb, variables: &[(&'static str, &str)]) -> Platform {
    let platform = connected(&dynamodb.url(), variables);
    platform.store.create_table().await.expect("the table is created");
    platform
}

/// Returns the dependencies of the functions over an endpoint of DynamoDB, with further variables.
pub fn connected(endpoint: &str, variables: &[(&'static str, &str)]) -> Platform {
    let environment = all_variables(endpoint, variables);
    let settings = Settings::read(|name| environment.get(name).cloned()).expect("the settings are complete");
    Platform::new(settings)
}

/// Starts a process of `evaluate` over a database, behind a runtime of its own, with further variables.
pub async fn evaluate_process(dynamodb: &DynamoDb, variables: &[(&'static str, &str)]) -> Lambda {
    let variables = all_variables(&dynamodb.url(), variables);
    Lambda::start(free_port(), &[("evaluate", 1)], |_| variables.clone()).await
}

fn all_variables(endpoint: &str, variables: &[(&'static str, &str)]) -> BTreeMap<&'static str, String> {
    // Nothing listens there: no test of this kind publishes.
    let mut all = environment(endpoint, "http://127.0.0.1:9");
    all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    all
}

/// The management API in this process, over HTTP.
pub struct ManagementServer {
    /// Address that it listens on.
    pub address: SocketAddr,
    /// A client with the root token.
    pub client: Management,
    _server: Server,
}

impl ManagementServer {
    /// Starts the API on a free port.
    pub async fn start(platform: Platform) -> Self {
        let server = Server::start(router(platform)).await;
        let client = Management::new(&server.url(), ROOT_TOKEN);
        Self { address: server.address(), client, _server: server }
    }
}
