//! The variants of the last decision's user, which JavaScript reads from memory: a call would cost more than the reading.

use cutover_core::decision::assignments::TestGroups;
use std::cell::Cell;

thread_local! {
    /// Address and length of what backends are told, and of what the client is told. `testGroups` in js/wasm.js reads these
    /// numbers.
    static GROUPS: [Cell<usize>; 4] = const { [Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0)] };
}

/// Notes where the variants of the last decision's user are. They are read in the same turn.
pub(super) fn remember(told: &TestGroups) {
    GROUPS.with(|[backend, backend_length, client, client_length]| {
        for (text, address, length) in
            [(&told.of_backend, backend, backend_length), (&told.of_client, client, client_length)]
        {
            // Exposed, because JavaScript reads through it.
            address.set(text.as_ptr().expose_provenance());
            length.set(text.len());
        }
    });
}

/// Returns the address of the numbers.
pub(super) fn address() -> usize {
    GROUPS.with(|numbers| numbers.as_ptr().expose_provenance())
}
