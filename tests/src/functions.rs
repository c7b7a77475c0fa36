//! The functions' library in this process: for tests that call a part of it, on arrivals of any time.

use crate::{dynamodb::DynamoDb, stack::environment};
use cutover_lambda::{platform::Platform, settings::environment::Settings};

/// Returns the dependencies of the functions over a database, with further variables. The table is created if it does not
/// exist.
pub async fn platform(dynamodb: &DynamoDb, variables: &[(&'static str, &str)]) -> Platform {
    let platform = connected(&dynamodb.url(), variables);
    platform.store.create_table().await.expect("the table is created");
    platform
}

/// Returns the dependencies of the functions over an endpoint of DynamoDB, with further variables.
pub fn connected(endpoint: &str, variables: &[(&'static str, &str)]) -> Platform {
    // Nothing listens there: no test of this kind publishes.
    let mut environment = environment(endpoint, "http://127.0.0.1:9");
    environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let settings = Settings::read(|name| environment.get(name).cloned()).expect("the settings are complete");
    Platform::new(settings)
}
