//! The RFC 9110 token: the syntax that header names, cookie names and methods share.

/// Returns true if a string is an RFC 9110 token, the syntax of header and cookie names.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
