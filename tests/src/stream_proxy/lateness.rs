//! The time that a batch takes from its write until it can be read from the log.

use cutover_core::statistics::split_mix::mix;
use serde_json::Value;
use std::{ops::RangeInclusive, str::FromStr};

/// Ages at which batches become readable.
pub struct Lateness {
    /// Ages in milliseconds; `None` if batches are readable at once.
    ages: Option<RangeInclusive<u64>>,
}

impl Lateness {
    /// Creates the lateness of a log whose batches are readable at once.
    pub fn none() -> Self {
        Self { ages: None }
    }

    /// Creates a lateness with ages in a range, in milliseconds. That of a batch is drawn by its number in the stream.
    pub fn drawn(ages: RangeInclusive<u64>) -> Self {
        Self { ages: Some(ages) }
    }

    /// Returns the time from which on a record can be read, in milliseconds since 1970.
    pub fn readable_at(&self, record: &Value) -> i64 {
        let Some(ages) = &self.ages else { return 0 };
        let change = &record["dynamodb"];
        let stored: i64 = parsed(&change["NewImage"]["at"]["N"]);
        let number: u128 = parsed(&change["SequenceNumber"]);
        let age = ages.start() + mix(number as u64) % (ages.end() - ages.start() + 1);
        stored + age as i64
    }
}

/// Parses a number that a record has as a string.
fn parsed<N: FromStr>(number: &Value) -> N {
    let parsed = number.as_str().and_then(|number| number.parse().ok());
    parsed.unwrap_or_else(|| panic!("the record of a batch has numbers: {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ages_are_drawn_from_their_range_and_the_same_each_time() {
        const STORED: i64 = 1_767_225_600_000;
        let readable = |lateness: &Lateness| -> Vec<i64> {
            let records = (0..200_u64).map(|number| {
                let number = format!("1000000000000000{number:05}");
                let image = json!({ "at": { "N": STORED.to_string() } });
                json!({ "dynamodb": { "SequenceNumber": number, "NewImage": image } })
            });
            records.map(|record| lateness.readable_at(&record)).collect()
        };
        assert_eq!(readable(&Lateness::none()), [0; 200]);
        let lateness = Lateness::drawn(200..=1_000);
        let ages: Vec<i64> = readable(&lateness).into_iter().map(|at| at - STORED).collect();
        assert!(ages.iter().all(|age| (200..=1_000).contains(age)), "{ages:?}");
        assert!(ages.iter().any(|age| *age < 300) && ages.iter().any(|age| *age > 900), "{ages:?}");
        assert_eq!(readable(&lateness), readable(&lateness));
    }
}
