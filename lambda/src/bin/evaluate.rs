//! The scheduled function that folds measurements into ledgers and evidence.

use cutover_lambda::{Platform, evaluate, schedule, settings::Settings, telemetry};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    telemetry::start("evaluate");
    let platform = Platform::new(Settings::from_env_without_kv()?);
    let platform = &platform;
    let tick = service_fn(async |event: LambdaEvent<Value>| {
        schedule::observe(&event, Box::pin(evaluate::tick(platform)))
            .await
            .map_err(lambda_runtime::Error::from)
    });
    lambda_runtime::run(tick).await
}
