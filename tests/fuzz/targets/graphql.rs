//! A guarded request: whatever its document, its URL and its body are, it is allowed or refused within linear work,
//! and the refusal is JSON. The first line is the URL's query, and the rest the document or the body.

#![no_main]

use cutover_core::{
    graphql::{Guard, GuardedRequest, Limit, Limits, inspect, scan},
    json::Json,
};
use libfuzzer_sys::fuzz_target;

/// Limits that hardly stop the scan.
fn wide() -> Limits {
    let mut limits = Limits::default();
    for limit in Limit::ALL {
        *(limit.of)(&mut limits) = u32::MAX;
    }
    limits
}

fuzz_target!(|text: &str| {
    for limits in [Limits::default(), wide()] {
        match scan(text, &limits, true) {
            Ok(scanned) => {
                assert!(
                    !scanned.operations.is_empty()
                        && scanned.operations.iter().all(|counts| counts.fields > 0)
                );
                // What strict limits allow, wide ones do too.
                assert!(scan(text, &wide(), true).is_ok());
            }
            Err(refusal) => assert!(Json::parse(&refusal.body()).is_ok()),
        }
    }
    let (query, body) = text.split_once('\n').unwrap_or((text, ""));
    let guard = Guard { batches: Some(3), ..Guard::default() };
    for (method, body) in [("GET", ""), ("POST", body)] {
        let request = GuardedRequest {
            method,
            query,
            content_type: Some("application/json"),
            content_encoding: None,
            body: Some(body.as_bytes()),
        };
        if let Ok(inspected) = inspect(&request, &guard, |_| [0; 32]) {
            assert!((1..=3).contains(&inspected.operations));
        }
    }
});
