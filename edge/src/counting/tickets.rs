//! Tickets: the members of a request's user in experiments, kept until the request has ended.
//!
//! A decision issues a ticket if experiments may count its request, and the outcome carries the ticket's number. So a request
//! crosses into WebAssembly with as little as without experiments, and its user is hashed once.
//!
//! A ticket is a chain of places, one for each member. It is overwritten by no other one, because the requests that take the
//! longest are those that an experiment must not miss.

use crate::wire::OutcomeKind;
use cutover_core::decision::counted::MetricSet;

/// Milliseconds after which every decided request has ended, one way or the other.
pub const LONGEST_REQUEST_MS: i64 = 300_000;

/// Bits of a ticket's number that are the place of its first member. Above them is a serial number from 1.
const PLACE_BITS: u32 = 17;

const LAST_SERIAL: u32 = (1 << (u32::BITS - PLACE_BITS)) - 1;

/// Most members of all open tickets together, at most 8 MB. A request beyond them counts for no experiment.
pub(crate) const MAX_MEMBERS: usize = 1 << PLACE_BITS;

/// Milliseconds between two searches for tickets whose requests never ended. Each looks at every place.
const SEARCH_MS: i64 = 10_000;

/// A user in one experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Member {
    /// Position of the experiment in [`Ruleset::counted`](cutover_core::Ruleset::counted).
    pub experiment: usize,
    /// Hash of the user, keyed by the phase.
    pub user: u64,
    /// Position of the variant that serves the request; `None` if something else does.
    pub variant: Option<u8>,
    /// Metrics that may count the response.
    pub selected: MetricSet,
}

/// A member of a ticket.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Serial number of the ticket; 0 if the place is free.
    serial: u32,
    generation: u32,
    /// Time at which the ticket was issued, in milliseconds since 1970.
    issued: i64,
    member: Member,
    /// Place of the ticket's next member.
    next: Option<u32>,
}

/// The tickets of the requests that are under way. One costs no allocation once as many members as it has were held before.
#[derive(Debug, Default)]
pub struct Tickets {
    serial: u32,
    places: Vec<Place>,
    free: Vec<u32>,
    /// Time of the last search for tickets whose requests never ended, in milliseconds since 1970.
    searched: i64,
}

impl Tickets {
    /// Issues a ticket for a request that a generation decides at `now`, in milliseconds since 1970. Returns its number; 0,
    /// which is no ticket's, without members and without room for them.
    pub fn issue(&mut self, generation: u32, members: &[Member], now: i64) -> u32 {
        if !self.make_room(members.len(), now) {
            return 0;
        }
        self.serial = if self.serial < LAST_SERIAL { self.serial + 1 } else { 1 };
        let (serial, generation) = (self.serial, OutcomeKind::tag(generation));
        let mut next = None;
        for member in members.iter().rev() {
            let Some(index) = self.free.pop() else { break };
            if let Some(place) = self.places.get_mut(position(index)) {
                *place = Place { serial, generation, issued: now, member: *member, next };
            }
            next = Some(index);
        }
        next.map_or(0, |first| serial << PLACE_BITS | first)
    }

    /// Ends a ticket, or leaves it open if another outcome of its request follows. Puts its members into `members` in place of
    /// those that are there: none if the ticket was given up, or issued to a core that is gone. `generation` is the tag of the
    /// one that decided.
    pub fn take(&mut self, generation: u32, number: u32, is_followed: bool, members: &mut Vec<Member>) {
        members.clear();
        let serial = number >> PLACE_BITS;
        let mut next = Some(number & ((1 << PLACE_BITS) - 1)).filter(|_| serial != 0);
        while let Some(index) = next {
            let Some(place) = self.places.get_mut(position(index)) else { return };
            if place.serial != serial || place.generation != generation {
                return;
            }
            members.push(place.member);
            next = place.next;
            if !is_followed {
                place.serial = 0;
                self.free.push(index);
            }
        }
    }

    /// Returns true if so many places are free. Creates them if there may be more.
    fn make_room(&mut self, count: usize, now: i64) -> bool {
        if self.places.len() + count.saturating_sub(self.free.len()) > MAX_MEMBERS
            && now >= self.searched.saturating_add(SEARCH_MS)
        {
            self.searched = now;
            self.give_up(now);
        }
        let held = self.places.len();
        let wanted = held + count.saturating_sub(self.free.len());
        if wanted > MAX_MEMBERS {
            return false;
        }
        self.places.resize(wanted, Place::default());
        self.free.extend((0_u32..).take(wanted).skip(held));
        true
    }

    /// Frees the places of tickets whose requests must have ended.
    fn give_up(&mut self, now: i64) {
        let Self { places, free, .. } = self;
        for (index, place) in (0_u32..).zip(places) {
            if place.serial != 0 && now.saturating_sub(place.issued) > LONGEST_REQUEST_MS {
                place.serial = 0;
                free.push(index);
            }
        }
    }
}

fn position(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(user: u64) -> Member {
        Member { experiment: 0, user, variant: Some(1), selected: MetricSet::of(2) }
    }

    fn end(tickets: &mut Tickets, generation: u32, number: u32) -> Vec<Member> {
        let mut members = vec![member(99)];
        tickets.take(generation, number, false, &mut members);
        members
    }

    #[test]
    fn a_ticket_is_known_by_its_number_and_generation_until_it_ends() {
        let mut tickets = Tickets::default();
        let first = tickets.issue(3, &[member(1), member(2)], 0);
        assert!(end(&mut tickets, 4, first).is_empty(), "another core issued the same number");
        for number in [0, 1, first + 2, first + (1 << PLACE_BITS), u32::MAX] {
            assert!(end(&mut tickets, 3, number).is_empty(), "{number}");
        }
        assert_eq!(end(&mut tickets, 3, first), [member(1), member(2)]);
        assert!(end(&mut tickets, 3, first).is_empty(), "it has ended");
    }

    #[test]
    fn an_open_ticket_is_known_however_many_others_came_and_went() {
        let mut tickets = Tickets::default();
        let slow = tickets.issue(1, &[member(7)], 0);
        for user in 0..40_000 {
            let number = tickets.issue(1, &[member(user), member(user + 1)], 120_000);
            assert_eq!(end(&mut tickets, 1, number), [member(user), member(user + 1)]);
        }
        assert_eq!(end(&mut tickets, 1, slow), [member(7)]);
        assert_eq!(tickets.places.len(), 3, "as many as were open at once");
    }

    #[test]
    fn members_are_bounded_whatever_their_tickets() {
        for count in [1, 32] {
            let mut tickets = Tickets::default();
            let members = vec![member(1); count];
            let issued: Vec<u32> = (0..MAX_MEMBERS / count).map(|_| tickets.issue(1, &members, 0)).collect();
            assert!(issued.iter().all(|number| *number != 0));
            assert_eq!(tickets.issue(1, &members, LONGEST_REQUEST_MS), 0, "nothing is overwritten");
            assert_eq!(end(&mut tickets, 1, issued[0]), members);
            assert_ne!(tickets.issue(1, &members, LONGEST_REQUEST_MS), 0);
            // Those whose requests never end make room.
            assert_ne!(tickets.issue(1, &members, 2 * LONGEST_REQUEST_MS), 0);
            assert!(end(&mut tickets, 1, issued[1]).is_empty());
            assert_eq!(tickets.places.len(), MAX_MEMBERS);
        }
    }

    #[test]
    fn numbers_go_on_behind_the_last_one_and_are_never_zero() {
        let mut tickets = Tickets { serial: LAST_SERIAL, ..Tickets::default() };
        let number = tickets.issue(1, &[member(9)], 0);
        assert_eq!(number, 1 << PLACE_BITS);
        assert_eq!(end(&mut tickets, 1, number), [member(9)]);
        assert_eq!(tickets.issue(1, &[], 0), 0, "nobody needs one");
    }

    #[test]
    fn a_ticket_in_used_places_costs_no_allocation() {
        let mut tickets = Tickets::default();
        let mut members = Vec::with_capacity(2);
        let mut issue_and_end = || {
            let number = tickets.issue(1, &[member(1), member(2)], 0);
            tickets.take(1, number, false, &mut members);
        };
        issue_and_end();
        let info = allocation_counter::measure(issue_and_end);
        assert_eq!(info.count_total, 0, "{info:?}");
    }
}
