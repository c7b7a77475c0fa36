//! Percentages, as people write them.

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

#[cfg(test)]
mod tests {
    use super::*;

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
