//! The management API, as a function with a function URL.

use cutover_lambda::{Platform, api, settings::Settings, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start("management");
    let platform = Platform::new(Settings::from_env()?);
    lambda_http::run(api::router(platform)).await
}
