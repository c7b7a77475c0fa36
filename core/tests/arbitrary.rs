//! Arbitrary snapshots and requests never panic, and every ruleset that compiles decides.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use cutover_core::{
    Facts, Flag, Origin, PartsPerMillion, Reason, Route, Ruleset, Snapshot, Timestamp,
    config::Config,
    decide,
    request::identity::Source,
    routing::matcher::Matcher,
    rules::{
        condition::document::{Attribute, Condition, Operator},
        experiment::document::{Experiment, ExperimentState, Variant},
        route::Fallback,
    },
    vocabulary::{arm::Arm, revision::Revision},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "reviews", "x.y-z_1"]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["", "1", "-3.5", "1.2.3", "10.0.0.0/8", "::1", "NaN", "inf", "user-1", "/"])
            .prop_map(str::to_owned),
        "\\PC{0,12}",
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let attribute = select(vec!["header:x", "cookie:c", "query:q", "path", "method", "country", "ip"])
        .prop_map(|text| text.parse::<Attribute>().unwrap());
    let operator = select(Operator::ALL.to_vec()).prop_map(|(_, operator)| operator);
    prop_oneof![
        (option::of(any::<i64>()), option::of(any::<i64>())).prop_map(|(start, end)| Condition::TimeWindow {
            start: start.map(Timestamp::from_millis),
            end: end.map(Timestamp::from_millis),
        }),
        (attribute, operator, vec(text(), 0..3)).prop_map(|(name, op, values)| Condition::Attribute {
            name,
            op,
            values
        }),
    ]
}

fn flag() -> impl Strategy<Value = Flag> {
    let lists = (vec(text(), 0..4), vec(text(), 0..4));
    (any::<bool>(), 0_u32..=1_000_000, lists, vec(condition(), 0..3), option::of(text())).prop_map(
        |(enabled, ppm, (user_whitelist, user_blacklist), conditions, salt)| Flag {
            enabled,
            rollout_percentage: PartsPerMillion::from_percent(f64::from(ppm) / 10_000.0).unwrap(),
            user_whitelist,
            user_blacklist,
            conditions,
            salt,
            on_control_loss: None,
            ..Flag::default()
        },
    )
}

fn experiment() -> impl Strategy<Value = Experiment> {
    let state = select(ExperimentState::ALL.to_vec());
    (name(), 0_u32..=1_000_000, 0_u32..=1_000_000, vec(condition(), 0..2), state).prop_map(
        |(flag, weight, traffic, conditions, (_, state))| {
            let variant = |key: &str, weight: u32, arm: Arm| Variant {
                key: key.parse().unwrap(),
                name: key.to_owned(),
                traffic_percentage: PartsPerMillion::of_parts(weight),
                arm: Some(arm),
                value: None,
            };
            Experiment {
                name: String::new(),
                description: String::new(),
                state,
                salt: None,
                phase: 1,
                flag: Some(flag.parse().unwrap()),
                traffic_percentage: PartsPerMillion::of_parts(traffic),
                layer: None,
                holdout: None,
                conditions,
                variants: vec![
                    variant("control", weight, Arm::Legacy),
                    variant("treatment", 1_000_000 - weight, Arm::New),
                ],
                slices: Vec::new(),
                success_metrics: Vec::new(),
                metrics: Vec::new(),
                analysis: Default::default(),
                send_to_client: false,
                outcome: None,
            }
        },
    )
}

fn route() -> impl Strategy<Value = Route> {
    let path = prop_oneof![
        select(vec!["/", "/a", "/a/{id}", "/a/{*rest}", "/{x}/b", "/{*all}", "{", "/a/{", "/{}/{}", ""])
            .prop_map(str::to_owned),
        "[/a-c{}*]{0,12}",
    ];
    let source = select(vec!["header:x-user-id", "cookie:uid", "anonymous"])
        .prop_map(|text| text.parse::<Source>().unwrap());
    let methods = vec(select(vec!["GET", "POST", "HEAD"]).prop_map(str::to_owned), 0..3);
    (name(), methods, path, (name(), name(), name()), vec(source, 0..3)).prop_map(
        |(id, methods, path, (flag, legacy, new), identity)| Route {
            id: id.parse().unwrap(),
            matcher: Matcher { methods, path },
            flag: flag.parse().unwrap(),
            legacy: legacy.parse().unwrap(),
            new: new.parse().unwrap(),
            identity,
            adapt: Vec::new(),
            compare: None,
            error_when: None,
            error_statuses: Vec::new(),
            fallback: Fallback::default(),
            guard: None,
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let experiments = vec((name(), experiment()), 0..3);
    (vec((name(), flag()), 0..4), vec(name(), 0..5), vec(route(), 0..4), any::<u64>(), experiments).prop_map(
        |(flags, origins, routes, revision, experiments)| Snapshot {
            revision: Revision(revision),
            flags: flags.into_iter().map(|(name, flag)| (name.parse().unwrap(), flag)).collect(),
            origins: origins
                .into_iter()
                .map(|name| {
                    (
                        name.parse().unwrap(),
                        Origin {
                            url: format!("http://{name}/"),
                            timeout_ms: 1,
                            options: Default::default(),
                            failover: Default::default(),
                        },
                    )
                })
                .collect(),
            routes,
            experiments: experiments
                .into_iter()
                .map(|(name, experiment)| (name.parse().unwrap(), experiment))
                .collect(),
            ..Snapshot::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn arbitrary_snapshots_and_requests(
        snapshot in snapshot(),
        method in select(vec!["GET", "POST", "", "get"]),
        path in prop_oneof!["/[a-c/]{0,8}", "\\PC{0,12}"],
        query in "[a-z=&%+0-9]{0,16}",
        (user, minted, header) in (option::of(text()), option::of(text()), text()),
        now in any::<i64>(),
    ) {
        let document = snapshot.encode().unwrap();
        let read = Snapshot::decode(&document).unwrap();
        prop_assert_eq!(&read, &snapshot);
        let Ok(rules) = Ruleset::compile(&read) else { return Ok(()) };
        let headers = [("x", header.as_str()), ("cookie", header.as_str()), ("x-user-id", header.as_str())];
        let facts = Facts {
            method, path: &path, query: &query, user: user.as_deref(), minted: minted.as_deref(),
            country: Some(&header), ip: Some(&header), headers: &headers, forced: None,
        };
        let now = Timestamp::from_millis(now);
        let decision = decide(&rules, &facts, now);
        match decision.route {
            None => prop_assert_eq!(decision.verdict.reason, Reason::NoRoute),
            Some(_) => prop_assert!(decision.origin().is_some_and(|index| index < rules.origins().len())),
        }
        if decision.verdict.arm == Arm::New {
            prop_assert!(matches!(
                decision.verdict.reason,
                Reason::Whitelisted | Reason::Rollout | Reason::Experiment
            ));
        }
        // The same input gives the same decision.
        prop_assert_eq!(decide(&rules, &facts, now).verdict, decision.verdict);
    }

    #[test]
    fn arbitrary_bytes_are_no_snapshot_and_no_panic(text in "\\PC{0,200}|\\{\"schema\":1[\\PC]{0,80}") {
        prop_assert!(Snapshot::decode(&text).is_err());
    }

    #[test]
    fn a_damaged_snapshot_is_refused(
        snapshot in snapshot(), index in any::<prop::sample::Index>(), with in 32_u8..127,
    ) {
        let mut bytes = snapshot.encode().unwrap().into_bytes();
        let index = index.index(bytes.len());
        prop_assume!(bytes[index] != with && bytes[index].is_ascii());
        bytes[index] = with;
        let text = String::from_utf8(bytes).unwrap();
        // A change outside the body, of white space for example, may be harmless; the decoded
        // snapshot must be equal.
        if let Ok(read) = Snapshot::decode(&text) {
            prop_assert_eq!(read, snapshot);
        }
    }

    #[test]
    fn arbitrary_configuration_files_are_no_panic(text in "(\\PC|\n| |:|-|\\{|\\}|\\[|\\]){0,120}") {
        let _ = Config::from_yaml(&text);
    }
}
