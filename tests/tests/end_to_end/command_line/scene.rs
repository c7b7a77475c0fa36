//! The deployment behind both tables, prepared once: flags, a run under way and one that is over, people with tokens, a change
//! that waits for a second person, and a folder with files.

use crate::api_examples::measure;
use axum::body::Bytes;
use cutover_tests::{
    client::Management,
    command,
    fault_proxy::{Fault, FaultProxy},
    http::EDGE_TOKEN,
    paths,
    stack::{INGEST_SECRET, Options, ROOT_TOKEN, Stack},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// Flag with a run under way.
pub const RUNNING: &str = "graphql_reviews_read";

/// Flag whose run was rolled back.
pub const ENDED: &str = "graphql_offers_read";

/// Flag that is disabled, and has no canary.
pub const DISABLED: &str = "graphql_reviews_write";

/// Experiment that is running, and decides no flag.
pub const EXPERIMENT: &str = "graphql_migration_test";

/// Flag with values, whose rule names a segment.
pub const VALUE_FLAG: &str = "button";

/// Segment that a rule of the flag with values names.
pub const SEGMENT: &str = "staff";

/// Description of the failures of [`Scene::failing`].
pub const FAULT: &str = "the table cannot be read";

/// Response of a management API that fails for a moment.
const UNAVAILABLE: &[u8] =
    br#"{"code":"store_unavailable","detail":"the table cannot be read","hint":"try again","status":503}"#;

/// A caller of the management API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Holder of the root token.
    Root,
    /// An operator.
    Ann,
    /// Another operator.
    Bob,
    /// A viewer.
    Vic,
}

/// A step towards the state in which a command is run. A step that changes nothing any more may be refused.
#[derive(Debug)]
pub enum Step {
    /// A request to the management API. The id of what it made becomes the word `made`.
    Send {
        /// Caller.
        who: Who,
        /// Method.
        method: &'static str,
        /// Path below `/api/migration`.
        path: &'static str,
        /// Body, empty for none.
        body: &'static str,
    },
    /// A command, which must succeed.
    Run(&'static [&'static str]),
}

/// Creates a step of the holder of the root token.
pub fn root(method: &'static str, path: &'static str, body: &'static str) -> Step {
    Step::Send { who: Who::Root, method, path, body }
}

/// Creates a step of an operator whose changes wait for another one.
pub fn ann(method: &'static str, path: &'static str, body: &'static str) -> Step {
    Step::Send { who: Who::Ann, method, path, body }
}

/// Values of the words that rows have in braces.
#[derive(Debug, Clone, Default)]
pub struct Words(BTreeMap<&'static str, String>);

impl Words {
    /// Sets the value of a word.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, value.into());
    }

    /// Returns the value of a word.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("there is no word {name}"))
    }

    /// Replaces the words in braces by their values.
    pub fn fill(&self, template: &str) -> String {
        let fill =
            |text: String, (name, value): (&&str, &String)| text.replace(&format!("{{{name}}}"), value);
        self.0.iter().fold(template.to_owned(), fill)
    }
}

/// The prepared deployment.
pub struct Scene {
    /// Words of every row.
    pub words: Words,
    stack: Stack,
    desk: tempfile::TempDir,
    next: AtomicU32,
}

impl Scene {
    /// Prepares the deployment.
    pub async fn prepare() -> Self {
        let function_variables = BTreeMap::from([("CUTOVER_TWO_PERSON", "true".to_owned())]);
        let worker_variables = BTreeMap::from([
            ("REPORT_INTERVAL_MS", "500".to_owned()),
            ("SNAPSHOT_SOFT_TTL_MS", "500".to_owned()),
        ]);
        let stack =
            Stack::start(Options { function_variables, worker_variables, ..Options::default() }).await;
        stack.management().apply(&stack.dev_configuration()).await.expect(200);
        let desk = tempfile::tempdir().expect("a folder");
        let mut scene = Self { words: Words::default(), stack, desk, next: AtomicU32::new(0) };
        let url = scene.stack.lambda.url("management");
        let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        for (name, value) in [
            ("url", url),
            ("host", host),
            ("edge", scene.stack.edge.url()),
            ("ingest", scene.stack.lambda.url("ingest")),
            ("legacy", scene.stack.legacy.url()),
            ("new", scene.stack.new.url()),
            ("root", ROOT_TOKEN.to_owned()),
        ] {
            scene.words.set(name, value);
        }
        scene.create_values().await;
        scene.invite().await;
        scene.run_canaries().await;
        let asked = scene
            .management(Who::Ann)
            .put(&format!("/flags/{ENDED}/rollout"), &json!({ "percentage": 90 }))
            .await
            .expect(202);
        scene.words.set("pending", asked.body["change"].as_str().expect("an id"));
        scene.write_files().await;
        let held = scene.management(Who::Root).get("/flags").await.expect(200).body;
        scene.stack.edge_holds(held["revision"].as_u64().expect("a revision")).await;
        scene
    }

    /// Creates a segment and a flag with values.
    async fn create_values(&self) {
        let root = self.stack.management();
        let staff = json!({ "description": "Our own people", "include": ["ann"] });
        root.put(&format!("/segments/{SEGMENT}"), &staff).await.expect(201);
        let button = json!({
            "type": "string", "description": "Colour of the button", "enabled": true,
            "variants": { "blue": "#00f", "green": "#0f0" },
            "default": { "weights": { "blue": 90, "green": 10 } }, "off": "blue",
            "rules": [{ "segment": SEGMENT, "variant": "green" }],
            "schedule": [{ "at": "2099-01-31T08:00:00Z", "set": { "default": "green" } }],
        });
        root.put(&format!("/value-flags/{VALUE_FLAG}"), &button).await.expect(201);
    }

    /// Creates the tokens of the people, and one that has expired.
    async fn invite(&mut self) {
        let root = self.stack.management();
        for (name, role) in
            [("ann", "operator"), ("bob", "operator"), ("vic", "viewer"), ("expired", "viewer")]
        {
            let made = root.post("/tokens", &json!({ "name": name, "role": role })).await.expect(201).body;
            self.words.set(name, made["token"].as_str().expect("a secret"));
            if name == "expired" {
                let rotate = format!("/tokens/{}/rotate", made["id"].as_str().expect("an id"));
                root.post(&rotate, &json!({ "grace_seconds": 0 })).await.expect(201);
            }
        }
    }

    /// Starts a run with evidence of both backends, and one that is rolled back.
    async fn run_canaries(&self) {
        let root = self.stack.management();
        let start = format!("/canary/{RUNNING}/start");
        let run = root.send("POST", &start, &[], None).await.expect(201).body["run"].clone();
        measure(&self.stack, RUNNING, run.as_str().expect("a run")).await;
        for (action, status) in [("start", 201), ("rollback", 200)] {
            root.send("POST", &format!("/canary/{ENDED}/{action}"), &[], None).await.expect(status);
        }
    }

    /// Writes a configuration with one change, recorded pairs, and the example of an adapter.
    async fn write_files(&mut self) {
        let mut config = self.stack.management().get("/config").await.expect(200).body;
        self.words.set("config", config.to_string());
        config["feature_flags"][DISABLED]["description"] = json!("Writing reviews by GraphQL");
        self.write("changed.yaml", config.to_string());
        self.write(
            "pairs.yaml",
            "rules:\n  - { path: timestamp, ignore: true }\npairs:\n  - { request: GET /api/v1/reviews/7, expect: legacy }\n",
        );
        let example = paths::root().join("tests/reviews");
        for name in ["adapter.yaml", "openapi.yaml", "operations.graphql", "schema.graphql"] {
            self.write(&format!("reviews/{name}"), std::fs::read(example.join(name)).expect("an example"));
        }
    }

    /// Writes a file into the folder in which the commands are run.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.desk.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        std::fs::write(path, content).expect("the file is written");
    }

    /// Returns the strings of an output that differ from run to run, with their names.
    pub fn names(&self, words: &Words) -> Vec<(String, &'static str)> {
        vec![
            (self.desk.path().display().to_string(), "DESK"),
            (words.get("n").to_owned(), "N"),
            (words.get("url").to_owned(), "http://127.0.0.1:9/lambda-url/management"),
        ]
    }

    /// Takes the steps to the state of a row. Returns the words of its command, which calls the management API at a URL if
    /// one is given.
    pub async fn ready(&self, steps: &[Step], url: Option<String>) -> Words {
        let mut words = self.words.clone();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        words.set("n", format!("n{number:04}x"));
        words.set("contexts", self.desk.path().join(format!("contexts/{number}")).display().to_string());
        if let Some(url) = url {
            words.set("url", url);
        }
        for step in steps {
            match step {
                Step::Run(arguments) => {
                    let done = command::run(self.command(&words, Who::Root, arguments), "").await;
                    assert_eq!(done.code, 0, "{arguments:?}: {}", done.err);
                }
                Step::Send { who, method, path, body } => {
                    let made = self.send(&words, *who, [*method, *path, *body]).await;
                    if let Some(made) = made {
                        words.set("made", made);
                    }
                }
            }
        }
        words
    }

    /// Sends a request. Returns the id of the change or the token that it made.
    async fn send(&self, words: &Words, who: Who, [method, path, body]: [&str; 3]) -> Option<String> {
        let (path, body) = (words.fill(path), words.fill(body));
        let kind = if path.starts_with("/config") { "application/yaml" } else { "application/json" };
        let headers = [("content-type", kind)];
        let (headers, body) =
            if body.is_empty() { (&headers[..0], None) } else { (&headers[..], Some(body.as_str())) };
        let answer = self.management(who).send(method, &path, headers, body).await;
        let made = ["change", "id"].iter().find_map(|field| answer.body[*field].as_str());
        made.map(str::to_owned)
    }

    /// Prepares a command of a caller, as it is typed in the folder of the scene.
    pub fn command(&self, words: &Words, who: Who, arguments: &[&str]) -> Command {
        let filled: Vec<String> = arguments.iter().map(|argument| words.fill(argument)).collect();
        let filled: Vec<&str> = filled.iter().map(String::as_str).collect();
        let mut command = command::command(&filled);
        command
            .current_dir(self.desk.path())
            .env("CUTOVER_URL", words.get("url"))
            .env("CUTOVER_TOKEN", self.token(who))
            .env("CUTOVER_EDGE_URL", words.get("edge"))
            .env("CUTOVER_EDGE_TOKEN", EDGE_TOKEN)
            .env("CUTOVER_INGEST_URL", words.get("ingest"))
            .env("CUTOVER_INGEST_SECRET", INGEST_SECRET)
            .env("XDG_CONFIG_HOME", words.get("contexts"))
            .env("EDITOR", "sed -i s/Enable/Use/")
            .env_remove("VISUAL");
        command
    }

    /// Returns a client of the management API.
    pub fn management(&self, who: Who) -> Management {
        self.stack.management().with_token(self.token(who))
    }

    fn token(&self, who: Who) -> &str {
        match who {
            Who::Root => ROOT_TOKEN,
            Who::Ann => self.words.get("ann"),
            Who::Bob => self.words.get("bob"),
            Who::Vic => self.words.get("vic"),
        }
    }

    /// Starts a proxy that answers the next two requests with 503, and passes on all after them. Returns it with the URL of
    /// the management API behind it.
    pub async fn failing(&self) -> (FaultProxy, String) {
        let url = self.words.get("url");
        let (_, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
        let proxy = FaultProxy::start(self.words.get("host").parse().expect("an address")).await;
        for _ in 0..2 {
            let fault = Fault::Answer(503, "application/problem+json", Bytes::from_static(UNAVAILABLE));
            proxy.on_next("authorization", "Bearer", fault);
        }
        let url = format!("{}/{path}", proxy.url());
        (proxy, url)
    }
}
