//! Keyed hashes of user ids. Counts and evidence hold these instead of the ids, so that a user is
//! recognised within a run without being named.

use siphasher::sip::SipHasher24;

/// The secret key of a run's user hashes. It ends with the run, and its hashes with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserKey(u64, u64);

impl UserKey {
    /// Parses a key of 32 hexadecimal digits; `None` for any other string.
    pub fn parse(hex: &str) -> Option<Self> {
        if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let (first, second) = hex.split_at(16);
        Some(Self(u64::from_str_radix(first, 16).ok()?, u64::from_str_radix(second, 16).ok()?))
    }

    /// Returns the SipHash-2-4 of a user id.
    pub fn hash(self, user: &str) -> u64 {
        SipHasher24::new_with_keys(self.0, self.1).hash(user.as_bytes())
    }
}

impl std::fmt::Debug for UserKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is a secret.
        f.write_str("UserKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first vectors of the reference implementation: the key 00 01 .. 0f, read as two
    /// little-endian words, and the messages "" and 00 01 .. 07.
    #[test]
    fn hashes_are_those_of_the_reference() {
        let key = UserKey::parse("07060504030201000f0e0d0c0b0a0908").unwrap();
        assert_eq!(key.hash(""), 0x726f_db47_dd0e_0e31);
        assert_eq!(key.hash("\u{0}\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}"), 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn only_32_hexadecimal_digits_are_a_key() {
        let of_32_bytes = "é706050403020100f0e0d0c0b0a0908";
        for text in ["", "07", "+7060504030201000f0e0d0c0b0a0908", of_32_bytes] {
            assert_eq!(UserKey::parse(text), None, "{text}");
        }
        let key = UserKey::parse(&"a".repeat(32)).unwrap();
        assert_eq!(format!("{key:?}"), "UserKey(..)", "the key is a secret");
    }
}
