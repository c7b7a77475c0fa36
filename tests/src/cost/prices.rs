//! List prices in US dollars, without free tiers (where not said otherwise), discounts and taxes. The only place for them.

/// Date at which the prices were noted.
pub const AS_OF: &str = "2026-11-22";

/// Region of the prices of AWS.
pub const REGION: &str = "us-east-1";

/// Price of a DynamoDB write unit, on demand.
pub const WRITE_UNIT: f64 = 0.625e-6;

/// Price of a DynamoDB read unit, on demand.
pub const READ_UNIT: f64 = 0.125e-6;

/// Price of a call of `GetRecords` on a stream of DynamoDB. Only triggers of Lambda read for nothing, and evaluation is none.
pub const STREAM_READ: f64 = 0.02 / 100_000.0;

/// Calls of `GetRecords` in a month that cost nothing.
pub const FREE_STREAM_READS: f64 = 2_500_000.0;

/// Price of a GB in a table of DynamoDB for a month.
pub const TABLE_GB: f64 = 0.25;

/// Price of a request to Lambda.
pub const LAMBDA_REQUEST: f64 = 0.20e-6;

/// Price of a GB-second of Lambda on arm64.
pub const LAMBDA_GB_SECOND: f64 = 13.3334e-6;

/// Price of a GB that CloudWatch Logs ingests.
pub const LOG_GB: f64 = 0.50;

/// Price of a GB in CloudWatch Logs for a month.
pub const STORED_LOG_GB: f64 = 0.03;

/// Price of a GB sent to the internet, in the first tier.
pub const EGRESS_GB: f64 = 0.09;

/// Price of a metric that an alarm of CloudWatch watches, for a month.
pub const ALARM: f64 = 0.10;

/// Price of a metric of our own in CloudWatch for a month.
pub const METRIC: f64 = 0.30;

/// Price of a secret in Secrets Manager for a month.
pub const SECRET: f64 = 0.40;

/// Price of the paid plan of Cloudflare Workers for a month.
pub const WORKERS_PLAN: f64 = 5.0;

/// Price of a request to a Worker beyond those in the plan.
pub const WORKER_REQUEST: f64 = 0.30e-6;

/// Requests to Workers in the plan.
pub const INCLUDED_REQUESTS: f64 = 10_000_000.0;

/// Price of a millisecond of a Worker's processor time beyond those in the plan.
pub const WORKER_MS: f64 = 0.02e-6;

/// Milliseconds of processor time in the plan.
pub const INCLUDED_MS: f64 = 30_000_000.0;

/// Price of a read of Workers KV beyond those in the plan.
pub const KV_READ: f64 = 0.50e-6;

/// Reads of Workers KV in the plan.
pub const INCLUDED_READS: f64 = 10_000_000.0;
