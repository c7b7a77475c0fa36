//! Reads our own documents into types. What serde would do as well, in a fifth of the Worker's bytes: a reader that words
//! no errors, and that is one small function per type (docs/adr/0013). What is written stays serde's.

use super::{Json, Malformed, Tape, float};

/// The text is not JSON, or not of the shape that is wanted. What exactly is wrong is not said: the writers of these
/// documents are our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not JSON.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Not of the shape that is wanted.
    #[error("not of the documented shape")]
    Shape,
}

/// A type that is read from a document. Fields that it does not know are left alone.
pub trait FromJson: Sized {
    /// The value, if it is one of this type. Implementations are `inline`, so that the Worker compiles them for size.
    fn from_json(json: &Json<'_>) -> Option<Self>;

    /// What it is where a document does not have it.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reads a document.
pub fn from_str<T: FromJson>(text: &str) -> Result<T, Unfit> {
    Tape::read(text)?.root().to()
}

/// A field of an object.
#[inline]
pub fn field<T: FromJson>(json: &Json<'_>, name: &str) -> Option<T> {
    match json.get(name) {
        Some(value) => T::from_json(value),
        None => T::absent(),
    }
}

/// A field of an object that may be left out.
#[inline]
pub fn field_or<T: FromJson>(json: &Json<'_>, name: &str, otherwise: T) -> Option<T> {
    match json.get(name) {
        Some(value) => T::from_json(value),
        None => Some(otherwise),
    }
}

/// The variant of an enum as serde writes it: its name, and what it holds.
pub fn variant<'j>(json: &'j Json<'_>) -> Option<(&'j str, &'j Json<'j>)> {
    match json {
        Json::Text(name) => Some((name, &Json::Null)),
        Json::Object(fields) => match &fields[..] {
            [(name, held)] => Some((name, held)),
            _ => None,
        },
        _ => None,
    }
}

/// How a struct is read: its fields by their names, `or` what they are where they are left out.
macro_rules! read_fields {
    ($type:ident { $($field:ident $(= $name:literal)? $(or $otherwise:expr)?),* $(,)? }) => {
        impl $crate::json::FromJson for $type {
            #[inline]
            fn from_json(json: &$crate::json::Json<'_>) -> Option<Self> {
                if !matches!(json, $crate::json::Json::Object(_)) {
                    return None;
                }
                Some(Self { $($field: read_fields!(@field json, $field $(= $name)? $(or $otherwise)?)),* })
            }
        }
    };
    (@field $json:ident, $field:ident) => { $crate::json::field($json, stringify!($field))? };
    (@field $json:ident, $field:ident = $name:literal) => { $crate::json::field($json, $name)? };
    (@field $json:ident, $field:ident or $otherwise:expr) => {
        $crate::json::field_or($json, stringify!($field), $otherwise)?
    };
}

/// How a type is read that is written as a text.
macro_rules! read_text {
    ($($type:ty),* $(,)?) => {
        $(impl $crate::json::FromJson for $type {
            #[inline]
            fn from_json(json: &$crate::json::Json<'_>) -> Option<Self> {
                json.as_text()?.parse().ok()
            }
        })*
    };
}

/// How an enum of names is read.
macro_rules! read_names {
    ($type:ident { $($name:literal => $variant:ident),* $(,)? }) => {
        impl $crate::json::FromJson for $type {
            #[inline]
            fn from_json(json: &$crate::json::Json<'_>) -> Option<Self> {
                Some(match json.as_text()? { $($name => Self::$variant,)* _ => return None })
            }
        }
    };
}

pub(crate) use {read_fields, read_names, read_text};

macro_rules! read_numbers {
    ($($type:ty),*) => {
        $(impl FromJson for $type {
            #[inline]
            fn from_json(json: &Json<'_>) -> Option<Self> {
                match json {
                    Json::Number(digits) => digits.parse().ok(),
                    _ => None,
                }
            }
        })*
    };
}

read_numbers!(u16, u32, u64, usize, i64);

impl FromJson for f64 {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        match json {
            Json::Number(digits) => float(digits),
            _ => None,
        }
    }
}

impl FromJson for bool {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        match json {
            Json::Bool(truth) => Some(*truth),
            _ => None,
        }
    }
    fn absent() -> Option<Self> {
        Some(false)
    }
}

impl FromJson for String {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        json.as_text().map(str::to_owned)
    }
}

impl FromJson for Box<str> {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        json.as_text().map(Box::from)
    }
}

impl FromJson for char {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let mut characters = json.as_text()?.chars();
        characters.next().filter(|_| characters.next().is_none())
    }
}

impl<T: FromJson> FromJson for Option<T> {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        if json.is_null() { Some(None) } else { T::from_json(json).map(Some) }
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromJson> FromJson for Box<T> {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        T::from_json(json).map(Box::new)
    }
}

impl<T: FromJson> FromJson for std::sync::Arc<T> {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        T::from_json(json).map(Self::new)
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        let Json::List(items) = json else { return None };
        let mut read = Self::with_capacity(items.len());
        for item in items {
            read.push(T::from_json(item)?);
        }
        Some(read)
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<A: FromJson, B: FromJson> FromJson for (A, B) {
    #[inline]
    fn from_json(json: &Json<'_>) -> Option<Self> {
        match json.items() {
            [a, b] => Some((A::from_json(a)?, B::from_json(b)?)),
            _ => None,
        }
    }
}
