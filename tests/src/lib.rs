//! Starts the real parts of Cutover on free ports and drives them from outside: workerd, the Lambda
//! runtime and DynamoDB's API. Dropping a handle stops everything that it started.

/// Returns true in a run of `cargo xtask test --deep`, which gives long distributions the time they need.
pub fn is_deep() -> bool {
    std::env::var_os("CUTOVER_DEEP").is_some()
}

pub mod batches;
pub mod bench;
pub mod calls;
pub mod canary;
pub mod client;
pub mod command;
pub mod cost;
pub mod crowd;
pub mod dev;
pub mod dynamodb;
pub mod edge;
pub mod fault_proxy;
pub mod functions;
pub mod gzip;
pub mod http;
pub mod iam;
pub mod identity_provider;
pub mod inspector;
pub mod invocations;
pub mod isolates;
pub mod kv_server;
pub mod lambda;
pub mod moto;
pub mod openapi;
pub mod paths;
pub mod process;
pub mod proxied;
pub mod question;
pub mod raw_origin;
pub mod recorder;
pub mod rewriting;
pub mod schemathesis;
pub mod server;
pub mod stack;
pub mod status_proxy;
pub mod steady;
pub mod stream_proxy;
pub mod terminal;
pub mod terraform;
pub mod webhook;
pub mod workerd;
pub mod wrangler;
