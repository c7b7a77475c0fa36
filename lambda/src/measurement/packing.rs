//! Packed batches: JSON, compressed with gzip.

use cutover_core::measurement::batch::Batch;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use std::io::{Read, Write};

/// Largest batch once it is unpacked, in bytes.
const MAX_UNPACKED: u64 = 4_000_000;

/// First bytes of what gzip has packed. JSON never begins with them.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Returns a batch as JSON, from what was sent: packed, or plain by the Worker before. Returns `None` if it is not what gzip
/// packs, or too large.
pub fn unpack(sent: &[u8]) -> Option<Vec<u8>> {
    if !sent.starts_with(&MAGIC) {
        return Some(sent.to_vec());
    }
    let mut text = Vec::new();
    let read = GzDecoder::new(sent).take(MAX_UNPACKED + 1).read_to_end(&mut text).ok()?;
    (read as u64 <= MAX_UNPACKED).then_some(text)
}

/// Returns what is stored of a batch: as it was sent if it is packed.
pub fn packed(sent: &[u8]) -> Vec<u8> {
    if sent.starts_with(&MAGIC) {
        return sent.to_vec();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let written = encoder.write_all(sent).and_then(|()| encoder.finish());
    written.unwrap_or_else(|_| sent.to_vec())
}

/// Reads a stored batch.
pub fn read(stored: &[u8]) -> Option<Batch> {
    serde_json::from_slice(&unpack(stored)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_stored_packed_however_it_was_sent() {
        let batch = Batch::empty("0".repeat(32), 7);
        let text = batch.encode().into_bytes();
        let stored = packed(&text);
        assert!(stored.len() < text.len() && packed(&stored) == stored);
        assert_eq!((read(&stored), unpack(&stored)), (Some(batch), Some(text)));
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let bomb = packed(&vec![b' '; 4_000_001]);
        assert!(bomb.len() < 40_000 && unpack(&bomb).is_none());
        assert!(unpack(&packed(&vec![b' '; 4_000_000])).is_some());
        assert!(unpack(&[0x1f, 0x8b, 1]).is_none());
    }
}
