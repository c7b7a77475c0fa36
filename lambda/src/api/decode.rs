//! Decoding of JSON bodies and of query parameters, with mistakes in the words of the API.

use crate::{
    api::mistake::{Mistake, Part},
    problem::Problem,
};
use serde::{
    Deserializer,
    de::{
        DeserializeOwned, Error, IntoDeserializer, Unexpected, Visitor,
        value::{MapDeserializer, SeqDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

/// Decodes a body. `T` decides if unknown fields are allowed.
///
/// # Errors
///
/// Returns the problem `invalid` with the field that is at fault.
pub(super) fn body<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    decoded(Json(value), Part::Body)
}

/// Decodes query parameters, each a name and a value. `T` decides if unknown parameters are allowed.
///
/// # Errors
///
/// Returns the problem `invalid` with the parameter that is at fault.
pub(super) fn parameters<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Problem> {
    let pairs = pairs.into_iter().map(|(name, value)| (name, Text(value)));
    decoded(MapDeserializer::new(pairs), Part::Query)
}

fn decoded<'de, D, T>(deserializer: D, part: Part) -> Result<T, Problem>
where
    D: Deserializer<'de, Error = Mistake>,
    T: DeserializeOwned,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." | "?" => String::new(),
            path => path.to_owned(),
        };
        error.inner().problem(part, &path)
    })
}

/// A JSON value to decode.
struct Json(Value);

impl<'de> IntoDeserializer<'de, Mistake> for Json {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Json {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => SeqDeserializer::new(items.into_iter().map(Json)).deserialize_any(visitor),
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, value)| (name, Json(value)));
                MapDeserializer::new(fields).deserialize_any(visitor)
            }
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    /// Decodes an object by the names of its fields, and refuses a list of their values.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Array(_) => Err(Mistake::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    /// Decodes one of several words; no body has variants with values of their own.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(StringDeserializer::new(word)),
            // A visitor of an enum accepts no other kind of value, and reports this one.
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

/// The value of a query parameter, which has the type that is asked for.
struct Text(String);

impl<'de> IntoDeserializer<'de, Mistake> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Decodes a value by parsing it.
macro_rules! parsed {
    ($($deserialize:ident: $type:ty => $visit:ident,)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Mistake::invalid_type(Unexpected::Str(&self.0), &visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_enum(StringDeserializer::new(self.0))
    }

    parsed! {
        deserialize_bool: bool => visit_bool,
        deserialize_i8: i8 => visit_i8,
        deserialize_i16: i16 => visit_i16,
        deserialize_i32: i32 => visit_i32,
        deserialize_i64: i64 => visit_i64,
        deserialize_u8: u8 => visit_u8,
        deserialize_u16: u16 => visit_u16,
        deserialize_u32: u32 => visit_u32,
        deserialize_u64: u64 => visit_u64,
        deserialize_f32: f32 => visit_f32,
        deserialize_f64: f64 => visit_f64,
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Role;
    use axum::http::StatusCode;
    use cutover_core::{FlagName, Timestamp};
    use serde::Deserialize;
    use serde_json::json;

    /// Words that only readers of Rust know.
    const FORBIDDEN: [&str; 14] = [
        "invalid type",
        "invalid value",
        "unknown variant",
        "unknown field",
        "missing field",
        "Failed to",
        "deserialize",
        "f64",
        "u64",
        "usize",
        "boolean",
        "sequence",
        "struct",
        "digit found",
    ];

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        percentage: f64,
        role: Option<Role>,
        flags: Option<Vec<FlagName>>,
        count: Option<u32>,
        on: Option<bool>,
        since: Option<Timestamp>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        limit: usize,
    }

    #[track_caller]
    fn check(problem: &Problem, field: &str, detail: &str, hint: &str) {
        assert_eq!((problem.status, problem.code), (StatusCode::UNPROCESSABLE_ENTITY, "invalid"));
        assert_eq!(problem.field.as_deref(), Some(field), "{problem:?}");
        assert_eq!((problem.detail.as_str(), problem.hint.as_str()), (detail, hint));
        for word in FORBIDDEN {
            assert!(!problem.detail.contains(word) && !problem.hint.contains(word), "{word}: {problem:?}");
        }
    }

    #[test]
    fn bodies_are_decoded() {
        let value = json!({
            "percentage": 2.5, "role": "admin", "flags": ["a", "b"], "count": 3, "on": true,
            "since": "2026-01-01T00:00:00Z", "inner": { "limit": 7 },
        });
        let expected: Fields = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(body::<Fields>(value).unwrap(), expected);
        let whole = body::<Fields>(json!({ "percentage": 2, "role": null })).unwrap();
        assert_eq!((whole.percentage, whole.role, whole.inner), (2.0, None, None));
    }

    #[test]
    fn mistakes_in_bodies_are_described_without_the_words_of_rust() {
        let whole_number = "send a whole number, 0 or above";
        let all = "use percentage, role, flags, count, on, since, inner";
        for (value, field, detail, hint) in [
            (
                json!({ "percentage": "abc" }),
                "percentage",
                "expected a number, found \"abc\"",
                "send a number",
            ),
            (json!({ "percentage": [1] }), "percentage", "expected a number, found a list", "send a number"),
            (json!({ "percentage": null }), "percentage", "expected a number, found null", "send a number"),
            (
                json!({}),
                "percentage",
                "the field percentage is missing",
                "add it; docs/api.md describes every field",
            ),
            (json!([]), "body", "expected an object, found a list", "send an object"),
            (json!(1), "body", "expected an object, found 1", "send an object"),
            (
                json!({ "percentage": 1, "percent": 2 }),
                "percent",
                "percent is not a field of this request",
                "did you mean percentage?",
            ),
            (json!({ "percentage": 1, "x": 2 }), "x", "x is not a field of this request", all),
            (
                json!({ "percentage": 1, "role": "admn" }),
                "role",
                "\"admn\" is not one of its values",
                "did you mean admin?",
            ),
            (
                json!({ "percentage": 1, "role": "x" }),
                "role",
                "\"x\" is not one of its values",
                "use viewer, operator, admin",
            ),
            (json!({ "percentage": 1, "role": 7 }), "role", "expected a string, found 7", "send a string"),
            (json!({ "percentage": 1, "count": -1 }), "count", "-1 is out of range", whole_number),
            (
                json!({ "percentage": 1, "count": 1.5 }),
                "count",
                "expected a whole number, 0 or above, found 1.5",
                whole_number,
            ),
            (
                json!({ "percentage": 1, "on": "yes" }),
                "on",
                "expected true or false, found \"yes\"",
                "send true or false",
            ),
            (
                json!({ "percentage": 1, "flags": "f" }),
                "flags",
                "expected a list, found \"f\"",
                "send a list",
            ),
            (
                json!({ "percentage": 1, "flags": ["f", 2] }),
                "flags[1]",
                "expected a string, found 2",
                "send a string",
            ),
            (
                json!({ "percentage": 1, "flags": [""] }),
                "flags[0]",
                "a name cannot be empty",
                "docs/api.md describes this field",
            ),
            (
                json!({ "percentage": 1, "inner": { "limit": 1, "y": 2 } }),
                "inner.y",
                "y is not a field of this request",
                "use limit",
            ),
        ] {
            let shown = value.to_string();
            let problem = body::<Fields>(value).expect_err(&shown);
            check(&problem, field, detail, hint);
        }
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Query {
        limit: Option<usize>,
        rate: Option<f64>,
        #[serde(default)]
        prune: bool,
        after: Option<String>,
    }

    fn query(text: &str) -> Result<Query, Problem> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        };
        parameters(text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect())
    }

    #[test]
    fn parameters_have_the_types_of_their_fields() {
        assert_eq!(query("").unwrap(), Query::default());
        let expected = Query { limit: Some(5), rate: Some(0.5), prune: true, after: Some("a".to_owned()) };
        assert_eq!(query("limit=5&rate=0.5&prune=true&after=a").unwrap(), expected);
        let pairs = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(parameters::<Vec<(String, String)>>(pairs.clone()).unwrap(), pairs, "any parameters");
    }

    #[test]
    fn mistakes_in_parameters_are_described_without_the_words_of_rust() {
        let whole_number = "send a whole number, 0 or above";
        for (text, field, detail, hint) in [
            ("limit=abc", "limit", "expected a whole number, 0 or above, found \"abc\"", whole_number),
            ("limit=-1", "limit", "expected a whole number, 0 or above, found \"-1\"", whole_number),
            ("limit=", "limit", "expected a whole number, 0 or above, found \"\"", whole_number),
            ("rate=much", "rate", "expected a number, found \"much\"", "send a number"),
            ("prune=1", "prune", "expected true or false, found \"1\"", "send true or false"),
            ("limt=1", "limt", "limt is not a parameter of this request", "did you mean limit?"),
            ("limit=1&limit=2", "limit", "the parameter limit is given twice", "send it once"),
        ] {
            check(&query(text).expect_err(text), field, detail, hint);
        }
    }
}
