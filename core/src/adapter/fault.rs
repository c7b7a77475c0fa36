//! The error responses that an adapter declares: status, code and message.

use crate::{adapter::template::Template, json::Value};
use serde::{Deserialize, Serialize};

/// An error response: the status, and the fields that the error envelope is built from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// HTTP status of the response.
    pub status: FaultStatus,
    /// Machine-readable code; if empty, the backend's code is used.
    pub code: String,
    /// Human-readable message. Its places are the `code`, `message` and `field` of the error.
    pub message: Template,
}

/// The status of a [`Fault`], stored as a number or as the word `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultStatus {
    /// The status that [`Errors::read`](super::Errors::read) gave.
    Read,
    /// This status.
    #[serde(untagged)]
    Fixed(u16),
}

impl FaultStatus {
    /// Status of an error if the adapter names none: that of a server that failed.
    pub const DEFAULT: u16 = 500;

    /// Returns the status of the response to an error from which this status was read, if any was.
    pub fn resolved(self, read: Option<u16>) -> u16 {
        match self {
            Self::Read => read.unwrap_or(Self::DEFAULT),
            Self::Fixed(status) => status,
        }
    }
}

/// The responses to a null where the client expects a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WhenNull {
    /// The responses for parts of the value at the route's root; the first part that is null or absent
    /// decides.
    Parts(Vec<NullPart>),
    /// The response if the value at the route's root is null or absent.
    Root(Fault),
}

/// A part of the value at a route's root that may not be null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NullPart {
    /// The path of the part; empty for all of the value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// The response if it is null or absent.
    pub fault: Fault,
}

impl WhenNull {
    /// Returns the fault of the first part that is null or absent in the value at the route's root.
    pub fn fault(&self, root: Option<Value<'_>>) -> Option<&Fault> {
        let is_null = |path: &[String]| root.and_then(|root| root.at_path(path)).is_none_or(Value::is_null);
        match self {
            Self::Parts(parts) => parts.iter().find(|part| is_null(&part.at)).map(|part| &part.fault),
            Self::Root(fault) => is_null(&[]).then_some(fault),
        }
    }

    /// Iterates over all faults.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        let (root, parts) = match self {
            Self::Parts(parts) => (None, &parts[..]),
            Self::Root(fault) => (Some(fault), &[][..]),
        };
        root.into_iter().chain(parts.iter().map(|part| &part.fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    const STORED: &str = r#"{"status":404,"code":"not_found","message":[{"text":"no such review"}]}"#;

    #[test]
    fn a_fault_is_read_as_it_was_stored_before_statuses_could_be_read() {
        let fault: Fault = serde_json::from_str(STORED).unwrap();
        assert_eq!(fault.status, FaultStatus::Fixed(404));
        assert_eq!(serde_json::to_string(&fault).unwrap(), STORED);
        let read = STORED.replace("404", "\"read\"");
        let fault: Fault = serde_json::from_str(&read).unwrap();
        assert_eq!((fault.status.resolved(Some(409)), fault.status.resolved(None)), (409, 500));
        assert_eq!(serde_json::to_string(&fault).unwrap(), read);
        for wrong in ["\"reed\"", "null", "70000", "-1"] {
            assert!(serde_json::from_str::<Fault>(&STORED.replace("404", wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_null_at_the_root_is_read_as_it_was_stored_before_parts_could_be_named() {
        let when_null: WhenNull = serde_json::from_str(STORED).unwrap();
        assert!(matches!(&when_null, WhenNull::Root(fault) if fault.code == "not_found"));
        assert_eq!(serde_json::to_string(&when_null).unwrap(), STORED);
        let parts = format!(r#"[{{"at":["info","count"],"fault":{STORED}}},{{"fault":{STORED}}}]"#);
        let when_null: WhenNull = serde_json::from_str(&parts).unwrap();
        assert_eq!(serde_json::to_string(&when_null).unwrap(), parts);
    }

    #[test]
    fn the_first_part_that_is_null_or_absent_decides() {
        let part = |path: &[&str], code: &str| {
            let fault = Fault {
                status: FaultStatus::Fixed(404),
                code: code.to_owned(),
                message: Template::default(),
            };
            NullPart { at: path.iter().map(|name| (*name).to_owned()).collect(), fault }
        };
        let when_null = WhenNull::Parts(vec![part(&["a", "b"], "ab"), part(&["c"], "c"), part(&[], "root")]);
        let cases = [
            (r#"{"a":{"b":1},"c":2}"#, None),
            (r#"{"a":{"b":null}}"#, Some("ab")),
            (r#"{"a":{},"c":2}"#, Some("ab")),
            (r#"{"a":{"b":false},"c":null}"#, Some("c")),
            (r#"{"a":{"b":""}}"#, Some("c")),
            ("null", Some("ab")),
        ];
        for (text, expected) in cases {
            let tape = Tape::read(text).unwrap();
            let found = when_null.fault(Some(tape.root())).map(|fault| fault.code.as_str());
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(when_null.fault(None).map(|fault| fault.code.as_str()), Some("ab"));
        assert_eq!(when_null.faults().count(), 3);
        let root = WhenNull::Root(part(&[], "root").fault);
        assert!(root.fault(None).is_some() && root.fault(Some(Value::NULL)).is_some());
        assert!(root.fault(Some(Value::EMPTY)).is_none());
    }
}
