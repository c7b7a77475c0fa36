//! Requirements on JSON Web Tokens.

/// Requirements on the claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequirements {
    /// Required value of `iss`.
    pub issuer: String,
    /// Required value of `aud`, or one of its values.
    pub audience: String,
    /// Claim that holds the role, as a string or an array of strings.
    pub role_claim: String,
}
