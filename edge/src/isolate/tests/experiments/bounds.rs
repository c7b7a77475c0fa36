//! The bounds of what an isolate holds of experiments, and users whom none of them may leave out.

use super::{
    ORDER, PAGE, SPENT, answer, counted, end, events, exposed, hash, holding, numbers_of_user, parts,
    reporting, running, user_of, variant,
};
use crate::{
    test_support,
    wire::{OutcomeKind, PackedDecision},
};
use cutover_core::{
    ExperimentName, PartsPerMillion,
    measurement::{batch::Batch, experiments::ExperimentPart},
    vocabulary::revision::Revision,
};
use std::collections::BTreeSet;

/// The variant or the arm that is slower would else lose its own users.
#[test]
fn a_request_that_ends_long_after_others_counts_for_its_canary_and_its_experiments() {
    let share = PartsPerMillion::of_percent(50);
    let mut snapshot = counted();
    snapshot.flags.values_mut().for_each(|flag| flag.rollout_percentage = share);
    snapshot.experiments.retain(|name, _| name.as_str() == "colours");
    snapshot.canaries.insert("flag".parse().unwrap(), test_support::label(0, share));
    let mut isolate = holding(&snapshot, reporting());
    let decided = answer(&isolate, &format!("{PAGE}\n\0\nslow"), 100_000);
    let [low, high, ticket] = numbers_of_user(&isolate, decided);
    for number in 0..40_000_u32 {
        end(&mut isolate, PAGE, &format!("user-{}", number % 10), (200, 5), 100 + number / 1_000);
    }
    let tag = OutcomeKind::tag(isolate.generation()) << OutcomeKind::GENERATION_SHIFT;
    let kind = decided.0 & PackedDecision::KIND | tag;
    isolate.record(&[kind, 503 << 20 | 40_000, low, high, 100, 0, ticket]);
    let batch: Batch = serde_json::from_str(&isolate.next_batch(true, 0, 200_000).unwrap()).unwrap();
    let seen: BTreeSet<u64> = batch.users.iter().flat_map(|window| &window.seen).map(|seen| seen.0).collect();
    assert_eq!((seen.len(), batch.users[0].events.len()), (11, 1), "the ten others, and the slow one");
    assert!(
        exposed(&batch.experiments, "colours")
            .contains(&(hash("colours", "slow"), variant("colours", "slow")))
    );
}

/// Anybody can send events, so those of users who are not exposed must not cost the sample a single user.
#[test]
fn events_of_users_who_were_not_seen_exposed_leave_out_nobody() {
    let mut isolate = running();
    for user in 0..100 {
        end(&mut isolate, PAGE, &format!("user-{user}"), (200, 5), 100);
    }
    for number in 0..10_000 {
        assert!(isolate.note_event(&format!("stranger-{number}"), "order", Some(1), 101_000));
    }
    let user = user_of(1);
    isolate.note_event(&user, "order", Some(2_500), 102_000);
    let parts = parts(&mut isolate, 200_000, true);
    assert!(parts.iter().all(|part| part.theta == u64::MAX));
    assert_eq!(exposed(&parts, "arms").len(), 100);
    let events = events(&parts);
    assert!(events.contains(&(hash("arms", &user), SPENT, 102, Some(2_500))), "of an exposed user");
    assert_eq!(events.len(), 4_096 + 1);
    assert_eq!(parts.iter().map(|part| part.lost).sum::<u64>(), 10_000 - 4_096);
}

#[test]
fn of_an_exposed_user_the_earliest_conversion_counts_in_whatever_order_they_come() {
    let user = user_of(1);
    for times in [[140, 120, 103], [103, 140, 120], [120, 103, 140], [104, 103, 103]] {
        let mut isolate = running();
        end(&mut isolate, PAGE, &user, (200, 5), 100);
        for begun in times {
            end(&mut isolate, ORDER, &user, (201, 5), begun);
        }
        let first = events(&parts(&mut isolate, 200_000, true)).into_iter().map(|event| event.2).min();
        assert_eq!(first, Some(103), "{times:?}");
    }
}

/// A phase that is given up and held again would have users above the bound that it reported.
#[test]
fn phases_of_running_experiments_stay_whatever_else_ends() {
    let mut isolate = running();
    for user in 0..6_000 {
        end(&mut isolate, PAGE, &format!("user-{user}"), (200, 5), 100);
    }
    let theta = |parts: &[ExperimentPart]| {
        parts.iter().filter(|part| part.experiment.as_str() == "arms").map(|part| part.theta).min()
    };
    let before = theta(&parts(&mut isolate, 200_000, true)).unwrap();
    assert!(before < u64::MAX);
    // The other experiment has many phases, one after the other.
    let colours: ExperimentName = "colours".parse().unwrap();
    for phase in 3..=70 {
        let mut snapshot = counted();
        snapshot.revision = Revision(u64::from(phase));
        snapshot.experiments.get_mut(&colours).unwrap().phase = phase;
        snapshot.experiment_labels.get_mut(&colours).unwrap().phase = phase;
        isolate.finish_read(200_000, Ok(Some(snapshot.encode().unwrap()))).unwrap();
        end(&mut isolate, "GET\nhttps://h/orders", "user-1", (200, 5), 210);
        let ended = parts(&mut isolate, 300_000, true);
        assert_eq!(ended.iter().filter(|part| part.phase == phase).count(), 1, "phase {phase}");
    }
    for user in 0..20 {
        end(&mut isolate, PAGE, &format!("later-{user}"), (200, 5), 301);
    }
    assert_eq!(theta(&parts(&mut isolate, 400_000, true)), Some(before));
    assert!(isolate.counting.users_held() < 4_096 + 100, "phases that have ended are given up");
}
