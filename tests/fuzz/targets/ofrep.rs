//! A request for evaluations: whatever its key, its entity tag and its body are, the answer is JSON of the protocol, and one for
//! all flags has the tag with which the same request is answered 304. The first line is the key, the second the tag, and the
//! rest the body.

#![no_main]

use cutover_core::{
    Revision, Ruleset, Timestamp,
    config::Config,
    json::Json,
    ofrep::{Answer, BulkRequest, evaluate_flag, evaluate_flags},
    values::access::Caller,
    vocabulary::revision::{Epoch, Stamp},
};
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = r#"
feature_flags:
  routes:
    enabled: true
    rollout_percentage: 50
    conditions: [{ type: attribute, name: "query:q", op: not_equals, values: [x] }]
segments: { staff: { include: [ann], conditions: [{ type: attribute, name: "cookie:team", op: equals, values: [a] }] } }
flags:
  colour:
    type: string
    enabled: true
    variants: { a: "say \"a\"", b: "ü" }
    default: { weights: { a: 50, b: 50 } }
    off: a
    rules: [{ segment: staff, variant: b }]
"#;

thread_local! {
    static RULES: Ruleset = {
        let config = Config::from_yaml(CONFIG).expect("it is a configuration");
        Ruleset::compile(&config.snapshot(Revision(7), None)).expect("it compiles")
    };
}

fn check(answer: &Answer) {
    assert!([200, 304, 400, 404].contains(&answer.status), "{answer:?}");
    assert_eq!(answer.body.is_empty(), answer.status == 304, "{answer:?}");
    assert!(answer.status == 304 || Json::parse(&answer.body).is_ok(), "{answer:?}");
}

fuzz_target!(|text: &str| RULES.with(|rules| evaluate(rules, text)));

fn evaluate(rules: &Ruleset, text: &str) {
    let mut parts = text.splitn(3, '\n');
    let (key, tag, body) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let now = Timestamp::from_millis(0);
    check(&evaluate_flag(rules, key, body, now));
    let stamp = Stamp { epoch: Epoch(0), revision: Revision(7) };
    let request = BulkRequest { body, if_none_match: Some(tag), caller: Caller::default(), stamp, now };
    let answer = evaluate_flags(rules, &request);
    check(&answer);
    if let Some(tag) = answer.etag.map(|tag| tag.to_string()) {
        assert_eq!(evaluate_flags(rules, &BulkRequest { if_none_match: Some(&tag), ..request }).status, 304);
    }
}
