//! Exchanges that wait for their backends, bounded in number and in memory.

use crate::adapter::exchange::run::Exchange;

/// Most exchanges that are held at once.
const MAX_EXCHANGES: u32 = 4_096;

/// Most bytes of the heap that they hold together, an eighth of an isolate's memory.
const MAX_BYTES: usize = 16 << 20;

/// The exchanges that wait for a backend. The caller knows each by its number. A client that
/// disconnects may leave its exchange behind, so the oldest ones are given up if there are too many
/// or if they hold too much memory.
#[derive(Debug)]
pub struct Pending {
    /// A ring: the index of an exchange is its number modulo [`MAX_EXCHANGES`].
    slots: Vec<Option<Slot>>,
    /// The number of the next exchange.
    next: u32,
    /// The number of the first exchange that may still be held.
    oldest: u32,
    /// The bytes of all exchanges.
    bytes: usize,
    /// The mask of numbers, one less than a power of two.
    mask: u32,
}

#[derive(Debug)]
struct Slot {
    number: u32,
    bytes: usize,
    exchange: Exchange,
}

impl Pending {
    /// Creates an empty set whose exchanges are numbered by the bits of `mask`, from 0 on and again
    /// from 0 after the last. The mask is one less than a power of two, and at least 4 095.
    pub const fn new(mask: u32) -> Self {
        Self { slots: Vec::new(), next: 0, oldest: 0, bytes: 0, mask }
    }

    /// Adds an exchange and returns its number. Gives up older ones if necessary.
    pub fn put(&mut self, exchange: Exchange) -> u32 {
        let number = self.next;
        let bytes = exchange.heap_bytes();
        while self.oldest != number && (self.is_full() || self.bytes.saturating_add(bytes) > MAX_BYTES) {
            self.take(self.oldest);
            self.oldest = self.after(self.oldest);
        }
        let index = slot_of(number);
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Slot { number, bytes, exchange });
            self.bytes += bytes;
        }
        self.next = self.after(number);
        number
    }

    /// Removes the exchange with this number. Returns `None` if it was removed or given up before.
    pub fn take(&mut self, number: u32) -> Option<Exchange> {
        let slot = self.slots.get_mut(slot_of(number))?.take_if(|slot| slot.number == number)?;
        self.bytes = self.bytes.saturating_sub(slot.bytes);
        Some(slot.exchange)
    }

    /// Returns the number of bytes that the exchanges hold together, about.
    pub fn heap_bytes(&self) -> usize {
        self.bytes
    }

    fn is_full(&self) -> bool {
        self.next.wrapping_sub(self.oldest) & self.mask >= MAX_EXCHANGES
    }

    fn after(&self, number: u32) -> u32 {
        number.wrapping_add(1) & self.mask
    }
}

fn slot_of(number: u32) -> usize {
    usize::try_from(number % MAX_EXCHANGES).unwrap_or_default()
}
