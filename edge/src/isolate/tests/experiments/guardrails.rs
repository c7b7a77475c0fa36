//! Events of guardrails, which are reported beside the outcomes and bounded window by window.

use super::{ERRORS, PAGE, counted, end, exposed, hash, holding, parts, reporting, user_of, variant};
use crate::isolate::Isolate;
use cutover_core::{
    measurement::{
        batch::Batch,
        experiments::{ExperimentPart, GuardrailEvent},
    },
    rules::experiment::metric::{Direction, Metric, MetricKind, Role, Trigger},
};

/// An isolate for which errors in `arms` are a guardrail.
fn guarded() -> Isolate {
    let mut snapshot = counted();
    let arms = snapshot.experiments.get_mut("arms").unwrap();
    let errors = &mut arms.metrics[usize::from(ERRORS)];
    (errors.role, errors.direction) = (Role::Guardrail, Direction::Decrease);
    holding(&snapshot, reporting())
}

fn guardrails(parts: &[ExperimentPart]) -> Vec<(i64, GuardrailEvent)> {
    let of_part = |part: &ExperimentPart| {
        let since = part.since;
        let absolute = move |event: &GuardrailEvent| (since + i64::from(event.after_s), *event);
        part.guardrails.iter().map(absolute).collect::<Vec<_>>()
    };
    parts.iter().flat_map(of_part).collect()
}

#[test]
fn events_of_guardrails_name_the_variant_in_each_window_anew() {
    let mut isolate = guarded();
    let user = user_of(1);
    for (status, begun) in [(200, 100), (503, 101), (503, 102), (503, 115), (200, 125)] {
        end(&mut isolate, PAGE, &user, (status, 5), begun);
    }
    let found = guardrails(&parts(&mut isolate, 200_000, true));
    let times: Vec<i64> = found.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [101, 115], "once in each window with an error");
    for (_, event) in found {
        assert_eq!((event.user, event.variant, event.metrics), (hash("arms", &user), 1, 1 << ERRORS));
    }
}

/// The isolate holds a part of the users at most, and for good.
#[test]
fn a_crowd_of_users_hides_no_fault_that_begins_later() {
    let mut isolate = guarded();
    for user in 0..40_000 {
        end(&mut isolate, PAGE, &format!("crowd-{user}"), (200, 5), 100);
    }
    let before = parts(&mut isolate, 200_000, true);
    assert!(exposed(&before, "arms").len() < 5_000, "most are left out");
    let failing: Vec<String> = (0..30).map(|user| format!("failing-{user}")).collect();
    for user in &failing {
        end(&mut isolate, PAGE, user, (503, 5), 300);
    }
    let found = guardrails(&parts(&mut isolate, 400_000, true));
    assert_eq!(found.len(), failing.len());
    for user in &failing {
        let is_own = |(_, event): &&(i64, GuardrailEvent)| event.user == hash("arms", user);
        assert_eq!(found.iter().find(is_own).unwrap().1.variant, variant("arms", user));
    }
}

#[test]
fn a_window_has_few_users_with_events_and_the_next_one_its_own() {
    let mut isolate = guarded();
    for user in 0..5_000 {
        end(&mut isolate, PAGE, &format!("user-{user}"), (503, 5), 100);
    }
    let crowded = guardrails(&parts(&mut isolate, 200_000, true));
    assert!((1..=64).contains(&crowded.len()), "{}", crowded.len());
    let largest = crowded.iter().map(|(_, event)| event.user).max().unwrap();
    let all: Vec<u64> = (0..5_000).map(|user| hash("arms", &format!("user-{user}"))).collect();
    let below = all.iter().filter(|user| **user <= largest).count();
    assert_eq!(below, crowded.len(), "those with the smallest hashes, of both variants");
    for user in 0..40 {
        end(&mut isolate, PAGE, &format!("later-{user}"), (503, 5), 300);
    }
    assert_eq!(guardrails(&parts(&mut isolate, 400_000, true)).len(), 40);
}

#[test]
fn events_of_guardrails_that_wait_are_bounded() {
    let mut isolate = guarded();
    for window in 0..100_u32 {
        for user in 0..64 {
            end(&mut isolate, PAGE, &format!("user-{user}"), (503, 5), 100 + 10 * window);
        }
    }
    let found = guardrails(&parts(&mut isolate, 2_000_000, true));
    assert_eq!(found.len(), 4_096);
    assert!(found.iter().all(|(at, _)| *at >= 100 + 10 * 36), "the oldest windows are left out");
}

/// In the order of their names, the experiment with the crowd is the first one.
#[test]
fn a_crowd_of_one_experiment_takes_no_room_from_the_guardrails_of_another() {
    let mut snapshot = counted();
    let failed = Metric {
        name: "failed".to_owned(),
        kind: MetricKind::Conversion,
        on: Trigger::Error,
        cap: None,
        role: Role::Guardrail,
        direction: Direction::Decrease,
    };
    snapshot.experiments.get_mut("colours").unwrap().metrics.push(failed);
    let mut isolate = holding(&snapshot, reporting());
    for user in 0..2_000 {
        end(&mut isolate, PAGE, &format!("user-{user}"), (if user < 40 { 503 } else { 200 }, 5), 100);
    }
    let first = isolate.next_batch(true, 0, 200_000).unwrap();
    let first: Batch = serde_json::from_str(&first).unwrap();
    let colours = first.experiments.iter().find(|part| part.experiment.as_str() == "colours").unwrap();
    assert_eq!(colours.guardrails.len(), 40);
    assert!(first.experiments[0].exposures.len() > 500, "the crowd has the rest");
}
