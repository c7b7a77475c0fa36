//! Reads documents into types, through serde.

use super::{Json, Malformed};
use serde::{
    Deserialize,
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess,
        VariantAccess, Visitor, value::BorrowedStrDeserializer,
    },
    forward_to_deserialize_any,
};
use std::{borrow::Cow, fmt};

/// The text is not JSON, or not of the shape that is wanted. What exactly is wrong is not said: wording it would pull the
/// formatting of every kind of value into the Worker, and the writers of these documents are our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not JSON.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Not of the shape that is wanted.
    #[error("not of the documented shape")]
    Shape,
}

impl Error for Unfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Shape
    }
    fn invalid_type(_: serde::de::Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Self::Shape
    }
    fn invalid_value(_: serde::de::Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Self::Shape
    }
    fn invalid_length(_: usize, _: &dyn serde::de::Expected) -> Self {
        Self::Shape
    }
    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::Shape
    }
    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::Shape
    }
    fn missing_field(_: &'static str) -> Self {
        Self::Shape
    }
    fn duplicate_field(_: &'static str) -> Self {
        Self::Shape
    }
}

/// Reads a document.
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Unfit> {
    T::deserialize(Json::parse(text)?)
}

fn number<'de, V: Visitor<'de>>(digits: &str, visitor: V) -> Result<V::Value, Unfit> {
    if let Ok(number) = digits.parse::<u64>() {
        return visitor.visit_u64(number);
    }
    if let Ok(number) = digits.parse::<i64>() {
        return visitor.visit_i64(number);
    }
    visitor.visit_f64(digits.parse().map_err(|_| Unfit::Shape)?)
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self {
            Json::Null => visitor.visit_unit(),
            Json::Bool(truth) => visitor.visit_bool(truth),
            Json::Number(digits) => number(&digits, visitor),
            Json::Text(text) => text_of(text, visitor),
            Json::List(items) => visitor.visit_seq(Items(items.into_iter())),
            Json::Object(fields) => {
                visitor.visit_map(Fields { fields: fields.into_iter(), value: Json::Null })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self {
            Json::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match self {
            Json::Text(_) => visitor.visit_enum(Variant(self, None)),
            Json::Object(mut fields) => match (fields.pop(), fields.is_empty()) {
                (Some((name, value)), true) => visitor.visit_enum(Variant(Json::Text(name), Some(value))),
                _ => Err(Unfit::Shape),
            },
            _ => Err(Unfit::Shape),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

fn text_of<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, Unfit> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

struct Items<'de>(std::vec::IntoIter<Json<'de>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Unfit;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unfit> {
        self.0.next().map(|item| seed.deserialize(item)).transpose()
    }
}

struct Fields<'de> {
    fields: std::vec::IntoIter<(Cow<'de, str>, Json<'de>)>,
    value: Json<'de>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Unfit;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unfit> {
        let Some((name, value)) = self.fields.next() else { return Ok(None) };
        self.value = value;
        let key = match name {
            Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
            Cow::Owned(name) => seed.deserialize(name.into_deserializer()),
        };
        key.map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unfit> {
        seed.deserialize(std::mem::take(&mut self.value))
    }
}

/// The name of a variant, and what it holds.
struct Variant<'de>(Json<'de>, Option<Json<'de>>);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Unfit;
    type Variant = Held<'de>;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Held<'de>), Unfit> {
        Ok((seed.deserialize(self.0)?, Held(self.1)))
    }
}

struct Held<'de>(Option<Json<'de>>);

impl<'de> VariantAccess<'de> for Held<'de> {
    type Error = Unfit;
    fn unit_variant(self) -> Result<(), Unfit> {
        if self.0.is_none() { Ok(()) } else { Err(Unfit::Shape) }
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Unfit> {
        seed.deserialize(self.0.ok_or(Unfit::Shape)?)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unfit> {
        self.0.ok_or(Unfit::Shape)?.deserialize_any(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        self.0.ok_or(Unfit::Shape)?.deserialize_any(visitor)
    }
}
