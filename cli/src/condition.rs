//! Conditions of flags in words.

use crate::output;
use serde_json::Value;

/// Describes a condition in a few words: its attribute, operator and values, or the times of its window.
pub fn words(condition: &Value) -> String {
    let part = |name: &str| condition.get(name).map(output::cell).unwrap_or_default();
    if output::text(condition, "type") != "time_window" {
        return format!("{} {} {}", part("name"), part("op"), part("values"));
    }
    match (part("start").as_str(), part("end").as_str()) {
        (start, "") => format!("time window from {start}"),
        ("", end) => format!("time window until {end}"),
        (start, end) => format!("time window from {start} until {end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_condition_is_described_in_words() {
        let (start, end) = ("2024-01-01T00:00:00Z", "2024-12-31T00:00:00Z");
        for (condition, expected) in [
            (
                json!({ "type": "attribute", "name": "country", "op": "in", "values": ["FR", "IT"] }),
                "country in FR, IT",
            ),
            (json!({ "type": "time_window", "end": end }), "time window until 2024-12-31T00:00:00.000Z"),
            (json!({ "type": "time_window", "start": start }), "time window from 2024-01-01T00:00:00.000Z"),
            (
                json!({ "type": "time_window", "start": start, "end": end }),
                "time window from 2024-01-01T00:00:00.000Z until 2024-12-31T00:00:00.000Z",
            ),
        ] {
            assert_eq!(words(&condition), expected);
        }
    }
}
