//! The configuration and its head.

use super::{
    Store, StoreError,
    keys::{self, Key},
};
use aws_sdk_dynamodb::types::AttributeValue;
use cutover_core::{Emergency, FlagName, Revision, Snapshot, Timestamp, canary::Run, config::Config};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The section of the runs of canaries. People do not write it, so the file has none.
pub const RUNS: &str = "canary_runs";

/// A reader that finds the head moved this often gives up.
const MAX_READS: usize = 8;

/// The head of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The revision of the last committed change; 0 before the first one.
    pub revision: Revision,
    /// The revision that was last published.
    pub published: Revision,
    /// The emergency in force.
    pub emergency: Option<Emergency>,
}

/// When and by whom an object was last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The revision of that change; it serves as the object's version and ETag.
    pub version: Revision,
    /// When.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
}

/// The whole configuration at one revision.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The head.
    pub head: Head,
    /// The objects.
    pub config: Config,
    /// The newest run of each flag's canary.
    pub runs: BTreeMap<FlagName, Run>,
    meta: BTreeMap<(String, String), Meta>,
}

impl State {
    /// When and by whom an object was last changed.
    pub fn meta(&self, section: &str, name: &str) -> Option<&Meta> {
        self.meta.get(&(section.to_owned(), name.to_owned()))
    }

    /// The run of a flag's canary that owns its share, if one does.
    pub fn active_run(&self, flag: &FlagName) -> Option<&Run> {
        self.runs.get(flag).filter(|run| run.state.is_active())
    }

    /// Whether an emergency holds a flag.
    pub fn is_held(&self, flag: &FlagName) -> bool {
        self.head.emergency.as_ref().is_some_and(|emergency| emergency.covers(flag))
    }

    /// The document that the edge reads.
    pub fn snapshot(&self) -> Snapshot {
        let labels = self.runs.iter().filter_map(|(flag, run)| Some((flag.clone(), run.label()?)));
        let canaries = labels.collect();
        let snapshot = self.config.clone().snapshot(self.head.revision, self.head.emergency.clone());
        Snapshot { canaries, ..snapshot }
    }
}

impl Store {
    /// The head.
    pub async fn head(&self) -> Result<Head, StoreError> {
        match self.get(&Key::head()).await? {
            None => Ok(Head::default()),
            Some(item) => Ok(Head {
                revision: Revision(item.number("revision")?),
                published: Revision(item.optional_number("published").unwrap_or_default()),
                emergency: item.optional_text("emergency").map(|_| item.json("emergency")).transpose()?,
            }),
        }
    }

    /// The whole configuration at one revision. DynamoDB reads items one by one, so the head is looked at before
    /// and after: every change moves it, and an unmoved head means that nothing changed between.
    pub async fn state(&self) -> Result<State, StoreError> {
        let mut head = self.head().await?;
        for _ in 0..MAX_READS {
            let objects = self.objects().await?;
            let after = self.head().await?;
            if after.revision == head.revision {
                return Ok(State { head: after, ..objects });
            }
            head = after;
        }
        Err(StoreError::Restless)
    }

    async fn objects(&self) -> Result<State, StoreError> {
        let mut sections: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        let mut routes = Vec::new();
        let mut runs = BTreeMap::new();
        let mut meta = BTreeMap::new();
        for item in self.all(keys::CONFIG, "").await? {
            let Some((section, name)) = item.text(keys::SORT)?.split_once('#') else { continue };
            let value: Value = item.json("data")?;
            meta.insert(
                (section.to_owned(), name.to_owned()),
                Meta {
                    version: Revision(item.number("version")?),
                    updated_at: item
                        .text("updated_at")?
                        .parse()
                        .map_err(|error| StoreError::Item(format!("updated_at: {error}")))?,
                    updated_by: item.text("updated_by")?.to_owned(),
                },
            );
            match section {
                "feature_flags" => {
                    sections.entry("feature_flags").or_default().insert(name.to_owned(), value)
                }
                "canary_deployments" => {
                    sections.entry("canary_deployments").or_default().insert(name.to_owned(), value)
                }
                "ab_tests" => sections.entry("ab_tests").or_default().insert(name.to_owned(), value),
                "origins" => sections.entry("origins").or_default().insert(name.to_owned(), value),
                "adapters" => sections.entry("adapters").or_default().insert(name.to_owned(), value),
                "routes" => {
                    routes.push(value);
                    None
                }
                RUNS => {
                    let run: Run = serde_json::from_value(value)
                        .map_err(|error| StoreError::Item(format!("run of {name}: {error}")))?;
                    runs.insert(run.flag.clone(), run);
                    None
                }
                other => return Err(StoreError::Item(format!("an object of the section {other:?}"))),
            };
        }
        let mut document: Map<String, Value> = sections
            .into_iter()
            .map(|(section, objects)| (section.to_owned(), Value::Object(objects)))
            .collect();
        document.insert("routes".to_owned(), Value::Array(routes));
        let config = serde_json::from_value(Value::Object(document))
            .map_err(|error| StoreError::Item(format!("configuration: {error}")))?;
        Ok(State { head: Head::default(), config, runs, meta })
    }

    /// Notes that a revision was published. A later note stays.
    pub async fn note_published(&self, revision: Revision) -> Result<(), StoreError> {
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::head().attributes()))
            .update_expression("SET published = :revision")
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(published) OR published < :revision)",
            )
            .expression_attribute_values(":revision", AttributeValue::N(revision.to_string()))
            .send()
            .await;
        // Refused is fine: a later revision is noted already.
        super::is_made(outcome).map(|_| ())
    }
}
