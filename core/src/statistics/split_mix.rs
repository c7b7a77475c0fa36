//! SplitMix64: pseudorandom numbers that follow from their seed alone (Steele, Lea and Flood, "Fast Splittable Pseudorandom
//! Number Generators", 2014).

/// Step of the sequence: 2^64 divided by the golden ratio, made odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A generator of pseudorandom numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Creates the generator that begins with the given seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }
}

/// Spreads a number over all 64 bits: a bijection, the finaliser of the generator.
pub fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Returns the draw of the given index, counted from 1, of the generator with the given seed. The draws of different
/// indices differ.
pub fn nth_draw(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_add(index.wrapping_mul(GAMMA)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence_is_drawn() {
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        let mut random = SplitMix64::new(1_234_567);
        for (number, expected) in (1..).zip(expected) {
            assert_eq!(random.draw(), expected);
            assert_eq!(nth_draw(1_234_567, number), expected);
        }
    }
}
