//! Search for the paths of rules in two responses. A rule that never matches anything is most likely
//! misspelt, and nothing else would tell.

use crate::{
    compare::{
        budget::{Budget, TooMuch},
        path::{ITEMS, MAX_PATH},
        policy::{Comparison, Rule},
        tally::{MAX_RULES, RuleCount},
    },
    json::value::Json,
};

/// Steps of the search in one pair of bodies: a quarter of those of their comparison, although they
/// are cheaper. A step is a value, or a name of a field. The rules share them equally: a search that
/// finds nothing looks at the whole bodies, and must not take the work of the others.
const WORK: u32 = 100_000;

/// Returns a count of one comparison for each path of a rule. Left out are rules for headers that
/// are not compared, and rules for bodies if there are none or the rule's search takes too much work.
pub(super) fn rule_counts(
    policy: &Comparison,
    headers: [&[Option<&str>]; 2],
    bodies: Option<[&Json<'_>; 2]>,
) -> Vec<RuleCount> {
    let mut rules: Vec<&Rule> = Vec::new();
    for rule in &policy.rules {
        // The same ones in every comparison, also if some of them cannot be searched in this one.
        let is_known = rules.iter().any(|held| held.path == rule.path);
        if !is_known && rules.len() < MAX_RULES && rule.path.len() <= MAX_PATH {
            rules.push(rule);
        }
    }
    let work = WORK / u32::try_from(rules.len().max(1)).unwrap_or(u32::MAX);
    let mut counts: Vec<RuleCount> = Vec::new();
    for rule in rules {
        let is_found = if rule.header().is_some() {
            is_in_headers(policy, rule, headers)
        } else {
            bodies.and_then(|bodies| is_in_bodies(rule, bodies, &mut Budget::of(work)).ok())
        };
        if let Some(is_found) = is_found {
            counts.push(RuleCount { path: rule.path.clone(), compared: 1, matched: u64::from(is_found) });
        }
    }
    counts
}

/// Returns true if either response has the header of a rule; `None` if it is not compared.
fn is_in_headers(policy: &Comparison, rule: &Rule, headers: [&[Option<&str>]; 2]) -> Option<bool> {
    let index = policy.compared_headers().position(|name| rule.is_for_header(name))?;
    let [old, new] = headers;
    Some(old.get(index)?.is_some() || new.get(index)?.is_some())
}

fn is_in_bodies(rule: &Rule, bodies: [&Json<'_>; 2], budget: &mut Budget) -> Result<bool, TooMuch> {
    let steps: Vec<&str> = rule.steps().collect();
    any_leads(bodies, &steps, budget)
}

fn any_leads<'v, 'j: 'v>(
    values: impl IntoIterator<Item = &'v Json<'j>>,
    steps: &[&str],
    budget: &mut Budget,
) -> Result<bool, TooMuch> {
    for value in values {
        if leads(value, steps, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns true if the steps lead to anything in a value.
fn leads(value: &Json<'_>, steps: &[&str], budget: &mut Budget) -> Result<bool, TooMuch> {
    budget.pay(1)?;
    let Some((step, rest)) = steps.split_first() else { return Ok(true) };
    match value {
        Json::List(items) => match *step {
            "**" => Ok(!items.is_empty()),
            // The options of a list may name its items, and are for an empty list too.
            ITEMS if rest.is_empty() => Ok(true),
            ITEMS => any_leads(items, rest, budget),
            _ => Ok(false),
        },
        Json::Object(fields) => {
            budget.pay(fields.len())?;
            match *step {
                "**" => Ok(!fields.is_empty()),
                "*" => any_leads(fields.iter().map(|(_, value)| value), rest, budget),
                name => {
                    let named = fields.iter().filter(|(held, _)| held == name).map(|(_, value)| value);
                    any_leads(named, rest, budget)
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(path: &str, old: &str, new: &str) -> bool {
        let rule = Rule { path: path.to_owned(), ..Rule::default() };
        let bodies = [old, new].map(|body| Json::parse(body).unwrap());
        is_in_bodies(&rule, bodies.each_ref(), &mut Budget::of(WORK)).unwrap()
    }

    #[test]
    fn a_path_is_found_in_either_body() {
        let body = r#"{"data":[{"id":1},{"id":2,"tags":["a"],"next":null}],"none":[],"deep":[[1]],"a b":1}"#;
        let found = [
            ".",
            "data",
            "data[]",
            "data[].id",
            "data[].tags",
            "data[].tags[]",
            "data[].next",
            "data[].*",
            "none",
            "none[]",
            "deep[][]",
            "*",
            "*[]",
            "*[].id",
            "data.**",
            "**",
            "a b",
        ];
        for path in found {
            assert!(is_found(path, body, "{}") && is_found(path, "{}", body), "{path}");
        }
        let absent = [
            "id",
            "data.id",
            "data[].tagz",
            "data[].tags[].x",
            "none[].id",
            "deep[][][]",
            "none.**",
            "[]",
            "data[].id.x",
            "*.id",
            "header data",
        ];
        for path in absent {
            assert!(!is_found(path, body, body), "{path}");
        }
    }

    #[test]
    fn a_search_that_takes_too_much_work_is_not_counted() {
        let rule = |path: &str| Rule { path: path.to_owned(), ..Rule::default() };
        let rules = vec![rule("[].a"), rule("[].b"), rule("[].a")];
        let policy = Comparison { rules, ..Comparison::default() };
        let item = "{\"a\":1},";
        let list = |count: usize| format!("[{}1]", item.repeat(count));
        let count = |path: &str, matched: u64| RuleCount { path: path.to_owned(), compared: 1, matched };
        let counted = |count: usize| {
            let body = list(count);
            let body = Json::parse(&body).unwrap();
            rule_counts(&policy, [&[], &[]], Some([&body, &body]))
        };
        assert_eq!(counted(1_000), [count("[].a", 1), count("[].b", 0)]);
        assert_eq!(counted(60_000), [count("[].a", 1)]);
        assert_eq!(rule_counts(&policy, [&[], &[]], None), []);
    }

    #[test]
    fn the_same_rules_are_counted_in_every_comparison() {
        let rule = |path: String| Rule { path, ..Rule::default() };
        let mut rules: Vec<Rule> = (0..MAX_RULES).map(|number| rule(format!("a{number}"))).collect();
        rules.push(rule("header content-type".to_owned()));
        let policy = Comparison { rules, ..Comparison::default() };
        let headers = [None];
        assert_eq!(rule_counts(&policy, [&headers, &headers], None), []);
        let body = Json::Null;
        assert_eq!(rule_counts(&policy, [&headers, &headers], Some([&body, &body])).len(), MAX_RULES);
    }

    #[test]
    fn a_rule_that_matches_nothing_leaves_the_others_their_work() {
        let rule = |path: &str| Rule { path: path.to_owned(), ..Rule::default() };
        let policy = Comparison { rules: vec![rule("[].typo"), rule("[].a")], ..Comparison::default() };
        let body = format!("[{}1]", "{\"a\":1},".repeat(60_000));
        let body = Json::parse(&body).unwrap();
        let found = RuleCount { path: "[].a".to_owned(), compared: 1, matched: 1 };
        assert_eq!(rule_counts(&policy, [&[], &[]], Some([&body, &body])), [found]);
    }
}
