//! Tickets: what a decision knows of its user in experiments, kept until the request has ended.
//!
//! An outcome carries one number for its user. If the rules count experiments, it is the number of a ticket, which holds the
//! user's hash in the run of a canary and in each experiment. So a request crosses into WebAssembly with as little as without
//! experiments, and its user is hashed once.

use crate::wire::OutcomeKind;
use cutover_core::decision::counted::MetricSet;

/// Most tickets. A request that ends after as many later ones counts for no user. They are 32 s of a thousand requests per
/// second, longer than a backend may take, and at most 4 MB.
pub(crate) const MAX_TICKETS: usize = 32_768;

/// A user in one experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The user of a request.
#[derive(Debug, Default)]
pub struct Ticket {
    number: u32,
    generation: u32,
    /// Hash of the user in the run of the flag's canary; `None` if the request is no evidence of one.
    pub evidence: Option<u64>,
    /// The user in each experiment that the request may count for.
    pub members: Vec<Member>,
}

/// The newest tickets. They are overwritten in turn, so that a ticket costs no allocation once its place has been used.
#[derive(Debug, Default)]
pub struct Tickets {
    last: u32,
    places: Vec<Ticket>,
}

impl Tickets {
    /// Issues a ticket for a request that a generation decides. Returns its number, which is never 0.
    pub fn issue(&mut self, generation: u32, evidence: Option<u64>, members: &[Member]) -> u64 {
        self.last = self.last.checked_add(1).unwrap_or(1);
        let index = place(self.last);
        if index >= self.places.len() {
            self.places.resize_with(index + 1, Ticket::default);
        }
        if let Some(ticket) = self.places.get_mut(index) {
            ticket.number = self.last;
            ticket.generation = OutcomeKind::tag(generation);
            ticket.evidence = evidence;
            ticket.members.clear();
            ticket.members.extend_from_slice(members);
        }
        u64::from(self.last)
    }

    /// Returns the ticket of a request; `None` if it was overwritten, or issued to a core that is gone. `generation` is the
    /// tag of the one that decided.
    pub fn get(&self, generation: u32, number: u64) -> Option<&Ticket> {
        let number = u32::try_from(number).ok().filter(|number| *number != 0)?;
        let ticket = self.places.get(place(number))?;
        (ticket.number == number && ticket.generation == generation).then_some(ticket)
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or_default() % MAX_TICKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(user: u64) -> Member {
        Member { experiment: 0, user, variant: Some(1), selected: MetricSet::of(2) }
    }

    #[test]
    fn a_ticket_is_known_by_its_number_and_generation_until_it_is_overwritten() {
        let mut tickets = Tickets::default();
        let first = tickets.issue(3, Some(7), &[member(1), member(2)]);
        let ticket = tickets.get(3, first).unwrap();
        assert_eq!((ticket.evidence, ticket.members.as_slice()), (Some(7), &[member(1), member(2)][..]));
        assert!(tickets.get(4, first).is_none(), "another core issued the same number");
        for number in [0, first + 1, u64::MAX] {
            assert!(tickets.get(3, number).is_none(), "{number}");
        }
        for _ in 0..MAX_TICKETS {
            assert!(tickets.get(3, first).is_some());
            tickets.issue(3, None, &[]);
        }
        assert!(tickets.get(3, first).is_none());
        assert_eq!(tickets.places.len(), MAX_TICKETS);
    }

    #[test]
    fn numbers_go_on_behind_the_last_one() {
        let mut tickets = Tickets { last: u32::MAX, ..Tickets::default() };
        let number = tickets.issue(1, None, &[member(9)]);
        assert_eq!(number, 1);
        assert_eq!(tickets.get(1, number).unwrap().members, [member(9)]);
    }

    #[test]
    fn a_ticket_in_a_used_place_costs_no_allocation() {
        let mut tickets = Tickets::default();
        for _ in 0..MAX_TICKETS {
            tickets.issue(1, None, &[member(1)]);
        }
        let info = allocation_counter::measure(|| {
            tickets.issue(1, None, &[member(1)]);
        });
        assert_eq!(info.count_total, 0, "{info:?}");
    }
}
