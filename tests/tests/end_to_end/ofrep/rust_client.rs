//! The provider of OpenFeature for Rust against the Worker.

use super::{Evaluating, SERVER, WEB};
use cutover_tests::status_proxy::StatusProxy;
use open_feature::{EvaluationContext, EvaluationErrorCode, Value, provider::FeatureProvider};
use open_feature_ofrep::{OfrepOptions, OfrepProvider};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use std::time::Duration;

async fn provider(url: &str, token: &str) -> OfrepProvider {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    let options = OfrepOptions { base_url: url.to_owned(), headers, ..OfrepOptions::default() };
    OfrepProvider::new(options).await.unwrap()
}

/// One test, because all providers of a process share the time that `Retry-After` sets.
#[tokio::test(flavor = "multi_thread")]
async fn the_rust_provider_evaluates_and_recovers() {
    let edge = Evaluating::start("").await;
    let proxy = StatusProxy::start(([127, 0, 0, 1], edge.port()).into()).await;
    let client = provider(&proxy.url(), SERVER).await;
    let ann = EvaluationContext::default().with_targeting_key("ann");

    assert!(client.resolve_bool_value("switch", &ann).await.unwrap().value);
    let colour = client.resolve_string_value("colour", &ann).await.unwrap();
    assert_eq!((colour.value.as_str(), colour.variant.as_deref()), ("#00f", Some("blue")));
    let discount = client.resolve_float_value("shop.discount", &ann).await.unwrap().value;
    assert!((discount - 2.5).abs() < f64::EPSILON);
    let limits = client.resolve_struct_value("limits", &ann).await.unwrap().value;
    assert!(matches!(limits.fields.get("items"), Some(Value::Int(3))));
    let gold = ann.clone().with_custom_field("plan", "gold");
    assert_eq!(client.resolve_string_value("colour", &gold).await.unwrap().value, "#0f0");
    assert_eq!(proxy.given(), [200; 5]);

    let code = async |client: &OfrepProvider, key: &str, context: &EvaluationContext| {
        client.resolve_string_value(key, context).await.err().map(|error| error.code)
    };
    assert!(matches!(code(&client, "none", &ann).await, Some(EvaluationErrorCode::FlagNotFound)));
    let nobody = EvaluationContext::default();
    assert!(matches!(code(&client, "shop.split", &nobody).await, Some(EvaluationErrorCode::InvalidContext)));
    let stranger = provider(&proxy.url(), "wrong").await;
    assert!(matches!(code(&stranger, "colour", &ann).await, Some(EvaluationErrorCode::General(_))));
    let web = provider(&proxy.url(), WEB).await;
    assert!(matches!(code(&web, "limits", &ann).await, Some(EvaluationErrorCode::General(_))));
    assert!(code(&web, "colour", &ann).await.is_none());

    proxy.answer_with(&[503]);
    assert!(code(&client, "colour", &ann).await.is_some());
    assert!(code(&client, "colour", &ann).await.is_none());

    proxy.answer_with(&[429]);
    assert!(matches!(code(&client, "colour", &ann).await, Some(EvaluationErrorCode::General(_))));
    // Within the second nothing is sent.
    assert!(code(&client, "colour", &ann).await.is_some());
    assert_eq!(proxy.given(), [429]);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(code(&client, "colour", &ann).await.is_none());
    assert_eq!(proxy.given(), [429, 200]);
}
