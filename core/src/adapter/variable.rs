//! Variables: what of a request goes to the backend, in the types that the backend's operation declares. A value that
//! does not fit is refused before anybody is asked.

use super::{
    literal::Literal,
    program::Fault,
    request::{Request, Source},
};
use crate::json::{Decimal, Json};
use crate::json::{FromJson, read_fields, variant};
use serde::{Deserialize, Serialize};

/// A type of a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole number of 32 bits.
    Int,
    /// A number.
    Float,
    /// A text.
    Text,
    /// A text or a whole number, sent as a text.
    Id,
    /// True or false.
    Boolean,
    /// One of these names.
    Enum(Vec<String>),
    /// Whatever it is: a scalar that only the backend knows.
    Any,
    /// A list.
    List(Box<Kind>),
    /// An object of these fields.
    Object(Vec<Variable>),
}

/// One variable, or one field of an object that is a variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// The request must have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Where it is in the request; nowhere for constants and objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Source>,
    /// What it is where the request does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Literal>,
    /// What separates the items of a list in one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<char>,
    /// Values of the request and what they stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<(String, Literal)>,
    /// The least number, or length of a text or list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest number, or length of a text or list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// A text that has to be a whole number, as ids often are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub integer: bool,
    /// A number outside of the bounds is moved to the nearest one instead of being refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clamp: bool,
    /// What the client is told where the value does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<Fault>,
}

/// A value that does not fit: which, and what to say if that was declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid<'p> {
    /// The name by which the client knows it.
    pub field: String,
    /// What was declared for it.
    pub fault: Option<&'p Fault>,
    /// It is a claim: the caller is not who the operation needs.
    pub unauthenticated: bool,
}

impl Variable {
    /// A variable of this name and type that is read nowhere yet.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            required: false,
            from: None,
            default: None,
            split: None,
            map: Vec::new(),
            min: None,
            max: None,
            integer: false,
            clamp: false,
            invalid: None,
        }
    }

    /// The value for a request; `None` where it has none and needs none.
    pub fn value(&self, request: &Request) -> Result<Option<Json<'static>>, Invalid<'_>> {
        if let Kind::Object(fields) = &self.kind
            && self.from.is_none()
        {
            let mut made = Vec::new();
            for field in fields {
                if let Some(value) = field.value(request)? {
                    made.push((field.name.clone().into(), value));
                }
            }
            // An object that nobody needs is there only if something is in it.
            return Ok(
                Some(Json::Object(made)).filter(|made| self.required || *made != Json::Object(Vec::new()))
            );
        }
        let found = self.found(request).filter(|value| !value.is_null());
        let value = match found {
            Some(value) => self.fitted(value).ok_or_else(|| self.invalid())?,
            None => match &self.default {
                Some(literal) => literal.0.clone(),
                None if self.required => return Err(self.invalid()),
                None => return Ok(None),
            },
        };
        Ok(Some(value))
    }

    fn found(&self, request: &Request) -> Option<Json<'static>> {
        let source = self.from.as_ref()?;
        match (&self.kind, source, self.split) {
            (Kind::List(_), Source::Query(name), None) => {
                let all = request.every(name);
                if all.is_empty() { None } else { Some(Json::List(all)) }
            }
            (Kind::List(_), _, Some(separator)) => match request.read(source)? {
                Json::Text(text) => {
                    let parts = text.split(separator).filter(|part| !part.is_empty());
                    Some(Json::List(parts.map(|part| Json::text(part.to_owned())).collect()))
                }
                other => Some(other),
            },
            _ => request.read(source),
        }
    }

    fn invalid(&self) -> Invalid<'_> {
        Invalid {
            field: self.from.as_ref().map_or_else(|| self.name.clone(), Source::name),
            fault: self.invalid.as_ref(),
            unauthenticated: matches!(self.from, Some(Source::Jwt(_))),
        }
    }

    fn fitted(&self, value: Json<'static>) -> Option<Json<'static>> {
        let value = match &self.map[..] {
            [] => value,
            map => {
                let text = super::request::plain(&value);
                map.iter().find(|(from, _)| *from == text).map(|(_, to)| to.0.clone())?
            }
        };
        // Whatever is not part of a body is a text, and has to be read.
        let is_text = !matches!(self.from, Some(Source::Body(_) | Source::Jwt(_))) && self.map.is_empty();
        let value = self.kind.fit(value, is_text)?;
        let whole = || value.as_text().and_then(Decimal::parse).and_then(|number| number.as_i64());
        if self.integer && whole().is_none() {
            return None;
        }
        self.bounded(value)
    }

    fn bounded(&self, value: Json<'static>) -> Option<Json<'static>> {
        let size = match &value {
            Json::Number(digits) => Decimal::parse(digits)?.as_f64(),
            Json::Text(text) => text.chars().count() as f64,
            Json::List(items) => items.len() as f64,
            _ => return Some(value),
        };
        let bound = match (self.min, self.max) {
            (Some(min), _) if size < min => min,
            (_, Some(max)) if size > max => max,
            _ => return Some(value),
        };
        // The bounds of whole numbers are whole.
        let number = matches!(value, Json::Number(_)) && self.clamp;
        number.then(|| Json::integer(bound as i64))
    }
}

impl Kind {
    /// The value in this type. `is_text` says that a number or truth may stand in a text.
    fn fit(&self, value: Json<'static>, is_text: bool) -> Option<Json<'static>> {
        let as_number = |value: Json<'static>| match value {
            Json::Text(text) if is_text => match Json::parse(text.trim()) {
                Ok(Json::Number(digits)) => Some(digits.into_owned()),
                _ => None,
            },
            Json::Number(digits) => Some(digits.into_owned()),
            _ => None,
        };
        match self {
            Self::Int => {
                let number = Decimal::parse(&as_number(value)?)?.as_i64()?;
                i32::try_from(number).ok().map(|number| Json::integer(number.into()))
            }
            Self::Float => {
                let digits = as_number(value)?;
                Decimal::parse(&digits)?.as_f64().is_finite().then(|| Json::Number(digits.into()))
            }
            Self::Text => Some(value).filter(|value| value.as_text().is_some()),
            Self::Id => match value {
                Json::Number(digits) => Some(Json::text(Decimal::parse(&digits)?.as_i64()?.to_string())),
                Json::Text(text) if !text.is_empty() => Some(Json::Text(text)),
                _ => None,
            },
            Self::Boolean => match value {
                Json::Bool(truth) => Some(Json::Bool(truth)),
                Json::Text(text) if is_text => match &*text {
                    "true" | "1" => Some(Json::Bool(true)),
                    "false" | "0" => Some(Json::Bool(false)),
                    _ => None,
                },
                _ => None,
            },
            Self::Enum(names) => {
                let known = value.as_text().is_some_and(|text| names.iter().any(|name| name == text));
                known.then_some(value)
            }
            Self::Any => Some(value),
            Self::List(kind) => match value {
                Json::List(items) => {
                    let fitted: Option<Vec<_>> =
                        items.into_iter().map(|item| kind.fit(item, is_text)).collect();
                    fitted.map(Json::List)
                }
                // One value stands for a list of one, as GraphQL has it.
                one => kind.fit(one, is_text).map(|item| Json::List(vec![item])),
            },
            Self::Object(fields) => {
                let Json::Object(_) = &value else { return None };
                // The fields of an object in a body are read by their own names; what is not declared is not sent.
                let inner = Request { body: value, ..Request::default() };
                let mut made = Vec::new();
                for field in fields {
                    if let Some(value) = field.value(&inner).ok()? {
                        made.push((field.name.clone().into(), value));
                    }
                }
                Some(Json::Object(made))
            }
        }
    }
}

read_fields!(Variable { name, kind, required, from, default, split, map, min, max, integer, clamp, invalid });

impl FromJson for Kind {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let (name, held) = variant(json)?;
        Some(match name {
            "int" => Self::Int,
            "float" => Self::Float,
            "text" => Self::Text,
            "id" => Self::Id,
            "boolean" => Self::Boolean,
            "any" => Self::Any,
            "enum" => Self::Enum(Vec::from_json(held)?),
            "list" => Self::List(Box::from_json(held)?),
            "object" => Self::Object(Vec::from_json(held)?),
            _ => return None,
        })
    }
}
