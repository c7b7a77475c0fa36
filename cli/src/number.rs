//! Numbers as arguments, with words for those that are none.

use std::str::FromStr;

/// Reads a whole number.
///
/// # Errors
///
/// Fails with an explanation if the text is no whole number, or one that is too large.
pub fn whole<N: FromStr>(text: &str) -> Result<N, String> {
    let is_whole = !text.is_empty() && text.chars().all(|character| character.is_ascii_digit());
    let mistake = if is_whole { "it is too large" } else { "it is not a whole number; use one such as 20" };
    text.parse().map_err(|_| mistake.to_owned())
}

/// Reads a number, which may have decimals.
///
/// # Errors
///
/// Fails with an explanation if the text is no number.
pub fn decimal(text: &str) -> Result<f64, String> {
    let mistake = || "it is not a number; use one such as 20 or 2.5".to_owned();
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(mistake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_none_is_explained() {
        assert_eq!(whole::<usize>("20"), Ok(20));
        for wrong in ["", "x", "-1", "1.5", "1e3", " 1"] {
            assert!(whole::<u64>(wrong).unwrap_err().contains("not a whole number"), "{wrong:?}");
        }
        assert_eq!(whole::<u32>("4294967296"), Err("it is too large".to_owned()));
        assert_eq!([decimal("20"), decimal("2.5")], [Ok(20.0), Ok(2.5)]);
        for wrong in ["", "x", "NaN", "inf", "2,5"] {
            assert!(decimal(wrong).unwrap_err().contains("not a number"), "{wrong:?}");
        }
    }
}
