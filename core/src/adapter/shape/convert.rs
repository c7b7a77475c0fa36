//! Values in other forms.

use super::{Conversion, DateForm, Refused};
use crate::{
    json::{Decimal, Json},
    timestamp::Timestamp,
};

impl Conversion {
    pub(super) fn apply(self, value: &Json<'_>) -> Result<Json<'static>, Refused> {
        match (self, value) {
            (Self::Number, Json::Text(text)) => match Json::parse(text) {
                Ok(Json::Number(digits)) if digits.len() == text.len() => {
                    Ok(Json::Number(digits.into_owned().into()))
                }
                _ => Err(Refused::Unfit),
            },
            (Self::Text, Json::Number(digits)) => Ok(Json::text(digits.clone().into_owned())),
            (Self::Date(from, to), value) => from.read(value).map(|at| to.write(at)).ok_or(Refused::Unfit),
            _ => Err(Refused::Unfit),
        }
    }
}

impl DateForm {
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

    pub(super) fn write(self, at: Timestamp) -> Json<'static> {
        match self {
            Self::Rfc3339 => Json::text(at.to_string()),
            Self::Epoch => Json::integer(at.millis().div_euclid(1000)),
            Self::EpochMs => Json::integer(at.millis()),
        }
    }
}
