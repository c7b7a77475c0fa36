//! `cutover experiment plan`: the users and days that an experiment needs before it can find an effect, and the evidence that
//! remembers so many.

use super::{path::path, storage::Storage};
use crate::{
    client::Client,
    failure::Failure,
    notice, number,
    output::{self, Format},
    percentage,
};
use clap::Args;
use cutover_core::{
    experiment::{DEFAULT_CAPACITY, Design, MAX_CAPACITY, NeededUsers, Plan},
    rules::experiment::{document::Experiment, metric::Role},
};
use serde::Serialize;
use serde_json::{Value, json};

/// Relative effects of the table.
const LIFTS: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// Variable of the functions with the most users whom evidence remembers, and that of Terraform which sets it.
const VARIABLE: &str = "CUTOVER_EXPERIMENT_USERS";
const TERRAFORM_VARIABLE: &str = "experiment_users";

/// Arguments of `cutover experiment plan`.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the experiment.
    experiment: String,
    /// Conversion rate of control, such as 4% or 0.04.
    #[arg(long, value_name = "RATE", value_parser = percentage::rate)]
    baseline: f64,
    /// New users a day who take part in the experiment.
    #[arg(long, value_name = "N", value_parser = number::whole::<u32>)]
    users_per_day: u32,
}

/// An effect with the users and days that find it in four of five experiments.
#[derive(Debug, Serialize)]
struct Row {
    lift: f64,
    /// Users and conversions; `None` if no number of them finds the effect.
    needed: Option<NeededUsers>,
    /// Days until so many users have come; `None` if the evidence does not remember them.
    days: Option<u64>,
    /// True if the evidence of the next phase remembers the users as it is configured.
    is_remembered: bool,
    /// True if that of the open phase does; as `is_remembered` if none is open.
    is_remembered_now: bool,
    /// Number of users for which evidence can be configured that does; `None` if it does already, or none can.
    raise_to: Option<u32>,
}

impl Row {
    /// Returns true if the next phase remembers the users, and the open one does not.
    fn waits_for_next_phase(&self) -> bool {
        self.is_remembered && !self.is_remembered_now
    }

    /// Returns true if there are such users, and evidence cannot be configured for them.
    fn is_beyond_all(&self) -> bool {
        self.needed.is_some() && !self.is_remembered && self.raise_to.is_none()
    }
}

/// Shows the users and days that an experiment needs, by the effect that it is to find.
pub(super) fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let planned = Planned::read(options, client)?;
    let rows: Vec<Row> = LIFTS.iter().map(|lift| planned.row(options, *lift)).collect();
    let Planned { plan, capacity, next_capacity, .. } = &planned;
    let report = json!({
        "experiment": options.experiment,
        "plan": plan,
        "capacity": capacity,
        "next_capacity": next_capacity,
        "effects": rows,
    });
    output::show(format, &report, || {
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        output::table(&["EFFECT", "USERS", "DAYS", "USERS WITH ONE LOOK", "REMEMBERED"], &cells);
    });
    planned.remarks(options, &rows).iter().for_each(|remark| notice::print(remark));
    Ok(())
}

/// An experiment as it is planned.
struct Planned {
    plan: Plan,
    /// Most users whom the evidence of the open phase remembers; as `next_capacity` if none is open.
    capacity: u32,
    /// Most users whom the evidence of the next phase remembers.
    next_capacity: u32,
    /// True if the experiment has guardrails, whose hours are stored too.
    has_guardrails: bool,
    /// Days before which the experiment is not ready, and after which it ends.
    min_days: u32,
    max_days: u32,
}

impl Planned {
    fn read(options: &Options, client: &Client) -> Result<Self, Failure> {
        let experiment = client.get(&path(&options.experiment, ""))?;
        let results = client.get(&path(&options.experiment, "/results"))?;
        let users = |field: &str| {
            results.get(field).and_then(Value::as_u64).and_then(|users| u32::try_from(users).ok())
        };
        let capacity = users("capacity").unwrap_or(DEFAULT_CAPACITY);
        // Functions of an earlier version do not tell that of the next phase.
        let next_capacity = users("next_capacity").unwrap_or(capacity);
        Ok(Self { capacity, ..Self::of(experiment, next_capacity)? })
    }

    /// Returns the plan of an experiment without an open phase, whose next one remembers `capacity` users.
    fn of(experiment: Value, capacity: u32) -> Result<Self, Failure> {
        let experiment: Experiment = serde_json::from_value(experiment)
            .map_err(|error| Failure::Io(format!("this version cannot read the experiment: {error}")))?;
        let design = Design::of(&experiment);
        let plan = Plan::of(&design).ok_or_else(|| {
            let message = "the experiment has no variant to compare with control";
            Failure::Usage(format!("{message}\n  hint: give two variants a share of the users"))
        })?;
        let (min_days, max_days) = (design.rules.min_days, design.rules.max_days);
        let has_guardrails = design.metrics.iter().any(|metric| metric.role == Role::Guardrail);
        Ok(Self { plan, capacity, next_capacity: capacity, has_guardrails, min_days, max_days })
    }

    fn row(&self, options: &Options, lift: f64) -> Row {
        let needed = self.plan.needed(options.baseline, lift);
        let fits = |capacity: u32| needed.is_some_and(|needed| needed.users <= u64::from(capacity));
        let (is_remembered, is_remembered_now) = (fits(self.next_capacity), fits(self.capacity));
        let days = needed.filter(|_| is_remembered && options.users_per_day > 0).map(|needed| {
            needed.users.div_ceil(u64::from(options.users_per_day)).max(u64::from(self.min_days))
        });
        let raise_to = needed.filter(|_| !is_remembered).and_then(|needed| rounded_up(needed.users));
        Row { lift, needed, days, is_remembered, is_remembered_now, raise_to }
    }

    /// Returns what the table does not show.
    fn remarks(&self, options: &Options, rows: &[Row]) -> Vec<String> {
        let Self { plan, capacity, next_capacity, max_days, .. } = self;
        let mut remarks = Vec::new();
        if plan.primary_metrics == 0 {
            remarks.push(
                "the experiment has no primary metric; this is the plan for one that is added".to_owned(),
            );
        }
        if plan.tests > 1 {
            let (tests, level) = (plan.tests, 100.0 * plan.level);
            remarks.push(format!("{tests} tests share the level of the primary metrics: {level:.2} % each"));
        }
        if rows.iter().any(|row| row.days.is_some_and(|days| days > u64::from(*max_days))) {
            remarks.push(format!("an experiment without a result is inconclusive after {max_days} days"));
        }
        if rows.iter().any(|row| row.needed.is_some() && !row.is_remembered) {
            remarks.push(format!(
                "the evidence remembers {next_capacity} users of all variants. An effect that needs more is not promised: users \
                 who are forgotten before they convert do not count"
            ));
        }
        if rows.iter().any(Row::waits_for_next_phase) {
            remarks.push(format!(
                "the open phase remembers {capacity} users, because it began with that number; the next phase remembers \
                 {next_capacity}"
            ));
        }
        for (row, users) in rows.iter().filter_map(|row| Some((row, row.raise_to?))) {
            remarks.push(self.raised(options, row.lift, users));
        }
        if rows.iter().any(Row::is_beyond_all) {
            remarks.push(format!(
                "no setting remembers more than {MAX_CAPACITY} users: plan for a larger effect, or for a metric with a higher rate"
            ));
        }
        remarks
    }

    /// Returns the setting that remembers the users of an effect, and the storage that it takes.
    fn raised(&self, options: &Options, lift: f64, users: u32) -> String {
        let storage = Storage::of(users, options.baseline);
        let setting = format!("{VARIABLE}={users} ({TERRAFORM_VARIABLE} of Terraform)");
        let mut raised = format!("{}: {setting} from the next phase on: {storage}", effect(lift));
        if self.has_guardrails {
            let units = Storage::of_hours(users).write_units();
            raised.push_str(&format!(
                "; many users with events of guardrails take up to {units} write units more"
            ));
        }
        raised
    }
}

/// Returns a number of users with two digits, not smaller; `None` if it is more than evidence remembers.
fn rounded_up(users: u64) -> Option<u32> {
    let unit = 10_u64.pow(users.checked_ilog10()?.saturating_sub(1));
    let rounded = users.div_ceil(unit).saturating_mul(unit);
    u32::try_from(rounded).ok().filter(|users| *users <= MAX_CAPACITY)
}

fn effect(lift: f64) -> String {
    format!("{:+}%", 100.0 * lift)
}

fn cells(row: &Row) -> Vec<String> {
    let none = || "-".to_owned();
    let remembered = match (row.is_remembered, row.raise_to) {
        (true, _) if row.waits_for_next_phase() => "from the next phase on".to_owned(),
        (true, _) => "yes".to_owned(),
        (false, Some(users)) => format!("no, raise to {users}"),
        (false, None) if row.is_beyond_all() => format!("no, over {MAX_CAPACITY}"),
        (false, None) => "no".to_owned(),
    };
    vec![
        effect(row.lift),
        row.needed.map_or_else(none, |needed| needed.users.to_string()),
        row.days.map_or_else(none, |days| days.to_string()),
        row.needed.map_or_else(none, |needed| needed.users_of_one_look.to_string()),
        remembered,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_server::answering_by_path;

    fn planned(variants: &[(&str, f64)], capacity: u32) -> Planned {
        let variant =
            |(key, weight): &(&str, f64)| json!({ "key": key, "name": key, "traffic_percentage": weight });
        let variants: Vec<Value> = variants.iter().map(variant).collect();
        let experiment = json!({ "experiment": "e", "name": "E", "flag": null, "layer": null, "outcome": null,
            "variants": variants, "success_metrics": ["order", "error_rate"], "version": 3 });
        Planned::of(experiment, capacity).unwrap()
    }

    fn options(users_per_day: u32) -> Options {
        Options { experiment: "e".to_owned(), baseline: 0.1, users_per_day }
    }

    fn row(variants: &[(&str, f64)], lift: f64, users_per_day: u32) -> Row {
        planned(variants, 1_000_000).row(&options(users_per_day), lift)
    }

    #[test]
    fn days_are_those_of_the_variant_that_is_decided_last() {
        let half = [("control", 50.0), ("treatment", 50.0)];
        let needed = cutover_core::experiment::needed_users(0.1, 0.2, 0.5, 0.05).unwrap();
        assert_eq!(row(&half, 0.2, 1_000).days, Some(needed.users.div_ceil(1_000)));
        assert!(row(&half, 0.1, 1_000).days > row(&half, 0.2, 1_000).days);
        let three = [("control", 50.0), ("a", 40.0), ("b", 10.0)];
        let rare = cutover_core::experiment::needed_users(0.1, 0.2, 10.0 / 60.0, 0.025).unwrap();
        let all = (rare.users as f64 / 0.6 / 1_000.0).ceil() as u64;
        assert_eq!(row(&three, 0.2, 1_000).days, Some(all));
        assert_eq!(row(&half, 0.5, 1_000_000).days, Some(7), "no experiment is ready before");
    }

    #[test]
    fn what_cannot_be_found_has_no_days() {
        assert_eq!(row(&[("control", 50.0), ("b", 50.0)], 0.2, 0).days, None);
        let sure = Options { baseline: 0.9, ..options(1_000) };
        let never = planned(&[("control", 50.0), ("b", 50.0)], 10).row(&sure, 0.5);
        assert_eq!(cells(&never), ["+50%", "-", "-", "-", "no"]);
        let alone =
            json!({ "name": "E", "variants": [{ "key": "a", "name": "A", "traffic_percentage": 100 }] });
        assert!(matches!(Planned::of(alone, 10), Err(Failure::Usage(_))));
    }

    #[test]
    fn an_effect_whose_users_are_forgotten_is_not_promised() {
        let half = [("control", 50.0), ("treatment", 50.0)];
        let users = row(&half, 0.2, 1_000).needed.unwrap().users;
        let exact = u32::try_from(users).unwrap();
        assert!(planned(&half, exact).row(&options(1_000), 0.2).is_remembered);
        let small = planned(&half, exact - 1);
        let forgotten = small.row(&options(1_000), 0.2);
        assert_eq!((forgotten.days, forgotten.is_remembered), (None, false));
        let raised = forgotten.raise_to.unwrap();
        assert!(raised >= exact && raised < exact + 1_000, "{raised} for {exact}");
        assert_eq!(cells(&forgotten)[1..3], [users.to_string(), "-".to_owned()]);
        let remarks = small.remarks(&options(1_000), &[forgotten]);
        let setting = format!("CUTOVER_EXPERIMENT_USERS={raised} (experiment_users of Terraform)");
        assert!(remarks[1].contains(&setting), "{remarks:?}");
        assert!(remarks[1].ends_with("write units more"), "the experiment has a guardrail: {remarks:?}");
        assert_eq!(
            (rounded_up(43_114), rounded_up(99_999), rounded_up(100_001)),
            (Some(44_000), Some(100_000), None)
        );
    }

    #[test]
    fn what_no_setting_remembers_has_its_reason() {
        let half = [("control", 50.0), ("treatment", 50.0)];
        let rare = Options { baseline: 0.04, ..options(1_000) };
        let planned = planned(&half, 16_384);
        let beyond = planned.row(&rare, 0.1);
        assert_eq!((beyond.days, cells(&beyond)[4].as_str()), (None, "no, over 100000"));
        let remarks = planned.remarks(&rare, &[beyond]);
        assert!(remarks[1].starts_with("no setting remembers more than 100000 users"), "{remarks:?}");
    }

    /// A phase that began before the number was raised keeps its own: nothing is left to raise.
    #[test]
    fn a_small_open_phase_is_told_and_nothing_is_to_be_raised() {
        let half = [("control", 50.0), ("treatment", 50.0)];
        let rare = Options { baseline: 0.04, ..options(1_000) };
        let open = Planned { capacity: 4_096, ..planned(&half, 16_384) };
        let row = open.row(&rare, 0.5);
        assert!(row.needed.unwrap().users > 4_096);
        assert_eq!((row.is_remembered, row.is_remembered_now, row.raise_to), (true, false, None));
        assert_eq!(cells(&row)[4], "from the next phase on");
        let remarks = open.remarks(&rare, &[row]);
        assert_eq!(
            remarks,
            [
                "the open phase remembers 4096 users, because it began with that number; the next phase remembers 16384"
            ]
        );
    }

    #[test]
    fn the_evidence_of_the_deployment_is_asked_for() {
        let experiment = r#"{"name":"E","variants":[{"key":"control","name":"C","traffic_percentage":50},
            {"key":"b","name":"B","traffic_percentage":50}]}"#;
        let read = |results: &'static str| {
            let (url, _) = answering_by_path(&[("/experiments/e", 200, experiment)], results);
            Planned::read(&options(1), &Client::new(&url, "t", None).unwrap()).unwrap()
        };
        let planned = read(r#"{"capacity":123,"next_capacity":456}"#);
        assert_eq!((planned.capacity, planned.next_capacity), (123, 456));
        let planned = read(r#"{"capacity":123}"#);
        assert_eq!((planned.capacity, planned.next_capacity, planned.plan.primary_metrics), (123, 123, 0));
        assert!(planned.remarks(&options(1), &[])[0].contains("no primary metric"));
    }
}
