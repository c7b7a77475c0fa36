//! How shapes are read at the edge.

use super::{Conversion, DateForm, Field, Shape, Step};
use crate::{
    adapter::{literal::Literal, request::Source},
    json::{FromJson, Json, read_names, variant},
};

read_names!(DateForm { "rfc3339" => Rfc3339, "epoch" => Epoch, "epoch_ms" => EpochMs });

impl FromJson for Shape {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        Vec::from_json(json).map(Self)
    }
}

impl FromJson for Field {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        <(String, Shape)>::from_json(json).map(|(name, shape)| Self(name, shape))
    }
}

impl FromJson for Conversion {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let (name, held) = variant(json)?;
        Some(match name {
            "number" => Self::Number,
            "text" => Self::Text,
            "date" => {
                let (from, to) = FromJson::from_json(held)?;
                Self::Date(from, to)
            }
            _ => return None,
        })
    }
}

impl FromJson for Step {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let (name, held) = variant(json)?;
        Some(match name {
            "get" => Self::Get(Vec::from_json(held)?),
            "request" => Self::Request(Source::from_json(held)?),
            "const" => Self::Const(Literal::from_json(held)?),
            "now" => Self::Now(DateForm::from_json(held)?),
            "object" => Self::Object(Vec::from_json(held)?),
            "each" => Self::Each(Shape::from_json(held)?),
            "pick" => Self::Pick(Vec::from_json(held)?),
            "hide" => Self::Hide(Vec::from_json(held)?),
            "rename" => Self::Rename(Vec::from_json(held)?),
            "add" => Self::Add(Vec::from_json(held)?),
            "coalesce" => Self::Coalesce(Vec::from_json(held)?),
            "convert" => Self::Convert(Conversion::from_json(held)?),
            "map" => {
                let (table, otherwise) = FromJson::from_json(held)?;
                Self::Map(table, otherwise)
            }
            "default" => Self::Default(Literal::from_json(held)?),
            "hide_null" => Self::HideNull,
            "wrap" => Self::Wrap(String::from_json(held)?),
            _ => return None,
        })
    }
}
