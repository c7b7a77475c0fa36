//! What isolates send: whatever it is, ingest takes it or refuses it, and what it takes can be added up.

#![no_main]

use cutover_core::measurement::counts::Counts;
use cutover_lambda::measurement::ingest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(batch) = ingest::read(body) else { return };
    let mut sum = Counts::default();
    for cell in &batch.cells {
        sum.merge(&cell.counts);
        let _ = cell.counts.errors();
    }
    let again = serde_json::to_vec(&batch).expect("a batch is JSON");
    assert_eq!(ingest::read(&again).ok().as_ref(), Some(&batch));
});
