//! The header `x-cutover-emergency` of every response while an emergency is in force, so that whoever changes or reads
//! anything learns of it.

use crate::{platform::Platform, store::LastEmergency};
use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::Response,
};
use cutover_core::Emergency;
use serde_json::{Value, json};
use std::time::Duration;

/// Name of the header.
const NAME: &str = "x-cutover-emergency";

/// Longest reason in the header, in characters.
const MAX_REASON: usize = 200;

/// Most flags that the header names.
const MAX_FLAGS: usize = 10;

/// Longest wait for a head that the request itself did not need.
const PATIENCE: Duration = Duration::from_millis(500);

/// Adds the header to a response. The head that the request has read says if there is an emergency; a successful read that
/// needed none reads it for that.
pub(super) async fn add(State(platform): State<Platform>, request: Request, next: Next) -> Response {
    let is_read = request.method() == Method::GET;
    let answered = async {
        let response = next.run(request).await;
        if is_read && response.status().is_success() && !LastEmergency::so_far().is_known {
            // Without it the response is as good as it was before.
            let _ = tokio::time::timeout(PATIENCE, platform.store.head()).await;
        }
        response
    };
    let (mut response, last) = LastEmergency::of(answered).await;
    if let Some(emergency) = &last.emergency
        && let Ok(value) = HeaderValue::from_str(&ascii(&described(emergency).to_string()))
    {
        response.headers_mut().insert(HeaderName::from_static(NAME), value);
    }
    response
}

/// Describes an emergency in little space: who, since when, which flags and why.
fn described(emergency: &Emergency) -> Value {
    let reason: String = emergency.reason.chars().take(MAX_REASON).collect();
    let flags = emergency.flags.as_ref();
    json!({
        "since": emergency.since,
        "by": emergency.by,
        "reason": reason,
        "declarations": emergency.declared().len(),
        "flags": flags.map(|flags| flags.iter().take(MAX_FLAGS).collect::<Vec<_>>()),
        "more_flags": flags.map_or(0, |flags| flags.len().saturating_sub(MAX_FLAGS)),
    })
}

/// Escapes what a header cannot have. In JSON such characters are in strings only, which may escape any character.
fn ascii(json: &str) -> String {
    json.chars().fold(String::new(), |mut text, character| {
        if (' '..='~').contains(&character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::{FlagName, Timestamp, rules::emergency::Declaration};

    #[test]
    fn an_emergency_fits_into_a_header_whatever_its_reason() {
        let flags: Vec<FlagName> = (0..200).map(|number| format!("flag_{number}").parse().unwrap()).collect();
        let reason = format!("Fehler beim Bezahlen — 😱\n\u{7f}{}", "é".repeat(450));
        let since = Timestamp::from_millis(0);
        let declaration =
            Declaration { flags: Some(flags), reason: reason.clone(), by: "zoë".to_owned(), since };
        let text = ascii(&described(&Emergency::from(declaration)).to_string());
        assert!(text.len() < 2_000 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        let read: Value =
            serde_json::from_str(HeaderValue::from_str(&text).unwrap().to_str().unwrap()).unwrap();
        assert!(reason.starts_with(read["reason"].as_str().unwrap()) && read["by"] == "zoë", "{read:#}");
        assert_eq!(read["flags"].as_array().unwrap().len(), MAX_FLAGS);
        assert_eq!((&read["more_flags"], &read["declarations"]), (&json!(190), &json!(1)));
    }
}
