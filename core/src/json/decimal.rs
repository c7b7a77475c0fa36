//! Numbers by their digits: exact however large or fine they are.

/// A text as a finite float, see [`Decimal::as_f64`]. Beside what JSON knows, a number may have a plus, and no digit before or
/// behind its point.
pub fn float(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) =
        digits.find(['e', 'E']).and_then(|at| digits.split_at_checked(at)).unwrap_or((digits, ""));
    let zero = if mantissa.len() > 1 && mantissa.starts_with('.') { "0" } else { "" };
    let number = Decimal::parse(&format!("{sign}{zero}{mantissa}{exponent}"))?.as_f64();
    number.is_finite().then_some(number)
}

/// A number in its one shortest form: sign, digits without zeros at either end, and the power of ten of the last digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a number as JSON writes it. `None` for anything else, and for exponents beyond 18 digits.
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

    /// The number, where it is whole and fits.
    pub fn as_i64(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let power = 10_u64.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let number = self.digits.parse::<u64>().ok()?.checked_mul(power)?;
        if self.negative { 0_i64.checked_sub_unsigned(number) } else { i64::try_from(number).ok() }
    }

    /// The number as near as a float comes where it has up to 15 digits and an exponent of up to 22 (both of its factors are
    /// exact then, and one rounding is made: Clinger, "How to read floating point numbers accurately"), and within some
    /// units of the last place elsewhere. Being exact everywhere would take tables of 11 KB, a sixteenth of the Worker.
    pub fn as_f64(&self) -> f64 {
        const EXACT: u32 = 22;
        let (head, rest) = self.digits.split_at_checked(18).unwrap_or((&self.digits, ""));
        let mut number = head.parse::<u64>().unwrap_or_default() as f64;
        let exponent = self.exponent.saturating_add(i64::try_from(rest.len()).unwrap_or(i64::MAX));
        let mut left = u32::try_from(exponent.unsigned_abs()).unwrap_or(u32::MAX);
        while left > 0 && number != 0.0 && number.is_finite() {
            let step = left.min(EXACT);
            let power = (0..step).fold(1.0, |power, _| power * 10.0);
            number = if exponent < 0 { number / power } else { number * power };
            left -= step;
        }
        if self.negative { -number } else { number }
    }
}
