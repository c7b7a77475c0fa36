//! Cloudflare's API as far as the deployments, the versions and the secrets of a Worker go.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
};
use cutover_tests::server::Server;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The answer to a change of a secret while the newest version does not serve all requests.
const NOT_DEPLOYED: u32 = 10_215;

/// The answer to a question about what is not there.
const ABSENT: u32 = 10_007;

/// A Worker: its versions and its deployments, the oldest first.
#[derive(Default)]
struct Script {
    versions: Vec<Value>,
    deployments: Vec<Value>,
}

impl Script {
    fn add(&mut self, id: &str, annotations: Value) -> Value {
        let namespace = if id == "elsewhere" { "old" } else { "new" };
        let mut bindings = vec![
            json!({ "type": "kv_namespace", "name": "CUTOVER_KV", "namespace_id": namespace }),
            json!({ "type": "plain_text", "name": "INGEST_URL", "text": format!("https://{id}.example") }),
            json!({ "type": "secret_text", "name": "CUTOVER_INGEST_SECRET" }),
        ];
        if id == "forced" {
            bindings.push(json!({ "type": "plain_text", "name": "FORCE_LEGACY", "text": "true" }));
        }
        let version = json!({
            "id": id,
            "number": self.versions.len() + 1,
            "metadata": { "created_on": time(self.versions.len()), "author_email": "", "source": "wrangler" },
            "annotations": annotations,
            "resources": { "bindings": bindings, "script": {}, "script_runtime": {} },
        });
        self.versions.push(version.clone());
        version
    }

    fn deploy(&mut self, versions: Value, message: &Value) -> Value {
        let deployment = json!({
            "id": format!("deployment-{}", self.deployments.len()),
            "created_on": time(self.deployments.len()),
            "author_email": "",
            "source": "wrangler",
            "versions": versions,
            "annotations": { "workers/message": message },
        });
        self.deployments.push(deployment.clone());
        deployment
    }

    fn serving(&self) -> Vec<String> {
        let versions = self.deployments.last().map(|deployment| deployment["versions"].as_array().unwrap());
        let versions = versions.into_iter().flatten();
        versions.map(|version| version["version_id"].as_str().unwrap().to_owned()).collect()
    }

    fn newest(&self) -> String {
        self.versions.last().unwrap()["id"].as_str().unwrap().to_owned()
    }

    fn answer(&mut self, method: &Method, uri: &Uri, body: &Bytes) -> Result<Value, u32> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), uri.path().rsplit('/').next().unwrap()) {
            ("GET", "deployments") => {
                let newest_first: Vec<&Value> = self.deployments.iter().rev().collect();
                Ok(json!({ "deployments": newest_first }))
            }
            ("POST", "deployments") => {
                Ok(self.deploy(body["versions"].clone(), &body["annotations"]["workers/message"]))
            }
            ("GET", "versions") => Ok(json!({ "items": self.versions })),
            ("PATCH", "latest") => {
                Ok(self.add(&format!("secret-{}", self.versions.len()), body["annotations"].clone()))
            }
            ("PATCH", "script-settings") => Ok(json!({})),
            ("PUT", "secrets") if self.serving() != [self.newest()] => Err(NOT_DEPLOYED),
            ("PUT", "secrets") => {
                let id = format!("secret-{}", self.versions.len());
                self.add(&id, json!({ "workers/triggered_by": "secret" }));
                self.deploy(json!([{ "version_id": id, "percentage": 100 }]), &Value::Null);
                Ok(json!({ "name": body["name"], "type": "secret_text" }))
            }
            (_, id) => self.versions.iter().find(|version| version["id"] == id).cloned().ok_or(ABSENT),
        }
    }
}

/// Returns a time, each index later than the one before.
fn time(index: usize) -> String {
    format!("2026-01-01T00:{:02}:{:02}.000Z", index / 60, index % 60)
}

/// The API, with one Worker. Dropping it ends it.
pub struct Cloudflare {
    script: Arc<Mutex<Script>>,
    server: Server,
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, Json<Value>) {
    let answered = script.lock().unwrap_or_else(PoisonError::into_inner).answer(&method, &uri, &body);
    match answered {
        Ok(result) => {
            let answer = json!({ "success": true, "errors": [], "messages": [], "result": result });
            (StatusCode::OK, Json(answer))
        }
        Err(code) => {
            let error = json!({ "code": code, "message": "refused" });
            let answer = json!({ "success": false, "errors": [error], "messages": [], "result": null });
            (StatusCode::BAD_REQUEST, Json(answer))
        }
    }
}

impl Cloudflare {
    /// Starts the API, with a Worker that has no version.
    pub async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        Self { script, server: Server::start(app).await }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the variables by which wrangler calls this in the place of Cloudflare.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("CLOUDFLARE_API_BASE_URL", self.server.url()),
            ("CLOUDFLARE_API_TOKEN", "none".to_owned()),
            ("CLOUDFLARE_ACCOUNT_ID", "0123456789abcdef0123456789abcdef".to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ]
    }

    /// Begins again, with a Worker that has no version.
    pub fn clear(&self) {
        *self.script() = Script::default();
    }

    /// Uploads a version as `cargo xtask deploy` does. One named `elsewhere` reads another namespace than others, and one
    /// named `forced` has `FORCE_LEGACY`.
    pub fn upload(&self, id: &str, release: &str) {
        let annotations = json!({ "workers/message": "cargo xtask deploy", "workers/tag": release });
        self.script().add(id, annotations);
    }

    /// Uploads a version in another way, with the annotations that it has then.
    pub fn upload_otherwise(&self, id: &str, annotations: Value) {
        self.script().add(id, annotations);
    }

    /// Gives the requests to one version, or to two.
    pub fn deploy(&self, versions: &[&str]) {
        let share = 100 / versions.len();
        let versions = versions.iter().map(|id| json!({ "version_id": id, "percentage": share })).collect();
        self.script().deploy(versions, &Value::Null);
    }

    /// Uploads versions of these releases, each of which serves all requests until the next one does.
    pub fn release(&self, versions: &[[&str; 2]]) {
        for [id, release] in versions {
            self.upload(id, release);
            self.deploy(&[*id]);
        }
    }

    /// Returns the versions that serve.
    pub fn serving(&self) -> Vec<String> {
        self.script().serving()
    }

    /// Returns the number of deployments so far.
    pub fn deployments(&self) -> usize {
        self.script().deployments.len()
    }
}
