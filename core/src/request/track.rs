//! Events that clients and servers send to the Worker, in the shape of OpenFeature's Tracking API.
//!
//! ```
//! use cutover_core::request::track::TrackedEvent;
//!
//! let body = br#"{"name": "purchase", "value": 12.5, "attributes": {"plan": "year"}}"#;
//! let event = TrackedEvent::read(body).unwrap();
//! assert_eq!((event.name.as_str(), event.value), ("purchase", Some(12_500)));
//! ```

use crate::{
    request::event::{MAX_VALUE, is_event_name},
    vocabulary::timestamp::Timestamp,
};
use serde_json::{Map, Value};

/// Largest body that the Worker reads, in bytes.
pub const MAX_BODY: usize = 1_024;

/// Greatest age of an event that a server reports, in milliseconds: a day.
pub const MAX_AGE_MS: i64 = 24 * 60 * 60 * 1_000;

/// Time by which the clock of a server may be ahead, in milliseconds.
pub const MAX_AHEAD_MS: i64 = 60 * 1_000;

/// Error for a body that is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// It is no object.
    #[error("Send a JSON object, such as {{\"name\": \"purchase\", \"value\": 12.5}}.")]
    NoObject,
    /// It has no valid name.
    #[error("Name the event in `name`: a string of 1 to 128 bytes without control characters.")]
    Name,
    /// Its value cannot be counted.
    #[error("Send `value` as a number from 0 to 999999999999.999, or leave it out.")]
    Value,
    /// A server names no user.
    #[error("Name the user in `user` or `targetingKey`: a string that is not empty.")]
    User,
    /// A server names no time, or one that is too far away.
    #[error("Send `at`, the time of the event in RFC 3339: at most a day ago, and at most a minute ahead.")]
    Time,
    /// A server names no id.
    #[error("Send `id`, a string of 1 to 128 bytes that is the same each time that the event is sent.")]
    Id,
}

/// An event. Its user is known by the request that brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedEvent {
    /// Name of the event.
    pub name: String,
    /// Value, in thousandths.
    pub value: Option<u64>,
}

/// An event that a server reports for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerEvent {
    /// The event.
    pub event: TrackedEvent,
    /// Id of the user, as the edge knows it.
    pub user: String,
    /// Time of the event.
    pub at: Timestamp,
    /// Id by which the event is recognised when it is sent again.
    pub id: String,
}

impl TrackedEvent {
    /// Reads an object with `name`, or `event` in its place, and `value`. All other fields are ignored.
    ///
    /// # Errors
    ///
    /// Returns the first fault that is found.
    pub fn read(body: &[u8]) -> Result<Self, InvalidEvent> {
        Self::of(&fields(body)?)
    }

    fn of(fields: &Map<String, Value>) -> Result<Self, InvalidEvent> {
        let name = fields.get("name").or_else(|| fields.get("event")).and_then(Value::as_str);
        let name = name.filter(|name| is_event_name(name)).ok_or(InvalidEvent::Name)?;
        let value = match fields.get("value") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_f64().and_then(thousandths).ok_or(InvalidEvent::Value)?),
        };
        Ok(Self { name: name.to_owned(), value })
    }
}

impl ServerEvent {
    /// Reads an event with `user`, or `targetingKey` in its place, `at` and `id`.
    ///
    /// # Errors
    ///
    /// Returns the first fault that is found.
    pub fn read(body: &[u8], now: Timestamp) -> Result<Self, InvalidEvent> {
        let fields = fields(body)?;
        let event = TrackedEvent::of(&fields)?;
        let string = |name: &str| fields.get(name).and_then(Value::as_str);
        let user = string("user").or_else(|| string("targetingKey")).filter(|user| !user.is_empty());
        let at = string("at").and_then(|at| at.parse::<Timestamp>().ok());
        let id = string("id").filter(|id| is_event_name(id));
        Ok(Self {
            event,
            user: user.ok_or(InvalidEvent::User)?.to_owned(),
            at: at.filter(|at| is_recent(*at, now)).ok_or(InvalidEvent::Time)?,
            id: id.ok_or(InvalidEvent::Id)?.to_owned(),
        })
    }
}

fn fields(body: &[u8]) -> Result<Map<String, Value>, InvalidEvent> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(InvalidEvent::NoObject),
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    let age = now.millis().saturating_sub(at.millis());
    (-MAX_AHEAD_MS..=MAX_AGE_MS).contains(&age)
}

/// Returns the nearest number of thousandths; `None` beyond [`MAX_VALUE`] and below zero.
fn thousandths(value: f64) -> Option<u64> {
    let thousandths = (value * 1_000.0).round();
    // Up to 2^53 every whole number is exact.
    (value >= 0.0 && thousandths <= MAX_VALUE as f64).then_some(thousandths as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(body: &str, expected: Result<(&str, Option<u64>), InvalidEvent>) {
        let read = TrackedEvent::read(body.as_bytes());
        let read = read.as_ref().map(|event| (event.name.as_str(), event.value)).map_err(|error| *error);
        assert_eq!(read, expected, "{body}");
    }

    #[test]
    fn reads_both_shapes_of_an_event() {
        check(r#"{"name":"purchase","value":12.5}"#, Ok(("purchase", Some(12_500))));
        check(r#"{"event":"purchase","value":12.5}"#, Ok(("purchase", Some(12_500))));
        check(r#"{"name":"a","event":"b"}"#, Ok(("a", None)));
        check(r#"{"name":"a","value":null,"targetingKey":7,"user":[],"at":1}"#, Ok(("a", None)));
        for (value, expected) in [
            ("0", 0),
            ("-0.0", 0),
            ("1e3", 1_000_000),
            ("0.30000000000000004", 300),
            ("99.99", 99_990),
            ("999999999999.999", MAX_VALUE),
        ] {
            check(&format!(r#"{{"name":"a","value":{value}}}"#), Ok(("a", Some(expected))));
        }
    }

    #[test]
    fn names_the_fault_of_a_body() {
        for body in ["", "purchase", "[]", "null", "\"a\"", "{", r#"{"name":"a"} x"#, "\u{0}"] {
            check(body, Err(InvalidEvent::NoObject));
        }
        for body in ["{}", r#"{"name":""}"#, r#"{"name":7}"#, r#"{"name":" a"}"#, r#"{"name":"a\u0000"}"#] {
            check(body, Err(InvalidEvent::Name));
        }
        for value in ["-1", "-0.001", "1000000000000", "1e300", "\"1\"", "true", "[1]"] {
            check(&format!(r#"{{"name":"a","value":{value}}}"#), Err(InvalidEvent::Value));
        }
    }

    const NOW: &str = "2026-03-01T12:00:00Z";

    fn server(field: &str, value: Value) -> Result<ServerEvent, InvalidEvent> {
        let mut body = json!({ "name": "purchase", "user": "u1", "at": NOW, "id": "order-1" });
        body[field] = value;
        ServerEvent::read(body.to_string().as_bytes(), NOW.parse().unwrap())
    }

    #[test]
    fn a_server_names_user_time_and_id() {
        let read = server("value", json!(2)).unwrap();
        assert_eq!((read.user.as_str(), read.id.as_str(), read.event.value), ("u1", "order-1", Some(2_000)));
        assert_eq!(read.at, NOW.parse().unwrap());
        let body = json!({ "name": "a", "targetingKey": "u2", "at": NOW, "id": "1" }).to_string();
        assert_eq!(ServerEvent::read(body.as_bytes(), NOW.parse().unwrap()).unwrap().user, "u2");
        for wrong in [json!(null), json!(""), json!(7)] {
            assert_eq!(server("user", wrong.clone()), Err(InvalidEvent::User), "{wrong}");
            assert_eq!(server("id", wrong.clone()), Err(InvalidEvent::Id), "{wrong}");
            assert_eq!(server("at", wrong.clone()), Err(InvalidEvent::Time), "{wrong}");
        }
        assert_eq!(server("id", json!("x".repeat(129))), Err(InvalidEvent::Id));
    }

    #[test]
    fn an_event_is_at_most_a_day_old_and_a_minute_ahead() {
        for (at, is_taken) in [
            ("2026-02-28T12:00:00Z", true),
            ("2026-02-28T11:59:59.999Z", false),
            ("2026-03-01T12:01:00Z", true),
            ("2026-03-01T12:01:00.001Z", false),
            ("2026-03-01T13:00:00+01:00", true),
            ("yesterday", false),
        ] {
            assert_eq!(server("at", json!(at)).is_ok(), is_taken, "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = TrackedEvent::read(&body);
            let _ = ServerEvent::read(&body, Timestamp::from_millis(0));
        }

        #[test]
        fn every_value_is_read_to_its_thousandth(value in 0..=MAX_VALUE) {
            let body = format!(r#"{{"name":"a","value":{}.{:03}}}"#, value / 1_000, value % 1_000);
            prop_assert_eq!(TrackedEvent::read(body.as_bytes()).unwrap().value, Some(value));
        }
    }
}
