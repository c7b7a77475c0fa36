//! `GET /comparisons?after=&limit=`: differences between the responses of the two backends, route by
//! route.

use crate::{
    access::auth::Caller,
    api::{
        extract::Parameters,
        pages::{PageLimit, PageQuery},
        respond::json_response,
    },
    platform::Platform,
    problem::Problem,
    store::{Ledger, LedgerParts, PageRoom, RouteComparison},
};
use axum::{extract::State, http::StatusCode, response::Response};
use cutover_core::{
    FlagName, Timestamp,
    compare::{DifferenceCount, Rule},
    config::Config,
};
use serde_json::{Value, json};

const LIMIT: PageLimit = PageLimit { default: 1_000, max: 5_000, next: "after" };

/// Number of ledgers that are held at a time.
const LEDGERS: usize = 16;

pub(super) async fn handle(
    _: Caller,
    State(platform): State<Platform>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Response, Problem> {
    let limit = LIMIT.check(query.limit)?;
    // The end of the previous page, FLAG/ROUTE.
    let (after_flag, after_route) = query.after.split_once('/').unwrap_or((query.after.as_str(), ""));
    let config = platform.store.state().await?.config;
    let flags: Vec<&FlagName> =
        config.feature_flags.keys().filter(|flag| flag.as_str() >= after_flag).collect();
    let mut room = PageRoom::new(limit);
    let (mut page, mut last) = (Vec::new(), None);
    for part in flags.chunks(LEDGERS) {
        let part: Vec<_> = part.iter().copied().map(Some).collect();
        let ledgers = platform.store.ledgers_of(&part, LedgerParts::Comparisons).await?;
        for (flag, ledger) in &ledgers {
            let Some(flag) = flag else { continue };
            let after = if flag.as_str() == after_flag { after_route } else { "" };
            for compared in current(flag, ledger, &config) {
                if compared.route.as_str() <= after {
                    continue;
                }
                let shown = report(flag, compared, &config);
                if !room.take(shown.to_string().len()) {
                    return Ok(respond(page, last));
                }
                page.push(shown);
                last = Some(format!("{flag}/{}", compared.route));
            }
        }
    }
    Ok(respond(page, None))
}

fn respond(page: Vec<Value>, next: Option<String>) -> Response {
    json_response(StatusCode::OK, &json!({ "comparisons": page, "next_after": next }))
}

/// Returns the comparisons of the routes that a flag has now, ordered by route.
fn current<'l>(flag: &FlagName, ledger: &'l Ledger, config: &Config) -> Vec<&'l RouteComparison> {
    let is_current = |compared: &&RouteComparison| {
        config.routes.iter().any(|route| route.id == compared.route && route.flag == *flag)
    };
    let mut current: Vec<_> = ledger.comparisons.iter().filter(is_current).collect();
    current.sort_by(|a, b| a.route.as_str().cmp(b.route.as_str()));
    current
}

/// Returns the rules that a route of the flag has now.
fn rules<'c>(config: &'c Config, flag: &FlagName, compared: &RouteComparison) -> &'c [Rule] {
    let route = config.routes.iter().find(|route| route.id == compared.route && route.flag == *flag);
    let policy = route.and_then(|route| route.compare.as_ref());
    policy.map(|policy| policy.rules.as_slice()).unwrap_or_default()
}

/// Returns `part` as a share of `whole`; `None` if nothing was counted.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn report(flag: &FlagName, compared: &RouteComparison, config: &Config) -> Value {
    let tally = &compared.tally;
    let mut differences: Vec<&DifferenceCount> = tally.differences.iter().collect();
    let is_noise = |counted: &DifferenceCount| counted.is_noise(tally.compared, tally.noise_compared);
    // Real differences before noise, and the most frequent ones first.
    differences
        .sort_by_key(|counted| (is_noise(counted), std::cmp::Reverse(counted.count), counted.path.clone()));
    let skipped: serde_json::Map<String, Value> =
        tally.skipped.iter().map(|(reason, count)| (reason.as_str().to_owned(), json!(count))).collect();
    let unmatched = tally.unmatched(rules(config, flag, compared));
    json!({
        "flag": flag,
        "route": compared.route,
        "run": compared.run,
        "since": Timestamp::from_millis(compared.since),
        "until": Timestamp::from_millis(compared.until),
        "compared": tally.compared,
        "mismatched": tally.mismatched,
        "mismatch_rate": share(tally.mismatched, tally.compared),
        "noise_compared": tally.noise_compared,
        "skipped": skipped,
        "differences": differences
            .into_iter()
            .map(|counted| json!({
                "path": counted.path,
                "kind": counted.kind,
                "count": counted.count,
                "rate": share(counted.count, tally.compared),
                "noise": counted.noise,
                "noise_rate": share(counted.noise, tally.noise_compared),
                "is_noise": is_noise(counted),
                "example": { "old": counted.example.0, "new": counted.example.1 },
            }))
            .collect::<Vec<_>>(),
        "others": tally.others,
        "unmatched_rules": unmatched
            .map(|rule| json!({ "path": rule.path, "compared": rule.compared }))
            .collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutover_core::compare::{RuleCount, Tally};

    fn configured(flag: &str, rules: &str) -> Config {
        let text = format!(
            "feature_flags: {{ offers: {{ enabled: true }}, other: {{ enabled: true }} }}\n\
             origins: {{ a: {{ url: \"http://a\" }} }}\nroutes:\n  - id: offers\n    match: {{ path: /x }}\n    \
             flag: {flag}\n    legacy: a\n    new: a\n    compare: {{ sample: 1, rules: [{rules}] }}\n"
        );
        Config::from_yaml(&text).unwrap()
    }

    fn compared(rules: &[(&str, u64, u64)]) -> RouteComparison {
        let count = |(path, compared, matched): &(&str, u64, u64)| RuleCount {
            path: (*path).to_owned(),
            compared: *compared,
            matched: *matched,
        };
        let rules = rules.iter().map(count).collect();
        let tally = Tally { compared: 4_000, rules, ..Tally::default() };
        RouteComparison { route: "offers".parse().unwrap(), run: None, since: 0, until: 0, tally }
    }

    #[test]
    fn a_rule_that_matched_nothing_in_many_comparisons_is_reported_while_it_is_configured() {
        let rules = "{ path: \"data[].tagz\", ignore: true }, { path: \"data[].tags\", ignore: true }, \
                     { path: fresh, ignore: true }";
        let compared = compared(&[
            ("data[].tagz", 4_000, 0),
            ("data[].tags", 4_000, 1),
            ("fresh", 99, 0),
            ("gone", 4_000, 0),
        ]);
        let flag: FlagName = "offers".parse().unwrap();
        let unmatched = |config: &Config| report(&flag, &compared, config)["unmatched_rules"].clone();
        let expected = json!([{ "path": "data[].tagz", "compared": 4_000 }]);
        assert_eq!(unmatched(&configured("offers", rules)), expected);
        assert_eq!(unmatched(&configured("other", rules)), json!([]), "the route is another flag's");
        assert_eq!(unmatched(&Config::default()), json!([]));
    }

    #[test]
    fn comparisons_of_deleted_routes_are_left_out() {
        let comparisons = ["z", "offers"].map(|route| {
            let route = route.parse().unwrap();
            RouteComparison { route, ..compared(&[]) }
        });
        let ledger = Ledger { comparisons: comparisons.to_vec(), ..Ledger::default() };
        let config = configured("offers", "");
        let routes = |flag: &str| -> Vec<String> {
            let flag = flag.parse().unwrap();
            current(&flag, &ledger, &config).iter().map(|compared| compared.route.to_string()).collect()
        };
        assert_eq!(routes("offers"), ["offers"]);
        assert_eq!(routes("other"), Vec::<String>::new());
    }

    #[test]
    fn differences_of_an_earlier_version_are_reported_by_their_old_names() {
        let stored = json!({
            "route": "offers", "since": 0, "until": 0,
            "tally": {
                "compared": 2, "mismatched": 2, "noise_compared": 0,
                "differences": [
                    { "path": "status", "kind": "number", "count": 1, "example": ["200", "404"] },
                    { "path": "(status)", "kind": "number", "count": 1, "example": ["200", "404"] },
                ],
            },
        });
        let compared: RouteComparison = serde_json::from_value(stored).unwrap();
        let report = report(&"offers".parse().unwrap(), &compared, &Config::default());
        assert_eq!(report["differences"][0]["path"], "(status)");
        assert_eq!(report["differences"][1]["path"], "status");
        assert_eq!(report["unmatched_rules"], json!([]));
    }
}
