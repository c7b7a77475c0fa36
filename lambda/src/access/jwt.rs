//! JSON Web Tokens of an identity provider, as an alternative to Cutover's own tokens: RS256, ES256
//! and EdDSA, verified with the keys of the provider's JWKS. The key determines the algorithm,
//! never the token.

use crate::{settings::identity_provider::TokenRequirements, store::Role};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::{Map, Value};

/// A user authenticated by the identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Value of the claim `sub`.
    pub subject: String,
    /// Highest of the roles that the token names.
    pub role: Role,
}

/// Reason for rejecting a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRejection {
    /// The token is not a well-formed JSON Web Token.
    #[error("it is not a JSON Web Token")]
    Malformed,
    /// The provider does not publish the key that the token names, or that key has another use.
    #[error("it is signed with a key that the identity provider does not publish for signatures")]
    Key,
    /// The signature does not match.
    #[error("its signature is wrong")]
    Signature,
    /// The claims do not meet the requirements.
    #[error("{0}")]
    Claims(&'static str),
}

/// Tolerated difference between the clocks of the provider and of this function, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// Longest token that is checked, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Longest subject, in bytes. It is the actor in the audit log, so it is limited like a name.
const MAX_SUBJECT: usize = 128;

/// Returns the algorithm of a key; `None` if the key is not for verifying signatures, or not of an
/// accepted type.
fn algorithm(key: &Jwk) -> Option<Algorithm> {
    let is_for_signatures =
        key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
            && key
                .common
                .key_operations
                .as_ref()
                .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let (algorithm, named) = match &key.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let is_named = key.common.key_algorithm.is_none_or(|is| is == named);
    (is_for_signatures && is_named).then_some(algorithm)
}

/// Returns the key that a token names, or the only key if it names none.
fn key_for<'k>(keys: &'k JwkSet, id: Option<&str>) -> Option<&'k Jwk> {
    match (id, keys.keys.as_slice()) {
        (Some(id), _) => keys.find(id),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

/// Verifies the signature and the claims of a token.
///
/// # Errors
///
/// Returns the reason if the token is malformed, its signature is wrong, or its claims do not meet
/// the requirements.
pub fn verify(token: &str, keys: &JwkSet, expected: &TokenRequirements) -> Result<Person, TokenRejection> {
    if token.len() > MAX_TOKEN || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return Err(TokenRejection::Malformed);
    }
    let header = decode_header(token).map_err(|_| TokenRejection::Malformed)?;
    // `crit` lists extensions that a verifier must understand; none are supported.
    if header.crit.is_some() {
        return Err(TokenRejection::Malformed);
    }
    let key = key_for(keys, header.kid.as_deref()).ok_or(TokenRejection::Key)?;
    let algorithm = algorithm(key).ok_or(TokenRejection::Key)?;
    let decoding = DecodingKey::from_jwk(key).map_err(|_| TokenRejection::Key)?;
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[&expected.issuer]);
    validation.set_audience(&[&expected.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = decode::<Map<String, Value>>(token, &decoding, &validation)
        .map_err(|error| refusal(error.kind()))?
        .claims;
    person(&claims, expected)
}

fn refusal(kind: &ErrorKind) -> TokenRejection {
    match kind {
        ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => TokenRejection::Signature,
        ErrorKind::InvalidRsaKey(_) | ErrorKind::InvalidEcdsaKey | ErrorKind::InvalidEddsaKey => {
            TokenRejection::Key
        }
        ErrorKind::ExpiredSignature => TokenRejection::Claims("it has expired"),
        ErrorKind::ImmatureSignature => TokenRejection::Claims("it is not valid yet"),
        ErrorKind::InvalidIssuer => TokenRejection::Claims("it is from another issuer"),
        ErrorKind::InvalidAudience => TokenRejection::Claims("it is meant for another audience"),
        ErrorKind::MissingRequiredClaim(_) => TokenRejection::Claims("exp, iss, aud or sub is missing"),
        // The signature is checked before the claims are decoded, so this one was valid.
        ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::InvalidClaimFormat(_) => {
            TokenRejection::Claims("its claims are not a JSON object")
        }
        _ => TokenRejection::Malformed,
    }
}

fn person(claims: &Map<String, Value>, expected: &TokenRequirements) -> Result<Person, TokenRejection> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    if subject.is_empty() || subject.len() > MAX_SUBJECT || subject.chars().any(char::is_control) {
        return Err(TokenRejection::Claims("its subject is empty, too long or not printable"));
    }
    let named = match claims.get(&expected.role_claim) {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let role = named.into_iter().filter_map(|name| name.parse::<Role>().ok()).max();
    let role = role.ok_or(TokenRejection::Claims("it names none of the roles viewer, operator and admin"))?;
    Ok(Person { subject: subject.to_owned(), role })
}

/// Parses a JWKS, skipping keys of unknown types, which a provider may publish for other uses.
pub fn read_keys(body: &[u8]) -> Option<JwkSet> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let keys = document.get("keys")?.as_array()?;
    Some(JwkSet { keys: keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).collect() })
}
