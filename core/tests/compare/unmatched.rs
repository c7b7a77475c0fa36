//! Rules that match nothing, and their counts.

use super::*;

fn count(path: &str, matched: u64) -> RuleCount {
    RuleCount { path: path.to_owned(), compared: 1, matched }
}

fn counted(rules: Vec<Rule>, old: &str, new: &str) -> Vec<RuleCount> {
    findings(&Comparison { rules, ..Comparison::default() }, response(old), response(new)).rules
}

#[test]
fn rules_that_match_in_either_body_are_counted() {
    let rules = || ["data[].tags", "data[].tagz", "meta", "meta.version", "old"].map(rule).to_vec();
    let expected = |matched: [u64; 5]| -> Vec<RuleCount> {
        rules().iter().zip(matched).map(|(rule, matched)| count(&rule.path, matched)).collect()
    };
    let (old, new) = (r#"{"data":[{"tags":1}],"old":1}"#, r#"{"data":[{"tags":1}],"meta":{"version":1}}"#);
    assert_eq!(counted(rules(), old, new), expected([1, 0, 1, 1, 1]));
    // Bodies that are equal, or ignored, are searched as well.
    assert_eq!(counted(rules(), old, old), expected([1, 0, 0, 0, 1]));
    let mut ignored = rules();
    ignored.push(Rule { ignore: true, ..rule("**") });
    assert_eq!(counted(ignored, old, new)[..5], expected([1, 0, 1, 1, 1]));
}

#[test]
fn rules_for_headers_are_counted_if_the_header_is_compared() {
    let rules = ["header link", "header content-type", "header etag", "a"].map(rule).to_vec();
    let policy = Comparison { headers: vec!["link".to_owned()], rules, ..Comparison::default() };
    let headers = [[None, None], [Some("text/plain"), None]];
    let of = |index: usize| Response { status: 204, headers: &headers[index], body: b"" };
    // Without bodies nothing is known about the rules for them.
    let expected = [count("header link", 0), count("header content-type", 1)];
    assert_eq!(findings(&policy, of(0), of(1)).rules, expected);
    assert_eq!(findings(&policy, of(1), of(0)).rules, expected);
}

#[test]
fn the_counted_rules_are_bounded() {
    let many: Vec<Rule> = (0..100).map(|number| rule(&word(number))).collect();
    assert_eq!(counted(many, "{}", "{}").len(), 64);
    let long = rule(&"a".repeat(121));
    assert_eq!(counted(vec![rule("a"), long, rule("a")], "{}", "{}"), [count("a", 0)]);
    let mut tally = Tally::default();
    let paths: Vec<RuleCount> = (0..100).map(|number| count(&word(number), 0)).collect();
    tally.add_rules(&paths);
    tally.add_rules(&paths);
    assert_eq!(tally.rules.len(), 64);
    assert!(tally.rules.iter().all(|rule| rule.compared == 2));
}

#[test]
fn a_full_list_of_rules_makes_room_for_those_of_a_new_configuration() {
    let counts = |configuration: &str| -> Vec<RuleCount> {
        (0..40).map(|number| count(&format!("{configuration}{number}"), 0)).collect()
    };
    let (old, new) = (counts("old"), counts("new"));
    let mut tally = Tally::default();
    tally.add_rules(&old);
    tally.add_rules(&[count("both", 1)]);
    let mut next = new.clone();
    next.push(count("both", 0));
    // Each of them is counted in every comparison, and none takes the place of another.
    tally.add_rules(&next);
    let mut other = Tally::default();
    other.add_rules(&next);
    tally.merge(&other);
    assert_eq!(tally.rules.len(), 41);
    for rule in &tally.rules {
        let is_both = rule.path == "both";
        assert_eq!((rule.compared, rule.matched), if is_both { (3, 1) } else { (2, 0) }, "{}", rule.path);
        assert!(is_both || new.iter().any(|held| held.path == rule.path), "{}", rule.path);
    }
    // As long as there is room, earlier ones remain.
    tally.add_rules(&old[..10]);
    assert_eq!(tally.rules.len(), 51);
}

#[test]
fn a_rule_is_unmatched_after_a_hundred_comparisons_without_a_match() {
    let rules = [rule("a"), rule("b"), rule("c")];
    let (mut tally, mut other) = (Tally::default(), Tally::default());
    let unmatched = |tally: &Tally| -> Vec<(String, u64)> {
        tally.unmatched(&rules).map(|rule| (rule.path.clone(), rule.compared)).collect()
    };
    for number in 0..99 {
        tally.add_rules(&[count("a", u64::from(number == 50)), count("b", 0), count("gone", 0)]);
    }
    assert!(unmatched(&tally).is_empty());
    other.add_rules(&[count("a", 0), count("b", 0), count("c", 0), count("gone", 0)]);
    tally.merge(&other);
    assert_eq!(unmatched(&tally), [("b".to_owned(), 100)]);
    tally.add_rules(&[count("b", 1)]);
    assert!(unmatched(&tally).is_empty());
}

#[test]
fn tallies_of_earlier_versions_are_read_and_later_ones_are_no_longer_than_they_need_to_be() {
    let old = r#"{"compared":3,"mismatched":1,"noise_compared":2}"#;
    let mut tally: Tally = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&tally).unwrap(), old);
    tally.add_rules(&[count("a", 0), count("b", 1)]);
    let rules = r#""rules":[{"path":"a","compared":1},{"path":"b","compared":1,"matched":1}]"#;
    let text = serde_json::to_string(&tally).unwrap();
    assert_eq!(text, format!("{},{rules}}}", old.trim_end_matches('}')));
    assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
}

/// Adds the paths of all values of a body.
fn add_paths<'b>(value: &'b Json<'_>, path: &[&'b str], all: &mut Vec<Vec<&'b str>>) {
    all.push(path.to_vec());
    match value {
        Json::List(items) => {
            items.iter().for_each(|item| add_paths(item, &[path, ["[]"].as_slice()].concat(), all));
        }
        Json::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, value)| add_paths(value, &[path, [&**name].as_slice()].concat(), all));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
    }
}

fn rule_path() -> impl Strategy<Value = String> {
    let name = prop_oneof![4 => select(privacy::FIELDS.to_vec()), 1 => Just("*")];
    let step = (name, select(vec!["", "[]"])).prop_map(|(name, items)| format!("{name}{items}"));
    (vec(step, 1..4), any::<bool>()).prop_map(|(steps, is_deep)| {
        let end = if is_deep { ".**" } else { "" };
        format!("{}{end}", steps.join("."))
    })
}

proptest! {
    #[test]
    fn a_rule_is_found_if_it_is_for_any_path_of_a_body(body in privacy::body(), path in rule_path()) {
        let rule = rule(&path);
        let mut all = Vec::new();
        add_paths(&body, &[], &mut all);
        let is_found = all.iter().any(|path| rule.is_for(path));
        // The items of an empty list have no path, but the options of the list may name them.
        let list = Rule { path: path.trim_end_matches("[]").to_owned(), ..Rule::default() };
        prop_assume!(is_found || !path.ends_with("[]") || !all.iter().any(|path| list.is_for(path)));
        let text = body.to_string();
        prop_assert_eq!(counted(vec![rule], &text, &text), [count(&path, u64::from(is_found))]);
    }
}
