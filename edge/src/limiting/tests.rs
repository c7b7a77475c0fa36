//! Rate limits in one isolate, with a limiter that the test plays.

mod failures;

use super::*;
use cutover_core::{
    PartsPerMillion,
    limit::{LimitPolicy, Rate},
    request::identity::Source,
};
use serde_json::Value;

const NOW: i64 = 1_700_000_000_000;
const PATIENCE: i64 = 25;

/// An isolate whose route has the given policies, by their names.
struct Scene {
    rules: Ruleset,
    limits: Limits,
    positions: Vec<usize>,
    now: i64,
}

impl Scene {
    fn new(policies: &[(&str, &str)]) -> Self {
        let mut snapshot = crate::test_support::snapshot(1, PartsPerMillion::default());
        for (name, more) in policies {
            let text = format!(r#"{{"key":["user"],"period_seconds":60,{more}}}"#);
            let policy: LimitPolicy = serde_json::from_str(&text).unwrap();
            snapshot.limits.insert(name.parse().unwrap(), policy);
            snapshot.routes[0].limit.push(name.parse().unwrap());
        }
        let rules = Ruleset::compile(&snapshot).unwrap();
        let mut limits = Limits::default();
        limits.begin_generation(rules.limits());
        let positions = rules.routes()[0].limits.clone();
        Self { rules, limits, positions, now: NOW }
    }

    fn check_with(&mut self, user: &str, answers: u32) -> Checked {
        let facts = &Facts { ip: Some("192.0.2.1"), ..Facts::default() };
        let answers = LimiterAnswers(answers);
        let user = Some(User { source: &Source::Jwt, id: user });
        let request = LimitedRequest { rules: &self.rules, limits: &self.positions, user, facts, answers };
        self.limits.check(&request, self.now, PATIENCE)
    }

    fn check(&mut self, user: &str) -> Checked {
        self.check_with(user, 0)
    }

    fn questions(&mut self) -> Vec<Value> {
        let questions: Value = serde_json::from_str(&self.limits.questions(PATIENCE)).unwrap();
        assert_eq!(questions["patience"], 25);
        questions["questions"].as_array().unwrap().clone()
    }

    /// Returns the number of the only question, which must have been asked for this many tokens.
    fn asked(&mut self, wanted: u32) -> u32 {
        let questions = self.questions();
        assert_eq!((questions.len(), &questions[0]["wanted"]), (1, &Value::from(wanted)), "{questions:?}");
        u32::try_from(questions[0]["number"].as_u64().unwrap()).unwrap()
    }

    fn answer(&mut self, number: u32, granted: u32, remaining: u32, retry_ms: u64) {
        let answer =
            Answer { granted, remaining: Some(remaining), reset_us: 13_000_000, retry_us: retry_ms * 1_000 };
        self.limits.answered(number, answer, self.now);
    }

    fn lines(&mut self) -> Vec<String> {
        self.limits.lines().split('\n').map(str::to_owned).collect()
    }

    fn counts(&self) -> LimitCounts {
        self.limits.counts().next().unwrap().1
    }
}

const GRANTED: u32 = LimiterAnswers::GRANTED | LimiterAnswers::AGAIN;
const FAILED: u32 = LimiterAnswers::FAILED | LimiterAnswers::AGAIN;
const LATE: u32 = LimiterAnswers::GAVE_UP | LimiterAnswers::AGAIN;

#[test]
fn a_request_asks_once_and_is_admitted_by_its_own_token() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100,"mode":"exact""#)]);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let number = scene.asked(1);
    // Another request of the key must not take it.
    scene.answer(number, 1, 42, 0);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    assert_eq!(scene.check_with("ann", GRANTED), Checked::Admitted);
    assert_eq!(scene.lines(), [r#""per_user";q=100;w=60"#, r#""per_user";r=42;t=13"#]);
    assert_eq!(scene.counts(), LimitCounts { allowed: 1, asked: 2, ..LimitCounts::default() });
}

#[test]
fn borrowed_tokens_admit_without_a_question_and_a_refusal_is_remembered() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let number = scene.asked(1);
    scene.answer(number, 3, 7, 0);
    assert_eq!(scene.check_with("ann", GRANTED), Checked::Admitted);
    assert_eq!([scene.check("ann"), scene.check("ann")], [Checked::Admitted; 2]);
    assert_eq!(scene.lines()[1], r#""per_user";r=7;t=13"#);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let number = scene.asked(2);
    scene.answer(number, 0, 0, 1_400);
    assert_eq!(scene.check_with("ann", LimiterAnswers::REFUSED | LimiterAnswers::AGAIN), Checked::Refused);
    scene.now += 1_399;
    assert_eq!(scene.check("ann"), Checked::Refused);
    let lines = scene.lines();
    assert_eq!(lines[..4], [r#""per_user";q=100;w=60"#, r#""per_user";r=0;t=1"#, "429", "1"]);
    let body: Value = serde_json::from_str(&lines[4]).unwrap();
    assert_eq!(
        (&body["status"], &body["violated-policies"]),
        (&429.into(), &serde_json::json!(["per_user"]))
    );
    assert_eq!(scene.check("bob"), Checked::Lacking, "another key");
    scene.now += 1;
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let counts = scene.counts();
    assert_eq!((counts.allowed, counts.limited, counts.asked), (3, 2, 4));
}

#[test]
fn a_question_is_shared_by_as_many_requests_as_it_asks_tokens_for() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    for _ in 0..5 {
        assert_eq!(scene.check("ann"), Checked::Lacking);
        scene.questions();
    }
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let number = scene.asked(3);
    for _ in 0..2 {
        assert_eq!(scene.check("ann"), Checked::Lacking);
        assert_eq!(scene.questions(), [serde_json::json!({ "position": 0, "number": number })]);
    }
    assert_eq!(scene.check("ann"), Checked::Lacking);
    assert_ne!(scene.asked(4), number, "no token of the first would be left");
    assert!(scene.limits.is_awaited(number));
    scene.answer(number, 3, 7, 0);
    assert!(!scene.limits.is_awaited(number));
    assert_eq!([(); 2].map(|()| scene.check_with("ann", LimiterAnswers::AGAIN)), [Checked::Admitted; 2]);
}

#[test]
fn a_question_that_is_lost_with_its_rules_is_waited_for_by_nobody() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let lost = scene.asked(1);
    scene.limits.begin_generation(scene.rules.limits());
    assert!(!scene.limits.is_awaited(lost));
    assert_eq!(scene.check("ann"), Checked::Lacking);
    assert_ne!(scene.asked(1), lost);
    scene.answer(lost, 9, 0, 0);
    assert_eq!(scene.check("ann"), Checked::Lacking, "its answer is lost too");
}

#[test]
fn a_core_that_replaces_another_one_takes_no_answers_of_it() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    scene.limits.number_from(2_654_435_769);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    assert_eq!(scene.asked(1), 2_654_435_770);
    scene.answer(1, 1, 50, 0);
    assert_eq!(scene.check("ann"), Checked::Lacking);
}

#[test]
fn preflights_need_no_limiter_of_users() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    let facts = &Facts { method: "OPTIONS", ip: Some("192.0.2.1"), ..Facts::default() };
    let (limits, answers) = (&scene.positions, LimiterAnswers(0));
    let request = LimitedRequest { rules: &scene.rules, limits, user: None, facts, answers };
    assert_eq!(scene.limits.check(&request, scene.now, PATIENCE), Checked::Admitted);
    assert_eq!((scene.limits.lines().as_str(), scene.counts()), ("\n", LimitCounts::default()));
}

#[test]
fn all_limits_of_a_route_must_admit_and_a_refusal_costs_the_others_nothing() {
    let mut scene = Scene::new(&[("a", r#""requests":100"#), ("b", r#""requests":100"#)]);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let questions = scene.questions();
    let numbers: Vec<u32> =
        questions.iter().map(|asked| u32::try_from(asked["number"].as_u64().unwrap()).unwrap()).collect();
    assert_eq!(numbers.len(), 2, "in parallel");
    scene.answer(numbers[0], 1, 6, 0);
    scene.answer(numbers[1], 0, 0, 2_000);
    assert_eq!(scene.check_with("ann", GRANTED | LimiterAnswers::REFUSED << 1), Checked::Refused);
    assert_eq!(scene.lines()[..2], [r#""b";q=100;w=60"#, r#""b";r=0;t=2"#]);
    let a = scene.rules.limits()[0].clone();
    let user = User { source: &Source::Jwt, id: "ann" };
    let key = Key::of(&a.policy.key, Some(user), &Facts::default()).hash(a.seed);
    assert_eq!(scene.limits.keys.entry(key).held.standing(scene.now), Standing::Token, "put back");
    assert_eq!(scene.counts().allowed, 0);
}

#[test]
fn memory_is_bounded_whatever_clients_send() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    for user in 0..40_000 {
        assert_eq!(scene.check(&format!("user-{user}")), Checked::Lacking);
        scene.questions();
    }
    assert!(scene.limits.keys.len() <= 16_384, "{}", scene.limits.keys.len());
    assert!(scene.limits.asked.len() <= MAX_ASKED);
}

/// Four isolates borrow from one limiter, and all of their requests come at once.
#[test]
fn four_isolates_together_admit_the_limit_and_no_more() {
    let mut isolates: Vec<Scene> = (0..4).map(|_| Scene::new(&[("per_user", r#""requests":100"#)])).collect();
    let (rate, mut tat, mut admitted) = (Rate::new(600_000, 100), 0, 0);
    for request in 0..2_000 {
        let scene = &mut isolates[request % 4];
        if scene.check("ann") == Checked::Lacking {
            let questions = scene.questions();
            let wanted = u32::try_from(questions[0]["wanted"].as_u64().unwrap()).unwrap();
            let number = u32::try_from(questions[0]["number"].as_u64().unwrap()).unwrap();
            let taken = rate.take(tat, scene.now.unsigned_abs() * 1_000, wanted);
            tat = taken.tat;
            scene.answer(number, taken.granted, taken.remaining, taken.retry_us / 1_000);
            if taken.granted > 0 {
                assert_eq!(scene.check_with("ann", GRANTED), Checked::Admitted);
                admitted += 1;
            }
        } else if !scene.lines().iter().any(|line| line == "429") {
            admitted += 1;
        }
    }
    assert_eq!(admitted, 100);
}
