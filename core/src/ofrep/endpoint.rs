//! The two endpoints of OFREP.

use crate::request::facts::decode_path;
use std::borrow::Cow;

/// Path of the bulk endpoint, below which the flags are.
const FLAGS: &str = "/ofrep/v1/evaluate/flags";

/// An endpoint, as the path of a request names it. Both take POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint<'p> {
    /// One flag, by its key, decoded.
    Flag(Cow<'p, str>),
    /// All flags.
    Flags,
}

impl<'p> Endpoint<'p> {
    /// Returns the endpoint at a path, which is still percent-encoded; `None` if OFREP has none there.
    pub fn of_path(path: &'p str) -> Option<Self> {
        match path.strip_prefix(FLAGS)? {
            "" => Some(Self::Flags),
            rest => {
                let key = rest.strip_prefix('/').filter(|key| !key.is_empty() && !key.contains('/'))?;
                Some(Self::Flag(decode_path(key)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_flag_or_all() {
        for (path, endpoint) in [
            ("/ofrep/v1/evaluate/flags", Some(Endpoint::Flags)),
            ("/ofrep/v1/evaluate/flags/a.b-c_1", Some(Endpoint::Flag("a.b-c_1".into()))),
            ("/ofrep/v1/evaluate/flags/a%2Fb", Some(Endpoint::Flag("a/b".into()))),
            ("/ofrep/v1/evaluate/flags/", None),
            ("/ofrep/v1/evaluate/flags/a/b", None),
            ("/ofrep/v1/evaluate/flagsy", None),
            ("/ofrep/v1/configuration", None),
        ] {
            assert_eq!(Endpoint::of_path(path), endpoint, "{path}");
        }
    }
}
