//! The management API over a table of its own, and what DynamoDB answers when it refuses.

use axum::http::StatusCode;
use cutover_lambda::{
    access::auth::Caller,
    change::{
        demand::{ChangeRequest, Precondition},
        proposal::Proposal,
    },
    platform::Platform,
    store::{EmergencyChange, Role, State, Write},
};
use cutover_tests::{
    client::Management,
    dynamodb::DynamoDb,
    functions::{ManagementServer, platform},
};
use serde_json::{Value, json};

/// A flag with a canary of the steps 5, 25, 50 and 100 %.
pub const FLAG: &str = "graphql_offers_read";

/// Another flag, whose changes are nothing to the first one.
pub const OTHER: &str = "graphql_reviews_read";

/// Media type of DynamoDB's responses.
pub const KIND: &str = "application/x-amz-json-1.0";

/// The API over an empty table, with the configuration of the local stack as revision 1.
pub struct Api {
    pub dynamodb: DynamoDb,
    pub platform: Platform,
    pub server: ManagementServer,
}

impl Api {
    pub async fn start(variables: &[(&'static str, &str)]) -> Self {
        let dynamodb = DynamoDb::start().await;
        let platform = platform(&dynamodb, variables).await;
        let server = ManagementServer::start(platform.clone()).await;
        let file = include_str!("../../../dev.yaml")
            .replace("LEGACY_URL", "http://legacy.internal")
            .replace("NEW_URL", "http://new.internal");
        server.client.apply(&file).await.expect(200);
        Self { dynamodb, platform, server }
    }

    pub fn root(&self) -> &Management {
        &self.server.client
    }

    pub async fn revision(&self) -> u64 {
        self.platform.store.head().await.unwrap().revision.0
    }

    pub async fn share(&self, flag: &str) -> f64 {
        let flag = self.root().get(&format!("/flags/{flag}")).await.expect(200).body;
        flag["rollout_percentage"].as_f64().unwrap()
    }

    /// Creates a token of an operator, and returns a client with it.
    pub async fn person(&self, name: &str) -> Management {
        let made =
            self.root().post("/tokens", &json!({ "name": name, "role": "operator" })).await.expect(201);
        self.root().with_token(made.body["token"].as_str().unwrap())
    }
}

pub fn rollout(flag: &str) -> String {
    format!("/flags/{flag}/rollout")
}

pub fn percentage(share: f64) -> String {
    json!({ "percentage": share }).to_string()
}

/// A request for a change, as the API reads it.
pub fn demand(precondition: Precondition) -> ChangeRequest {
    ChangeRequest {
        caller: Caller { name: "root".to_owned(), role: Role::Admin, made_by: Vec::new(), expires_at: None },
        reason: None,
        precondition,
        idempotency: None,
        requester_key: None,
        body: Vec::new(),
        content_type: String::new(),
        method: "PUT".to_owned(),
        target: "/test".to_owned(),
        if_match: None,
        approved: None,
    }
}

/// A proposal that writes nothing but one item beside the configuration.
pub fn beside(state: &State, write: Write) -> Proposal {
    Proposal {
        config: state.config.clone(),
        emergency: EmergencyChange::Keep,
        others: vec![("test/item".to_owned(), write)],
        answer: Box::new(|_| (StatusCode::OK, json!({}))),
    }
}

/// The response of DynamoDB to a transaction that is cancelled for one reason.
pub fn cancelled(code: &str) -> Value {
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{code}, None]"),
        "CancellationReasons": [{ "Code": code, "Message": "for this test" }, { "Code": "None" }],
    })
}

/// The response of DynamoDB to a call that it refuses as a whole.
pub fn refused(exception: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{exception}"), "message": "for this test" })
}
