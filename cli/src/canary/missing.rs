//! The hint for a flag without a canary.

use crate::failure::Failure;

/// Tells how a flag gets a canary, if the management API knows none of it.
pub(super) fn explained(mut failure: Failure, flag: &str) -> Failure {
    if let Failure::Refused { status: 404, detail, hint, .. } = &mut failure
        && detail.starts_with("there is no canary")
    {
        *hint = format!(
            "add canary_deployments.{flag} to the configuration and apply it (cutover apply -f FILE), or check the \
             spelling with cutover canary list"
        );
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Client, fake_server};

    fn refusal(body: &'static str) -> String {
        let (url, _) = fake_server::answering(404, body);
        let client = Client::new(&url, "token", None, false).unwrap();
        explained(client.get("/canary/f").unwrap_err(), "f").to_string()
    }

    #[test]
    fn a_flag_without_a_canary_is_told_how_to_get_one() {
        for kind in ["canary", "canary plan"] {
            let body: String =
                serde_json::json!({ "code": "not_found", "detail": format!("there is no {kind} \"f\""), "hint": "list" })
                    .to_string();
            let text = refusal(body.leak());
            assert!(text.contains("hint: add canary_deployments.f to the configuration"), "{text}");
        }
    }
}
