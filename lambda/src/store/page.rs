//! The size of one page of a list.

/// Largest page of a list, in bytes. A function's response is limited to 6 MB in the form in which
/// Lambda passes it on, with every quotation mark escaped.
pub const MAX_PAGE_BYTES: usize = 4_000_000;

/// Room that is left on a page.
#[derive(Debug, Clone)]
pub struct PageRoom {
    entries: usize,
    bytes: usize,
    is_empty: bool,
}

impl PageRoom {
    /// Returns the room of a page for at most `entries`.
    pub fn new(entries: usize) -> Self {
        Self { entries, bytes: MAX_PAGE_BYTES, is_empty: true }
    }

    /// Takes the room of an entry. Returns false if the page is full; the first entry always has room.
    pub fn take(&mut self, bytes: usize) -> bool {
        let fits = self.entries > 0 && (bytes <= self.bytes || self.is_empty);
        if fits {
            self.entries -= 1;
            self.bytes = self.bytes.saturating_sub(bytes);
            self.is_empty = false;
        } else {
            self.entries = 0;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_after_its_entries_or_its_bytes() {
        let mut few = PageRoom::new(2);
        assert_eq!([1, 1, 1].map(|bytes| few.take(bytes)), [true, true, false]);
        let mut large = PageRoom::new(10);
        assert_eq!([MAX_PAGE_BYTES - 1, 2, 1].map(|bytes| large.take(bytes)), [true, false, false]);
        let mut one = PageRoom::new(10);
        assert_eq!([MAX_PAGE_BYTES + 1, 1].map(|bytes| one.take(bytes)), [true, false]);
    }
}
