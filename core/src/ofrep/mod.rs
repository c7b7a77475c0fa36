//! The OpenFeature Remote Evaluation Protocol (OFREP) 0.3.0, without its transport: request bodies in, answers out.
//!
//! An evaluation is no exposure: nothing is counted here.

mod answer;
mod context;
mod endpoint;
mod evaluate;

pub use self::{
    answer::{Answer, EntityTag, ErrorCode},
    context::{Context, InvalidContext, MAX_ATTRIBUTES, MAX_NAME, MAX_VALUE},
    endpoint::Endpoint,
    evaluate::{BulkRequest, evaluate_flag, evaluate_flags},
};
