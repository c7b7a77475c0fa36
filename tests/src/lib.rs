//! Starts the real parts of Cutover on free ports and drives them from outside: workerd, the Lambda runtime,
//! DynamoDB's API. Everything that is started is stopped when its handle is dropped.

pub mod bench;
pub mod canary;
pub mod client;
pub mod command;
pub mod crowd;
pub mod dynamodb;
pub mod edge;
pub mod fault_proxy;
pub mod http;
pub mod identity_provider;
pub mod kv_server;
pub mod lambda;
pub mod moto;
pub mod paths;
pub mod process;
pub mod proxied;
pub mod raw_origin;
pub mod recorder;
pub mod rewriting;
pub mod stack;
pub mod steady;
pub mod terraform;
pub mod webhook;
pub mod workerd;
pub mod wrangler;
