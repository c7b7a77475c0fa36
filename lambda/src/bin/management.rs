//! The management API, as a function with a function URL.

use cutover_lambda::{
    api::router::router, observe::telemetry, platform::Platform, settings::environment::Settings,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::start("management");
    let platform = Platform::new(Settings::from_env()?);
    lambda_http::run(router(platform)).await
}
