//! The domain of Cutover: makes every decision and executes none.
//!
//! This crate is pure. It performs no I/O, reads no clock, draws no randomness and awaits nothing:
//! time, identifiers and request facts come in as arguments. The same functions run in the Worker,
//! the management functions, the command line and the tests, so all of them decide alike.

pub mod adapter;
pub mod caching;
#[cfg(feature = "config")]
pub mod canary;
pub mod compare;
#[cfg(feature = "config")]
pub mod config;
pub mod decision;
pub mod experiment;
pub mod graphql;
pub mod json;
pub mod limit;
pub mod measurement;
pub mod ofrep;
pub mod request;
pub mod routing;
pub mod rules;
#[cfg(feature = "signature")]
pub mod signature;
pub mod snapshot;
pub mod statistics;
pub mod values;
pub mod vocabulary;

pub use crate::{
    decision::{
        decide::{Decision, decide, decide_flag},
        ruleset::Ruleset,
    },
    request::facts::Facts,
    rules::{
        bucket::{Bucket, Purpose},
        emergency::Emergency,
        flag::Flag,
        origin::Origin,
        route::Route,
    },
    snapshot::Snapshot,
    vocabulary::{
        arm::Arm,
        names::{AdapterName, DeploymentId, ExperimentName, FlagName, OriginName, RouteId, RunId},
        reason::Reason,
        revision::{Epoch, Revision, Stamp},
        share::PartsPerMillion,
        timestamp::Timestamp,
    },
};
