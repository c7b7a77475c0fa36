//! Generated documents, whose counts a recursive counter over their tree finds too; and arbitrary texts.

use super::unlimited;
use crate::graphql::{Counts, Limits, Refusal, document::scan_counting, scan};
use proptest::{collection::vec, prelude::*};

#[derive(Debug, Clone)]
enum Selection {
    Field {
        has_alias: bool,
        arguments: Vec<Value>,
        directives: usize,
        selections: Vec<Selection>,
    },
    Inline {
        has_type: bool,
        directives: usize,
        selections: Vec<Selection>,
    },
    /// Of the fragment at this index behind the definition's own, if there is one; otherwise a field.
    Spread {
        ahead: usize,
        directives: usize,
    },
}

#[derive(Debug, Clone)]
enum Value {
    Plain(usize),
    List(Vec<Value>),
    Object(Vec<Value>),
}

/// Values without anything inside, as they are written.
const PLAIN: [&str; 9] = [
    "1",
    "-0.5e+3",
    "$v",
    "true",
    "null",
    "RED",
    "\"} { \\\" # \\u00e4\"",
    "\"\"\"{ \\ \\n ] \n#\"\"\"",
    "on",
];

/// Texts that may be between tokens.
const IGNORED: [&str; 6] = [" ", "\n", " ,\t", "\u{feff} ", "# } \" {\r\n", "\r"];

fn value() -> impl Strategy<Value = Value> {
    let plain = (0..PLAIN.len()).prop_map(Value::Plain);
    plain.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![vec(inner.clone(), 0..3).prop_map(Value::List), vec(inner, 0..3).prop_map(Value::Object)]
    })
}

fn selection() -> impl Strategy<Value = Selection> {
    let field = |selections: BoxedStrategy<Vec<Selection>>| {
        (any::<bool>(), vec(value(), 0..2), 0..3_usize, selections).prop_map(
            |(has_alias, arguments, directives, selections)| Selection::Field {
                has_alias,
                arguments,
                directives,
                selections,
            },
        )
    };
    let spread =
        (0..3_usize, 0..2_usize).prop_map(|(ahead, directives)| Selection::Spread { ahead, directives });
    prop_oneof![field(Just(Vec::new()).boxed()), spread].prop_recursive(5, 40, 4, move |inner| {
        let inline = (any::<bool>(), 0..2_usize, vec(inner.clone(), 1..4)).prop_map(
            |(has_type, directives, selections)| Selection::Inline { has_type, directives, selections },
        );
        prop_oneof![field(vec(inner, 1..4).boxed()), inline]
    })
}

/// An operation, and fragments that spread later ones only.
fn definitions() -> impl Strategy<Value = Vec<Vec<Selection>>> {
    vec(vec(selection(), 1..4), 1..6)
}

/// Writes a document, and counts its tokens.
struct Writer<'s> {
    text: String,
    tokens: u32,
    /// Positions in [`IGNORED`], used in turn.
    ignored: &'s [usize],
    /// Number of definitions.
    definitions: usize,
}

impl Writer<'_> {
    fn write(&mut self, tokens: &[&str]) {
        for token in tokens {
            let length = self.ignored.len();
            let turn = usize::try_from(self.tokens).unwrap() % length;
            self.text.push_str(IGNORED[self.ignored[turn]]);
            self.text.push_str(token);
            self.tokens += 1;
        }
    }

    fn directives(&mut self, directives: usize) {
        for _ in 0..directives {
            self.write(&["@", "d", "(", "x", ":", "1", ")"]);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Plain(index) => {
                // A dollar and a minus: the dollar is a token of its own.
                let text = PLAIN[*index];
                match text.strip_prefix('$') {
                    Some(name) => self.write(&["$", name]),
                    None => self.write(&[text]),
                }
            }
            Value::List(items) => {
                self.write(&["["]);
                items.iter().for_each(|item| self.value(item));
                self.write(&["]"]);
            }
            Value::Object(fields) => {
                self.write(&["{"]);
                for field in fields {
                    self.write(&["f", ":"]);
                    self.value(field);
                }
                self.write(&["}"]);
            }
        }
    }

    fn selections(&mut self, selections: &[Selection], index: usize) {
        self.write(&["{"]);
        for selection in selections {
            match selection {
                Selection::Field { has_alias, arguments, directives, selections } => {
                    if *has_alias {
                        self.write(&["a", ":"]);
                    }
                    self.write(&["field"]);
                    if !arguments.is_empty() {
                        self.write(&["("]);
                        for argument in arguments {
                            self.write(&["x", ":"]);
                            self.value(argument);
                        }
                        self.write(&[")"]);
                    }
                    self.directives(*directives);
                    if !selections.is_empty() {
                        self.selections(selections, index);
                    }
                }
                Selection::Inline { has_type, directives, selections } => {
                    self.write(if *has_type { &["...", "on", "T"] } else { &["..."] });
                    self.directives(*directives);
                    self.selections(selections, index);
                }
                Selection::Spread { ahead, directives } => {
                    match spread_index(index, *ahead, self.definitions) {
                        Some(fragment) => self.write(&["...", &format!("F{fragment}")]),
                        None => self.write(&["field"]),
                    }
                    self.directives(*directives);
                }
            }
        }
        self.write(&["}"]);
    }
}

fn spread_index(index: usize, ahead: usize, definitions: usize) -> Option<usize> {
    Some(index + 1 + ahead).filter(|fragment| *fragment < definitions)
}

/// The recursive counter that the scanner does without.
fn count(all: &[Vec<Selection>], index: usize, selections: &[Selection], depth: u32, counts: &mut Counts) {
    let field = |counts: &mut Counts| {
        counts.fields += 1;
        counts.depth = counts.depth.max(depth + 1);
        counts.root_fields += u32::from(depth == 0);
    };
    let number = |directives: usize| u32::try_from(directives).unwrap();
    for selection in selections {
        match selection {
            Selection::Field { has_alias, directives, selections, .. } => {
                field(counts);
                counts.aliases += u32::from(*has_alias);
                counts.directives += number(*directives);
                count(all, index, selections, depth + 1, counts);
            }
            Selection::Inline { directives, selections, .. } => {
                counts.directives += number(*directives);
                count(all, index, selections, depth, counts);
            }
            Selection::Spread { ahead, directives } => {
                counts.directives += number(*directives);
                match spread_index(index, *ahead, all.len()) {
                    Some(fragment) => count(all, fragment, &all[fragment], depth, counts),
                    None => field(counts),
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn generated_documents_have_the_counts_of_a_recursive_counter(
        all in definitions(),
        ignored in vec(0..IGNORED.len(), 1..8),
        is_reversed in any::<bool>(),
    ) {
        let mut writer =
            Writer { text: String::new(), tokens: 0, ignored: &ignored, definitions: all.len() };
        let mut order: Vec<usize> = (0..all.len()).collect();
        if is_reversed {
            order.reverse();
        }
        for index in order {
            match index {
                0 => writer.write(&["query", "Q", "(", "$", "v", ":", "[", "I", "!", "]", "!", "=", "[", "]", ")"]),
                _ => writer.write(&["fragment", &format!("F{index}"), "on", "T"]),
            }
            writer.selections(&all[index], index);
        }
        let mut expected = Counts::default();
        count(&all, 0, &all[0], 0, &mut expected);
        let scanned = scan(&writer.text, &unlimited(), false);
        let scanned = scanned.map_err(|refusal| TestCaseError::fail(format!("{refusal}: {}", writer.text)))?;
        prop_assert_eq!(scanned.operations, vec![expected]);
        prop_assert_eq!(scanned.tokens, writer.tokens);

        // Each limit holds at its count, and one below it does not. Fragments that nothing spreads count too.
        let aliases = (0..all.len()).map(|index| {
            let mut counts = Counts::default();
            count(&all, index, &all[index], 0, &mut counts);
            counts.aliases
        });
        let aliases = aliases.max().unwrap();
        let limits =
            Limits { tokens: writer.tokens, aliases, root_fields: expected.root_fields, ..unlimited() };
        prop_assert!(scan(&writer.text, &limits, false).is_ok());
        let one_less = Limits { tokens: writer.tokens - 1, ..limits };
        prop_assert_eq!(scan(&writer.text, &one_less, false), Err(Refusal::Tokens(writer.tokens - 1)));
        if aliases > 0 {
            let one_less = Limits { aliases: aliases - 1, ..limits };
            prop_assert_eq!(scan(&writer.text, &one_less, false), Err(Refusal::Aliases(aliases - 1)));
        }
        let one_less = Limits { root_fields: expected.root_fields - 1, ..limits };
        prop_assert_eq!(
            scan(&writer.text, &one_less, false),
            Err(Refusal::RootFields(expected.root_fields - 1))
        );
    }

    /// Texts made of tokens get further than arbitrary ones.
    #[test]
    fn no_text_panics_or_takes_more_than_linear_work(
        tokens in vec(
            prop_oneof![
                "\\PC{0,6}",
                proptest::sample::select(vec![
                    "{", "}", "(", ")", "[", "]", ":", "=", "@", "$", "!", "...", "on", "query", "fragment", "F", "a",
                    "\"", "\"\"\"", "\\", "\\u", "1", "-", ".", "#", "\n", ",", "\u{feff}", "__schema", "{a}",
                    "fragment F on T",
                ]).prop_map(str::to_owned),
            ],
            0..200,
        ),
        separator in prop_oneof![Just(""), Just(" ")],
    ) {
        let text = tokens.join(separator);
        for limits in [Limits::default(), unlimited()] {
            let (result, work) = scan_counting(&text, &limits, false);
            prop_assert!(work <= 8 * text.len() + 16, "{} for {}", work, text.len());
            if let Err(refusal) = result {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&refusal.body()).is_ok());
            }
        }
    }
}
