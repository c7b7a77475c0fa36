//! Reads variables from a request: their values in the types that the backend expects, or the first one
//! that does not fit.

use crate::{
    adapter::{
        literal::Literal,
        request::{Request, Source, at, plain, size},
        shape::budget::Budget,
        variable::{Invalid, InvalidCause, Kind, Variable},
    },
    json::{Decimal, value::Json},
};
use std::borrow::Cow;

/// The cost of a byte in the items of a list, beside that of one that a mapping copies. With it, a [`Budget`] is
/// enough for twice as many values as a body may have, and for 8 MB of strings.
const BYTE_COST: usize = 8;

/// The values that a variable is read from.
#[derive(Clone, Copy)]
enum Scope<'r> {
    /// Those of a client's request.
    Request(&'r Request),
    /// Those of an item of a list in its body, whose paths are places of a body.
    Item(&'r Json<'static>),
}

impl<'r> Scope<'r> {
    /// Returns the value at a place. Values of a body are borrowed.
    fn read(self, source: &Source) -> Option<Cow<'r, Json<'static>>> {
        match (self, source) {
            (Self::Request(request), Source::Body(path)) => at(&request.body, path).map(Cow::Borrowed),
            (Self::Request(request), source) => request.read(source).map(Cow::Owned),
            (Self::Item(item), Source::Body(path)) => at(item, path).map(Cow::Borrowed),
            (Self::Item(_), _) => None,
        }
    }

    /// Pays for a value that is sent. Outside of items there are as many values as the program and the
    /// request have.
    fn pay(self, value: &Json<'_>, budget: &mut Budget) -> Result<(), Invalid<'static>> {
        match self {
            Self::Request(_) => Ok(()),
            Self::Item(_) => budget.pay_bytes(BYTE_COST * size(value)).map_err(|_| Invalid::too_large()),
        }
    }
}

impl Invalid<'static> {
    fn too_large() -> Self {
        Self { field: "body".to_owned(), fault: None, cause: InvalidCause::TooLarge }
    }
}

impl<'p> Invalid<'p> {
    /// Returns the error of a value in an item of a list, whose name has the index of the item:
    /// `items.3.qty`.
    fn in_item(self, list: &'p Variable, index: usize) -> Self {
        if self.cause == InvalidCause::TooLarge {
            return self;
        }
        let names = [list.place_name(), index.to_string(), self.field];
        let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        Self { field: names.join("."), fault: self.fault.or(list.invalid.as_ref()), cause: self.cause }
    }
}

impl Variable {
    /// Reads the value from a request. Returns `None` if it is absent and not required.
    ///
    /// # Errors
    ///
    /// Fails if the value is required but absent, if it does not fit the type or the bounds, or if the
    /// items of a list are too much work.
    pub fn value(&self, request: &Request) -> Result<Option<Json<'_>>, Invalid<'_>> {
        self.read(Scope::Request(request), &mut Budget::default())
    }

    fn read<'p>(&'p self, scope: Scope<'_>, budget: &mut Budget) -> Result<Option<Json<'p>>, Invalid<'p>> {
        budget.pay(1).map_err(|_| Invalid::too_large())?;
        if let Kind::Object(fields) = &self.kind
            && self.from.is_none()
        {
            return self.object(fields, scope, budget);
        }
        match (self.given(scope, budget)?, &self.default) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(literal)) => constant(literal, scope, budget).map(Some),
            (None, None) if self.required => Err(self.invalid()),
            (None, None) => Ok(None),
        }
    }

    /// Reads an object that is made of fields, each with a place of its own.
    fn object<'p>(
        &'p self,
        fields: &'p [Self],
        scope: Scope<'_>,
        budget: &mut Budget,
    ) -> Result<Option<Json<'p>>, Invalid<'p>> {
        if self.has_place() && !self.is_given(scope, budget) {
            // Constants alone do not make an object out of nothing.
            if let Some(literal) = &self.default {
                return constant(literal, scope, budget).map(Some);
            }
            if !self.required {
                return Ok(None);
            }
        }
        let mut made = Vec::with_capacity(fields.len());
        for field in fields {
            if let Some(value) = field.read(scope, budget)? {
                made.push((field.name.as_str().into(), value));
            }
        }
        // An optional object is sent only if it has a field.
        Ok(Some(Json::Object(made)).filter(|made| self.required || *made != Json::Object(Vec::new())))
    }

    /// Returns the value that the request or the item has. `None` if it has none, or one that counts as
    /// absent.
    fn given<'p>(&'p self, scope: Scope<'_>, budget: &mut Budget) -> Result<Option<Json<'p>>, Invalid<'p>> {
        let Some(found) = self.found(scope).filter(|found| !found.is_null()) else { return Ok(None) };
        let value = match &self.kind {
            Kind::Each(item) => self.items(item, &found, budget),
            _ => {
                budget.pay(self.map.len()).map_err(|_| Invalid::too_large())?;
                self.fitted(found.into_owned()).ok_or_else(|| self.invalid())
            }
        };
        match value {
            Ok(value) => scope.pay(&value, budget).map(|()| Some(value)),
            Err(invalid) if self.invalid_is_absent && invalid.cause != InvalidCause::TooLarge => Ok(None),
            Err(invalid) => Err(invalid),
        }
    }

    /// Reads the items of a list one by one. A single value counts as a list of one, as in GraphQL.
    fn items<'p>(
        &'p self,
        item: &'p Self,
        found: &Json<'static>,
        budget: &mut Budget,
    ) -> Result<Json<'p>, Invalid<'p>> {
        let items = match found {
            Json::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        if self.exceeded(items.len() as f64).is_some() {
            return Err(self.invalid());
        }
        let mut made = Vec::with_capacity(items.len());
        for (index, value) in items.iter().enumerate() {
            made.push(item.of_item(value, budget).map_err(|invalid| invalid.in_item(self, index))?);
        }
        Ok(Json::List(made))
    }

    /// Reads an item of a list, which has no holes.
    fn of_item<'p>(&'p self, item: &Json<'static>, budget: &mut Budget) -> Result<Json<'p>, Invalid<'p>> {
        let scope = Scope::Item(item);
        let has_fields = matches!(item, Json::Object(_)) || !matches!(self.kind, Kind::Object(_));
        // It is the item that does not fit, not the first of its fields that is missing.
        if !has_fields && self.from.is_none() && !self.is_given(scope, budget) {
            return Err(self.invalid());
        }
        self.read(scope, budget)?.ok_or_else(|| self.invalid())
    }

    /// Returns true if there is a value for the variable or for one of its fields, also one that does not
    /// fit.
    fn is_given(&self, scope: Scope<'_>, budget: &mut Budget) -> bool {
        match &self.kind {
            Kind::Object(fields) if self.from.is_none() => {
                fields.iter().any(|field| field.is_given(scope, budget))
            }
            // Then it depends on the value.
            _ if self.invalid_is_absent => !matches!(self.given(scope, budget), Ok(None)),
            _ => self.found(scope).is_some_and(|found| !found.is_null()),
        }
    }

    /// Returns true if the variable or one of its fields has a place in the request.
    fn has_place(&self) -> bool {
        match &self.kind {
            Kind::Object(fields) if self.from.is_none() => fields.iter().any(Self::has_place),
            _ => self.from.is_some(),
        }
    }

    fn found<'r>(&self, scope: Scope<'r>) -> Option<Cow<'r, Json<'static>>> {
        let source = self.from.as_ref()?;
        let is_there = |value: &Json<'_>| !(self.empty_is_absent && value.as_text() == Some(""));
        if let (Kind::List(_), Source::Query(name), Scope::Request(request)) = (&self.kind, source, scope) {
            let mut values = request.every(name);
            values.retain(is_there);
            // A parameter without any item is an empty list, and absent only if it is not there.
            return if values.is_empty() { None } else { Some(Cow::Owned(Json::List(self.divided(values)))) };
        }
        let value = scope.read(source).filter(|value| is_there(value))?;
        if let (Kind::List(_), Some(_), Some(text)) = (&self.kind, self.split, value.as_text()) {
            let items = self.divided(vec![Json::text(text.to_owned())]);
            return Some(Cow::Owned(Json::List(items)));
        }
        Some(value)
    }

    /// Splits strings at the separator of list items, if there is one. Empty items are left out.
    fn divided(&self, values: Vec<Json<'static>>) -> Vec<Json<'static>> {
        let Some(separator) = self.split else { return values };
        let parts = values.iter().filter_map(Json::as_text).flat_map(|text| text.split(separator));
        parts.filter(|part| !part.is_empty()).map(|part| Json::text(part.to_owned())).collect()
    }

    fn invalid(&self) -> Invalid<'_> {
        let is_claim = matches!(self.from, Some(Source::Jwt(_)));
        let cause = if is_claim { InvalidCause::Unauthenticated } else { InvalidCause::Unfit };
        Invalid { field: self.place_name(), fault: self.invalid.as_ref(), cause }
    }

    /// Returns the name by which the client knows the value. An item of a list has none.
    fn place_name(&self) -> String {
        self.from.as_ref().map_or_else(|| self.name.clone(), Source::name)
    }

    fn fitted(&self, value: Json<'static>) -> Option<Json<'_>> {
        let value = match &self.map[..] {
            [] => value,
            map => {
                let text = plain(&value);
                map.iter().find(|(from, _)| *from == text).map(|(_, to)| to.0.clone())?
            }
        };
        if self.integer && !is_integer(&value, self.clamp) {
            return None;
        }
        // Values from outside the body and the token are strings and have to be parsed.
        let is_text = !matches!(self.from, Some(Source::Body(_) | Source::Jwt(_))) && self.map.is_empty();
        let value = if self.clamp { self.clamped(value, is_text) } else { value };
        let value = self.kind.fit(value, is_text)?;
        if self.min.is_none() && self.max.is_none() {
            return Some(value);
        }
        let size = match &value {
            Json::Number(digits) => Decimal::parse(digits)?.as_f64(),
            Json::Text(text) => text.chars().count() as f64,
            Json::List(items) => items.len() as f64,
            _ => return Some(value),
        };
        self.exceeded(size).is_none().then_some(value)
    }

    /// Returns the bound that a size is beyond.
    fn exceeded(&self, size: f64) -> Option<f64> {
        match (self.min, self.max) {
            (Some(min), _) if size < min => Some(min),
            (_, Some(max)) if size > max => Some(max),
            _ => None,
        }
    }

    /// Moves a number that is out of bounds to the nearest bound, and one that the type cannot hold to the
    /// nearest that it can. Other values stay as they are.
    fn clamped(&self, value: Json<'static>, is_text: bool) -> Json<'static> {
        let is_int = matches!(self.kind, Kind::Int);
        let is_text = is_text && (is_int || matches!(self.kind, Kind::Float));
        let Some(found) = number(&value, is_text).and_then(|digits| Decimal::parse(&digits)) else {
            return value;
        };
        let size = found.as_f64();
        // Beyond the range of i64 only whole numbers are expected.
        if is_int && found.as_i64().is_none() && size.abs() < i64::MAX as f64 {
            return value;
        }
        let of_type = || match is_int {
            true if size < f64::from(i32::MIN) => Some(f64::from(i32::MIN)),
            true if size > f64::from(i32::MAX) => Some(f64::from(i32::MAX)),
            _ => None,
        };
        let Some(bound) = self.exceeded(size).or_else(of_type) else { return value };
        let bound = match is_int {
            true if size < bound => bound.ceil(),
            true => bound.floor(),
            false => bound,
        };
        Json::Number(bound.to_string().into())
    }
}

/// Returns a constant of the program.
fn constant(
    literal: &Literal,
    scope: Scope<'_>,
    budget: &mut Budget,
) -> Result<Json<'static>, Invalid<'static>> {
    scope.pay(&literal.0, budget).map(|()| literal.0.clone())
}

/// Returns true if the value is an integer without any other notation of the same number, or a list
/// of such. Those that are clamped may be beyond the range of `i64`.
fn is_integer(value: &Json<'_>, is_clamped: bool) -> bool {
    let text = match value {
        Json::Text(text) | Json::Number(text) => text,
        Json::List(items) => return items.iter().all(|item| is_integer(item, is_clamped)),
        _ => return false,
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain =
        !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    *text == "0" || (is_plain && (is_clamped || text.parse::<i64>().is_ok()))
}

/// Returns the digits of a number. With `is_text`, a string may hold them.
fn number<'v>(value: &'v Json<'_>, is_text: bool) -> Option<Cow<'v, str>> {
    match value {
        Json::Number(digits) => Some(Cow::Borrowed(digits)),
        Json::Text(text) if is_text => match Json::parse(text.trim()) {
            Ok(Json::Number(digits)) => Some(digits),
            _ => None,
        },
        _ => None,
    }
}

impl Kind {
    /// Converts a value to this type. With `is_text`, numbers and bools may be given as strings.
    fn fit(&self, value: Json<'static>, is_text: bool) -> Option<Json<'_>> {
        match self {
            Self::Int => {
                let digits = number(&value, is_text)?;
                // Most are written in plain digits.
                if let Ok(number) = digits.parse::<i32>() {
                    return Some(Json::integer(number.into()));
                }
                let number = Decimal::parse(&digits)?.as_i64()?;
                i32::try_from(number).ok().map(|number| Json::integer(number.into()))
            }
            Self::Float => {
                let digits = number(&value, is_text)?.into_owned();
                Decimal::parse(&digits)?.as_f64().is_finite().then(|| Json::Number(digits.into()))
            }
            Self::Text => Some(value).filter(|value| value.as_text().is_some()),
            Self::Id => match value {
                // Of the integers in plain digits, only zero has another notation: -0.
                Json::Number(digits) if digits.parse::<i64>().is_ok_and(|number| number != 0) => {
                    Some(Json::Text(digits))
                }
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
            // Its items are read by their variable.
            Self::Each(_) => None,
            Self::Object(fields) => {
                if !matches!(value, Json::Object(_)) {
                    return None;
                }
                // The fields of an object in a body are read by their own names; undeclared ones
                // are not sent.
                let mut made = Vec::with_capacity(fields.len());
                for field in fields {
                    if let Some(value) = field.read(Scope::Item(&value), &mut Budget::default()).ok()? {
                        made.push((field.name.as_str().into(), value));
                    }
                }
                Some(Json::Object(made))
            }
        }
    }
}
