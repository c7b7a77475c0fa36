//! The function that answers the questions of isolates, with a function URL of its own.

use cutover_lambda::{
    measurement::ask, observe::telemetry, platform::Platform, settings::environment::Settings,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start("ask");
    let platform = Platform::new(Settings::from_env_without_kv()?);
    lambda_http::run(ask::router(platform)).await
}
