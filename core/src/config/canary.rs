//! Reads the plan of a canary.

use super::{
    node::Node,
    reader::{Fields, Reader, join},
};
use crate::{
    canary::check_freeze_window,
    plan::{CanaryPlan, Criteria, FreezeWindow, OnNoData, Options, Weekday},
    rate::PartsPerMillion,
};

pub(super) fn read(reader: &mut Reader, node: &Node, path: &str) -> Option<CanaryPlan> {
    let mut fields =
        reader.fields(node, path, "write initial_percentage, promotion_steps and the criteria")?;
    let percent_hint = "write a percentage, such as 1.0";
    let initial = fields
        .required(reader, "initial_percentage", percent_hint)
        .and_then(|node| reader.percentage(node, &join(path, "initial_percentage")));
    let steps_path = join(path, "promotion_steps");
    let steps_node = fields.required(reader, "promotion_steps", "write a list such as [1, 5, 25, 100]");
    let steps: Vec<PartsPerMillion> = reader
        .list(steps_node, &steps_path, "write a list such as [1, 5, 25, 100]")
        .iter()
        .enumerate()
        .filter_map(|(at, node)| reader.percentage(node, &format!("{steps_path}[{at}]")))
        .collect();
    if let Some(node) = steps_node {
        let ascending = steps.iter().zip(steps.iter().skip(1)).all(|(low, high)| low < high);
        if steps.is_empty()
            || !ascending
            || steps.first().is_some_and(|first| *first == PartsPerMillion::ZERO)
        {
            let hint = "write percentages above 0, each larger than the one before, such as [1, 5, 25, 100]";
            reader.report(node, &steps_path, "the steps do not climb", hint);
        }
    }
    let minutes = fields
        .required(reader, "step_duration_minutes", "write how many minutes a step lasts, such as 60")
        .and_then(|node| {
            reader.number_within(node, &join(path, "step_duration_minutes"), (0.01, 43_200.0), "minutes")
        });
    let mut criteria = |name| {
        fields
            .required(reader, name, "write { max_error_rate: 0.05, max_response_time_p95: 500 }")
            .and_then(|node| criteria(reader, node, &join(path, name)).map(|limits| (node, limits)))
    };
    let (success, rollback) = (criteria("success_criteria"), criteria("rollback_criteria"));
    let options = options(reader, &mut fields, &steps);
    fields.finish(reader);
    if let (Some((_, success)), Some((node, rollback))) = (&success, &rollback)
        && (rollback.max_error_rate < success.max_error_rate
            || rollback.max_response_time_p95 < success.max_response_time_p95
            || rollback
                .max_mismatch_rate
                .zip(success.max_mismatch_rate)
                .is_some_and(|(rollback, success)| rollback < success))
    {
        let hint = "make every rollback limit at least as large as the success limit beside it";
        let message = "a canary could be rolled back while it succeeds";
        reader.report(node, &join(path, "rollback_criteria"), message, hint);
    }
    Some(CanaryPlan {
        initial_percentage: initial?,
        promotion_steps: steps,
        step_duration_minutes: minutes?,
        success_criteria: success?.1,
        rollback_criteria: rollback?.1,
        options,
    })
}

fn criteria(reader: &mut Reader, node: &Node, path: &str) -> Option<Criteria> {
    let mut fields =
        reader.fields(node, path, "write { max_error_rate: 0.05, max_response_time_p95: 500 }")?;
    let rate = fields
        .required(reader, "max_error_rate", "write the share of requests that may fail, such as 0.05")
        .and_then(|node| reader.number_within(node, &join(path, "max_error_rate"), (0.0, 1.0), "share"));
    let p95 = fields.required(reader, "max_response_time_p95", "write milliseconds, such as 500").and_then(
        |node| {
            reader.number_within(node, &join(path, "max_response_time_p95"), (1.0, 600_000.0), "milliseconds")
        },
    );
    let mismatch = fields
        .optional("max_mismatch_rate")
        .and_then(|node| reader.number_within(node, &join(path, "max_mismatch_rate"), (0.0, 1.0), "share"));
    fields.finish(reader);
    Some(Criteria { max_error_rate: rate?, max_response_time_p95: p95?, max_mismatch_rate: mismatch })
}

/// The names of the days, in the order of the week.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

fn options(reader: &mut Reader, fields: &mut Fields<'_>, steps: &[PartsPerMillion]) -> Options {
    let mut options = Options::default();
    for (name, target, limits, unit) in [
        ("alpha_rollback", &mut options.alpha_rollback, (1e-9, 0.2), "probability"),
        ("alpha_promote", &mut options.alpha_promote, (1e-9, 0.2), "probability"),
        ("alpha_bake", &mut options.alpha_bake, (1e-9, 0.2), "probability"),
        ("max_relative_risk", &mut options.max_relative_risk, (1.0, 10.0), "times"),
        ("deadline_minutes", &mut options.deadline_minutes, (0.01, 43_200.0), "minutes"),
        ("bake_minutes", &mut options.bake_minutes, (0.0, 43_200.0), "minutes"),
    ] {
        let path = fields.path(name);
        let read = fields.optional(name).and_then(|node| reader.number_within(node, &path, limits, unit));
        *target = read.unwrap_or(*target);
    }
    let path = fields.path("on_no_data");
    if let Some(node) = fields.optional("on_no_data") {
        match reader.text(node, &path).as_deref() {
            Some("pause") | None => {}
            Some("rollback") => options.on_no_data = OnNoData::Rollback,
            Some(other) => {
                reader.report(node, &path, format!("{other:?} cannot happen"), "write pause or rollback");
            }
        }
    }
    let path = fields.path("approval_before");
    let list = fields.optional("approval_before");
    for (at, node) in reader.list(list, &path, "write a list of steps such as [50]").iter().enumerate() {
        let path = format!("{path}[{at}]");
        let Some(share) = reader.percentage(node, &path) else { continue };
        if !steps.contains(&share) {
            let hint = "name percentages that stand in promotion_steps";
            reader.report(node, &path, format!("{share} is not a step"), hint);
        }
        options.approval_before.push(share);
    }
    let path = fields.path("freeze_windows");
    let list = fields.optional("freeze_windows");
    let hint = "write a list of { timezone, days, start, end }";
    for (at, node) in reader.list(list, &path, hint).iter().enumerate() {
        options.freeze_windows.extend(freeze_window(reader, node, &format!("{path}[{at}]")));
    }
    options
}

fn freeze_window(reader: &mut Reader, node: &Node, path: &str) -> Option<FreezeWindow> {
    let hint = "write { timezone: Europe/Oslo, days: [fri], start: \"16:00\", end: \"08:00\" }";
    let mut fields = reader.fields(node, path, hint)?;
    let mut text = |name| {
        let node = fields.required(reader, name, hint)?;
        reader.text(node, &join(path, name))
    };
    let (timezone, start, end) = (text("timezone"), text("start"), text("end"));
    let days_path = join(path, "days");
    let days_node = fields.required(reader, "days", hint);
    let names = reader.texts(days_node, &days_path);
    fields.finish(reader);
    let mut days = Vec::new();
    for name in &names {
        match DAYS.iter().find(|(day, _)| day == name) {
            Some((_, day)) => days.push(*day),
            None => {
                let hint = "write mon, tue, wed, thu, fri, sat or sun";
                reader.report(node, &days_path, format!("{name:?} is not a day of the week"), hint);
            }
        }
    }
    if days_node.is_some() && names.is_empty() {
        reader.report(node, &days_path, "a window on no day never holds", hint);
    }
    let window = FreezeWindow { timezone: timezone?, days, start: start?, end: end? };
    if let Err(message) = check_freeze_window(&window) {
        reader.report(node, path, message, hint);
        return None;
    }
    Some(window)
}
