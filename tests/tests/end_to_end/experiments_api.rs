//! Experiments over the management API: their life, the flags that they own, and their end at the edge.

mod confirming;
mod ending;
mod established;
mod managing;
mod owning;

use serde_json::{Value, json};

/// An experiment whose variants decide a flag.
fn experiment(flag: &str) -> Value {
    let variant =
        |key: &str, arm: &str| json!({ "key": key, "name": key, "traffic_percentage": 50, "arm": arm });
    json!({ "name": "Checkout", "flag": flag, "variants": [variant("control", "legacy"), variant("treatment", "new")] })
}
