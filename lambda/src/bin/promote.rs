//! The scheduled function that moves canaries, delivers notifications, and keeps what is published equal to what is
//! true.

use cutover_lambda::{Platform, promote, settings::Settings, telemetry};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start();
    let platform = Platform::new(Settings::from_env()?);
    let platform = &platform;
    let tick = service_fn(async |_: LambdaEvent<Value>| {
        promote::tick(platform).await.map_err(lambda_runtime::Error::from)
    });
    lambda_runtime::run(tick).await
}
