//! The schedule of the local stack: in the cloud a service invokes the functions, here `cargo xtask dev` does.

use crate::lambda::Lambda;
use cutover_core::Timestamp;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Interval of the schedule: one minute in the cloud, shorter here for a user who is watching.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Invokes the scheduled functions once. Failures are printed, because the next invocation makes up for them.
pub async fn tick(lambda: &Lambda) {
    for function in ["evaluate", "promote"] {
        if let Err(error) = lambda.tick(function).await {
            eprintln!("{}", failure(function, &error, now()));
        }
    }
}

/// Returns the line about a failed invocation. `error` is the response of the function, or a sentence.
pub fn failure(function: &str, error: &str, now: Timestamp) -> String {
    let response: Value = serde_json::from_str(error).unwrap_or_default();
    let message = response["errorMessage"].as_str().unwrap_or(error);
    let pause = INTERVAL.as_secs();
    format!("{now} the scheduled {function} failed: {message}; it will be tried again in {pause} s")
}

fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Whole seconds are enough for a reader.
    Timestamp::from_millis(i64::try_from(elapsed.as_secs()).unwrap_or_default() * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_the_words_of_the_function() {
        let error = r#"{"errorType":"&alloc::boxed::Box<dyn core::error::Error>","errorMessage":"Workers KV answered 502"}"#;
        let line = failure("promote", error, Timestamp::from_millis(1_000));
        let expected = "1970-01-01T00:00:01Z the scheduled promote failed: Workers KV answered 502; it will be tried again \
                        in 5 s";
        assert_eq!(line, expected);
        let line = failure("evaluate", "no connection", Timestamp::from_millis(0));
        assert!(line.contains("the scheduled evaluate failed: no connection; it will"), "{line}");
    }
}
