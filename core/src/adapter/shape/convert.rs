//! Conversions of scalars.

use crate::{
    adapter::shape::{
        budget::ShapeError,
        step::{Conversion, DateForm},
    },
    json::{Decimal, Value, is_number, value::Json},
    vocabulary::timestamp::Timestamp,
};

impl Conversion {
    pub(super) fn apply(self, value: &Json<'_>) -> Result<Json<'static>, ShapeError> {
        match (self, value) {
            (Self::Number, Json::Text(text)) if is_number(text) => {
                Ok(Json::Number(text.clone().into_owned().into()))
            }
            (Self::Text, Json::Number(digits)) => Ok(Json::text(digits.clone().into_owned())),
            // What has the form already keeps it.
            (Self::Number, Json::Number(digits)) => Ok(Json::Number(digits.clone().into_owned().into())),
            (Self::Text, Json::Text(text)) => Ok(Json::text(text.clone().into_owned())),
            (Self::Date(from, to), value) => {
                from.read(value).map(|time| to.made(time)).ok_or(ShapeError::Unfit)
            }
            _ => Err(ShapeError::Unfit),
        }
    }
}

impl Conversion {
    /// Writes the converted value if that takes no more than copying its source. Returns true if it
    /// did.
    pub(super) fn copies(self, value: Value<'_>, out: &mut String) -> bool {
        match (self, value.plain_text()) {
            (Self::Number, Some(text)) if is_number(text) => out.push_str(text),
            (Self::Number, None) if is_number(value.raw()) => out.push_str(value.raw()),
            (Self::Text, Some(_)) => out.push_str(value.raw()),
            (Self::Text, None) if is_number(value.raw()) => {
                out.push('"');
                out.push_str(value.raw());
                out.push('"');
            }
            _ => return false,
        }
        true
    }
}

impl DateForm {
    /// Appends a timestamp as JSON.
    pub(super) fn write(self, time: Timestamp, out: &mut String) {
        match self {
            Self::Rfc3339 => {
                out.push('"');
                time.write(out);
                out.push('"');
            }
            other => other.made(time).write(out),
        }
    }

    fn read(self, value: &Json<'_>) -> Option<Timestamp> {
        let number = || match value {
            Json::Number(digits) => Decimal::parse(digits)?.as_i64(),
            _ => None,
        };
        let ms = match self {
            Self::Rfc3339 => return value.as_text()?.parse().ok(),
            Self::Epoch => number()?.checked_mul(1000)?,
            Self::EpochMs => number()?,
        };
        Some(Timestamp::from_millis(ms)).filter(|held| held.millis() == ms)
    }

    pub(super) fn made(self, time: Timestamp) -> Json<'static> {
        match self {
            Self::Rfc3339 => Json::text(time.to_string()),
            Self::Epoch => Json::integer(time.millis().div_euclid(1000)),
            Self::EpochMs => Json::integer(time.millis()),
        }
    }
}
