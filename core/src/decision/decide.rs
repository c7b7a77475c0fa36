//! The decision about one request. The first rule that applies wins, and every decision has its
//! reason.

use crate::{
    decision::{
        route::CompiledRoute,
        ruleset::{AdapterChoice, Ruleset},
    },
    request::{
        facts::Facts,
        identity::{Identity, identify},
    },
    rules::{bucket::Bucket, flag::CompiledFlag},
    vocabulary::{arm::Arm, reason::Reason, share::PartsPerMillion, timestamp::Timestamp},
};

/// Decision of one flag for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagDecision {
    /// The arm that serves the request.
    pub arm: Arm,
    /// The reason for this arm.
    pub reason: Reason,
    /// The user's bucket for the flag; `None` if an earlier rule decided. If an experiment decided, it had no part.
    pub bucket: Option<Bucket>,
    /// Position of the first condition that does not hold, if a condition decided.
    pub failed_condition: Option<usize>,
}

impl FlagDecision {
    fn legacy(reason: Reason) -> Self {
        Self { arm: Arm::Legacy, reason, bucket: None, failed_condition: None }
    }
}

/// The user of a request that is evidence in the run of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Hash of the user id, keyed per run, see [`UserKey`](crate::measurement::user_hash::UserKey).
    pub user: u64,
    /// The arm that the user's bucket gives.
    pub arm: Arm,
    /// True if the id was minted for this very request.
    pub minted: bool,
}

/// Decision about one request.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'r> {
    /// Decision of the route's flag.
    pub verdict: FlagDecision,
    /// The route; `None` if none matches the request.
    pub route: Option<&'r CompiledRoute>,
    /// Position of the route in [`Ruleset::routes`].
    pub route_position: Option<usize>,
    /// True if the caller must mint an anonymous id and decide the request again with it.
    pub wants_anonymous_id: bool,
    /// Position in [`Ruleset::adapters`] of the adapter that the request goes through, if any.
    pub adapter: Option<usize>,
    /// The user, if the request is eligible as evidence: the bucket decided, a canary with a key
    /// runs, and the new arm can serve the path. The last is asked for both arms alike, because
    /// requests that only one arm can lose are no fair sample.
    pub evidence: Option<Evidence>,
}

impl Decision<'_> {
    /// Sends the request to legacy after all, for a reason that the rules do not know.
    pub fn turn_to_legacy(&mut self, reason: Reason) {
        self.verdict = FlagDecision { arm: Arm::Legacy, reason, ..self.verdict };
        self.adapter = None;
        // A diverted user still counts for the split of users; whoever else is turned is outside the rollout.
        self.evidence = self.evidence.filter(|_| reason == Reason::Diverted);
    }

    /// Returns the position in [`Ruleset::origins`] of the origin that serves the request.
    pub fn origin(&self) -> Option<usize> {
        self.route.map(|route| match self.verdict.arm {
            Arm::Legacy => route.legacy,
            Arm::New => route.new,
        })
    }
}

/// Decides a request: finds its route and its user, and evaluates the route's flag.
pub fn decide<'r>(rules: &'r Ruleset, facts: &Facts<'_>, now: Timestamp) -> Decision<'r> {
    let Some((position, route)) = rules.route_at(facts.method, facts.path) else {
        return Decision {
            verdict: FlagDecision::legacy(Reason::NoRoute),
            route: None,
            route_position: None,
            wants_anonymous_id: false,
            adapter: None,
            evidence: None,
        };
    };
    let identity = identity_on(route, facts);
    let user = identity.user();
    let flag = rules.flag_at(route.flag);
    let mut verdict = decide_flag(flag, user, facts, now);
    let mut wants_anonymous_id = false;
    if verdict.reason == Reason::NoKey
        && let Some(flag) = flag
    {
        let is_counted = route.flag.is_some_and(|position| rules.canary(position).is_some());
        if identity == Identity::MayMint && flag.needs_bucket(is_counted) {
            wants_anonymous_id = true;
        } else if (is_preflight(facts) || identity == Identity::MayMint) && flag.is_for_everybody() {
            // Whoever it is, the share of all users includes them.
            verdict = FlagDecision { arm: Arm::New, ..FlagDecision::legacy(Reason::Rollout) };
        }
    }
    if verdict.arm == Arm::New && flag.is_some_and(|flag| is_braked(flag, &verdict)) {
        verdict = FlagDecision { arm: Arm::Legacy, reason: Reason::Braked, ..verdict };
    }
    // The users of a lowered flag are no fair sample of its share: those whom the brake turned are missing.
    let is_sample = verdict.reason == Reason::Rollout && flag.is_some_and(|flag| flag.limit().is_none());
    let counted = route.flag.filter(|_| is_sample);
    let key = counted.and_then(|flag| rules.user_key(flag));
    let is_new = verdict.arm == Arm::New;
    // Users of legacy pass no adapter, and are asked for one only as evidence.
    let is_asked = is_new || key.is_some();
    let choice = if is_asked { rules.adapter_for(route, facts) } else { AdapterChoice::Unneeded };
    let is_servable = !matches!(choice, AdapterChoice::Unadapted);
    let eligible = key.zip(user).filter(|_| is_servable);
    let evidence = eligible.map(|(key, user)| Evidence {
        user: key.hash(user),
        arm: verdict.arm,
        minted: facts.minted == Some(user),
    });
    if is_new && !is_servable {
        verdict = FlagDecision { arm: Arm::Legacy, reason: Reason::Unadapted, ..verdict };
    }
    let adapter = match choice {
        AdapterChoice::Adapter(position, _) if is_new => Some(position),
        _ => None,
    };
    Decision {
        verdict,
        route: Some(route),
        route_position: Some(position),
        wants_anonymous_id,
        adapter,
        evidence,
    }
}

/// Returns the user of a request on its route. A preflight carries neither cookies nor the user's headers, so it has none,
/// and takes the arm of nobody: legacy, until everybody is on the new one.
pub fn identity_on<'a>(route: &CompiledRoute, facts: &Facts<'a>) -> Identity<'a> {
    if is_preflight(facts) { Identity::Absent } else { identify(&route.identity, facts) }
}

fn is_preflight(facts: &Facts<'_>) -> bool {
    facts.method == "OPTIONS"
}

/// Returns true if a brake keeps a request from the new arm.
pub(super) fn is_braked(flag: &CompiledFlag, verdict: &FlagDecision) -> bool {
    let Some(limit) = flag.limit() else { return false };
    let is_inside =
        verdict.bucket.map_or(limit.rollout == PartsPerMillion::ALL, |bucket| bucket.is_in(limit.rollout));
    // A brake goes before an experiment too, although the share that it lowers is not the experiment's.
    let is_by_share = matches!(verdict.reason, Reason::Rollout | Reason::Experiment);
    !limit.enabled || (is_by_share && !is_inside)
}

/// Decides one flag for one user. The order of the rules is the contract. An unknown flag is passed
/// as `None` and decides for legacy.
pub fn decide_flag(
    flag: Option<&CompiledFlag>,
    user: Option<&str>,
    facts: &Facts<'_>,
    now: Timestamp,
) -> FlagDecision {
    let Some(flag) = flag else { return FlagDecision::legacy(Reason::Disabled) };
    if flag.emergency() {
        return FlagDecision::legacy(Reason::Emergency);
    }
    if !flag.enabled {
        return FlagDecision::legacy(Reason::Disabled);
    }
    if let Some(arm) = facts.forced {
        let reason = if arm == Arm::New { Reason::Whitelisted } else { Reason::Blacklisted };
        return FlagDecision { arm, ..FlagDecision::legacy(reason) };
    }
    let place = user.map(|user| (flag.place(user), user));
    if let Some((place, user)) = &place {
        if place.is_blacklisted(user) {
            return FlagDecision::legacy(Reason::Blacklisted);
        }
        if place.is_whitelisted(user) {
            return FlagDecision { arm: Arm::New, ..FlagDecision::legacy(Reason::Whitelisted) };
        }
    }
    if let Some(failed) = flag.failed_condition(facts, now) {
        return FlagDecision { failed_condition: Some(failed), ..FlagDecision::legacy(Reason::Condition) };
    }
    let Some((place, user)) = place else { return FlagDecision::legacy(Reason::NoKey) };
    let bucket = place.bucket();
    if let Some(arm) = flag.arm_by_experiment(user, facts, now) {
        return FlagDecision { arm, bucket: Some(bucket), ..FlagDecision::legacy(Reason::Experiment) };
    }
    let arm = if bucket.is_in(flag.rollout) { Arm::New } else { Arm::Legacy };
    FlagDecision { arm, bucket: Some(bucket), ..FlagDecision::legacy(Reason::Rollout) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        measurement::{answer::Brake, label::CanaryLabel},
        snapshot::Snapshot,
        vocabulary::{revision::Revision, share::PartsPerMillion},
    };

    const CONFIG: &str = r#"
feature_flags:
  reviews: { enabled: true, rollout_percentage: 50, user_whitelist: [listed] }
origins:
  rest: { url: "http://legacy.internal" }
  graphql: { url: "http://new.internal", timeout_ms: 9000 }
adapters: { reviews: reviews/adapter.yaml }
routes:
  - { id: reviews, match: { path: "/api/v1/{*rest}" },
      flag: reviews, legacy: rest, new: graphql, adapt: [reviews] }
"#;
    const ADAPTED: &str = "/api/v1/reviews";
    const UNADAPTED: &str = "/api/v1/exports";
    const KEY: &str = "000102030405060708090a0b0c0d0e0f";

    fn rules(key: Option<&str>) -> Ruleset {
        let config = Config::from_yaml_with(CONFIG, &|name| {
            Ok(match name {
                "reviews/adapter.yaml" => include_str!("../../../tests/reviews/adapter.yaml"),
                "reviews/operations.graphql" => include_str!("../../../tests/reviews/operations.graphql"),
                _ => include_str!("../../../tests/reviews/schema.graphql"),
            }
            .to_owned())
        });
        let mut snapshot: Snapshot = config.unwrap().snapshot(Revision(1), None);
        let label = CanaryLabel {
            run: "r1".parse().unwrap(),
            step: 0,
            slow_success_ms: 100,
            slow_rollback_ms: 200,
            routes: Default::default(),
            key: key.map(str::to_owned),
            share: PartsPerMillion::of_percent(50),
        };
        snapshot.canaries.insert("reviews".parse().unwrap(), label);
        Ruleset::compile(&snapshot).unwrap()
    }

    fn facts<'f>(path: &'f str, headers: &'f [(&'f str, &'f str)]) -> Facts<'f> {
        Facts { method: "GET", path, headers, ..Facts::default() }
    }

    fn by_user<'r>(rules: &'r Ruleset, path: &str, user: &str) -> Decision<'r> {
        decide(rules, &facts(path, &[("x-user-id", user)]), Timestamp::from_millis(0))
    }

    #[test]
    fn requests_that_the_adapter_cannot_serve_are_evidence_for_neither_arm() {
        let rules = rules(Some(KEY));
        let (mut new, mut unadapted) = (0, 0);
        for user in 0..400 {
            let user = format!("user-{user}");
            let served = by_user(&rules, ADAPTED, &user);
            let evidence = served.evidence.unwrap();
            assert_eq!((evidence.arm, evidence.minted), (served.verdict.arm, false), "{user}");
            new += u32::from(evidence.arm == Arm::New);
            let left_out = by_user(&rules, UNADAPTED, &user);
            assert_eq!((left_out.verdict.arm, left_out.evidence), (Arm::Legacy, None), "{user}");
            unadapted += u32::from(left_out.verdict.reason == Reason::Unadapted);
        }
        assert!((140..=260).contains(&new), "{new} of 400 users are on new");
        assert_eq!(unadapted, new, "the users of new, and of legacy nobody");
    }

    #[test]
    fn only_the_bucket_of_a_user_in_a_canary_with_a_key_makes_evidence() {
        let keyed = rules(Some(KEY));
        assert!(by_user(&keyed, ADAPTED, "user-1").evidence.is_some());
        assert_eq!(by_user(&keyed, ADAPTED, "listed").verdict.reason, Reason::Whitelisted);
        assert_eq!(by_user(&keyed, ADAPTED, "listed").evidence, None);
        assert_eq!(decide(&keyed, &facts(ADAPTED, &[]), Timestamp::from_millis(0)).evidence, None);
        assert_eq!(by_user(&keyed, "/elsewhere", "user-1").evidence, None);
        for key in [None, Some("not a key")] {
            assert_eq!(by_user(&rules(key), ADAPTED, "user-1").evidence, None, "{key:?}");
        }
        let other = rules(Some("ffffffffffffffffffffffffffffffff"));
        let user = |rules: &Ruleset| by_user(rules, ADAPTED, "user-1").evidence.map(|evidence| evidence.user);
        assert_ne!(user(&keyed), user(&other), "the hash depends on the run's key");
    }

    #[test]
    fn an_id_is_minted_for_one_request_and_brought_by_the_next() {
        let rules = rules(Some(KEY));
        let id = "0123456789abcdef0123456789abcdef";
        let now = Timestamp::from_millis(0);
        let first = decide(&rules, &Facts { minted: Some(id), ..facts(ADAPTED, &[]) }, now);
        let cookie = format!("cutover_uid={id}");
        let second = decide(&rules, &facts(ADAPTED, &[("cookie", &cookie)]), now);
        let (first, second) = (first.evidence.unwrap(), second.evidence.unwrap());
        assert_eq!(first, Evidence { minted: true, ..second });
        assert!(!second.minted);
    }

    /// Without brakes the flag is at 50 %.
    #[test]
    fn a_brake_lowers_a_flag_and_turns_only_those_who_would_go_to_the_new_arm() {
        let rules = rules(Some(KEY));
        let brake = |revision, enabled, percent| Brake {
            revision: Revision(revision),
            flag: "reviews".parse().unwrap(),
            enabled,
            rollout: PartsPerMillion::of_percent(percent),
        };
        let decided = || -> Vec<_> {
            let users = (0..400).map(|user| format!("user-{user}"));
            users.map(|user| by_user(&rules, ADAPTED, &user)).collect()
        };
        let before = decided();
        // A brake that lowers nothing changes nothing.
        for (brakes, share, is_enabled) in [
            (vec![], 50, true),
            (vec![brake(2, true, 80)], 50, true),
            (vec![brake(2, true, 20)], 20, true),
            (vec![brake(2, true, 20), brake(3, true, 40)], 20, true),
            (vec![brake(2, false, 50), brake(3, true, 50)], 0, false),
            (vec![brake(2, true, 0)], 0, true),
        ] {
            rules.brake(&brakes);
            let limit = PartsPerMillion::of_percent(share);
            for (before, after) in before.iter().zip(decided()) {
                let is_turned = before.verdict.arm == Arm::New
                    && !(is_enabled && before.verdict.bucket.is_some_and(|bucket| bucket.is_in(limit)));
                let expected = if is_turned {
                    (Arm::Legacy, Reason::Braked)
                } else {
                    (before.verdict.arm, before.verdict.reason)
                };
                assert_eq!((after.verdict.arm, after.verdict.reason), expected, "{brakes:?}");
                assert_eq!(after.evidence.is_some(), share == 50, "{brakes:?}");
                assert!(after.adapter.is_none() || after.verdict.arm == Arm::New);
            }
            let listed = by_user(&rules, ADAPTED, "listed").verdict.reason;
            assert_eq!(listed, if is_enabled { Reason::Whitelisted } else { Reason::Braked }, "{brakes:?}");
        }
        rules.brake(&[]);
        assert!(decided().iter().zip(&before).all(|(after, before)| after.verdict == before.verdict));
    }

    #[test]
    fn evidence_costs_no_allocation() {
        let rules = rules(Some(KEY));
        for path in [ADAPTED, UNADAPTED] {
            let info = allocation_counter::measure(|| {
                by_user(&rules, path, "user-1");
            });
            assert_eq!(info.count_total, 0, "{path}: {info:?}");
        }
    }

    /// Compiles a configuration whose route has two adapters, with a version in front of the routes of
    /// each.
    fn two_adapters(first: &str, second: &str) -> Ruleset {
        let adapter = |version: &str, path: &str| {
            format!(
                "{{ {version} routes: [{{ match: {{ method: GET, path: {path} }}, \
                 backend: {{ method: GET, path: /v2 }} }}] }}"
            )
        };
        let (first, second) = (adapter(first, "/api/v1/a"), adapter(second, "/api/v1/b"));
        let adapters = format!("adapters: {{ first: {first}, second: {second} }}");
        let config = CONFIG
            .replace("adapters: { reviews: reviews/adapter.yaml }", &adapters)
            .replace("adapt: [reviews]", "adapt: [first, second]")
            .replace("rollout_percentage: 50", "rollout_percentage: 100");
        Ruleset::compile(&Config::from_yaml(&config).unwrap().snapshot(Revision(1), None)).unwrap()
    }

    #[test]
    fn the_first_adapter_of_its_version_that_has_a_route_serves_a_request() {
        let of = |version: &str| {
            format!("version: {{ header: x-version, values: [\"{version}\"], absent: false }},")
        };
        let decided = |rules: &Ruleset, path: &str, version: &str| {
            let headers = [("x-user-id", "user-1"), ("x-version", version)];
            let decision = decide(rules, &facts(path, &headers), Timestamp::from_millis(0));
            (decision.verdict.reason, decision.adapter)
        };
        let cases = [
            (of("1"), of("1"), [Some(0), Some(1)]),
            (String::new(), String::new(), [Some(0), Some(1)]),
            (of("1"), of("2"), [Some(0), None]),
            (of("2"), of("1"), [None, Some(1)]),
        ];
        for (first, second, [for_a, for_b]) in cases {
            let rules = two_adapters(&first, &second);
            for (path, expected) in [("/api/v1/a", for_a), ("/api/v1/b", for_b), ("/api/v1/c", None)] {
                let reason = if expected.is_some() { Reason::Rollout } else { Reason::Unadapted };
                assert_eq!(decided(&rules, path, "1"), (reason, expected), "{first} {second} {path}");
            }
        }
        // The new backend serves the versions that no adapter is for.
        assert_eq!(decided(&two_adapters(&of("1"), &of("2")), "/api/v1/a", "3"), (Reason::Rollout, None));
    }

    #[test]
    fn a_route_serves_no_request_that_its_conditions_exclude() {
        let routes = "routes: [{ id: any, match: { path: \"/{*rest}\" }, flag: reviews, legacy: rest, new: graphql, \
                    adapt: [ids] }]";
        let adapters = "adapters: { ids: { routes: [{ match: { method: GET, path: \"/x/{id}\", where: { id: digits } }, \
                        backend: { method: GET, path: \"/v2/{path.id}\" } }] } }";
        let flags = "feature_flags: { reviews: { enabled: true, rollout_percentage: 100 } }";
        let origins = "origins: { rest: { url: \"http://a\" }, graphql: { url: \"http://b\" } }";
        let config = Config::from_yaml(&[flags, origins, adapters, routes].join("\n")).unwrap();
        let rules = Ruleset::compile(&config.snapshot(Revision(1), None)).unwrap();
        assert_eq!(by_user(&rules, "/x/7", "user-1").adapter, Some(0));
        let excluded = by_user(&rules, "/x/7,8", "user-1");
        assert_eq!((excluded.verdict.reason, excluded.adapter), (Reason::Unadapted, None));
    }

    #[test]
    fn the_longest_time_limit_is_that_of_the_slower_arm() {
        assert_eq!(rules(None).longest_timeout_ms(0), 9_000);
        assert_eq!(rules(None).longest_timeout_ms(1), 0, "there is no such flag");
    }
}
