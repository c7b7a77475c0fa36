//! JSON Web Tokens: nothing that somebody makes up is taken for good, whatever it is and whatever the keys are.

#![no_main]

use cutover_lambda::{
    access::jwt::{read_keys, verify},
    settings::identity_provider::TokenRequirements,
};
use libfuzzer_sys::fuzz_target;

/// Public keys whose private halves nobody here has.
const KEYS: &str = r#"{"keys":[
  {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
  {"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
   "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

fuzz_target!(|text: &str| {
    let expected = TokenRequirements {
        issuer: "https://id.example".to_owned(),
        audience: "cutover".to_owned(),
        role_claim: "role".to_owned(),
    };
    let (token, keys) = text.split_once('\n').unwrap_or((text, KEYS));
    let own = read_keys(KEYS.as_bytes()).expect("these are keys");
    assert!(verify(token, &own, &expected).is_err(), "a token was made up");
    if let Some(keys) = read_keys(keys.as_bytes()) {
        let _ = verify(token, &keys, &expected);
    }
});
