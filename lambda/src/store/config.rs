//! The configuration and its head.

use crate::store::{
    brakes::Brakes,
    commit::Write,
    error::StoreError,
    item::{Item, SCHEMA},
    keys,
    keys::Key,
    last_emergency::LastEmergency,
    phases::{CountedPhase, PHASES},
    table::Store,
};
use aws_sdk_dynamodb::types::AttributeValue;
use cutover_core::{
    DeploymentId, Emergency, Epoch, ExperimentName, Flag, FlagName, PartsPerMillion, Revision, Snapshot,
    Stamp, Timestamp,
    canary::{Run, RunState},
    config::Config,
    experiment::{Design, PhaseIdentity},
    measurement::label::ExperimentLabel,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Section of the canary runs. Users do not write it, so the configuration file does not have it.
pub const RUNS: &str = "canary_runs";

/// Number of attempts to read a consistent state while the head keeps moving.
const MAX_READS: usize = 8;

/// Head of the configuration: a single item that every change updates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Revision of the last committed change; 0 before the first one.
    pub revision: Revision,
    /// Epoch of that revision: the time of the last restore.
    pub epoch: Epoch,
    /// Identifier of the deployment; `None` before the first change by a version that knows it.
    pub deployment: Option<DeploymentId>,
    /// Emergency in force.
    pub emergency: Option<Emergency>,
    /// The latest changes that lowered a flag.
    pub brakes: Brakes,
}

impl Head {
    /// Returns the revision with its epoch.
    pub fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, revision: self.revision }
    }

    /// Returns true if an isolate that holds a snapshot of this stamp knows from the brakes of every flag that was lowered
    /// since. Revisions of two epochs cannot be compared.
    pub fn reaches(&self, held: Stamp) -> bool {
        held.epoch == self.epoch && self.brakes.reaches(held.revision)
    }
}

/// Time and author of the last change of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Revision of that change; it serves as the object's version.
    pub version: Revision,
    /// Epoch of that revision.
    pub epoch: Epoch,
    /// Time of that change.
    pub updated_at: Timestamp,
    /// Name of the caller who made it.
    pub updated_by: String,
}

impl Meta {
    /// Returns the version with its epoch, which is the object's ETag.
    pub fn stamp(&self) -> Stamp {
        Stamp { epoch: self.epoch, revision: self.version }
    }
}

/// The whole configuration at one revision.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Head at that revision.
    pub head: Head,
    /// Revision that was last published, as far as it was noted.
    pub published: Revision,
    /// Objects that users configure.
    pub config: Config,
    /// Newest run of each flag's canary.
    pub runs: BTreeMap<FlagName, Run>,
    /// Last phase of each experiment that was deleted. One that gets its name begins above it: measurements of the deleted one
    /// may still arrive.
    pub last_phases: BTreeMap<ExperimentName, u32>,
    /// Phases of experiments that are counted.
    pub phases: BTreeMap<ExperimentName, CountedPhase>,
    meta: BTreeMap<(String, String), Meta>,
}

impl State {
    /// Returns the time and author of the last change of an object.
    pub fn meta(&self, section: &str, name: &str) -> Option<&Meta> {
        self.meta.get(&(section.to_owned(), name.to_owned()))
    }

    /// Notes the time and author of the last change of an object, as if it had been read.
    #[cfg(test)]
    pub(crate) fn note_meta(&mut self, section: &str, name: &str, meta: Meta) {
        self.meta.insert((section.to_owned(), name.to_owned()), meta);
    }

    /// Builds the write that replaces or, without a value, removes an object as it is in this state.
    pub fn write(&self, section: &str, name: &str, value: Option<Value>) -> Write {
        let expected = self.meta(section, name).map(|meta| meta.version);
        Write::Object { section: section.to_owned(), name: name.to_owned(), value, expected }
    }

    /// Returns the active run of a flag's canary, which owns the flag's share.
    pub fn active_run(&self, flag: &FlagName) -> Option<&Run> {
        self.runs.get(flag).filter(|run| run.state.is_active())
    }

    /// Returns the name of the running experiment that owns a flag.
    pub fn owner(&self, flag: &FlagName) -> Option<&ExperimentName> {
        self.config.owner(flag).map(|(name, _)| name)
    }

    /// Returns the salt in force of a flag: its own, or else the one that its newest run dealt users anew with; `None` for
    /// the default.
    pub fn salt(&self, name: &FlagName) -> Option<&str> {
        let own = self.config.feature_flags.get(name)?.salt.as_deref();
        own.or_else(|| self.run_salt(name))
    }

    /// Returns the salt that the newest run of a flag dealt users anew with.
    pub fn run_salt(&self, name: &FlagName) -> Option<&str> {
        self.runs.get(name).filter(|run| run.state != RunState::RolledBack)?.salt.as_deref()
    }

    /// Returns true if an emergency forces the flag to legacy.
    pub fn is_held(&self, flag: &FlagName) -> bool {
        self.head.emergency.as_ref().is_some_and(|emergency| emergency.covers(flag))
    }

    /// Returns the share of a flag's users that is on the new arm: none while the flag is disabled or held.
    pub fn share_in_force(&self, name: &FlagName, flag: &Flag) -> PartsPerMillion {
        if self.is_held(name) { PartsPerMillion::ZERO } else { flag.enabled_share() }
    }

    /// Returns the share of a flag's users that is on the new arm by the flag or by the running experiment that owns it: none
    /// while an emergency holds the flag.
    pub fn share_on_new(&self, name: &FlagName) -> PartsPerMillion {
        if self.is_held(name) { PartsPerMillion::ZERO } else { self.config.share_on_new(name) }
    }

    /// Returns the identity and the design of the phase of an experiment that is counted; `None` if none is.
    pub fn counted_phase(&self, name: &ExperimentName) -> Option<(PhaseIdentity, Design)> {
        let experiment = self.config.ab_tests.get(name)?;
        let counted = self.phases.get(name).filter(|counted| counted.is_of(experiment))?;
        let CountedPhase { phase, began, .. } = *counted;
        Some((PhaseIdentity { experiment: name.clone(), phase, began }, Design::of(experiment)))
    }

    /// Returns the labels of the experiments whose users the edge counts.
    fn experiment_labels(&self) -> BTreeMap<ExperimentName, ExperimentLabel> {
        let running = |name: &ExperimentName, counted: &CountedPhase| {
            let experiment = self.config.ab_tests.get(name)?;
            (experiment.is_running() && counted.is_of(experiment)).then(|| counted.label())
        };
        let labels = self
            .phases
            .iter()
            .filter_map(|(name, counted)| running(name, counted).map(|label| (name.clone(), label)));
        labels.collect()
    }

    /// Builds the document that the edge reads.
    pub fn snapshot(&self) -> Snapshot {
        let labels = self.runs.iter().filter_map(|(flag, run)| Some((flag.clone(), run.label()?)));
        let canaries = labels.collect();
        let mut config = self.config.clone();
        for (name, flag) in &mut config.feature_flags {
            flag.salt = self.salt(name).map(str::to_owned);
        }
        let snapshot = config.snapshot(self.head.revision, self.head.emergency.clone());
        let Head { epoch, deployment, .. } = self.head.clone();
        let experiment_labels = self.experiment_labels();
        Snapshot { canaries, experiment_labels, epoch, deployment, ..snapshot }
    }
}

/// Returns the published revision that is noted in an item.
fn noted_in(item: &Item) -> Revision {
    Revision(item.optional_number("published").unwrap_or_default())
}

/// Reads the item of the last phase of a deleted experiment.
fn last_phase(name: &str, item: &Item) -> Result<(ExperimentName, u32), StoreError> {
    let invalid = |error: String| StoreError::Item(format!("last phase of {name}: {error}"));
    let experiment = name.parse::<ExperimentName>().map_err(|error| invalid(error.to_string()))?;
    let phase = u32::try_from(item.number("phase")?).map_err(|error| invalid(error.to_string()))?;
    Ok((experiment, phase))
}

impl Store {
    /// Reads the head.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let head = match self.get(&Key::head()).await? {
            None => Head::default(),
            Some(item) => Head {
                revision: Revision(item.number("revision")?),
                epoch: item.epoch(),
                deployment: item
                    .optional_text(keys::DEPLOYMENT)
                    .map(str::parse::<DeploymentId>)
                    .transpose()
                    .map_err(|error| StoreError::Item(format!("deployment: {error}")))?,
                // A head that an earlier version wrote has none.
                brakes: match item.optional_text("brakes") {
                    Some(_) => item.json::<Brakes>("brakes")?.read_at(Revision(item.number("revision")?)),
                    None => Brakes::none_before(Revision(item.number("revision")?)),
                },
                emergency: item.optional_text("emergency").map(|_| item.json("emergency")).transpose()?,
            },
        };
        LastEmergency::note(head.emergency.as_ref());
        Ok(head)
    }

    /// Returns the revision that was last published; 0 if none was.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read or an item cannot be decoded.
    pub async fn published(&self) -> Result<Revision, StoreError> {
        let noted = match self.get(&Key::published()).await? {
            Some(item) => Some(item),
            // Earlier versions noted it in the head, where it is until the first publication by this one.
            None => self.get(&Key::head()).await?,
        };
        Ok(noted.as_ref().map(noted_in).unwrap_or_default())
    }

    /// Reads the whole configuration at one revision. A DynamoDB query is not a snapshot of its
    /// items, so the head is read before and after: every change moves it, so an unchanged head
    /// means that nothing changed in between.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be read, an item cannot be decoded, or the configuration keeps
    /// changing.
    pub async fn state(&self) -> Result<State, StoreError> {
        let mut head = self.head().await?;
        for _ in 0..MAX_READS {
            let objects = self.objects().await?;
            let after = self.head().await?;
            if after.stamp() == head.stamp() {
                return Ok(State { head: after, ..objects });
            }
            head = after;
        }
        Err(StoreError::Restless)
    }

    async fn objects(&self) -> Result<State, StoreError> {
        let mut sections: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        let mut settings: Map<String, Value> = Map::new();
        let mut routes = Vec::new();
        let mut runs = BTreeMap::new();
        let mut last_phases = BTreeMap::new();
        let mut phases = BTreeMap::new();
        let mut meta = BTreeMap::new();
        let mut published = Revision::default();
        for item in self.all(keys::CONFIG, "").await? {
            if let Some(name) = item.text(keys::SORT)?.strip_prefix(keys::LAST_PHASE) {
                let (experiment, phase) = last_phase(name, &item)?;
                last_phases.insert(experiment, phase);
                continue;
            }
            let Some((section, name)) = item.text(keys::SORT)?.split_once('#') else {
                // The head, in which earlier versions noted it, or the note.
                published = published.max(noted_in(&item));
                continue;
            };
            let value: Value = item.json("data")?;
            meta.insert(
                (section.to_owned(), name.to_owned()),
                Meta {
                    version: Revision(item.number("version")?),
                    epoch: item.epoch(),
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
                "holdouts" => sections.entry("holdouts").or_default().insert(name.to_owned(), value),
                "flags" => sections.entry("flags").or_default().insert(name.to_owned(), value),
                "segments" => sections.entry("segments").or_default().insert(name.to_owned(), value),
                // The only object of its section.
                "ofrep" => settings.insert("ofrep".to_owned(), value),
                "limits" => sections.entry("limits").or_default().insert(name.to_owned(), value),
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
                PHASES => {
                    // The key is in the value, and must be in no message.
                    let phase: CountedPhase = serde_json::from_value(value)
                        .map_err(|_| StoreError::Item(format!("the phase of the experiment {name}")))?;
                    let name: ExperimentName = name
                        .parse()
                        .map_err(|error| StoreError::Item(format!("phase of {name}: {error}")))?;
                    phases.insert(name, phase);
                    None
                }
                other => return Err(StoreError::Item(format!("an object of the unknown section {other:?}"))),
            };
        }
        let mut document: Map<String, Value> = sections
            .into_iter()
            .map(|(section, objects)| (section.to_owned(), Value::Object(objects)))
            .collect();
        document.extend(settings);
        document.insert("routes".to_owned(), Value::Array(routes));
        let config = serde_json::from_value(Value::Object(document))
            .map_err(|error| StoreError::Item(format!("configuration: {error}")))?;
        Ok(State { head: Head::default(), published, config, runs, last_phases, phases, meta })
    }

    /// Records that a revision has been published, unless a later one is recorded already.
    ///
    /// # Errors
    ///
    /// Fails if the table cannot be written.
    pub async fn note_published(&self, revision: Revision) -> Result<(), StoreError> {
        let outcome = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::published().attributes()))
            .update_expression("SET published = :revision, #schema = :schema")
            .condition_expression("attribute_not_exists(published) OR published < :revision")
            .expression_attribute_names("#schema", "schema")
            .expression_attribute_values(":revision", AttributeValue::N(revision.to_string()))
            .expression_attribute_values(":schema", AttributeValue::N(SCHEMA.to_string()))
            .send()
            .await;
        // An unmet condition is fine: a later revision has been recorded already.
        crate::store::table::is_made(outcome).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edge counts the users of a phase that runs, and of no other.
    #[test]
    fn a_label_is_in_the_snapshot_while_its_phase_runs() {
        let key = "0123456789abcdef0123456789abcdef";
        let labels = |state: &str, phase: u32| {
            let text =
                format!("experiments: {{ e: {{ name: E, state: {state}, variants: {{ a: A, b: B }} }} }}");
            let mut held = State { config: Config::from_yaml(&text).unwrap(), ..State::default() };
            let counted = CountedPhase { phase, began: Timestamp::from_millis(0), key: key.to_owned() };
            held.phases.insert("e".parse().unwrap(), counted);
            assert!(!serde_json::to_string(&held.config).unwrap().contains(key), "an export has the key");
            held.snapshot()
                .experiment_labels
                .into_values()
                .map(|label| (label.phase, label.key))
                .collect::<Vec<_>>()
        };
        assert_eq!(labels("running", 1), [(1, key.to_owned())]);
        assert!(labels("running", 2).is_empty());
        for state in ["draft", "paused", "stopped"] {
            assert!(labels(state, 1).is_empty(), "{state}");
        }
    }
}
