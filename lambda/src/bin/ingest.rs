//! The function that isolates report to, with a function URL of its own.

use cutover_lambda::{
    measurement::ingest, observe::telemetry, platform::Platform, settings::environment::Settings,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start("ingest");
    let platform = Platform::new(Settings::from_env_without_kv()?);
    lambda_http::run(ingest::router(platform)).await
}
