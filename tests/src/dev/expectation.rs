//! Expected output of a command: lines in which `…` stands for any text.

/// Returns the expected lines that were not printed. Spaces count as one, because columns are as wide as their content.
pub fn missing<'e>(printed: &str, expected: &[&'e str]) -> Vec<&'e str> {
    let lines: Vec<String> = printed.lines().map(normal).collect();
    let is_printed = |expected: &&str| {
        let expected = normal(expected);
        lines.iter().any(|line| fits(line, &expected))
    };
    expected.iter().filter(|expected| !is_printed(expected)).copied().collect()
}

fn normal(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn fits(line: &str, expected: &str) -> bool {
    let mut parts: Vec<&str> = expected.split('…').collect();
    let last = if parts.len() > 1 { parts.pop() } else { None };
    let mut parts = parts.into_iter();
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_any_text() {
        for (line, expected, is_fitting) in [
            ("x-backend: new", "x-backend: new", true),
            ("x-backend: newer", "x-backend: new", false),
            ("flag   yes  25.0  3", "flag yes 25.0 …", true),
            ("flag yes 125.0 3", "flag yes 25.0 …", false),
            ("run r7 is running at 10%, published", "run … is running at 10%…", true),
            ("run r7 is paused at 10%", "run … is running at 10%…", false),
            ("2 of 3", "… of …", true),
            ("a b", "b", false),
            ("a b", "…b", true),
        ] {
            let found = missing(&format!("first\n{line}\r\n"), &[expected]);
            assert_eq!(found.is_empty(), is_fitting, "{line:?} and {expected:?}");
        }
    }
}
