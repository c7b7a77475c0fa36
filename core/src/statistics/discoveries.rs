//! Several metrics at once: the procedure of Benjamini and Hochberg for e-values (Wang and Ramdas, "False discovery rate control
//! with e-values", 2022). It needs no assumption about how the metrics depend on each other.

/// Returns, for each evidence (log E) in its place, true if it is a discovery: of those that are, at most the part `level` is
/// false in the mean. Of K metrics the k with the largest evidence are discoveries, for the largest k whose smallest E is at
/// least K / (k * level).
pub fn discoveries(evidence: &[f64], level: f64) -> Vec<bool> {
    let mut sorted: Vec<f64> = evidence.iter().copied().filter(|e| !e.is_nan()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let all = evidence.len() as f64;
    let smallest =
        (1_u32..).zip(sorted).filter(|(k, e)| *e >= libm::log(all / (f64::from(*k) * level))).last();
    let bound = smallest.map_or(f64::INFINITY, |(_, evidence)| evidence);
    evidence.iter().map(|e| *e >= bound).collect()
}
