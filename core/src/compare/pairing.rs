//! Pairing of two sequences by their keys, in the time that sorting takes: bodies are written by
//! backends and, in part, by their clients, so no shape of a body may take quadratic time.

/// Two sequences in pairs of equal keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pairing {
    /// For each old key, the index of the new key that it is paired with.
    pub(super) partners: Vec<Option<usize>>,
    /// Indices of the new keys without a partner, in their order.
    pub(super) extra: Vec<usize>,
}

impl Pairing {
    /// Returns the number of pairs.
    pub(super) fn pairs(&self) -> usize {
        self.partners.iter().flatten().count()
    }

    /// Returns true if the pairs are in another order on the new side.
    pub(super) fn is_moved(&self) -> bool {
        !self.partners.iter().flatten().is_sorted()
    }
}

/// Pairs equal keys. A key that occurs several times is paired occurrence by occurrence.
pub(super) fn pair<K: Ord>(old: &[K], new: &[K]) -> Pairing {
    // Nearly all pairs are at the same place, and need no sorting.
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let mut partners: Vec<Option<usize>> = (0..same).map(Some).collect();
    partners.resize(old.len(), None);
    let mut is_extra = vec![true; new.len()];
    is_extra.iter_mut().take(same).for_each(|extra| *extra = false);

    let (old, new) = (sorted(old, same), sorted(new, same));
    let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
    while let (Some((old_index, old_key)), Some((new_index, new_key))) = (olds.peek(), news.peek()) {
        let order = old_key.cmp(new_key);
        if order.is_eq()
            && let (Some(partner), Some(extra)) = (partners.get_mut(*old_index), is_extra.get_mut(*new_index))
        {
            (*partner, *extra) = (Some(*new_index), false);
        }
        if order.is_le() {
            olds.next();
        }
        if order.is_ge() {
            news.next();
        }
    }
    let extra = is_extra.iter().enumerate().filter(|(_, extra)| **extra).map(|(index, _)| index).collect();
    Pairing { partners, extra }
}

/// Returns the keys from an index on, with their indices, sorted by key and then by index.
fn sorted<K: Ord>(keys: &[K], from: usize) -> Vec<(usize, &K)> {
    let mut sorted: Vec<(usize, &K)> = keys.iter().enumerate().skip(from).collect();
    sorted.sort_by_key(|(_, name)| *name);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, cmp::Ordering};

    /// A key that counts how often it is compared.
    struct Counted<'c>(usize, &'c Cell<usize>);

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Counted<'_> {}

    impl PartialOrd for Counted<'_> {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for Counted<'_> {
        fn cmp(&self, other: &Self) -> Ordering {
            self.1.set(self.1.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    #[test]
    fn keys_are_paired_wherever_they_are() {
        let pairing = pair(&["a", "b", "c", "d"], &["a", "c", "b", "e"]);
        assert_eq!(pairing, Pairing { partners: vec![Some(0), Some(2), Some(1), None], extra: vec![3] });
        assert!(pairing.is_moved() && pairing.pairs() == 3);
        let repeated = pair(&["a", "b", "a", "a"], &["b", "a", "a"]);
        assert_eq!(repeated.partners, [Some(1), Some(0), Some(2), None]);
        let shorter = pair(&["a", "c"], &["a", "b", "c"]);
        assert_eq!(shorter, Pairing { partners: vec![Some(0), Some(2)], extra: vec![1] });
        assert!(!shorter.is_moved());
        assert_eq!(pair::<u8>(&[], &[]), Pairing { partners: vec![], extra: vec![] });
        assert_eq!(pair(&[], &[1, 2]).extra, [0, 1]);
    }

    const KEYS: usize = 16_000;

    fn keys(count: &Cell<usize>, number: impl Fn(usize) -> usize) -> Vec<Counted<'_>> {
        (0..KEYS).map(|index| Counted(number(index), count)).collect()
    }

    #[test]
    fn no_order_of_the_keys_takes_quadratic_time() {
        // Sorting 16 000 keys takes about 14 comparisons each; 256 000 000 would be quadratic.
        const MOST: usize = KEYS * 40;
        let count = Cell::new(0);
        let old = keys(&count, |index| index);
        let cases = [
            ("equal", keys(&count, |index| index), KEYS),
            ("reversed", keys(&count, |index| KEYS - 1 - index), KEYS),
            ("scattered", keys(&count, |index| index * 7_919 % KEYS), KEYS),
            ("disjoint", keys(&count, |index| KEYS + index), 0),
            ("interleaved", keys(&count, |index| 2 * index + 1), KEYS / 2),
        ];
        for (name, new, pairs) in cases {
            count.set(0);
            assert_eq!(pair(&old, &new).pairs(), pairs, "{name}");
            assert!(count.get() < MOST, "{name}: {}", count.get());
        }
    }
}
