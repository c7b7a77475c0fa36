//! The brakes of a change: one for each flag that it lowers, or takes from an experiment.

use crate::store::{
    audit::AuditRecord,
    brakes::Brakes,
    commit::{Commit, EmergencyChange, Write},
    config::State,
    lease::Lease,
};
use cutover_core::{
    ExperimentName, Flag, FlagName, measurement::answer::Brake, rules::experiment::document::Experiment,
};
use serde_json::Value;

/// Size that the brakes fill the head up to, in bytes. A consistent read of up to 4 KB costs one unit, and every question is
/// answered from one.
const FULL_HEAD: usize = 4_096;

/// Room that brakes always have, in bytes. With a long emergency the head is larger than 4 KB, and costs more to read.
const BRAKES_ROOM: usize = 2_048;

/// Bytes of the head for everything but its emergency and its brakes.
const HEAD_REST: usize = 512;

impl State {
    /// Builds the change of this state that evaluation makes by itself while it holds a lease: with the brakes that its
    /// writes need, and without a response.
    pub fn automatic_change(&self, writes: Vec<Write>, audit: AuditRecord, lease: Lease) -> Commit {
        Commit {
            from: self.head.revision,
            epoch: self.head.epoch,
            brakes: self.brakes_after(&writes, &EmergencyChange::Keep),
            writes,
            emergency: EmergencyChange::Keep,
            audit,
            reply: None,
            lease: Some(lease),
        }
    }

    /// Returns the brakes of the head after a change of this state: those that it has, and one for each flag that the change
    /// lowers, or takes from an experiment.
    pub fn brakes_after(&self, writes: &[Write], emergency: &EmergencyChange) -> Brakes {
        let declared = match emergency {
            EmergencyChange::Keep => self.head.emergency.as_ref(),
            EmergencyChange::Set(declared) => Some(declared),
            EmergencyChange::Clear => None,
        };
        let declared = declared.and_then(|declared| serde_json::to_string(declared).ok());
        let taken = HEAD_REST.saturating_add(declared.map_or(0, |json| json.len()));
        let added = writes.iter().filter_map(|write| self.brake_of(write));
        let room = FULL_HEAD.saturating_sub(taken).max(BRAKES_ROOM);
        self.head.brakes.clone().with(self.head.revision.next(), added, room)
    }

    /// Returns the brake of a write; `None` if it moves nobody to legacy. A brake for nothing would take the room of another one,
    /// and isolates that cannot be told all of them send nobody to the new arm.
    fn brake_of(&self, write: &Write) -> Option<Brake> {
        let Write::Object { section, name, value, .. } = write else { return None };
        match section.as_str() {
            "feature_flags" => self.brake_of_flag(name, value.as_ref()),
            "ab_tests" => self.brake_of_experiment(name, value.as_ref()),
            _ => None,
        }
    }

    /// Returns the brake of an experiment that ends to own its flag: at the flag's percentage, beyond which only the experiment
    /// had users on the new arm.
    fn brake_of_experiment(&self, name: &str, value: Option<&Value>) -> Option<Brake> {
        let name: ExperimentName = name.parse().ok()?;
        let owned = self.config.ab_tests.get(&name)?.owned_flag()?;
        // One that is removed, or that cannot be read, owns nothing.
        let after: Option<Experiment> = value.and_then(|value| serde_json::from_value(value.clone()).ok());
        if after.as_ref().and_then(Experiment::owned_flag) == Some(owned) {
            return None;
        }
        let flag = self.config.feature_flags.get(owned).filter(|flag| flag.enabled)?;
        Some(Brake {
            revision: self.head.revision.next(),
            flag: owned.clone(),
            enabled: true,
            rollout: flag.rollout_percentage,
        })
    }

    fn brake_of_flag(&self, name: &str, value: Option<&Value>) -> Option<Brake> {
        let name: FlagName = name.parse().ok()?;
        let before = self.config.feature_flags.get(&name)?;
        // A flag that is removed, or that cannot be read, sends nobody to the new arm.
        let after: Flag =
            value.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default();
        let is_off = before.enabled && !after.enabled;
        let is_lower = after.enabled_share() < before.enabled_share()
            || (is_off && self.has_users_beside_share(&name, before));
        is_lower.then(|| Brake {
            revision: self.head.revision.next(),
            flag: name,
            enabled: after.enabled,
            rollout: after.rollout_percentage,
        })
    }

    /// Returns true if an enabled flag has users on the new arm whatever its share: those of its list, and those of the experiment
    /// that owns it.
    fn has_users_beside_share(&self, name: &FlagName, flag: &Flag) -> bool {
        !flag.user_whitelist.is_empty() || self.owner(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::config::Head;
    use cutover_core::{
        Emergency, PartsPerMillion, Revision, Timestamp, config::Config, rules::emergency::Declaration,
    };
    use serde_json::json;

    /// A state at revision 7 with a flag at 50 %.
    fn state() -> State {
        let config =
            Config::from_yaml("feature_flags: { f: { enabled: true, rollout_percentage: 50 } }").unwrap();
        let head =
            Head { revision: Revision(7), brakes: Brakes::none_before(Revision(7)), ..Head::default() };
        let mut state = State::default();
        (state.head, state.config) = (head, config);
        state
    }

    fn write(section: &str, name: &str, value: Option<Value>) -> Write {
        Write::Object { section: section.to_owned(), name: name.to_owned(), value, expected: None }
    }

    #[test]
    fn a_change_that_lowers_a_flag_has_a_brake() {
        let flag =
            |enabled: bool, percent: u32| Some(json!({ "enabled": enabled, "rollout_percentage": percent }));
        let cases = [
            ("feature_flags", "f", flag(true, 50), None),
            ("feature_flags", "f", flag(true, 80), None),
            ("feature_flags", "f", flag(true, 10), Some((true, 10.0))),
            ("feature_flags", "f", flag(false, 50), Some((false, 50.0))),
            ("feature_flags", "f", None, Some((false, 0.0))),
            ("feature_flags", "new", flag(true, 1), None),
            ("origins", "f", None, None),
        ];
        for (section, name, value, expected) in cases {
            let shown = format!("{section}/{name}: {value:?}");
            let after = state().brakes_after(&[write(section, name, value)], &EmergencyChange::Keep);
            let added = after.since(Revision(0));
            let found = added.first().map(|brake| (brake.enabled, brake.rollout.percent()));
            assert_eq!(found, expected, "{shown}");
            assert!(added.iter().all(|brake| brake.revision == Revision(8)), "{shown}");
            assert!(after.reaches(Revision(7)) && !after.reaches(Revision(6)), "{shown}");
        }
    }

    #[test]
    fn an_experiment_that_ends_to_own_its_flag_has_a_brake_at_the_percentage_of_the_flag() {
        let mut state = state();
        let text = "feature_flags: { f: { enabled: true }, g: { enabled: true } }
experiments:
  e: { name: E, flag: f, variants: [{ key: a, name: A, arm: legacy, traffic_percentage: 50 },
       { key: b, name: B, arm: new, traffic_percentage: 50 }] }";
        state.config.ab_tests = Config::from_yaml(text).unwrap().ab_tests;
        let running = json!(state.config.ab_tests.values().next().unwrap());
        let with = |field: &str, value: Value| {
            let mut changed = running.clone();
            changed[field] = value;
            Some(changed)
        };
        for (value, has_brake) in [
            (with("state", json!("paused")), true),
            (with("state", json!("stopped")), true),
            (with("flag", json!("g")), true),
            (None, true),
            (with("traffic_percentage", json!(10)), false),
            (Some(running.clone()), false),
        ] {
            let shown = format!("{value:?}");
            let after = state.brakes_after(&[write("ab_tests", "e", value)], &EmergencyChange::Keep);
            let added = after.since(Revision(7));
            let found: Vec<_> = added
                .iter()
                .map(|brake| (brake.flag.as_str(), brake.enabled, brake.rollout.percent()))
                .collect();
            let expected = if has_brake { vec![("f", true, 50.0)] } else { Vec::new() };
            assert_eq!(found, expected, "{shown}");
        }
        let started = state.brakes_after(&[write("ab_tests", "new", Some(running))], &EmergencyChange::Keep);
        assert!(started.since(Revision(7)).is_empty(), "an experiment that begins lowers nothing");
    }

    #[test]
    fn a_head_with_a_long_emergency_has_room_for_brakes() {
        let declaration = |person: usize| Declaration {
            flags: None,
            reason: "x".repeat(500),
            by: format!("operator-{person}"),
            since: Timestamp::from_millis(0),
        };
        let declared = (1..8).fold(Emergency::from(declaration(0)), |emergency, person| {
            emergency.widened(declaration(person))
        });
        assert!(serde_json::to_string(&declared).unwrap().len() > FULL_HEAD);
        let flags = (0..20).map(|number| format!("flag_{number}"));
        let mut state = state();
        let full = Flag { enabled: true, rollout_percentage: PartsPerMillion::ALL, ..Flag::default() };
        state.config.feature_flags = flags.map(|name| (name.parse().unwrap(), full.clone())).collect();
        let lowered: Vec<Write> = state
            .config
            .feature_flags
            .keys()
            .map(|name| write("feature_flags", name.as_str(), None))
            .collect();
        for emergency in [EmergencyChange::Set(declared.clone()), EmergencyChange::Clear] {
            let after = state.brakes_after(&lowered, &emergency);
            assert_eq!((after.since(Revision(7)).len(), after.reaches(Revision(7))), (20, true));
        }
    }

    #[test]
    fn a_change_that_moves_nobody_has_no_brake() {
        let mut state = state();
        let mut has_brake = |before: &Flag, after: Option<Value>| {
            state.config.feature_flags.insert("f".parse().unwrap(), before.clone());
            let after = state.brakes_after(&[write("feature_flags", "f", after)], &EmergencyChange::Keep);
            !after.since(Revision(0)).is_empty()
        };
        let idle = Flag { enabled: true, ..Flag::default() };
        let listing = Flag { user_whitelist: vec!["u1".to_owned()], ..idle.clone() };
        let off = Flag { rollout_percentage: PartsPerMillion::ALL, ..Flag::default() };
        let off_and_listing = Flag { enabled: false, ..listing.clone() };
        for (before, is_braked) in
            [(&idle, false), (&listing, true), (&off, false), (&off_and_listing, false)]
        {
            for after in [None, Some(json!(Flag::default()))] {
                assert_eq!(has_brake(before, after.clone()), is_braked, "{before:?} {after:?}");
            }
        }
        let experiment = "feature_flags: { f: { enabled: true } }
experiments:
  e: { name: E, flag: f, variants: { a: { name: A, arm: legacy }, b: { name: B, arm: new } } }";
        state.config.ab_tests = Config::from_yaml(experiment).unwrap().ab_tests;
        let disabled = write("feature_flags", "f", Some(json!(Flag::default())));
        state.config.feature_flags.insert("f".parse().unwrap(), idle);
        let after = state.brakes_after(&[disabled], &EmergencyChange::Keep);
        assert_eq!(after.since(Revision(0)).len(), 1, "the users of an experiment");
    }

    /// Isolates that are not told all brakes send nobody to the new arm, whichever flag decides.
    #[test]
    fn flags_without_users_are_removed_without_a_word_about_the_others() {
        let mut state = state();
        let idle = Flag { enabled: true, ..Flag::default() };
        let names: Vec<String> = (0..60).map(|number| format!("idle_{number}")).collect();
        state.config.feature_flags.extend(names.iter().map(|name| (name.parse().unwrap(), idle.clone())));
        let pruned: Vec<Write> = names.iter().map(|name| write("feature_flags", name, None)).collect();
        let after = state.brakes_after(&pruned, &EmergencyChange::Keep);
        assert_eq!((after.since(Revision(0)), after.reaches(Revision(7))), (Vec::new(), true));
    }
}
