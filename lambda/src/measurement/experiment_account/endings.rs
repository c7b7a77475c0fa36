//! Ends of phases: reports that come late, the time of the end, and what is not read yet.

use super::{
    tests::{AT, account, exposed, failing, name, state},
    *,
};
use cutover_core::{experiment::LATE_MS, measurement::experiments::Exposure};

/// Time at which the first phase is over, in milliseconds since 1970.
const END: i64 = 100_000;

/// A state in which the second phase is counted since the end of the first one.
fn second() -> State {
    let mut second = state(2);
    second.phases.values_mut().for_each(|counted| counted.began = Timestamp::from_millis(END));
    second
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// Returns the users of both variants of the phase before.
fn previous(account: &ExperimentAccount) -> Option<Vec<u64>> {
    let previous = account.phase.as_ref()?.previous.as_ref()?;
    Some(previous.evidence.figures().running.iter().map(|sums| sums.users).collect())
}

/// An account that has counted five users of the first phase, and everything of it that was read by its end.
fn counted() -> ExperimentAccount {
    let mut account = account();
    account.through = END;
    account.add(&state(1), AT, &failing(1, 1, 0, 5));
    account
}

#[test]
fn reports_of_a_phase_count_for_a_while_after_another_one_has_begun() {
    let mut account = counted();
    let next = second();
    account.judge(&next, time(END + 1_000)).unwrap();
    // The end of the first phase, and the conclusion of the second one.
    assert_eq!((account.records.len(), account.records[0].figures.running[0].users), (2, 5));
    assert_eq!(account.records[0].circumstances.ended, Some(time(END)));
    // Of the two users of this report, one came after the end.
    let mut late = failing(2, 1, 1, 1);
    late.experiments[0].exposures.push(Exposure { user: 900, variant: 1, after_s: 91 });
    account.add(&next, END + 20_000, &late);
    account.add(&next, END + 20_000, &late);
    account.add(&next, END + 20_000, &failing(3, 2, 0, 7));
    account.add(&next, END + 20_000, &failing(4, 9, 0, 1));
    let record = account.judge(&next, time(END + 21_000)).unwrap();
    assert_eq!((exposed(&account), previous(&account)), (vec![7, 0], Some(vec![5, 1])));
    assert_eq!(record.figures.unknown, 2, "what is of neither phase");
    assert!(account.has_news && account.records.len() == 2);
    // As long as what arrived in time may be unread, whatever the clock says.
    account.judge(&next, time(END + 10 * LATE_MS));
    assert!(previous(&account).is_some());
    account.has_read(END + LATE_MS);
    account.judge(&next, time(END + 10 * LATE_MS));
    assert_eq!((account.records.len(), previous(&account)), (3, None));
    let last = &account.records[2];
    let users: Vec<u64> = last.figures.running.iter().map(|sums| sums.users).collect();
    assert_eq!((users, last.identity.phase, last.circumstances.ended), (vec![5, 1], 1, Some(time(END))));
    // From now on such a report is of no phase that is counted.
    account.add(&next, END + LATE_MS, &failing(5, 1, 0, 1));
    let record = account.judge(&next, time(END + 11 * LATE_MS)).unwrap();
    assert_eq!(record.figures.unknown, 4);
}

#[test]
fn reports_of_a_stopped_experiment_count_until_they_are_too_late() {
    let (mut account, over) = (counted(), state(0));
    account.judge(&over, time(END));
    account.add(&over, END + LATE_MS, &failing(2, 1, 0, 1));
    account.judge(&over, time(END + LATE_MS));
    assert_eq!((exposed(&account), account.records.len()), (vec![5, 0], 1), "too late");
    account.add(&over, END + LATE_MS - 1, &failing(3, 1, 0, 1));
    account.judge(&over, time(END + LATE_MS));
    assert_eq!((exposed(&account), account.records.len()), (vec![6, 0], 1));
    account.has_read(END + LATE_MS);
    account.judge(&over, time(END + LATE_MS));
    account.judge(&over, time(END + 2 * LATE_MS));
    assert_eq!(account.records.len(), 2, "one more, with the late ones");
    assert_eq!(account.records[1].figures.running[0].users, 6);
}

#[test]
fn late_reports_are_not_lost_when_a_third_phase_begins() {
    let mut account = counted();
    let next = second();
    account.judge(&next, time(END));
    account.add(&next, END + 1, &failing(2, 1, 1, 1));
    let mut third = state(3);
    third.phases.values_mut().for_each(|counted| counted.began = time(END + 10_000));
    account.judge(&third, time(END + 10_000));
    let phases: Vec<u32> = account.records.iter().map(|record| record.identity.phase).collect();
    // The end of the first one, the conclusion and the end of the second one, the first one again.
    assert_eq!(phases, [1, 2, 2, 1]);
    assert_eq!(account.records[3].figures.running[1].users, 1);
    assert_eq!(previous(&account), Some(vec![0, 0]));
}

#[test]
fn a_deleted_experiment_has_a_last_record_with_everything_that_was_read() {
    let (mut account, mut gone) = (counted(), state(0));
    gone.config.ab_tests.clear();
    account.add(&gone, END, &failing(2, 1, 1, 1));
    account.judge(&gone, time(END));
    let users = |record: &Record| record.figures.running.iter().map(|sums| sums.users).sum::<u64>();
    assert_eq!(account.records.iter().map(users).collect::<Vec<_>>(), [5, 6]);
}

/// A gap is shown from the next record on, and written although no figure has changed.
#[test]
fn reports_that_expired_unread_are_noted_in_their_phase() {
    let (mut account, state) = (counted(), state(1));
    account.judge(&state, time(AT)).unwrap();
    account.records.clear();
    account.written = account.phase.as_ref().unwrap().evidence.figures().clone();
    assert!(!account.is_waiting());
    let gap = FlagGap { since: time(AT), until: time(END) };
    account.note_gap(gap);
    assert!(account.is_waiting());
    account.has_news = false;
    account.note_gap(gap);
    assert!(!account.is_waiting(), "noted once");
    let record = account.judge(&state, time(AT + JUDGED_EVERY_MS)).unwrap();
    assert_eq!(record.circumstances.gap, Some(ReportGap { since: time(AT), until: time(END) }));
    assert_eq!(record.identity.experiment, name());
}

/// Its ledger stays while it is behind, and what it catches up on comes in rounds.
#[test]
fn a_deleted_experiment_that_is_behind_counts_nobody_twice() {
    let (mut account, now) = (account(), Timestamp::from_millis(60_000));
    account.through = AT;
    account.add(&state(1), AT, &failing(1, 1, 0, 5));
    account.judge(&state(1), now);
    let mut deleted = state(0);
    deleted.config.ab_tests.clear();
    account.judge(&deleted, now);
    account.add(&deleted, AT + 1, &failing(1, 1, 0, 5));
    account.judge(&deleted, now);
    assert_eq!(exposed(&account), [5, 0]);
    // Nothing but its last record is to be written before the ledger is removed.
    account.records.clear();
    account.written = account.phase.as_ref().unwrap().evidence.figures().clone();
    assert!(!account.is_waiting());
}

/// Its ledger was damaged with the phase before, and begins anew where it was parked.
#[test]
fn what_arrived_before_a_phase_began_is_not_unknown_to_it() {
    let (mut account, next) = (account(), second());
    account.add(&next, END - 1, &failing(1, 1, 0, 5));
    account.add(&next, END, &failing(2, 1, 0, 1));
    account.add(&next, END + 1, &failing(3, 2, 0, 3));
    let record = account.judge(&next, time(END + 2)).unwrap();
    assert_eq!((exposed(&account), record.figures.unknown), (vec![3, 0], 2));
}
