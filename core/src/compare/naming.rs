//! Names of fields in reports. Reports leave the edge, and the keys of an object can be data of
//! users: ids, addresses, dates. Such keys are reported as `*`.

use crate::json::value::Json;
use std::borrow::Cow;

/// Longest name that is reported, in bytes.
const MAX_NAME: usize = 64;

/// Fewest digits in a row that make a name data, such as `user-123`.
const MANY_DIGITS: usize = 3;

/// Most groups of digits in a name. Random identifiers have more, such as `a1b2c3`.
const MAX_DIGIT_GROUPS: usize = 2;

/// Fewest hexadecimal digits that make a name without any other letter data.
const HEX_DIGITS: usize = 8;

/// Most fields of an object that is never taken for a map.
const MAX_FIELDS: usize = 32;

/// Returns true if a name looks like the name of a field, such as `created_at`, and not like data.
pub(super) fn is_field_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && !has_many_digits(name)
        && !is_hexadecimal(name)
}

fn has_many_digits(name: &str) -> bool {
    let groups = || name.split(|c: char| !c.is_ascii_digit()).map(str::len).filter(|length| *length > 0);
    groups().any(|length| length >= MANY_DIGITS) || groups().count() > MAX_DIGIT_GROUPS
}

fn is_hexadecimal(name: &str) -> bool {
    let mut digits = name.bytes().filter(|byte| !matches!(byte, b'-' | b'_'));
    digits.clone().count() >= HEX_DIGITS && digits.all(|byte| byte.is_ascii_hexdigit())
}

/// Returns true if two objects look like a map, whose keys are data, and not like a record. They do
/// if either has more than 32 fields, and all values have one type, apart from null, or fewer than
/// half of the names are on both sides. `shared` is the number of names on both sides.
pub(super) fn is_map<'j>(
    old: &[(Cow<'j, str>, Json<'j>)],
    new: &[(Cow<'j, str>, Json<'j>)],
    shared: usize,
) -> bool {
    let most = old.len().max(new.len());
    if most <= MAX_FIELDS {
        return false;
    }
    let mut kinds = old.iter().chain(new).map(|(_, value)| value.kind()).filter(|kind| *kind != "null");
    let first = kinds.next();
    shared * 2 < most || first.is_none_or(|first| kinds.all(|kind| kind == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_told_from_data() {
        let fields = [
            "id",
            "_links",
            "created_at",
            "createdAt",
            "X-Request-Id",
            "address2",
            "line1_v2",
            "utf8",
            "facade",
            "dead-beef-cafe-land",
        ];
        for name in fields {
            assert!(is_field_name(name), "{name}");
        }
        let data = [
            "",
            "17",
            "2026-01-31",
            "ann@example.com",
            "Ann Smith",
            "användare",
            "+4712345678",
            "user-123",
            "order_2026_17",
            "a1b2c3",
            "deadbeef",
            "DEAD-BEEF",
            "abcdefab-cdef-abcd-efab-cdefabcdefab",
            "c0ffee00-0000-4000-8000-00805f9b34fb",
            "a.b",
            "a[0]",
            "*",
        ];
        for name in data {
            assert!(!is_field_name(name), "{name}");
        }
        assert!(is_field_name(&"n".repeat(64)) && !is_field_name(&"n".repeat(65)));
    }

    #[test]
    fn large_objects_are_maps_if_their_values_are_alike_or_their_names_are_not() {
        let object = |count: usize, odd: Json<'static>| -> Vec<(Cow<'static, str>, Json<'static>)> {
            let value = |index: usize| if index.is_multiple_of(2) { Json::text("a") } else { odd.clone() };
            (0..count).map(|index| (Cow::Owned(format!("f{index}")), value(index))).collect()
        };
        let alike = object(33, Json::Null);
        let record = object(33, Json::integer(1));
        assert!(is_map(&alike, &alike, 33));
        assert!(!is_map(&record, &record, 33));
        assert!(is_map(&record, &record, 16) && !is_map(&record, &record, 17));
        let small = object(32, Json::Null);
        assert!(!is_map(&small, &small, 0));
        assert!(is_map(&small, &alike, 32), "one side is enough");
    }
}
