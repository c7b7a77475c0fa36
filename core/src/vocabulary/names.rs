//! Names, parsed once where they enter the system and valid from then on.

use crate::vocabulary::revision::Stamp;
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, str::FromStr};

/// Longest name, in bytes. Keeps DynamoDB keys, KV documents and log lines readable.
pub const MAX_NAME_LENGTH: usize = 128;

/// Error for a string that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The string is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than [`MAX_NAME_LENGTH`] bytes.
    #[error("a name has at most {MAX_NAME_LENGTH} bytes, this one has {0}")]
    TooLong(usize),
    /// A character outside `A-Z a-z 0-9 _ . -`.
    #[error("{0:?} cannot be part of a name; use letters, digits, '_', '.' and '-'")]
    Character(char),
}

fn check(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > MAX_NAME_LENGTH {
        return Err(InvalidName::TooLong(text.len()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))) {
        Some(c) => Err(InvalidName::Character(c)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Box<str>);

        impl $type {
            /// Returns the name as a string slice.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                check(&text)?;
                Ok(Self(text.into_boxed_str()))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.into_string()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a feature flag.
    FlagName
);

name!(
    /// The name of an origin.
    OriginName
);

name!(
    /// The name of an adapter.
    AdapterName
);

name!(
    /// The identifier of a route.
    RouteId
);

name!(
    /// The name of an experiment.
    ExperimentName
);

name!(
    /// The key of a variant inside its experiment.
    VariantKey
);

name!(
    /// The name of a layer, whose experiments share out its users.
    LayerName
);

name!(
    /// The name of a holdout.
    HoldoutName
);

name!(
    /// The name of a segment of users.
    SegmentName
);

name!(
    /// The name of a rate limit.
    LimitName
);

name!(
    /// The name of a token with which an application evaluates flags.
    TokenName
);

name!(
    /// The identifier of a run of a canary.
    RunId
);

name!(
    /// The random identifier of a deployment, which its table has from its first change on.
    DeploymentId
);

impl RunId {
    /// Returns the identifier of the run that begins at a revision of an epoch. It is unique, because no two
    /// runs begin at the same one.
    pub fn of_stamp(stamp: Stamp) -> Self {
        // Letters and digits are always a valid name.
        Self(format!("r{stamp}").into_boxed_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::revision::{Epoch, Revision};

    #[test]
    fn accepts_what_operators_write_and_nothing_else() {
        for good in ["graphql_reviews_read", "reviews.read", "a", "A-1"] {
            assert_eq!(good.parse::<FlagName>().map(String::from), Ok(good.to_owned()));
        }
        assert_eq!("".parse::<FlagName>(), Err(InvalidName::Empty));
        assert_eq!("a/b".parse::<FlagName>(), Err(InvalidName::Character('/')));
        assert_eq!("naïve".parse::<FlagName>(), Err(InvalidName::Character('ï')));
        assert_eq!("x".repeat(129).parse::<FlagName>(), Err(InvalidName::TooLong(129)));
    }

    /// After a restore revisions are counted anew: by them alone a new run would have the name of one that was lost, and take
    /// the batches of isolates that still hold its label.
    #[test]
    fn runs_of_two_epochs_at_one_revision_are_two() {
        let id = |epoch| RunId::of_stamp(Stamp { epoch: Epoch(epoch), revision: Revision(481) });
        assert_eq!((id(0).as_str(), id(1_767_225_600).as_str()), ("r481", "r481e1767225600"));
        assert_eq!(id(1_767_225_600).as_str().parse::<RunId>(), Ok(id(1_767_225_600)));
    }
}
