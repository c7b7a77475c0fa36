//! Bodies compressed with gzip, and batches as they are stored.

use axum::http::{HeaderMap, header};
use cutover_core::measurement::batch::Batch;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use std::io::{self, Read, Write};

/// Largest batch that is stored, once it is decompressed, in bytes. Ingest accepts less.
const MAX_STORED: usize = 4_000_000;

/// Returns true if a request accepts a compressed response.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("gzip"))
}

/// Compresses bytes.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Decompresses bytes; `None` if they are more than `limit` then.
///
/// # Errors
///
/// Fails if the bytes are not whole gzip data.
pub(crate) fn unpack(packed: &[u8], limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    // One byte more than the limit is enough to know, however much would follow.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(packed).take(most).read_to_end(&mut plain)?;
    Ok(Some(plain).filter(|plain| plain.len() <= limit))
}

/// Reads a stored batch; `None` if it cannot be decoded.
pub(super) fn read(stored: &[u8]) -> Option<Batch> {
    serde_json::from_slice(&unpack(stored, MAX_STORED).ok()??).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_if_it_accepts_a_compressed_response() {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, "br, gzip".parse().unwrap())]);
        assert!(is_accepted(&headers) && !is_accepted(&HeaderMap::new()));
    }

    #[test]
    fn what_is_too_large_is_not_unpacked() {
        let packed = pack(&vec![b'x'; 10_000_000]);
        assert!(packed.len() < 100_000, "{}", packed.len());
        assert_eq!(unpack(&packed, 9_999_999).unwrap(), None);
        assert_eq!(unpack(&packed, 10_000_000).unwrap().map(|plain| plain.len()), Some(10_000_000));
        assert_eq!(unpack(&pack(b"{}"), 2).unwrap().as_deref(), Some(b"{}".as_slice()));
        assert!(unpack(b"{}", 2).is_err());
        assert!(unpack(&packed[..packed.len() - 20], usize::MAX).is_err());
    }

    #[test]
    fn a_stored_batch_is_the_one_that_was_sent() {
        let batch = Batch::empty("0".repeat(32), 7);
        assert_eq!(read(&pack(batch.encode().as_bytes())), Some(batch));
        assert_eq!(read(b"{}"), None);
    }
}
