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
