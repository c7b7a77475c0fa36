//! js/wire.js and the Rust constants that it repeats are equal, name by name, and neither has one that the other lacks.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test: it fails loudly")]

use cutover_core::{
    Reason,
    compare::SkipReason,
    decision::input::Input,
    graphql, limit,
    request::{identity, track},
    rules::route::Fallback,
};
use cutover_edge::{
    isolate::{failover::OriginResult, ofrep::ResponseKind},
    settings::DecisionHeaders,
    wire::{
        self, LimiterAnswers, OutcomeKind, PackedDecision, PackedOutcome, guard_verdict, step, ticket,
        verdict,
    },
};
use std::collections::BTreeMap;

/// A constant of either language.
#[derive(Debug, PartialEq)]
enum Constant {
    Number(u32),
    String(String),
}

fn number(text: &str) -> u32 {
    let digits = text.trim();
    match digits.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).unwrap(),
        None => digits.parse().unwrap_or_else(|_| panic!("{text} is not a number")),
    }
}

/// Reads `export const NAME = VALUE;` lines: a number, `number << number`, a string, or names joined by `|`.
fn javascript() -> BTreeMap<String, Constant> {
    let mut constants = BTreeMap::new();
    for line in include_str!("../js/wire.js").lines() {
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let declaration = line.strip_prefix("export const ").and_then(|rest| rest.strip_suffix(';'));
        let (name, value) =
            declaration.and_then(|text| text.split_once(" = ")).unwrap_or_else(|| panic!("{line}"));
        let value = if let Some(string) = value.strip_prefix('"') {
            let string = string.strip_suffix('"').unwrap();
            Constant::String(string.replace("\\u0001", "\u{1}").replace("\\0", "\0"))
        } else if let Some((value, shift)) = value.split_once("<<") {
            Constant::Number(number(value) << number(shift))
        } else if value.contains('|') {
            let bits = value.split('|').map(|name| match &constants[name.trim()] {
                Constant::Number(bits) => *bits,
                Constant::String(_) => panic!("{line}"),
            });
            Constant::Number(bits.fold(0, |all, bits| all | bits))
        } else {
            Constant::Number(number(value))
        };
        constants.insert(name.to_owned(), value);
    }
    constants
}

#[test]
fn both_sides_of_the_boundary_use_the_same_constants() {
    let reason = |reason: Reason| (reason as u32) << PackedDecision::REASON_SHIFT;
    let skipped =
        |reason| u32::try_from(SkipReason::ALL.iter().position(|held| *held == reason).unwrap()).unwrap();
    let show = |arm, reason, revision| DecisionHeaders { arm, reason, revision }.bits();
    let numbers = [
        ("NO_ROUTE", PackedDecision::NO_ROUTE),
        ("REASON_SHIFT", PackedDecision::REASON_SHIFT),
        ("REASON", 31 << PackedDecision::REASON_SHIFT),
        ("ARM_SHIFT", PackedDecision::NEW.trailing_zeros()),
        ("NEW", PackedDecision::NEW),
        ("KIND", PackedDecision::KIND),
        ("REFRESH", PackedDecision::REFRESH),
        ("MINTED", PackedDecision::MINTED),
        ("EVIDENCE", PackedDecision::EVIDENCE),
        ("OWN_PATH", PackedDecision::OWN_PATH),
        ("BOOT", PackedDecision::BOOT),
        ("TABLE", PackedDecision::TABLE),
        ("SECONDARY", PackedDecision::SECONDARY),
        ("PROBE", PackedDecision::PROBE),
        ("STALE", PackedDecision::STALE),
        ("RETRYABLE", PackedDecision::RETRYABLE),
        ("ASK", PackedDecision::ASK),
        ("LIMIT", PackedDecision::LIMIT),
        ("UNCACHED", PackedDecision::UNCACHED),
        ("ADAPT", PackedDecision::ADAPT),
        ("COMPARE", PackedDecision::COMPARE),
        ("UNDECIDED", PackedDecision::UNDECIDED),
        ("REASON_NO_SNAPSHOT", reason(Reason::NoSnapshot)),
        ("REASON_FALLBACK", reason(Reason::Fallback)),
        ("REASON_INTERNAL", reason(Reason::Internal)),
        ("REASON_DIVERTED", reason(Reason::Diverted)),
        ("REASON_GUARDED", reason(Reason::Guarded)),
        ("REASON_ROLLOUT", reason(Reason::Rollout)),
        ("REASON_CACHED", reason(Reason::Cached)),
        ("REASON_LIMITED", reason(Reason::Limited)),
        ("LIMIT_GRANTED", LimiterAnswers::GRANTED),
        ("LIMIT_REFUSED", LimiterAnswers::REFUSED),
        ("LIMIT_FAILED", LimiterAnswers::FAILED),
        ("LIMIT_GAVE_UP", LimiterAnswers::GAVE_UP),
        ("LIMIT_AGAIN", LimiterAnswers::AGAIN),
        ("GENERATION_SHIFT", OutcomeKind::GENERATION_SHIFT),
        ("STATUS_SHIFT", PackedOutcome::STATUS_SHIFT),
        ("MAX_MS", PackedOutcome::MAX_MS),
        ("UNREACHABLE", PackedOutcome::UNREACHABLE),
        ("TIMEOUT", PackedOutcome::TIMEOUT),
        ("CLIENT_GONE", 499),
        ("FALLBACK_NEVER", Fallback::Never as u32),
        ("FALLBACK_UNAVAILABLE", Fallback::Unavailable as u32),
        ("OUTCOME_LENGTH", u32::try_from(PackedOutcome::LENGTH).unwrap()),
        ("MINTED_USER", PackedOutcome::MINTED_USER),
        ("GAVE_UP", PackedOutcome::GAVE_UP),
        ("UNINSPECTED", PackedOutcome::UNINSPECTED),
        ("FOLLOWED", PackedOutcome::FOLLOWED),
        ("RESULT_ANSWERED", 0),
        ("RESULT_FAILED", OriginResult::FAILED),
        ("RESULT_UNKNOWN", OriginResult::UNKNOWN),
        ("RESULT_PROBED", OriginResult::PROBED),
        ("SHOW_ARM", show(true, false, false)),
        ("SHOW_REASON", show(false, true, false)),
        ("SHOW_REVISION", show(false, false, true)),
        ("EVALUATION_STATUS", ResponseKind::STATUS),
        ("EVALUATION_TAGGED", ResponseKind::TAGGED),
        ("STEP_KIND", step::KIND),
        ("STEP_GONE", step::GONE),
        ("STEP_PASS", step::PASS),
        ("STEP_UNKNOWN", step::UNKNOWN),
        ("STEP_UPSTREAM", step::UPSTREAM),
        ("STEP_RESPOND", step::RESPOND),
        ("STEP_BODY", step::BODY),
        ("STEP_MORE", step::MORE),
        ("STEP_UNFIT", step::UNFIT),
        ("STEP_SHIFT", step::SHIFT),
        ("TICKET_NONE", ticket::NONE),
        ("TICKET_COMPARE", ticket::COMPARE),
        ("TICKET_WITH_NOISE", ticket::WITH_NOISE),
        ("TICKET_KIND", ticket::KIND),
        ("VERDICT_NONE", verdict::NONE),
        ("VERDICT_MISMATCH", verdict::MISMATCH),
        ("GUARD_STATUS", guard_verdict::STATUS),
        ("GUARD_GONE", guard_verdict::GONE),
        ("GUARD_UNTRUSTED_SHIFT", guard_verdict::UNTRUSTED_SHIFT),
        ("MAX_GUARDED_BODY", u32::try_from(graphql::MAX_BODY).unwrap()),
        ("SKIPPED_SIZE", skipped(SkipReason::Size)),
        ("SKIPPED_TIMEOUT", skipped(SkipReason::Timeout)),
        ("SKIPPED_UNREACHABLE", skipped(SkipReason::Unreachable)),
        ("SKIPPED_UNADAPTED", skipped(SkipReason::Unadapted)),
        ("SKIPPED_CONDITIONAL", skipped(SkipReason::Conditional)),
        ("MAX_EVENT_BODY", u32::try_from(track::MAX_BODY).unwrap()),
    ];
    let strings = [
        ("ABSENT", wire::ABSENT.to_owned()),
        ("HEAD_SEPARATOR", wire::HEAD_SEPARATOR.to_string()),
        ("EVALUATIONS", wire::EVALUATIONS.to_owned()),
        ("INPUT_JWT", identity::VERIFIED_SUBJECT.to_owned()),
        ("INPUT_COUNTRY", wire::input_name(&Input::Country).to_owned()),
        ("INPUT_CLAIM", limit::CLAIM.to_owned()),
        ("INPUT_IP", wire::input_name(&Input::Ip).to_owned()),
    ];
    let numbers = numbers.into_iter().map(|(name, value)| (name.to_owned(), Constant::Number(value)));
    let strings = strings.into_iter().map(|(name, value)| (name.to_owned(), Constant::String(value)));
    let rust: BTreeMap<String, Constant> = numbers.chain(strings).collect();
    assert_eq!(javascript(), rust);
}
