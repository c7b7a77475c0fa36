//! B3: the forecast names the test that decides.

use super::{percent, plan};
use cutover_core::canary::{Assumed, Forecast, Outlook, plan::RelativePolicy};

/// Returns the outlooks of the steps of a plan, by assumed error rates.
fn outlooks(relative: RelativePolicy, new: f64, legacy: f64) -> Vec<Outlook> {
    let mut plan = plan(&[5.0, 50.0, 100.0]);
    plan.options.relative = relative;
    let assumed = Assumed { error_rate: new, legacy_error_rate: legacy, ..Assumed::alike(0.0, 0.01) };
    let assumed = Assumed { requests_per_second: Some(100.0), ..assumed };
    Forecast::of(&plan, &assumed).iter().map(|step| step.outlook).collect()
}

#[test]
fn b3_the_comparison_with_legacy_is_part_of_the_forecast() {
    use Outlook::{Advances, Holds, RollsBack, Undecided};
    let hold = RelativePolicy::Hold;
    // Alike, or better.
    assert_eq!(outlooks(hold, 0.01, 0.01), [Advances; 3]);
    assert_eq!(outlooks(hold, 0.001, 0.01), [Advances; 3]);
    // Within the limit of 5 %, but worse than legacy: held. At 100 % there is no legacy.
    assert_eq!(outlooks(hold, 0.01, 0.001), [Holds, Holds, Advances]);
    assert_eq!(outlooks(RelativePolicy::Rollback, 0.01, 0.001), [RollsBack, RollsBack, Advances]);
    assert_eq!(outlooks(RelativePolicy::Ignore, 0.01, 0.001), [Advances; 3]);
    // Beyond the rollback limit, and between the limits.
    assert_eq!(outlooks(hold, 0.3, 0.3), [RollsBack; 3]);
    assert_eq!(outlooks(hold, 0.07, 0.07), [Undecided; 3]);
}

#[test]
fn b3_a_plan_is_explained_in_one_sentence() {
    let plan = plan(&[5.0, 100.0]);
    let say = |assumed: &Assumed| Forecast::sentence(&Forecast::of(&plan, assumed));
    let fair = say(&Assumed::alike(0.01, 0.01));
    assert_eq!(
        fair,
        "every step is expected to advance; 5%: the success criteria are proven after about 180 requests on new"
    );
    let worse = Assumed { legacy_error_rate: 0.0, ..Assumed::alike(0.02, 0.0) };
    let worse = say(&worse);
    assert!(worse.starts_with("5%: held, although within the success limit, by the comparison"), "{worse}");
    let failing = say(&Assumed::alike(0.5, 0.0));
    assert!(failing.starts_with("5%: rolled back by the rollback limit of errors after about"), "{failing}");
    assert_eq!(Forecast::of(&plan, &Assumed::alike(0.01, 0.01))[0].share, percent(5.0));
}

/// Under unknown traffic a step may see any number of requests, also more than prove its criteria: what the comparison finds
/// in these is no surprise to a reader of the forecast.
#[test]
fn b3_under_unknown_traffic_the_comparison_is_forecast_beyond_the_proof() {
    use Outlook::{Advances, Holds};
    let plan = plan(&[1.0, 5.0, 100.0]);
    let outlooks = |assumed: &Assumed| -> Vec<Outlook> {
        Forecast::of(&plan, assumed).iter().map(|step| step.outlook).collect()
    };
    let alike = Assumed::alike(0.01, 0.01);
    assert_eq!(outlooks(&alike), [Advances; 3]);
    let fails = Assumed { legacy_error_rate: 0.0, ..alike };
    let slow = Assumed { legacy_slow_rate: 0.0, ..alike };
    for (assumed, name) in [(fails, "errors"), (slow, "slow responses")] {
        assert_eq!(outlooks(&assumed), [Holds, Holds, Advances]);
        assert_eq!(
            Forecast::sentence(&Forecast::of(&plan, &assumed)),
            format!(
                "1%: held, although within the success limit, by the comparison with legacy: {name} are more than 1.25 \
                 times as frequent, found after about 300 requests on new; with 180 to 299 in its 10 minutes the step \
                 advances"
            )
        );
        // 240 requests on new at 1 %, and 1 200 at 5 %.
        let known = Assumed { requests_per_second: Some(40.0), ..assumed };
        assert_eq!(outlooks(&known), [Advances, Holds, Advances]);
    }
}

/// A step is not over before `min_users` distinct users were served, each of whom sends one request at least.
#[test]
fn b3_a_step_that_cannot_reach_min_users_is_warned_about() {
    let mut plan = plan(&[5.0, 100.0]);
    plan.options.min_users = 1_000;
    let traffic = Assumed { requests_per_second: Some(10.0), ..Assumed::alike(0.01, 0.01) };
    let forecast = Forecast::of(&plan, &traffic);
    assert_eq!(forecast.iter().map(|step| step.canary_requests).collect::<Vec<_>>(), [Some(1_000); 2]);
    let warning = Forecast::warning(&plan, &traffic).unwrap();
    let expected = "its step of 5% needs at least 33.3 requests a second to decide within 10 minutes (5%: min_users, 1000 users";
    assert!(warning.starts_with(expected) && !warning.contains("100%"), "{warning}");
    assert_eq!(Forecast::warning(&plan, &Assumed { requests_per_second: Some(34.0), ..traffic }), None);

    // Of 10 000 users 500 are on new.
    let few = Assumed { users: Some(10_000), ..traffic };
    let outlooks: Vec<Outlook> = Forecast::of(&plan, &few).iter().map(|step| step.outlook).collect();
    assert_eq!(outlooks, [Outlook::Undecided, Outlook::Advances]);
    let all = Forecast::of(&plan, &few)[1].canary_requests.unwrap();
    assert!((1_040..1_070).contains(&all), "some users send two before the last has sent one: {all}");
    let warning = Forecast::warning(&plan, &Assumed { requests_per_second: None, ..few }).unwrap();
    assert_eq!(
        warning,
        "it can never advance from 5%: min_users is never reached; it is 1000, and about 500 users are on new"
    );
}

/// Every step is looked at, not the first one alone.
#[test]
fn b3_each_step_without_enough_traffic_is_named() {
    let plan = plan(&[5.0, 50.0, 100.0]);
    let warning = |rate| {
        let assumed = Assumed { requests_per_second: rate, ..Assumed::alike(0.01, 0.01) };
        Forecast::warning(&plan, &assumed)
    };
    assert_eq!((warning(Some(7.0)), warning(None)), (None, None));
    let first = warning(Some(1.0)).unwrap();
    assert!(
        first.contains("step of 5% needs at least 6.0 requests a second") && !first.contains("50%"),
        "{first}"
    );
    let all = warning(Some(0.1)).unwrap();
    assert!(all.ends_with("; nor can it advance in time from 50%, 100%"), "{all}");
}
