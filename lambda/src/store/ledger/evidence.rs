//! The evidence of a ledger: of a flag's newest run, or of an experiment's newest phase. It may hold thousands of users, so it
//! is compressed, and split into items.

use crate::store::{
    error::StoreError,
    item::{NewItem, pack, unpack},
    keys::Key,
    ledger::layout::{DATA, bytes_of},
    table::Store,
};
use serde::{Serialize, de::DeserializeOwned};

/// Largest part, in bytes as it is stored.
const MAX_PART: usize = 100_000;

/// Most bytes of a transaction that are evidence of a run and records. DynamoDB's limit is 4 MB, and the ledger of a
/// flag has at most 0.6 MB.
const MAX_BYTES: usize = 3_300_000;

/// Most bytes of a transaction that are evidence of a phase and records. The ledger of an experiment has a head, and no
/// other parts.
const MAX_PHASE_BYTES: usize = 3_850_000;

/// Most items of a transaction that are evidence and records. DynamoDB's limit is 100, and a ledger with its conditions
/// has at most 14.
const MAX_ITEMS: usize = 80;

/// Evidence as it is stored. It is packed once, both to see if it can be written and to be written.
#[derive(Debug, Clone)]
pub struct PackedEvidence(Vec<u8>);

impl PackedEvidence {
    /// Packs evidence.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be JSON.
    pub fn of<E: Serialize>(evidence: &E) -> Result<Self, StoreError> {
        pack(evidence).map(Self)
    }

    /// Returns true if the evidence of a run can be written in one transaction with the ledger of its flag and these records.
    pub(crate) fn fits(&self, records: &[NewItem]) -> bool {
        self.takes(records, MAX_BYTES)
    }

    /// Returns true if a phase can be written in one transaction with the ledger of its experiment and these records.
    pub(crate) fn fits_of_phase(&self, records: &[NewItem]) -> bool {
        self.takes(records, MAX_PHASE_BYTES)
    }

    fn takes(&self, records: &[NewItem], most_bytes: usize) -> bool {
        let items = self.items("", 0);
        let bytes: usize = items.iter().chain(records).map(NewItem::size).sum();
        bytes <= most_bytes && items.len() + records.len() <= MAX_ITEMS
    }

    /// Builds the items that are written with a version of their ledger.
    pub(super) fn items(&self, ledger: &str, version: u64) -> Vec<NewItem> {
        let chunks = self.0.chunks(MAX_PART);
        let count = chunks.len() as u64;
        let items = chunks.enumerate().map(|(part, chunk)| {
            NewItem::new(&Key::evidence(ledger, part))
                .number("version", version)
                .number("parts", count)
                .bytes(DATA, chunk.to_vec())
        });
        items.collect()
    }
}

impl Store {
    /// Reads the evidence that was written with a version of its ledger; `None` if another version has been written
    /// meanwhile.
    pub(super) async fn evidence_of<E: DeserializeOwned>(
        &self,
        ledger: &str,
        version: u64,
    ) -> Result<Option<E>, StoreError> {
        let mut data = Vec::new();
        let mut is_packed = true;
        let (mut part, mut count) = (0, 1);
        while part < count {
            let Some(item) = self.get(&Key::evidence(ledger, part)).await? else { return Ok(None) };
            if item.number("version")? != version {
                return Ok(None);
            }
            // An earlier version wrote it as text.
            match item.optional_text(DATA) {
                Some(text) => {
                    is_packed = false;
                    data.extend_from_slice(text.as_bytes());
                }
                None => data.extend(bytes_of(&item, DATA)?),
            }
            count = usize::try_from(item.number("parts")?).unwrap_or_default();
            part += 1;
        }
        let decoded = if is_packed {
            unpack(&data)
        } else {
            serde_json::from_slice(&data).map_err(|error| StoreError::Item(error.to_string()))
        };
        decoded.map(Some).map_err(|error| StoreError::Item(format!("evidence: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{item::Item, keys};
    use cutover_core::{
        Arm, Timestamp,
        canary::{Evidence, Run, RunIdentity},
        config::Config,
        experiment::{Arrivals, DEFAULT_CAPACITY, Design, EvidenceSize, Phase, PhaseIdentity},
        measurement::{
            batch::{Batch, SeenUser, UserWindow},
            experiments::{ExperimentPart, Exposure, GuardrailEvent, UserOutcome},
        },
        rules::experiment::metric::Role,
        statistics::split_mix::SplitMix64,
    };

    fn run(flag: &str, began: i64) -> Run {
        let config = Config::from_yaml(include_str!("../../../../docs/example.yaml")).unwrap();
        let plan = config.canary_deployments.into_values().next().unwrap();
        let identity = RunIdentity { id: "r1".parse().unwrap(), key: None };
        Run::start(identity, flag.parse().unwrap(), plan, Timestamp::from_millis(began), "operator")
    }

    /// Evidence of thousands of users is larger than an item may be.
    #[test]
    fn large_evidence_is_stored_in_parts() {
        let run = run("one", 0);
        let mut evidence = Evidence::none(&run);
        // Hashes are as good as random, so they are hardly compressed.
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        evidence.unripe.push(UserWindow {
            flag: run.flag.clone(),
            canary: (run.id.clone(), 0),
            share: run.share(),
            window: 0,
            settle_ms: 1,
            seen: (0..50_000).map(|number| SeenUser(hash(number), Arm::New)).collect(),
            events: Vec::new(),
            compared: Vec::new(),
        });
        let packed = PackedEvidence::of(&evidence).unwrap();
        let items = packed.items("f", 7);
        assert!(items.len() > 1);
        assert!(packed.fits(&[]));
        assert!(!packed.fits(&vec![NewItem::new(&Key::head()); MAX_ITEMS]));
        let large = NewItem::new(&Key::head()).bytes(DATA, vec![0; MAX_BYTES]);
        assert!(!packed.fits(&[large]));
        let mut data = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            assert!(item.size() <= MAX_PART + 1_000, "{}", item.size());
            let item = Item::new(item.into_attributes()).unwrap();
            assert_eq!(item.text(keys::SORT).unwrap(), format!("EVIDENCE#{index:03}"));
            assert_eq!(item.number("version").unwrap(), 7);
            data.extend(item.bytes(DATA).unwrap());
        }
        assert_eq!(unpack::<Evidence>(&data).unwrap(), evidence);
    }

    /// 200,000 users of a week, of whom a tenth converts: measured on a tenth of them, in a tenth of the hashes.
    #[test]
    fn a_phase_of_200_000_users_fits_into_a_transaction() {
        let text = "experiments: { e: { name: E, success_metrics: [order], variants: { a: A, b: B } } }";
        let (name, experiment) = Config::from_yaml(text).unwrap().ab_tests.pop_first().unwrap();
        let began = Timestamp::from_millis(0);
        let identity = PhaseIdentity { experiment: name.clone(), phase: 1, began };
        let mut phase = Phase::begin(identity, Design::of(&experiment), 1_000_000);
        let mut dice = SplitMix64::new(11);
        let mut part = ExperimentPart::empty(name.clone(), 1, 1_767_225_600);
        for number in 0..20_000 {
            let (user, variant) = (dice.draw() / 10, u8::from(dice.draw().is_multiple_of(2)));
            let after_s = u32::try_from(dice.draw() % (7 * 86_400)).unwrap();
            part.exposures.push(Exposure { user, variant, after_s });
            if number % 10 == 0 {
                part.outcomes.push(UserOutcome {
                    user,
                    metric: 0,
                    after_s: after_s + 20,
                    value: None,
                    id: None,
                });
            }
        }
        let mut arrivals = Arrivals::new(name, 1);
        arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) });
        phase.fold(&arrivals, Timestamp::from_millis(1_767_225_600_000 + 7 * 86_400_000));
        assert_eq!(phase.evidence.remembered(), 20_000);
        let items = PackedEvidence::of(&phase).unwrap().items("experiment/e", 1);
        let bytes: usize = items.iter().map(NewItem::size).sum();
        assert!(bytes * 10 > MAX_BYTES, "the room for the ledger of a flag is needed: {bytes}");
        assert!(bytes * 10 <= MAX_PHASE_BYTES, "{bytes}");
    }

    /// A phase has the room that the ledger of a flag takes beside a run.
    #[test]
    fn a_phase_may_be_larger_than_the_evidence_of_a_run() {
        let text = "experiments: { e: { name: E, variants: { a: A, b: B } } }";
        let (experiment, document) = Config::from_yaml(text).unwrap().ab_tests.pop_first().unwrap();
        let identity = PhaseIdentity { experiment, phase: 1, began: Timestamp::from_millis(0) };
        let phase = Phase::begin(identity, Design::of(&document), 1);
        let records = |bytes: usize| [NewItem::new(&Key::head()).bytes(DATA, vec![0; bytes])];
        for (bytes, fits_run, fits_phase) in
            [(MAX_BYTES - 10_000, true, true), (MAX_BYTES, false, true), (MAX_PHASE_BYTES, false, false)]
        {
            let packed = PackedEvidence::of(&phase).unwrap();
            assert_eq!(packed.fits(&records(bytes)), fits_run, "{bytes}");
            assert_eq!(packed.fits_of_phase(&records(bytes)), fits_phase, "{bytes}");
        }
    }

    /// The size in `cutover experiment plan` is the stored one, for users with hashes as good as random, of whom a fifth converts.
    #[test]
    fn the_size_of_evidence_is_the_one_that_plans_have() {
        let text = "experiments: { e: { name: E, success_metrics: [order], variants: { control: C, treatment: T } } }";
        let (experiment, document) = Config::from_yaml(text).unwrap().ab_tests.pop_first().unwrap();
        let began = Timestamp::from_millis(1_767_225_600_000);
        let identity = PhaseIdentity { experiment: experiment.clone(), phase: 1, began };
        let mut phase = Phase::begin(identity, Design::of(&document), DEFAULT_CAPACITY);
        let mut random = SplitMix64::new(1);
        let users = 4_096;
        for sequence in 1..=8 {
            let mut part = ExperimentPart::empty(experiment.clone(), 1, 1_767_225_600);
            for _ in 0..users / 8 {
                let (user, variant) = (random.draw(), (random.draw() % 2) as u8);
                let after_s = (random.draw() % 40_000) as u32;
                part.exposures.push(Exposure { user, variant, after_s });
                if random.draw().is_multiple_of(5) {
                    let after_s = after_s + (random.draw() % 3_600) as u32;
                    part.outcomes.push(UserOutcome { user, metric: 0, after_s, value: None, id: None });
                }
            }
            let mut arrivals = Arrivals::new(experiment.clone(), 1);
            arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), sequence) });
            phase.fold(&arrivals, Timestamp::from_millis(1_767_300_000_000));
        }
        assert_eq!(phase.evidence.remembered(), users);
        let items = PackedEvidence::of(&phase).unwrap().items("e", 1);
        let stored: usize = items.iter().map(NewItem::size).sum();
        let planned = EvidenceSize::of(users as u64, 0.2).stored as f64;
        let part = stored as f64 / planned;
        assert!((0.8..1.2).contains(&part), "{stored} bytes, {planned} were planned");
        assert_eq!(items.len(), 1, "one for each {MAX_PART} bytes");
    }
    /// The hours of guardrails, as full as they become: two of them, each with a quarter of the remembered users.
    #[test]
    fn the_size_of_the_hours_of_guardrails_is_the_one_that_plans_have() {
        let text = "experiments: { e: { name: E, success_metrics: [order, error_rate], variants: { control: C, b: B } } }";
        let (experiment, document) = Config::from_yaml(text).unwrap().ab_tests.pop_first().unwrap();
        let identity =
            PhaseIdentity { experiment: experiment.clone(), phase: 1, began: Timestamp::from_millis(0) };
        let design = Design::of(&document);
        let guardrail = design.metrics.iter().position(|metric| metric.role == Role::Guardrail).unwrap();
        let mut phase = Phase::begin(identity, design, DEFAULT_CAPACITY);
        let size = |phase: &Phase| -> usize {
            PackedEvidence::of(phase).unwrap().items("e", 1).iter().map(NewItem::size).sum()
        };
        let empty = size(&phase);
        let mut random = SplitMix64::new(1);
        let mut part = ExperimentPart::empty(experiment.clone(), 1, 0);
        for hour in 0..2 {
            for _ in 0..DEFAULT_CAPACITY / 4 {
                let (user, variant) = (random.draw(), u8::from(random.draw().is_multiple_of(2)));
                part.guardrails.push(GuardrailEvent {
                    user,
                    variant,
                    metrics: 1 << guardrail,
                    after_s: hour * 3_600,
                });
            }
        }
        let mut arrivals = Arrivals::new(experiment, 1);
        arrivals.add(&Batch { experiments: vec![part], ..Batch::empty("a".repeat(32), 1) });
        phase.fold(&arrivals, Timestamp::from_millis(3_700_000));
        let stored = size(&phase) - empty;
        let planned = EvidenceSize::of_hours(DEFAULT_CAPACITY).stored as f64;
        assert!((0.8..1.2).contains(&(stored as f64 / planned)), "{stored} bytes, {planned} were planned");
    }
}
