//! Response times in OpenTelemetry's base-2 exponential buckets, scale 3: bucket bounds are powers
//! of 2^(1/8), so a value is known to 4.33 percent, and histograms merge exactly.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Scale of the buckets, as OpenTelemetry defines it.
pub const SCALE: u32 = 3;

/// Number of buckets, which range from 1 ms to 60 s. Longer times fall into the last one.
pub const BUCKETS: usize = 128;

/// 2^(s/8) in units of 2^-32, for s from 1 to 7.
const EIGHTHS: [u64; 7] =
    [4_683_695_047, 5_107_605_667, 5_569_883_475, 6_074_000_999, 6_623_745_058, 7_223_245_205, 7_877_004_751];

/// Counts of whole milliseconds by bucket. Serialised as pairs of bucket and count, without the
/// empty buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram(Box<[u64; BUCKETS]>);

impl Default for Histogram {
    fn default() -> Self {
        Self(Box::new([0; BUCKETS]))
    }
}

/// Returns the bucket of a time: the smallest `j` with `ms <= 2^(j/8)`. Less than a millisecond
/// counts as one.
fn bucket(ms: u32) -> usize {
    let ms = ms.max(1);
    let octave = ms.ilog2();
    let above = u64::from(ms) << 32;
    let steps = if ms.is_power_of_two() {
        0
    } else {
        1 + EIGHTHS.iter().filter(|bound| above > (**bound << octave)).count()
    };
    // At most 31 octaves of 8 steps.
    (octave as usize * 8 + steps).min(BUCKETS - 1)
}

/// Adds counts up. A batch may claim any, so the sum stays at its largest value instead of overflowing.
fn sum<'c>(counts: impl Iterator<Item = &'c u64>) -> u64 {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}

/// Returns the largest time that falls into a bucket, in milliseconds.
pub fn upper_bound(bucket: usize) -> f64 {
    libm::exp2(bucket as f64 / 8.0)
}

impl Histogram {
    /// Counts one time, in milliseconds.
    pub fn add(&mut self, ms: u32) {
        if let Some(count) = self.0.get_mut(bucket(ms)) {
            *count += 1;
        }
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0.iter()) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// Sets all counts to zero.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Returns the number of times counted.
    pub fn count(&self) -> u64 {
        sum(self.0.iter())
    }

    /// Returns the buckets that are not empty, with their counts.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// Returns the number of times that do not exceed a bucket's upper bound.
    pub fn at_most(&self, bucket: usize) -> u64 {
        sum(self.0.iter().take(bucket.saturating_add(1)))
    }

    /// Returns the quantile at `share`, from 0 to 1, in milliseconds, as the geometric middle of
    /// its bucket; `None` if the histogram is empty.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.count();
        let wanted = (libm::ceil(share * total as f64) as u64).clamp(1, total.max(1));
        let mut seen = 0_u64;
        self.buckets().find_map(|(bucket, count)| {
            seen = count.saturating_add(seen);
            (seen >= wanted)
                .then(|| if bucket == 0 { 1.0 } else { upper_bound(bucket) / libm::exp2(1.0 / 16.0) })
        })
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.buckets())
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut histogram = Self::default();
        for (bucket, count) in Vec::<(usize, u64)>::deserialize(deserializer)? {
            match histogram.0.get_mut(bucket) {
                Some(sum) => *sum = sum.saturating_add(count),
                None => return Err(serde::de::Error::custom("bucket index out of range")),
            }
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_between_the_bounds_of_its_bucket() {
        for ms in (1..70_000).chain([u32::MAX]) {
            let index = bucket(ms);
            assert!(f64::from(ms) <= upper_bound(index) || index == BUCKETS - 1, "{ms}");
            assert!(index == 0 || f64::from(ms) > upper_bound(index - 1), "{ms}");
        }
        assert_eq!((bucket(0), bucket(1), bucket(2), bucket(60_000)), (0, 0, 8, 127));
    }

    #[test]
    fn quantiles_are_known_to_their_bucket() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|ms| histogram.add(ms));
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let quantile = histogram.quantile(share).unwrap();
            assert!((quantile / exact - 1.0).abs() < 0.0905, "{share}: {quantile}");
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    proptest::proptest! {
        #[test]
        fn merging_is_exact_and_survives_its_text(a in proptest::collection::vec(0_u32..100_000, 0..50),
                                                  b in proptest::collection::vec(0_u32..100_000, 0..50)) {
            let of = |times: &[u32]| {
                let mut histogram = Histogram::default();
                times.iter().for_each(|ms| histogram.add(*ms));
                histogram
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let both: Vec<_> = a.iter().chain(&b).copied().collect();
            proptest::prop_assert_eq!(&merged, &of(&both));
            let text = serde_json::to_string(&merged).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), merged);
        }
    }
}
