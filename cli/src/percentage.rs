//! Percentages, as people write them.

/// Explanation of a rate that is none.
const NO_RATE: &str = "use a fraction from 0 to 1, or a percentage such as 1%";

/// Reads a percentage of users. One above 100 is left to the management API, which knows the limits.
///
/// # Errors
///
/// Fails with an explanation if the text is no percentage.
pub fn parse(text: &str) -> Result<f64, String> {
    let number = text.trim();
    let number = number.strip_suffix('%').unwrap_or(number).trim_end();
    if number.contains(',') {
        return Err(format!("write it with a point: {}", number.replace(',', ".")));
    }
    match number.parse::<f64>() {
        Ok(number) if number < 0.0 => Err("a percentage is 0 to 100; 0 sends all users to legacy".to_owned()),
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("it is not a percentage; use a number from 0 to 100, such as 2.5 or 25%".to_owned()),
    }
}

/// Reads the percentage of a step, which is at most 100.
///
/// # Errors
///
/// Fails with an explanation if the text is no percentage, or one above 100.
pub fn of_step(text: &str) -> Result<f64, String> {
    match parse(text)? {
        percentage if percentage > 100.0 => Err("a percentage is 0 to 100; 100 is all users".to_owned()),
        percentage => Ok(percentage),
    }
}

/// Reads a rate: a fraction from 0 to 1, or a percentage with its sign.
///
/// # Errors
///
/// Fails with an explanation if the text is neither.
pub fn rate(text: &str) -> Result<f64, String> {
    let rate = if text.trim_end().ends_with('%') { parse(text)? / 100.0 } else { fraction(text)? };
    if rate <= 1.0 { Ok(rate) } else { Err(NO_RATE.to_owned()) }
}

fn fraction(text: &str) -> Result<f64, String> {
    text.trim().parse().ok().filter(|number: &f64| *number >= 0.0).ok_or_else(|| NO_RATE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_at_most_all_users() {
        assert_eq!([of_step("50%"), of_step("100")], [Ok(50.0), Ok(100.0)]);
        assert!(of_step("150").unwrap_err().contains("0 to 100"));
        assert!(of_step("half").unwrap_err().contains("use a number from 0 to 100"));
    }

    #[test]
    fn a_rate_is_a_fraction_or_a_percentage() {
        for (text, expected) in [("0.05", 0.05), ("5%", 0.05), ("100 %", 1.0), ("1", 1.0), ("0", 0.0)] {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for wrong in ["5", "101%", "-0.1", "much", "", "NaN", "inf", "0,05"] {
            assert_eq!(rate(wrong), Err(NO_RATE.to_owned()), "{wrong}");
        }
        assert!(rate("1,5%").unwrap_err().contains("write it with a point: 1.5"));
    }

    #[test]
    fn a_percentage_may_have_its_sign() {
        for (text, expected) in [("25", 25.0), ("25%", 25.0), ("2.5 %", 2.5), ("0", 0.0), ("101", 101.0)] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_explained() {
        for (text, expected) in [
            ("12,5", "write it with a point: 12.5"),
            ("12,5%", "write it with a point: 12.5"),
            ("-5", "0 to 100"),
            ("much", "use a number from 0 to 100"),
            ("NaN", "use a number"),
            ("inf", "use a number"),
            ("%", "use a number"),
            ("", "use a number"),
        ] {
            assert!(parse(text).unwrap_err().contains(expected), "{text}");
        }
    }
}
