//! The management API below `/api/migration`. Each file holds one endpoint, or the endpoints of one
//! resource.

mod audit_changes;
mod canary;
mod canary_guard;
mod canary_records;
mod canary_runs;
mod canary_start;
mod canary_steer;
mod changes;
mod comparisons;
mod create_token;
mod delete_flag;
mod emergency;
mod explain_flag;
mod extract;
mod flags;
mod get_audit;
mod get_config;
mod get_metrics;
mod get_status;
mod measured;
mod openapi;
mod pages;
pub mod prometheus;
mod promotion_target;
mod publication;
mod put_config;
mod put_flag;
pub mod respond;
mod restore;
mod rotate_token;
pub mod router;
mod set_rollout;
mod switch_flag;
mod tokens;
mod verify_audit;
mod whoami;
