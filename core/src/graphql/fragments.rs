//! The counts of definitions together with the fragments that they spread. Each definition is visited once, and each
//! spread twice at most, however often a fragment is repeated.

use crate::graphql::{
    limits::Limits,
    refusal::Refusal,
    scanner::{Counts, Definition, Spread},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    /// Its spreads are being followed.
    Open,
    Done,
}

/// A definition whose spreads are being followed, and the next one of them.
struct Visit {
    definition: usize,
    next: usize,
}

/// Returns the counts of each definition with its fragments. Adds the number of steps to `steps`.
///
/// # Errors
///
/// Fails if a limit is passed, if a fragment is defined twice, spread without being defined, or spreads itself.
pub(super) fn flatten(
    definitions: &[Definition<'_>],
    spreads: &[Spread<'_>],
    limits: &Limits,
    steps: &mut usize,
) -> Result<Vec<Counts>, Refusal> {
    let names = fragment_names(definitions)?;
    let mut totals: Vec<Counts> = definitions.iter().map(|definition| definition.own).collect();
    let mut states = vec![State::Unseen; definitions.len()];
    let mut visits: Vec<Visit> = Vec::new();
    for start in 0..definitions.len() {
        begin(start, definitions, &mut states, &mut visits);
        while let Some(visit) = visits.last_mut() {
            *steps += 1;
            let index = visit.definition;
            let is_operation = definitions.get(index).is_some_and(|held| held.fragment.is_none());
            let end = definitions.get(index).map_or(0, |held| held.end_spread);
            let Some(spread) = spreads.get(visit.next).filter(|_| visit.next < end) else {
                set(&mut states, index, State::Done);
                visits.pop();
                continue;
            };
            let found = names.binary_search_by(|(name, _)| (*name).cmp(spread.fragment));
            let Some((_, fragment)) = found.ok().and_then(|found| names.get(found)) else {
                return Err(Refusal::UnknownFragment);
            };
            match states.get(*fragment) {
                Some(State::Done) => {
                    visit.next += 1;
                    let inner = totals.get(*fragment).copied().unwrap_or_default();
                    if let Some(total) = totals.get_mut(index) {
                        add(total, inner, spread.depth);
                        check(total, limits, is_operation)?;
                    }
                }
                Some(State::Unseen) => begin(*fragment, definitions, &mut states, &mut visits),
                _ => return Err(Refusal::FragmentCycle),
            }
        }
    }
    Ok(totals)
}

/// Returns the fragments in the order of their names, with their positions among the definitions.
fn fragment_names<'a>(definitions: &[Definition<'a>]) -> Result<Vec<(&'a str, usize)>, Refusal> {
    let mut names: Vec<(&str, usize)> = Vec::new();
    for (index, definition) in definitions.iter().enumerate() {
        let Some(name) = definition.fragment else { continue };
        match names.binary_search_by(|(held, _)| (*held).cmp(name)) {
            Ok(_) => return Err(Refusal::RepeatedFragment),
            Err(place) => names.insert(place, (name, index)),
        }
    }
    Ok(names)
}

fn set(states: &mut [State], index: usize, state: State) {
    if let Some(held) = states.get_mut(index) {
        *held = state;
    }
}

/// Begins to follow the spreads of a definition, unless that has been done.
fn begin(index: usize, definitions: &[Definition<'_>], states: &mut [State], visits: &mut Vec<Visit>) {
    if let (Some(State::Unseen), Some(definition)) = (states.get(index), definitions.get(index)) {
        set(states, index, State::Open);
        visits.push(Visit { definition: index, next: definition.first_spread });
    }
}

fn add(total: &mut Counts, inner: Counts, depth: u32) {
    total.depth = total.depth.max(depth.saturating_add(inner.depth));
    total.aliases = total.aliases.saturating_add(inner.aliases);
    total.fields = total.fields.saturating_add(inner.fields);
    total.directives = total.directives.saturating_add(inner.directives);
    if depth == 0 {
        total.root_fields = total.root_fields.saturating_add(inner.root_fields);
    }
}

fn check(total: &Counts, limits: &Limits, is_operation: bool) -> Result<(), Refusal> {
    if total.depth > limits.depth {
        return Err(Refusal::Depth(limits.depth));
    }
    if total.aliases > limits.aliases {
        return Err(Refusal::Aliases(limits.aliases));
    }
    if is_operation && total.root_fields > limits.root_fields {
        return Err(Refusal::RootFields(limits.root_fields));
    }
    if total.fields > limits.fields {
        return Err(Refusal::Fields(limits.fields));
    }
    if total.directives > limits.directives {
        return Err(Refusal::Directives(limits.directives));
    }
    Ok(())
}
