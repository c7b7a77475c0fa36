//! Limiters that are slow, fail or are missing.

use super::*;

#[test]
fn a_late_answer_admits_later_requests_and_the_late_one_is_refused() {
    for failure in ["open", "closed"] {
        let policy = format!(r#""requests":100,"mode":"exact","on_failure":"{failure}""#);
        let mut scene = Scene::new(&[("per_user", &policy)]);
        assert_eq!(scene.check("ann"), Checked::Lacking);
        let number = scene.asked(1);
        scene.limits.gave_up(number);
        assert_eq!(scene.check_with("ann", LATE), Checked::Refused);
        assert_eq!(scene.lines()[2..4], ["429", "1"]);
        scene.now += 900;
        scene.answer(number, 1, 8, 0);
        assert_eq!(scene.check("ann"), Checked::Admitted);
        assert_eq!(scene.check("ann"), Checked::Lacking);
        let expected = LimitCounts { allowed: 1, limited: 1, asked: 2, ..LimitCounts::default() };
        assert_eq!(scene.counts(), expected);
    }
}

/// A slow limiter is no failure, however slow all of its keys are.
#[test]
fn slow_keys_do_not_touch_a_warm_one() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    for user in 0..20 {
        let user = format!("slow-{user}");
        assert_eq!(scene.check(&user), Checked::Lacking);
        let number = scene.asked(1);
        scene.limits.gave_up(number);
        assert_eq!(scene.check_with(&user, LATE), Checked::Refused);
        assert_eq!(scene.check("warm"), Checked::Lacking, "it is asked");
        let number = scene.asked(1);
        scene.answer(number, 1, 50, 0);
        assert_eq!(scene.check_with("warm", GRANTED), Checked::Admitted);
        scene.now += 200;
    }
    assert_eq!(scene.check("slow-14"), Checked::Admitted, "after a second it rests by itself");
    assert_eq!(scene.counts().fallback, 1);
}

#[test]
fn a_question_without_an_answer_for_a_second_is_a_failure() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    for user in ["a", "b", "c"] {
        assert_eq!(scene.check(user), Checked::Lacking);
    }
    scene.now += 999;
    assert_eq!(scene.check("d"), Checked::Lacking);
    scene.now += 1;
    assert_eq!([scene.check("d"), scene.check("a"), scene.check("e")], [Checked::Admitted; 3]);
    assert_eq!((scene.counts().fallback, scene.counts().asked), (3, 4));
    scene.now += 999;
    assert_eq!(scene.check("e"), Checked::Admitted, "the second question about d is lost too");
    // The request that tries again does not wait in vain.
    scene.now += 1_000;
    assert_eq!(scene.check("f"), Checked::Lacking);
    let number = scene.asked(1);
    scene.limits.gave_up(number);
    assert_eq!(scene.check_with("f", LATE), Checked::Admitted);
    scene.answer(number, 1, 5, 0);
    assert_eq!(scene.check("g"), Checked::Lacking, "it is trusted again");
}

#[test]
fn a_limiter_that_fails_is_left_alone_and_the_isolate_counts_by_itself() {
    let mut scene = Scene::new(&[("per_user", r#""requests":5"#)]);
    for user in ["ann", "bob", "cat"] {
        assert_eq!(scene.check(user), Checked::Lacking);
        let number = scene.asked(1);
        scene.limits.failed(number, scene.now);
        assert_eq!(scene.check_with(user, FAILED), Checked::Admitted);
        assert_eq!(scene.check(user), Checked::Admitted, "its limiter rests");
    }
    assert_eq!([(); 3].map(|()| scene.check("ann")), [Checked::Admitted; 3]);
    assert_eq!(scene.check("ann"), Checked::Refused, "never no limit at all");
    assert_eq!(scene.lines()[2..4], ["429", "12"]);
    assert_eq!(scene.check("dan"), Checked::Admitted, "all limiters rest");
    // After a second one request asks, and the others do not.
    scene.now += 1_000;
    assert_eq!(scene.check("eve"), Checked::Lacking);
    let number = scene.asked(1);
    assert_eq!(scene.check("dan"), Checked::Admitted);
    scene.answer(number, 1, 4, 0);
    assert_eq!(scene.check("dan"), Checked::Lacking, "it is trusted again");
    let counts = scene.counts();
    assert_eq!((counts.fallback, counts.limited, counts.asked), (11, 1, 5));
}

/// All questions about a key that are under way fail at once, and other keys have other objects.
#[test]
fn a_key_that_fails_rests_alone() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100,"mode":"exact""#)]);
    let numbers: Vec<u32> = (0..10)
        .map(|_| {
            assert_eq!(scene.check("hot"), Checked::Lacking);
            scene.asked(1)
        })
        .collect();
    for number in numbers {
        scene.limits.failed(number, scene.now);
    }
    assert_eq!(scene.check("hot"), Checked::Admitted);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    assert_eq!(scene.counts().fallback, 1);
}

#[test]
fn what_the_limiter_granted_is_in_the_own_count() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let number = scene.asked(1);
    scene.answer(number, 100, 1, 0);
    assert_eq!(scene.check_with("ann", GRANTED), Checked::Admitted);
    for _ in 0..99 {
        assert_eq!(scene.check("ann"), Checked::Admitted);
    }
    assert_eq!(scene.check("ann"), Checked::Lacking);
    assert_eq!(scene.check_with("ann", FAILED), Checked::Refused, "not a second burst");
}

#[test]
fn a_binding_that_was_missing_is_tried_again_with_other_rules() {
    let mut scene = Scene::new(&[("per_user", r#""requests":100"#)]);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let number = scene.asked(1);
    scene.limits.absent(number);
    assert_eq!(scene.check("ann"), Checked::Admitted);
    scene.limits.begin_generation(scene.rules.limits());
    assert_eq!(scene.check("ann"), Checked::Lacking);
    assert_eq!((scene.counts().fallback, scene.counts().asked), (1, 2), "its counts stay");
}

#[test]
fn a_closed_policy_refuses_while_its_limiter_fails() {
    let mut scene = Scene::new(&[("per_user", r#""requests":5,"on_failure":"closed""#)]);
    assert_eq!(scene.check("ann"), Checked::Lacking);
    let number = scene.asked(1);
    scene.limits.failed(number, scene.now);
    assert_eq!(scene.check_with("ann", FAILED), Checked::Refused);
    let lines = scene.lines();
    assert_eq!(lines[..4], [r#""per_user";q=5;w=60"#, "", "503", "1"]);
    assert_eq!(serde_json::from_str::<Value>(&lines[4]).unwrap()["code"], "limiter_unavailable");
    // Without a binding there is no limiter that could fail.
    assert_eq!(scene.check("bob"), Checked::Lacking);
    let number = scene.asked(1);
    scene.limits.absent(number);
    assert_eq!(scene.check_with("bob", FAILED), Checked::Admitted);
    assert_eq!(scene.check("bob"), Checked::Admitted);
    assert_eq!(scene.limits.counts().next().unwrap(), ("per_user", scene.counts(), true));
}
