//! The signatures of isolates under what they send.

use crate::{
    measurement::refusal::{Refusal, RefusalKind},
    platform::Platform,
    problem::Problem,
    settings::secret::SecretError,
};
use axum::http::{HeaderMap, StatusCode};
use cutover_core::{signature, signature::SignatureError};

/// Checks the signature of a body, which covers its bytes as they were sent.
///
/// # Errors
///
/// Refuses a body whose signature is missing, too old or wrong, or cannot be checked.
pub(super) async fn check(
    platform: &Platform,
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (at, signature) = (text(signature::TIMESTAMP), text(signature::SIGNATURE));
    let unreadable = |error: SecretError| {
        tracing::error!(%error, "signatures cannot be checked");
        let detail = "the secret needed to check signatures could not be read";
        Refusal::new(RefusalKind::Failed, Problem::unavailable("secret_unavailable", detail))
    };
    let secret = &platform.settings.ingest_secrets;
    let values = secret.values().await.map_err(unreadable)?;
    let mut checked = signature::verify(&values, at, signature, body, now);
    // The edge may have the new secret before this process has.
    if checked == Err(SignatureError::Wrong)
        && let Some(newer) = secret.again().await.map_err(unreadable)?
    {
        checked = signature::verify(&newer, at, signature, body, now);
    }
    checked.map_err(|refused| {
        let (kind, detail, hint) = match refused {
            SignatureError::Missing => {
                (RefusalKind::Unsigned, "the body has no signature", "sign the body; see docs/api.md")
            }
            SignatureError::Skewed => (
                RefusalKind::Skewed,
                "the body was signed too long ago, or with a wrong clock",
                "set the clock, and sign each attempt again",
            ),
            SignatureError::Wrong => (
                RefusalKind::Forged,
                "the signature does not match the body",
                "use the same secret at the edge and in the function",
            ),
        };
        Refusal::new(kind, Problem::new(StatusCode::UNAUTHORIZED, "signature_invalid", detail, hint))
    })
}
