//! The incomplete beta function, on the logarithmic scale and for arguments up to many millions.
//!
//! The critical factor is `P = x^a (1-x)^b / B(a, b)`. Written with gamma functions it is a
//! difference of numbers of the size of `a + b`, and loses all digits for large counts; written as
//! a deviance from the mean (C. Loader, "Fast and Accurate Computation of Binomial Probabilities",
//! 2000) it keeps them. The ratio `I_x / P` is the continued fraction of Abramowitz and Stegun
//! 26.5.8, evaluated by Lentz's method.

use std::f64::consts::PI;

/// Most terms of a continued fraction. Enough for arguments of 1e8: the number of terms needed
/// grows with about the square root of the larger argument.
const MAX_TERMS: u32 = 200_000;

/// `x` and `1 - x`, both exact: if one is small, subtracting the other from 1 would lose its
/// digits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// Returns the natural logarithm of the regularised incomplete beta function `I_x(a, b)`, for `0 <
/// x < 1` and `y = 1 - x`.
pub fn ln_regularised_beta(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let point = Share { x, y };
    if left_of_mean(a, b, point) {
        ln_prefix(a, b, point) + libm::log(fraction(a, b, x) / a)
    } else {
        ln_from_the_right(a, b, point)
    }
}

/// Returns `ln(I_x(a, b) / P)`, the building block of a mixture's evidence.
pub(super) fn ln_over_prefix(a: f64, b: f64, point: Share) -> f64 {
    if left_of_mean(a, b, point) {
        libm::log(fraction(a, b, point.x) / a)
    } else {
        ln_from_the_right(a, b, point) - ln_prefix(a, b, point)
    }
}

fn left_of_mean(a: f64, b: f64, point: Share) -> bool {
    point.x < (a + 1.0) / (a + b + 2.0)
}

/// Returns `ln(I_x(a, b))`, computed as `ln(1 - I_y(b, a))`.
fn ln_from_the_right(a: f64, b: f64, point: Share) -> f64 {
    let other = ln_prefix(a, b, point) + libm::log(fraction(b, a, point.y) / b);
    libm::log1p(-libm::exp(other))
}

/// Returns `ln P`.
pub(super) fn ln_prefix(a: f64, b: f64, Share { x, y }: Share) -> f64 {
    let sum = a + b;
    // a - sum * x, without the cancellation.
    let distance = a * y - b * x;
    let deviance = deviance(a, sum * x, distance) + deviance(b, sum * y, -distance);
    let scale = 0.5 * libm::log(a / sum * (b / (2.0 * PI)));
    scale - deviance - (stirling(a) + stirling(b) - stirling(sum))
}

/// Returns `value ln(value / mean) - distance`, where `distance = value - mean`.
fn deviance(value: f64, mean: f64, distance: f64) -> f64 {
    let t = distance / mean;
    if t.abs() > 0.1 {
        return value * libm::log(value / mean) - distance;
    }
    // (1 + t) ln(1 + t) - t = t^2/2 - t^3/6 + t^4/12 - ...
    let (mut power, mut sum) = (t, 0.0);
    for k in 2..40_u32 {
        power *= t;
        let term = power / f64::from(k * (k - 1));
        let next = if k % 2 == 0 { sum + term } else { sum - term };
        if next == sum {
            break;
        }
        sum = next;
    }
    mean * sum
}

/// Returns the remainder of Stirling's formula: `ln Gamma(z) - (z - 1/2) ln z + z - ln(2 pi)/2`.
fn stirling(z: f64) -> f64 {
    let (mut z, mut carried) = (z, 0.0);
    while z < 16.0 {
        carried += (z + 0.5) * libm::log1p(1.0 / z) - 1.0;
        z += 1.0;
    }
    let w = 1.0 / (z * z);
    let series = 691.0 / 360_360.0;
    let series = 1.0 / 1_188.0 - w * series;
    let series = 1.0 / 1_680.0 - w * series;
    let series = 1.0 / 1_260.0 - w * series;
    let series = 1.0 / 360.0 - w * series;
    let series = 1.0 / 12.0 - w * series;
    carried + series / z
}

/// Evaluates the continued fraction of `a I_x(a, b) / P`.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let lifted = |value: f64| if value.abs() < TINY { TINY } else { value };
    let sum = a + b;
    let mut c = 1.0;
    let mut d = 1.0 / lifted(1.0 - sum * x / (a + 1.0));
    let mut value = d;
    for m in 1..MAX_TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / lifted(1.0 + even * d);
        c = lifted(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (sum + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / lifted(1.0 + odd * d);
        c = lifted(1.0 + odd / c);
        let factor = d * c;
        value *= factor;
        if (factor - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}
