//! The second person: the rule by which a caller who approves a change is certainly somebody else than
//! the caller who requested it.

use crate::access::auth::{Caller, ROOT};

/// Reason for which two callers may be one person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamePerson {
    /// Both have the same name.
    #[error("the caller who requested it cannot approve it")]
    Requester,
    /// One of them is root, who knows the secret of each token that it created.
    #[error("root is never a second person, because its holder can create tokens of any name")]
    Root,
    /// One of them created the token of the other, or rotated it.
    #[error("{maker} created or rotated the token of {made}, or one that did, and may know its secret")]
    Maker {
        /// Name of the creator.
        maker: String,
        /// Name of the other one.
        made: String,
    },
    /// A third caller created the tokens of both, or rotated them.
    #[error("{0} created or rotated both tokens, or tokens that did, and may know their secrets")]
    CommonMaker(String),
}

/// Returns the reason for which the approver may be the requester; `None` if they are certainly two
/// people. Two tokens that root alone created are, and so are two users of the identity provider.
pub fn same_person(approver: &Caller, requester: &Caller) -> Option<SamePerson> {
    if approver.name == requester.name {
        return Some(SamePerson::Requester);
    }
    if approver.name == ROOT || requester.name == ROOT {
        return Some(SamePerson::Root);
    }
    for (maker, made) in [(approver, requester), (requester, approver)] {
        if made.made_by.contains(&maker.name) {
            let (maker, made) = (maker.name.clone(), made.name.clone());
            return Some(SamePerson::Maker { maker, made });
        }
    }
    let mut makers = approver.made_by.iter().filter(|maker| maker.as_str() != ROOT);
    makers.find(|maker| requester.made_by.contains(maker)).cloned().map(SamePerson::CommonMaker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Role;

    fn caller(name: &str, made_by: &[&str]) -> Caller {
        let made_by = made_by.iter().map(|maker| (*maker).to_owned()).collect();
        Caller { name: name.to_owned(), role: Role::Operator, made_by, expires_at: None }
    }

    #[test]
    fn two_callers_are_two_people_if_nobody_but_root_made_both() {
        let root = caller(ROOT, &[]);
        let (ann, bob) = (caller("ann", &[]), caller("bob", &[]));
        let (first, second) = (caller("first", &["ann"]), caller("second", &["ann"]));
        let (child, bobs) = (caller("child", &["ann", "first"]), caller("bob's", &["bob"]));
        let (eve, her_token) = (caller("jwt:eve", &[]), caller("eve's", &["jwt:eve"]));
        let of_root = caller("of root", &[ROOT]);
        for (one, other, expected) in [
            (&ann, &bob, true),
            (&ann, &of_root, true),
            (&caller("another", &[ROOT]), &of_root, true),
            (&first, &bob, true),
            (&first, &bobs, true),
            (&child, &bobs, true),
            (&eve, &ann, true),
            (&eve, &caller("jwt:mallory", &[]), true),
            (&her_token, &first, true),
            (&ann, &ann, false),
            (&ann, &caller("ann", &["bob"]), false),
            (&first, &ann, false),
            (&child, &ann, false),
            (&child, &first, false),
            (&first, &second, false),
            (&child, &second, false),
            (&her_token, &eve, false),
            (&root, &ann, false),
            (&root, &eve, false),
            (&root, &root, false),
        ] {
            for (approver, requester) in [(one, other), (other, one)] {
                let reason = same_person(approver, requester);
                assert_eq!(reason.is_none(), expected, "{approver:?} {requester:?}: {reason:?}");
            }
        }
        assert_eq!(same_person(&first, &second), Some(SamePerson::CommonMaker("ann".to_owned())));
    }
}
