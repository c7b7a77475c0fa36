//! Bodies compressed with gzip.

use axum::http::HeaderMap;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use std::io::{Read as _, Write as _};

/// Compresses bytes as far as gzip can.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    compress_to(bytes, Compression::best())
}

/// Compresses bytes as the Worker does, whose runtime has zlib's usual level.
pub fn compress_like_worker(bytes: &[u8]) -> Vec<u8> {
    compress_to(bytes, Compression::default())
}

fn compress_to(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).expect("memory is writable");
    encoder.finish().expect("memory is writable")
}

/// Decompresses bytes, or panics if they are not whole.
pub fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).expect("whole gzip data");
    plain
}

/// Returns the body of a request as it was before its sender compressed it, if it did.
pub fn plain_body(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let is_packed = headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    if is_packed { decompress(body) } else { body.to_vec() }
}
