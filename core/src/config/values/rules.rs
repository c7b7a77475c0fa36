//! Reads the rules and the schedule of a flag with values.

use super::served::{HINT, Scope, among, short};
use crate::{
    config::{
        canary::DAYS,
        experiment::reference,
        flag::conditions,
        reading::{Cursor, Fields, Section},
    },
    values::{
        document::{Rule, ScheduledChange, ScheduledState},
        window::Window,
    },
    vocabulary::timestamp::Timestamp,
};

const RULE_HINT: &str = "write { segment: NAME, variant: KEY }, or conditions in the place of the segment";
const WINDOW_HINT: &str = "write { days: [mon, fri], from: \"09:00\", to: \"17:00\" }, in UTC";
const CHANGE_HINT: &str = "write { at: \"2026-01-31T08:00:00Z\", set: { enabled: true } }";

/// Reads the rules of a flag.
pub(super) fn rules(fields: &mut Fields<'_>, scope: &Scope<'_>) -> Vec<Rule> {
    fields.list("rules", RULE_HINT).iter().filter_map(|item| rule(item, scope)).collect()
}

fn rule(cursor: &Cursor<'_>, scope: &Scope<'_>) -> Option<Rule> {
    let mut fields = cursor.fields(RULE_HINT)?;
    let segment = reference(fields.present("segment").as_ref(), scope.names, Section::Segments);
    let conditions = conditions(&mut fields);
    let windows: Vec<Window> = fields.list("windows", WINDOW_HINT).iter().filter_map(window).collect();
    let served = among(&mut fields, cursor, scope);
    // A part with a mistake must not pass for one that is left out.
    fields.finish()?;
    if segment.is_none() && conditions.is_empty() && windows.is_empty() {
        let hint = "write segment, conditions or windows, or make this the default of the flag";
        return cursor.refuse("this rule matches all users", hint);
    }
    Some(Rule { segment, conditions, windows, served: served? })
}

fn window(cursor: &Cursor<'_>) -> Option<Window> {
    let mut fields = cursor.fields(WINDOW_HINT)?;
    let days = fields.list("days", WINDOW_HINT);
    let day = |cursor: &Cursor<'_>| {
        cursor.choice(&DAYS, "is not a day of the week", "write mon, tue, wed, thu, fri, sat or sun")
    };
    let days = days.iter().filter_map(day).collect();
    let [from, to] =
        ["from", "to"].map(|name| fields.require(name, WINDOW_HINT, |cursor| cursor.parse(WINDOW_HINT)));
    fields.finish();
    Some(Window { days, from: from?, to: to? })
}

/// Reads the schedule of a flag, which must be in the order of its times.
pub(super) fn schedule(fields: &mut Fields<'_>, scope: &Scope<'_>) -> Vec<ScheduledChange> {
    let mut schedule: Vec<ScheduledChange> = Vec::new();
    for item in fields.list("schedule", CHANGE_HINT) {
        let Some(next) = change(&item, scope) else { continue };
        if let Some(last) = schedule.last().filter(|last| last.at >= next.at) {
            let message = format!("this is not after the change before, of {}", last.at);
            let at = item.field("at").unwrap_or_else(|| item.clone());
            at.report(message, "write the changes in the order of their times");
        }
        schedule.push(next);
    }
    schedule
}

fn change(cursor: &Cursor<'_>, scope: &Scope<'_>) -> Option<ScheduledChange> {
    let mut fields = cursor.fields(CHANGE_HINT)?;
    let at: Option<Timestamp> = fields.require("at", CHANGE_HINT, |cursor| {
        cursor.parse("write an RFC 3339 time such as \"2026-01-31T00:00:00Z\"")
    });
    let set = fields.require("set", CHANGE_HINT, |cursor| {
        let mut fields = cursor.fields(CHANGE_HINT)?;
        let enabled = fields.present("enabled").and_then(|cursor| cursor.bool());
        let default = fields.present("default").and_then(|cursor| short(&cursor, scope));
        fields.finish()?;
        if enabled.is_none() && default.is_none() {
            return cursor.refuse("this changes nothing", format!("write enabled or default: {HINT}"));
        }
        Some(ScheduledState { enabled, default })
    });
    fields.finish();
    Some(ScheduledChange { at: at?, set: set? })
}
