//! Decimal numbers, kept as digits: exact at any size and precision.

/// Parses a string as a finite float. Unlike in JSON, the number may begin with a plus, and have no
/// digits before or after its point.
pub fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A number in its unique shortest form: sign, digits without zeros at either end, and the power of
/// ten of the last digit. `1.50` and `15e-1` are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Parses a number in the notation of JSON. Returns `None` for anything else, and for exponents
    /// of more than 18 characters.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (rest.get(..at)?, rest.get(at + 1..).filter(|e| e.len() < 19)?.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let mut digits = [whole, fraction].concat();
        let mut exponent = exponent - i64::try_from(fraction.len()).ok()?;
        while digits.ends_with('0') {
            digits.pop();
            exponent += 1;
        }
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        Some(Self { negative, digits, exponent })
    }

    /// Returns the number if it is an integer in the range of `i64`.
    pub fn as_i64(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let power = 10_u64.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let number = self.digits.parse::<u64>().ok()?.checked_mul(power)?;
        if self.negative { 0_i64.checked_sub_unsigned(number) } else { i64::try_from(number).ok() }
    }

    /// Returns the nearest float, which is infinite for a number beyond the range of floats.
    pub fn as_f64(&self) -> f64 {
        let sign = if self.negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        format!("{sign}{digits}e{}", self.exponent).parse().unwrap_or_default()
    }
}
