//! Variables: the values of a request that are sent to the backend, in the types that its operation
//! declares. A value that does not fit is refused before a request is sent.

use crate::{
    adapter::{
        fault::Fault,
        literal::Literal,
        request::{Request, Source},
    },
    json::{Decimal, value::Json},
};
use serde::{Deserialize, Serialize};

/// The type of a [`Variable`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A signed 32-bit integer.
    Int,
    /// A finite number.
    Float,
    /// A string.
    Text,
    /// A string or an integer, sent as a string.
    Id,
    /// A bool.
    Boolean,
    /// One of these names.
    Enum(Vec<String>),
    /// Any value: a custom scalar that only the backend understands.
    Any,
    /// A list of items of this type.
    List(Box<Kind>),
    /// An object with these fields.
    Object(Vec<Variable>),
}

/// A variable, or a field of a variable that is an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// The name in the backend's interface.
    pub name: String,
    /// The type that the backend expects.
    pub kind: Kind,
    /// True if the request must have a value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The place in the request; `None` for constants and objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Source>,
    /// The value to send if the request has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Literal>,
    /// The separator of list items that are sent in one string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<char>,
    /// Pairs of a value of the request and the value to send instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<(String, Literal)>,
    /// The smallest number, number of characters of a string, or number of items of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest number, number of characters of a string, or number of items of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// True if a string must hold an integer in plain decimal digits and in the range of `i64`, as
    /// ids often do. `007`, `+7`, `7.0`, `7e0` and `-0` are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub integer: bool,
    /// True if a number out of bounds is moved to the nearest bound instead of being refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clamp: bool,
    /// The response if the value does not fit; `None` for the program's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<Fault>,
}

/// The error of a value that does not fit its variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid<'p> {
    /// The name by which the client knows the value.
    pub field: String,
    /// The response that the variable declares for this error.
    pub fault: Option<&'p Fault>,
    /// True if the value is a claim of the token, so that the caller is not authenticated.
    pub unauthenticated: bool,
}

impl Variable {
    /// Builds an optional variable that has no place in the request yet.
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

    /// Reads the value from a request. Returns `None` if it is absent and not required.
    ///
    /// # Errors
    ///
    /// Fails if the value is required but absent, or if it does not fit the type or the bounds.
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
            // An optional object is sent only if it has a field.
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
        // Values from outside the body and the token are strings and have to be parsed.
        let is_text = !matches!(self.from, Some(Source::Body(_) | Source::Jwt(_))) && self.map.is_empty();
        let value = self.kind.fit(value, is_text)?;
        if self.integer && !is_integer(&value) {
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
        // The bounds of integers are integers.
        let number = matches!(value, Json::Number(_)) && self.clamp;
        number.then(|| Json::integer(bound as i64))
    }
}

/// Returns true if the value is an integer without any other notation of the same number, or a list
/// of such.
fn is_integer(value: &Json<'_>) -> bool {
    let text = match value {
        Json::Text(text) | Json::Number(text) => text,
        Json::List(items) => return items.iter().all(is_integer),
        _ => return false,
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    *text == "0" || (is_plain && text.parse::<i64>().is_ok())
}

impl Kind {
    /// Converts a value to this type. With `is_text`, numbers and bools may be given as strings.
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
                // A single value counts as a list of one, as in GraphQL.
                one => kind.fit(one, is_text).map(|item| Json::List(vec![item])),
            },
            Self::Object(fields) => {
                let Json::Object(_) = &value else { return None };
                // The fields of an object in a body are read by their own names; undeclared ones
                // are not sent.
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
