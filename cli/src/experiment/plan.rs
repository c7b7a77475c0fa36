//! `cutover experiment plan`: the days that an experiment needs before it can find an effect.

use super::path::path;
use crate::{
    client::Client,
    failure::Failure,
    number,
    output::{self, Format},
    percentage,
};
use clap::Args;
use cutover_core::experiment::{NeededUsers, StoppingRules, needed_users};
use serde_json::{Value, json};

/// Relative effects of the table.
const LIFTS: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/// Key of the variant that the others are compared with.
const CONTROL: &str = "control";

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
struct Row {
    lift: f64,
    needed: Option<NeededUsers>,
    days: Option<u64>,
}

/// Shows the users and days that an experiment needs, by the effect that it is to find.
pub(super) fn run(options: &Options, client: &Client, format: Format) -> Result<(), Failure> {
    let experiment = client.get(&path(&options.experiment, ""))?;
    let rows: Vec<Row> = LIFTS.iter().map(|lift| row(options, &experiment, *lift)).collect();
    let shown = rows.iter().map(|row| json!({ "lift": row.lift, "needed": row.needed, "days": row.days }));
    let report = json!({ "experiment": options.experiment, "effects": shown.collect::<Vec<_>>() });
    output::show(format, &report, || {
        let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
        output::table(&["EFFECT", "USERS", "DAYS", "USERS WITH ONE LOOK"], &rows);
    });
    Ok(())
}

fn row(options: &Options, experiment: &Value, lift: f64) -> Row {
    let Division { share, part, treatments } = Division::of(experiment);
    let analysis = experiment.get("analysis");
    let alpha = analysis.and_then(|analysis| analysis.get("alpha_primary")).and_then(Value::as_f64);
    let level = alpha.unwrap_or(StoppingRules::default().alpha_primary) / treatments;
    let needed = needed_users(options.baseline, lift, share, level);
    let days = needed.filter(|_| options.users_per_day > 0 && part > 0.0).map(|needed| {
        let all = needed.users as f64 / part;
        (all / f64::from(options.users_per_day)).ceil() as u64
    });
    Row { lift, needed, days }
}

/// Division of the users, for the variant with the fewest of them but control: it is decided last.
struct Division {
    /// Share of the variant among its users and those of control.
    share: f64,
    /// Part of all users who are in one of the two.
    part: f64,
    /// Number of variants that are compared with control.
    treatments: f64,
}

impl Division {
    fn of(experiment: &Value) -> Self {
        let weight =
            |variant: &Value| variant.get("traffic_percentage").and_then(Value::as_f64).unwrap_or_default();
        let variants: Vec<&Value> = output::list(experiment, "variants").collect();
        let named = variants.iter().position(|variant| output::text(variant, "key") == CONTROL);
        let position = named.unwrap_or_default();
        let control = variants.get(position).map_or(0.0, |variant| weight(variant));
        let others = variants.iter().enumerate().filter(|(index, _)| *index != position);
        let weights: Vec<f64> =
            others.map(|(_, variant)| weight(variant)).filter(|weight| *weight > 0.0).collect();
        let smallest = weights.iter().copied().reduce(f64::min).unwrap_or_default();
        let both = smallest + control;
        let share = if both > 0.0 { smallest / both } else { 0.0 };
        Self { share, part: both / 100.0, treatments: weights.len().max(1) as f64 }
    }
}

fn cells(row: &Row) -> Vec<String> {
    let effect = format!("{:+}%", 100.0 * row.lift);
    match (&row.needed, row.days) {
        (Some(needed), Some(days)) => {
            vec![effect, needed.users.to_string(), days.to_string(), needed.users_of_one_look.to_string()]
        }
        _ => vec![effect, "-".to_owned(), "-".to_owned(), "-".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(variants: &[(&str, f64)]) -> Value {
        let variants =
            variants.iter().map(|(key, weight)| json!({ "key": key, "traffic_percentage": weight }));
        json!({ "variants": variants.collect::<Vec<_>>(), "analysis": { "alpha_primary": 0.05 } })
    }

    fn days(variants: &[(&str, f64)], lift: f64, users_per_day: u32) -> Option<u64> {
        let options = Options { experiment: "e".to_owned(), baseline: 0.1, users_per_day };
        row(&options, &experiment(variants), lift).days
    }

    #[test]
    fn days_are_those_of_the_variant_that_is_decided_last() {
        let half = [("control", 50.0), ("treatment", 50.0)];
        let needed = needed_users(0.1, 0.2, 0.5, 0.05).unwrap();
        assert_eq!(days(&half, 0.2, 1_000), Some(needed.users.div_ceil(1_000)));
        assert!(days(&half, 0.1, 1_000) > days(&half, 0.2, 1_000));
        let three = [("control", 50.0), ("a", 40.0), ("b", 10.0)];
        let rare = needed_users(0.1, 0.2, 10.0 / 60.0, 0.025).unwrap();
        let all = (rare.users as f64 / 0.6 / 1_000.0).ceil() as u64;
        assert_eq!(days(&three, 0.2, 1_000), Some(all));
    }

    #[test]
    fn what_cannot_be_found_has_no_days() {
        assert_eq!(days(&[("control", 100.0)], 0.2, 1_000), None);
        assert_eq!(days(&[("control", 50.0), ("b", 50.0)], 0.2, 0), None);
        let row = Row { lift: 0.05, needed: None, days: None };
        assert_eq!(cells(&row), ["+5%", "-", "-", "-"]);
    }
}
