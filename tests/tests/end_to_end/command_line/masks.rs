//! Outputs with the same word in place of all that differs from run to run: times, identifiers, revisions, durations, ports
//! and the widths of columns.

use crate::api_examples::page::Masks;

/// Units of durations.
const UNITS: [&str; 5] = ["ms", "s", "min", "h", "d"];

/// Ends of the words before a number that counts changes.
const COUNTERS: [&str; 5] = ["revision", "version", "epoch", "known", "length"];

/// Words after a number of reports, which isolates send all the time.
const REPORTS: &str = "reports accepted,";

/// Beginning of the line about the share of requests, which there is for five minutes after the last one.
const SHARE: &str = "all flags, last 5 min: ";

/// Headings of columns of such numbers.
const COUNTER_COLUMNS: [&str; 2] = ["REVISION", "VERSION"];

/// Fewest digits of a number that is a time or a hash.
const LONG: usize = 10;

/// Fewest digits of a digest.
const MIN_DIGEST: usize = 32;

/// Replaces the given strings by their names, and what differs from run to run.
pub fn masked(text: &str, names: &[(String, &str)]) -> String {
    let named = names.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name));
    let named: String = named.split_inclusive('\n').filter(|line| !line.starts_with(SHARE)).collect();
    // Before the lines: a terminal may break one between a number and its unit.
    let text = numbers(&durations(&ports(&Masks::default().text(&reports(&named)))));
    columns(text.lines().map(date).map(spaces))
}

/// Replaces what `preflight` says of an edge whose first report is not due yet by what it says later.
fn reports(text: &str) -> String {
    let early = text.split_once("the control plane answers its questions;");
    match early.and_then(|(before, after)| Some((before, after.split_once("due yet")?.1))) {
        Some((before, rest)) => format!("{before}1 {REPORTS} 0 refused or lost{rest}"),
        None => text.to_owned(),
    }
}

/// Replaces the time of a response in its header.
fn date(line: &str) -> &str {
    if line.trim_start().starts_with("date: ") { "date: TIME" } else { line }
}

/// Replaces the ports of this machine.
fn ports(line: &str) -> String {
    let mut parts = line.split("127.0.0.1:");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("127.0.0.1:PORT");
        masked.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    masked
}

/// Replaces durations, such as `5 min`, and `(now)` as one that was zero.
fn durations(text: &str) -> String {
    let text = text.replace("(now)", "(0 s ago)");
    let words = words(&text);
    let number = |word: &str| word.trim_start_matches('(').to_owned();
    let unit = |word: &str| word.trim_end_matches(|c: char| !c.is_ascii_alphabetic()).to_owned();
    let is_duration = |index: usize| {
        let [(_, first), (gap, second)] =
            [index, index + 1].map(|index| words.get(index).copied().unwrap_or_default());
        let is_near = gap == " " || gap.contains('\n');
        is_near && number(first).parse::<f64>().is_ok() && UNITS.contains(&unit(second).as_str())
    };
    let masked = words.iter().enumerate().map(|(index, (gap, word))| {
        let word = if is_duration(index) {
            word.replace(&number(word), "N")
        } else if index > 0 && is_duration(index - 1) {
            word.replacen(&unit(word), "T", 1)
        } else {
            (*word).to_owned()
        };
        format!("{gap}{word}")
    });
    masked.collect()
}

/// Splits a text into its words, each with the space before it. The space at the end is that of an empty word.
fn words(text: &str) -> Vec<(&str, &str)> {
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (gap, after) = rest.split_at(rest.len() - rest.trim_start().len());
        let (word, after) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
        words.push((gap, word));
        rest = after;
    }
    words
}

/// Replaces revisions, ids of runs, digests, and times as numbers.
fn numbers(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut masked, mut rest, mut is_counter) = (String::new(), text, false);
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(if length == 0 { first.len_utf8() } else { length });
        rest = after;
        if length == 0 {
            masked.push_str(word);
            continue;
        }
        let is_digest = word.len() >= MIN_DIGEST && word.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        let is_reports = rest.split_whitespace().take(2).eq(REPORTS.split_whitespace());
        if is_digits(word) && (is_counter || is_reports || word.len() >= LONG) {
            masked.push('N');
        } else if word.strip_prefix('r').is_some_and(is_digits) {
            masked.push_str("rN");
        } else if is_digest {
            masked.push_str("DIGEST");
        } else {
            masked.push_str(word);
        }
        let word = word.to_lowercase();
        is_counter = COUNTERS.iter().any(|counter| word.ends_with(counter));
    }
    masked
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_digit())
}

/// Makes every gap between two columns as wide as the narrowest one, and removes spaces at the end. A cell of this moment
/// becomes a duration like those of the next ones.
fn spaces(line: &str) -> String {
    let text = line.trim_start_matches(' ');
    let mut masked = " ".repeat(line.len() - text.len());
    let cells = text.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    let cells = cells.map(|cell| match cell {
        "now" => "N T ago",
        "expired now" => "expired N T ago",
        other => other,
    });
    masked.push_str(&cells.collect::<Vec<_>>().join("  "));
    masked.trim_end().to_owned()
}

/// Replaces the numbers below the headings of counters.
fn columns(lines: impl Iterator<Item = String>) -> String {
    let (mut masked, mut counter) = (String::new(), None);
    for line in lines {
        let mut cells: Vec<&str> = line.split("  ").collect();
        let heading = cells.iter().position(|cell| COUNTER_COLUMNS.contains(cell));
        if line.is_empty() || heading.is_some() {
            counter = heading;
        } else if let Some(index) = counter
            && cells.get(index).is_some_and(|cell| is_digits(cell))
        {
            cells[index] = "N";
        }
        masked.push_str(&cells.join("  "));
        masked.push('\n');
    }
    masked
}

#[test]
fn two_runs_look_alike() {
    let first = "127.0.0.1:20831\n\
                 FLAG          ON   PERCENT  VERSION  BY\n\
                 reviews_read  yes  25.0     7        root\n\
                 done; revision 31, published; in force within about 6 s\n\
                 \n  next step in 59 min (2026-03-01T10:00:00.000Z (now))\n\
                 run r78 of 4 steps: 40 -> 50 percent\n  \"revision\": 12, \"at\": 1769860800000\n\
                 --known 17:9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015\n\
                 desks/x1y2/first.yaml\n\
                 in force within about\n  6 s; 12 reports accepted, 0 refused\n\
                 r7   now         ann\n";
    let second = "127.0.0.1:9\n\
                  FLAG          ON   PERCENT  VERSION  BY\n\
                  reviews_read  yes  25.0     1234     root\n\
                  done; revision 4, published; in force within about 6 s\n\
                  \n  next step in 3 s (2027-03-01T10:00:00.123Z (12 min ago))\n\
                  run r9 of 4 steps: 40 -> 50 percent\n  \"revision\": 8, \"at\": 1801396800000\n\
                  --known 8:60303ae22b998861bce3b28f33eec1be60303ae22b998861bce3b28f33eec1be\n\
                  desks/zzz/first.yaml\n\
                  in force within about\n  12 s; 3 reports accepted, 0 refused\n\
                  r12  12 min ago  ann\n";
    let mask = |text: &str, folder: &str| masked(text, &[(folder.to_owned(), "DESK")]);
    let expected = "127.0.0.1:PORT\n\
                    FLAG  ON  PERCENT  VERSION  BY\n\
                    reviews_read  yes  25.0  N  root\n\
                    done; revision N, published; in force within about N T\n\
                    \n  next step in N T (2026-01-31T12:00:00Z (N T ago))\n\
                    run rN of 4 steps: 40 -> 50 percent\n  \"revision\": N, \"at\": N\n\
                    --known N:DIGEST\n\
                    DESK/first.yaml\n\
                    in force within about\n  N T; N reports accepted, 0 refused\n\
                    rN  N T ago  ann\n";
    assert_eq!(mask(first, "desks/x1y2"), expected);
    assert_eq!(mask(second, "desks/zzz"), expected);
}
