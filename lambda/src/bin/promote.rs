//! The scheduled function that moves canaries, delivers notifications, and keeps Workers KV in line
//! with the table.

use cutover_lambda::{
    canary::promote,
    observe::{telemetry, tick},
    platform::Platform,
    settings::environment::Settings,
};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start("promote");
    let platform = Platform::new(Settings::from_env()?);
    let platform = &platform;
    let handler = service_fn(async |event: LambdaEvent<Value>| {
        tick::observe(&event, Box::pin(promote::tick(platform))).await.map_err(lambda_runtime::Error::from)
    });
    lambda_runtime::run(handler).await
}
