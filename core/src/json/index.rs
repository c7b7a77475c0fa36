//! Names in paths that stand for items of lists.

/// Returns the index of the list item that a name in a path stands for: a whole number in plain
/// digits. Of an object, the same name is a field.
///
/// ```text
/// usersByIds.0     the first item of the list `usersByIds`
/// ```
pub(crate) fn list_index(name: &str) -> Option<usize> {
    let has_zeros = name.starts_with('0') && name != "0";
    let is_number = !has_zeros && name.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { name.parse().ok() } else { None }
}

/// Returns true if a name in the path stands for an item of a list.
pub(crate) fn has_index(path: &[String]) -> bool {
    path.iter().any(|name| list_index(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Tape, value::Json};

    #[test]
    fn an_index_is_a_whole_number_in_plain_digits() {
        for (name, index) in [("0", 0), ("1", 1), ("10", 10), ("4294967295", 4_294_967_295)] {
            assert_eq!(list_index(name), Some(index), "{name}");
        }
        for name in ["", "00", "01", "+1", "-1", "1.0", "1e3", " 1", "\u{661}", "a", "99999999999999999999"] {
            assert_eq!(list_index(name), None, "{name}");
        }
    }

    #[test]
    fn a_number_is_an_item_of_a_list_and_a_field_of_an_object() {
        let text = r#"{"list":[{"id":"a"},[1,2],"c"],"object":{"0":"field","x":null}}"#;
        let cases = [
            ("list.0", Some(r#"{"id":"a"}"#)),
            ("list.0.id", Some(r#""a""#)),
            ("list.1.1", Some("2")),
            ("list.2", Some(r#""c""#)),
            ("list.3", None),
            ("list.01", None),
            ("list.id", None),
            ("list.2.0", None),
            ("object.0", Some(r#""field""#)),
            ("object.1", None),
            ("object.x.0", None),
        ];
        let tape = Tape::read(text).unwrap();
        let json = Json::parse(text).unwrap();
        for (path, expected) in cases {
            let names: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(tape.root().at_path(&names).map(|found| found.raw()), expected, "{path}");
            let found = names.iter().try_fold(&json, |value, name| value.part(name));
            assert_eq!(found.map(ToString::to_string).as_deref(), expected, "{path}");
        }
    }
}
