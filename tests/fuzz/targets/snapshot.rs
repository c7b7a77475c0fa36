//! The snapshot document: whatever KV holds, an isolate refuses it or decides with it.

#![no_main]

use cutover_core::{Facts, Ruleset, Snapshot, Timestamp, decide};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Once as it came, and once as if its hash fitted, so that what is behind it is reached too.
    let parsed = serde_json::from_str::<Snapshot>(text).ok();
    for snapshot in [Snapshot::decode(text).ok(), parsed].into_iter().flatten() {
        let Ok(rules) = Ruleset::compile(&snapshot) else { continue };
        for path in ["/", "/api/v1/reviews/7", "/a/b/c?x=1"] {
            let headers = [("x-user-id", "u1"), ("cookie", "a=b; cutover_uid=x")];
            let facts = Facts { method: "GET", path, headers: &headers, ..Facts::default() };
            let _ = decide(&rules, &facts, Timestamp::from_millis(1_700_000_000_000));
        }
    }
});
