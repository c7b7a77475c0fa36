//! Variables: the values of a request that are sent to the backend, in the types that its operation
//! declares. A value that does not fit is refused before a request is sent.

use crate::adapter::{fault::Fault, literal::Literal, request::Source};
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
    /// A list of which each item is read by this variable, whose places are paths in the item:
    ///
    /// ```text
    /// from: body.items
    /// each: { fields: { productId: product_id } }    {"items":[{"product_id":7}]}   [{"productId":"7"}]
    /// ```
    Each(Box<Variable>),
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
    /// The value to send if the request has none. For an object, that is if it has none for any field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Literal>,
    /// True if an empty string counts as absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_is_absent: bool,
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
    /// True if the value must be an integer in plain decimal digits and in the range of `i64`, as ids
    /// often are. `007`, `+7`, `7.0`, `7e0` and `-0` are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub integer: bool,
    /// True if a number out of bounds is moved to the nearest bound instead of being refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clamp: bool,
    /// True if a value that does not fit counts as absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid_is_absent: bool,
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
    /// The cause, which decides the response if the variable declares none.
    pub cause: InvalidCause,
}

/// The cause of an [`Invalid`] value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidCause {
    /// The value is missing, or does not fit its type or its bounds.
    Unfit,
    /// The value is a claim of the token, so that the caller is not authenticated.
    Unauthenticated,
    /// The items of a list take more work or memory than one variable may.
    TooLarge,
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
            empty_is_absent: false,
            split: None,
            map: Vec::new(),
            min: None,
            max: None,
            integer: false,
            clamp: false,
            invalid_is_absent: false,
            invalid: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapter::request::Request, json::value::Json};

    /// Reads a variable from a query, as JSON; `None` if it is absent, and `Err` with the name of its
    /// field if it does not fit.
    fn read(variable: &Variable, query: &str) -> Result<Option<String>, String> {
        let request = Request { query: query.to_owned(), ..Request::default() };
        let value = variable.value(&request).map_err(|invalid| invalid.field)?;
        Ok(value.map(|value| value.to_string()))
    }

    fn of_query(kind: Kind, name: &str) -> Variable {
        Variable { from: Some(Source::Query(name.to_owned())), ..Variable::new("v", kind) }
    }

    #[test]
    fn a_value_that_does_not_fit_may_count_as_absent() {
        let default = Some(Literal(Json::integer(1)));
        let strict = Variable { min: Some(1.0), default, ..of_query(Kind::Int, "page") };
        let lenient = Variable { invalid_is_absent: true, ..strict.clone() };
        for wrong in ["abc", "", "1.5", "0", "99999999999"] {
            let query = format!("page={wrong}");
            assert_eq!(read(&strict, &query), Err("page".to_owned()), "{wrong}");
            assert_eq!(read(&lenient, &query), Ok(Some("1".to_owned())), "{wrong}");
        }
        assert_eq!(read(&lenient, "page=3"), Ok(Some("3".to_owned())));
        let optional = Variable { default: None, ..lenient };
        assert_eq!(read(&optional, "page=abc"), Ok(None));
        let required = Variable { required: true, ..optional };
        assert_eq!(read(&required, "page=abc"), Err("page".to_owned()));
    }

    #[test]
    fn a_clamped_number_is_moved_before_its_type_is_checked() {
        let clamped = |kind, min, max| Variable { min, max, clamp: true, ..of_query(kind, "n") };
        let page = clamped(Kind::Int, Some(1.0), Some(100.0));
        let open = clamped(Kind::Int, Some(1.0), None);
        let whole = Variable { integer: true, ..page.clone() };
        let float = clamped(Kind::Float, Some(0.5), Some(2.5));
        let cases = [
            (&page, "99999999999", Some("100")),
            (&page, "-99999999999999999999", Some("1")),
            (&page, "1e400", Some("100")),
            (&page, "0", Some("1")),
            (&page, "7", Some("7")),
            (&page, "0.5", None),
            (&page, "abc", None),
            // Without a bound on that side, the type has one.
            (&open, "99999999999", Some("2147483647")),
            (&open, "-99999999999", Some("1")),
            (&whole, "99999999999999999999", Some("100")),
            (&whole, "007", None),
            (&whole, "-", None),
            (&float, "0.25", Some("0.5")),
            (&float, "3", Some("2.5")),
            (&float, "1.50", Some("1.50")),
        ];
        for (variable, sent, expected) in cases {
            let found = read(variable, &format!("n={sent}"));
            assert_eq!(found.ok().flatten().as_deref(), expected, "{variable:?} {sent}");
        }
        let strict = Variable { clamp: false, ..page };
        assert!(read(&strict, "n=99999999999").is_err());
    }

    #[test]
    fn an_empty_string_may_count_as_absent() {
        let plain = of_query(Kind::Text, "name");
        assert_eq!(read(&plain, "name="), Ok(Some("\"\"".to_owned())));
        let absent = Variable { empty_is_absent: true, ..plain };
        assert_eq!((read(&absent, "name="), read(&absent, "name")), (Ok(None), Ok(None)));
        assert_eq!(read(&absent, "name=+"), Ok(Some("\" \"".to_owned())));
        let required = Variable { required: true, ..absent };
        assert_eq!(read(&required, "name="), Err("name".to_owned()));
        let body = Variable { from: Some(Source::Body(vec!["a".to_owned()])), ..required };
        let sent = |text: &str| {
            let body = Json::parse(text).unwrap().into_owned();
            Request { body, ..Request::default() }
        };
        assert!(body.value(&sent(r#"{"a":""}"#)).is_err() && body.value(&sent(r#"{"a":"b"}"#)).is_ok());
    }

    #[test]
    fn an_optional_object_is_absent_if_the_request_has_none_of_its_fields() {
        let field = |name: &str, kind| Variable { name: name.to_owned(), ..of_query(kind, name) };
        let constant = Variable {
            default: Some(Literal(Json::text("x"))),
            required: true,
            ..Variable::new("constant", Kind::Text)
        };
        let must = Variable { required: true, ..field("must", Kind::Int) };
        let may = Variable { empty_is_absent: true, ..field("may", Kind::Text) };
        let with_default = Variable { default: constant.default.clone(), ..field("other", Kind::Text) };
        let inner = Variable::new("inner", Kind::Object(vec![field("deep", Kind::Text)]));
        let fields = vec![must, may, constant.clone(), with_default, inner];
        let optional = Variable::new("v", Kind::Object(fields));
        for query in ["", "may=", "unknown=1"] {
            assert_eq!(read(&optional, query), Ok(None), "{query}");
        }
        // With one of them, those that are required have to be there.
        for query in ["may=a", "must=a", "other=a", "deep=a"] {
            assert_eq!(read(&optional, query), Err("must".to_owned()), "{query}");
        }
        let sent = r#"{"must":1,"constant":"x","other":"x"}"#;
        assert_eq!(read(&optional, "must=1"), Ok(Some(sent.to_owned())));
        let required = Variable { required: true, ..optional.clone() };
        assert_eq!(read(&required, ""), Err("must".to_owned()));
        let with_default = Variable { default: Some(Literal(Json::integer(7))), ..optional };
        assert_eq!(read(&with_default, ""), Ok(Some("7".to_owned())));
        // An object of constants has nothing to be absent.
        let constants = Variable::new("v", Kind::Object(vec![constant]));
        assert_eq!(read(&constants, ""), Ok(Some(r#"{"constant":"x"}"#.to_owned())));
    }

    #[test]
    fn a_list_takes_every_repetition_of_its_parameter_and_splits_each() {
        let list = || Kind::List(Box::new(Kind::Text));
        let plain = of_query(list(), "name[]");
        let split = Variable { split: Some(','), ..of_query(list(), "name[]") };
        let absent = |variable: &Variable| Variable { empty_is_absent: true, ..variable.clone() };
        let cases = [
            ("", None, None),
            ("name=a", None, None),
            ("name[]=a", Some(r#"["a"]"#), Some(r#"["a"]"#)),
            ("name%5B%5D=a,b&x=1&name[]=c", Some(r#"["a,b","c"]"#), Some(r#"["a","b","c"]"#)),
            ("name[]=a,,b", Some(r#"["a,,b"]"#), Some(r#"["a","b"]"#)),
            ("name[]=", Some(r#"[""]"#), Some("[]")),
        ];
        for (query, whole, divided) in cases {
            assert_eq!(read(&plain, query), Ok(whole.map(str::to_owned)), "{query}");
            assert_eq!(read(&split, query), Ok(divided.map(str::to_owned)), "{query}");
        }
        for variable in [absent(&plain), absent(&split)] {
            assert_eq!(read(&variable, "name[]="), Ok(None));
            assert_eq!(read(&variable, "name[]=&name[]=a"), Ok(Some(r#"["a"]"#.to_owned())));
        }
    }

    #[test]
    fn what_is_not_set_is_not_stored() {
        let plain = serde_json::to_string(&of_query(Kind::Int, "page")).unwrap();
        assert!(!plain.contains("absent"), "{plain}");
        assert_eq!(serde_json::from_str::<Variable>(&plain).unwrap(), of_query(Kind::Int, "page"));
    }
}
