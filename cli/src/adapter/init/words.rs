//! Names as lists of words, so that `createdAt`, `created_at` and `Created-At` are one name.

/// Names that are less alike than this, on the scale of Jaro-Winkler from 0 to 1, are not similar.
const SIMILAR: f64 = 0.9;

/// Shortest name, in characters, that may be similar to another one without being equal to it.
const SHORTEST: usize = 4;

const IRREGULAR: [(&str, &str); 4] =
    [("people", "person"), ("children", "child"), ("men", "man"), ("women", "woman")];

/// Returns the words of a name in lower case.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            before = None;
            continue;
        }
        // A capital begins a word unless it follows another one: `userIDs` has two words.
        let begins = before.is_none_or(|before| c.is_uppercase() && !before.is_uppercase());
        match words.last_mut() {
            Some(word) if !begins => word.extend(c.to_lowercase()),
            _ => words.push(c.to_lowercase().collect()),
        }
        before = Some(c);
    }
    words
}

/// Returns the words of a name joined by underscores: equal for all spellings of a name.
pub fn key(name: &str) -> String {
    words(name).join("_")
}

/// Returns the words of a name, each in the singular.
pub fn singular_words(name: &str) -> Vec<String> {
    words(name).iter().map(|word| singular(word)).collect()
}

/// Returns the singular of an English noun, by the common rules.
pub fn singular(word: &str) -> String {
    if let Some((_, singular)) = IRREGULAR.iter().find(|(plural, _)| *plural == word) {
        return (*singular).to_owned();
    }
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 1) {
        return format!("{stem}y");
    }
    let endings = ["sses", "xes", "ches", "shes", "zes", "uses"];
    if endings.iter().any(|ending| word.ends_with(ending)) {
        return word.strip_suffix("es").unwrap_or(word).to_owned();
    }
    let is_plural = word.len() > 2 && !["ss", "us", "is"].iter().any(|ending| word.ends_with(ending));
    word.strip_suffix('s').filter(|_| is_plural).unwrap_or(word).to_owned()
}

/// Returns words as a name in upper camel case.
pub fn pascal(words: &[String]) -> String {
    let capital = |word: &String| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())
    };
    words.iter().filter_map(capital).collect()
}

/// Returns how alike two names are, from 0 to 1, or `None` if they are not similar.
pub fn similarity(a: &str, b: &str) -> Option<f64> {
    let (a, b) = (key(a), key(b));
    let alike = strsim::jaro_winkler(&a, &b);
    (a.len() >= SHORTEST && b.len() >= SHORTEST && alike >= SIMILAR).then_some(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_name_are_equal() {
        for name in ["createdAt", "created_at", "Created-At", "CREATED_AT", "created at"] {
            assert_eq!(key(name), "created_at", "{name}");
        }
        assert_eq!(words("userIDs"), ["user", "ids"]);
        assert_eq!(words("address2"), ["address2"]);
        assert_eq!(words("{id}"), ["id"]);
        assert!(words("-").is_empty());
        assert_eq!(pascal(&words("offer_reviews")), "OfferReviews");
    }

    #[test]
    fn plurals_have_their_singular() {
        let cases = [
            ("reviews", "review"),
            ("categories", "category"),
            ("addresses", "address"),
            ("boxes", "box"),
            ("statuses", "status"),
            ("status", "status"),
            ("class", "class"),
            ("analysis", "analysis"),
            ("people", "person"),
            ("data", "data"),
            ("as", "as"),
        ];
        for (plural, expected) in cases {
            assert_eq!(singular(plural), expected, "{plural}");
        }
        assert_eq!(singular_words("OrderItems"), ["order", "item"]);
    }

    #[test]
    fn similar_names_are_told_from_others() {
        assert!(similarity("created", "createdAt").is_some());
        assert!(similarity("description", "descriptions").is_some());
        for (a, b) in
            [("created_at", "updatedAt"), ("id", "ids"), ("author_id", "userId"), ("text", "rating")]
        {
            assert_eq!(similarity(a, b), None, "{a} {b}");
        }
    }
}
