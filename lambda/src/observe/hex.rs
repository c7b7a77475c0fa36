//! Hexadecimal digits, of bytes and of random bits.

/// Encodes bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the given number of random bytes as hexadecimal digits.
///
/// # Errors
///
/// Fails if the operating system provides no random bytes.
pub fn random_hex<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bits = [0_u8; BYTES];
    getrandom::fill(&mut bits)?;
    Ok(hex(&bits))
}
