//! The scheduled function that folds measurements into ledgers and evidence, and moves canaries.

use cutover_lambda::{
    measurement::evaluate,
    observe::{telemetry, tick},
    platform::Platform,
    settings::environment::Settings,
};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start("evaluate");
    let platform = Platform::new(Settings::from_env()?);
    let platform = &platform;
    let handler = service_fn(async |event: LambdaEvent<Value>| {
        tick::observe(&event, Box::pin(evaluate::invocation(platform)))
            .await
            .map_err(lambda_runtime::Error::from)
    });
    lambda_runtime::run(handler).await
}
