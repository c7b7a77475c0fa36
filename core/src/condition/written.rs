//! A condition in a document.

use super::{Attribute, Condition, Operator};
use crate::json::{FromJson, Json, read_fields, read_names};
use crate::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// The type beside its fields. One struct for both types, because telling types apart while
/// they are read costs the Worker 5 KB of its upload.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    r#type: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<Operator>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    TimeWindow,
    Attribute,
}

impl TryFrom<Written> for Condition {
    type Error = &'static str;
    fn try_from(written: Written) -> Result<Self, &'static str> {
        let Written { r#type, start, end, name, op, values } = written;
        match (r#type, name, op, values) {
            (Kind::TimeWindow, None, None, None) => Ok(Self::TimeWindow { start, end }),
            (Kind::Attribute, Some(name), Some(op), Some(values)) if start.is_none() && end.is_none() => {
                Ok(Self::Attribute { name, op, values })
            }
            (Kind::TimeWindow, ..) => Err("a time_window has start and end"),
            (Kind::Attribute, ..) => Err("an attribute has name, op and values"),
        }
    }
}

impl From<Condition> for Written {
    fn from(condition: Condition) -> Self {
        let nothing =
            Self { r#type: Kind::TimeWindow, start: None, end: None, name: None, op: None, values: None };
        match condition {
            Condition::TimeWindow { start, end } => Self { start, end, ..nothing },
            Condition::Attribute { name, op, values } => Self {
                r#type: Kind::Attribute,
                name: Some(name),
                op: Some(op),
                values: Some(values),
                ..nothing
            },
        }
    }
}

read_fields!(Written { r#type = "type", start, end, name, op, values });
read_names!(Kind { "time_window" => TimeWindow, "attribute" => Attribute });

impl FromJson for Condition {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        Self::try_from(Written::from_json(json)?).ok()
    }
}
