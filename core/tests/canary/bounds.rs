//! Evidence that would be too large to store.

use super::{after, counts, hash, run, seen, users, window};
use cutover_core::{
    Timestamp,
    canary::{Evidence, Record, Run, Window, fold, halve_users, replay},
    measurement::batch::{SeenUser, UserWindow},
    vocabulary::arm::Arm,
};

/// Builds an arrival window with 2 000 users of both arms, numbered from `first`.
fn crowded(run: &Run, index: i64, first: u64) -> Window {
    let all = seen(Arm::New, first, 1_000).chain(seen(Arm::Legacy, first + 1_000, 1_000)).collect();
    let reported = UserWindow { seen: all, ..users(run, index) };
    Window { users: vec![reported], ..window(index, run.step, counts(500, 0, 0), counts(500, 0, 0)) }
}

/// H8: theta is halved until evidence and record can be stored. It is halved for everybody, also for users who wait to become
/// ripe, and the record of it is replayed to the last bit.
#[test]
fn h8_users_who_cannot_be_stored_are_left_out_for_good() {
    let run = run();
    let (first, held) = Record::evaluation(after(1), "test", &run, None, vec![crowded(&run, 0, 0)]);
    assert_eq!(held.unripe[0].seen.len(), 2_000);
    let mut windows = vec![crowded(&run, 1, 2_000)];
    assert!(halve_users(&mut windows) && halve_users(&mut windows));
    let quarter = u64::MAX / 2 / 2;
    assert!(windows[0].users[0].seen.iter().all(|SeenUser(user, _)| *user < quarter));
    let (second, held) = Record::evaluation(after(2), "test", &run, Some(&held), windows);
    let unripe = held.unripe.iter().flat_map(|users| &users.seen);
    assert!(unripe.clone().count() > 0);
    assert!(unripe.clone().all(|SeenUser(user, _)| *user < quarter));
    // Later users above it do not count either, or the sums would be of nobody in particular.
    let (third, held) =
        Record::evaluation(after(3), "test", &run, Some(&held), vec![crowded(&run, 2, 4_000)]);
    let ripe = Timestamp::from_millis(after(0).millis() + 120_000);
    let held: Evidence = fold(&run, Some(&held), &[Window::nothing(ripe.millis())]);
    let kept =
        |numbers: std::ops::Range<u64>| numbers.filter(|number| hash(*number) < quarter).count() as u64;
    assert_eq!(held.unripe, Vec::new());
    assert_eq!(held.current.seen.users.theta(), quarter);
    assert_eq!(held.current.seen.count.all, kept(0..6_000));
    assert_eq!(held.current.seen.count.new, kept(0..1_000) + kept(2_000..3_000) + kept(4_000..5_000));
    assert_eq!(held.current.counts.new.requests, 1_500, "requests are all counted");
    assert_eq!(replay(&[first, second, third]), []);
}

#[test]
fn halving_ends() {
    let mut windows = vec![crowded(&run(), 0, 0)];
    let mut times = 0;
    while halve_users(&mut windows) {
        times += 1;
    }
    assert_eq!(times, 63);
    assert!(windows[0].users[0].seen.is_empty());
}
