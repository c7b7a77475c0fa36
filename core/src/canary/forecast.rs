//! Forecast of a plan: for assumed rates, the test that will decide each step, and the traffic that it
//! needs. The operator sees it before any user is exposed; `plan`, `start`, `apply` and `simulate`
//! all say the same.

use crate::{
    canary::{
        group::{Group, GroupMeasure},
        levels::Levels,
        measure::Measure,
        plan::{CanaryPlan, RelativePolicy},
    },
    measurement::event_kinds::EventKinds,
    statistics::{MIN_EVENT_USERS, Threshold, event_evidence, firing},
    vocabulary::{names::RouteId, share::PartsPerMillion},
};
use serde::Serialize;

/// Number of requests beyond which a step is reported as never deciding.
const HORIZON: u64 = 10_000_000;

/// Assumed rates of the two backends, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Assumed {
    /// Error rate of the new backend.
    pub error_rate: f64,
    /// Share of the new backend's responses that are slower than both limits.
    pub slow_rate: f64,
    /// Error rate of legacy.
    pub legacy_error_rate: f64,
    /// Share of legacy's responses that are slower than both limits.
    pub legacy_slow_rate: f64,
    /// Requests per second to both backends together, if known. If not, a test that any traffic lets act, within ten
    /// million requests, is expected to act.
    pub requests_per_second: Option<f64>,
    /// Users of both backends together, all equally active, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
}

impl Assumed {
    /// Assumes two backends with the same rates, under unknown traffic of unknown users.
    pub fn alike(error_rate: f64, slow_rate: f64) -> Self {
        Self {
            error_rate,
            slow_rate,
            legacy_error_rate: error_rate,
            legacy_slow_rate: slow_rate,
            requests_per_second: None,
            users: None,
        }
    }

    fn rates(&self, measure: Measure) -> Rates {
        match measure {
            Measure::Errors => Rates { new: self.error_rate, legacy: self.legacy_error_rate },
            Measure::Slow => Rates { new: self.slow_rate, legacy: self.legacy_slow_rate },
        }
    }
}

/// Rates of one measure on both arms.
struct Rates {
    new: f64,
    legacy: f64,
}

/// Expected end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// The success criteria are proven.
    Advances,
    /// The comparison with legacy holds the run.
    Holds,
    /// The run is rolled back.
    RollsBack,
    /// No test decides.
    Undecided,
}

/// Forecast of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Share of the step.
    pub share: PartsPerMillion,
    /// Requests on the new arm that prove the success criteria at the assumed rates and come from `min_users`
    /// users, at least; `None` if no number of them does. Routes with criteria of their own need theirs besides, as
    /// [`Self::says`] tells.
    pub canary_requests: Option<u64>,
    /// Requests per second of the whole flag, on both arms together, that yield these and those of the routes with criteria
    /// of their own within the step's duration.
    pub requests_per_second: Option<f64>,
    /// Expected end of the step.
    pub outlook: Outlook,
    /// One sentence for operators: the test that decides, and the requests that it needs.
    pub says: String,
}

impl Forecast {
    /// Forecasts each step of a plan.
    pub fn of(plan: &CanaryPlan, assumed: &Assumed) -> Vec<Self> {
        plan.steps().into_iter().map(|share| Self::of_step(plan, assumed, share)).collect()
    }

    /// Returns one sentence for a whole plan: about the first step that does not advance, or that
    /// all of them do.
    pub fn sentence(steps: &[Self]) -> String {
        match steps.iter().find(|step| step.outlook != Outlook::Advances) {
            Some(stopped) => stopped.says.clone(),
            None => match steps.first() {
                Some(first) => format!("every step is expected to advance; {}", first.says),
                None => "the plan has no steps".to_owned(),
            },
        }
    }

    /// Returns a warning that names the steps that cannot advance within their duration under the assumed traffic, such as
    /// "its step of 1% needs at least 30.0 requests a second ..."; `None` if every step can. Under unknown traffic only a step that
    /// can never advance is warned about.
    pub fn warning(plan: &CanaryPlan, assumed: &Assumed) -> Option<String> {
        let forecast = Self::of(plan, assumed);
        let mut late = forecast.iter().filter(|step| step.is_late(assumed.requests_per_second));
        let first = late.next()?;
        let mut text = match first.requests_per_second {
            None => format!("it can never advance from {}", first.says),
            Some(needed) => format!(
                "its step of {} needs at least {needed:.1} requests a second to decide within {} minutes ({})",
                first.share, plan.step_duration_minutes, first.says
            ),
        };
        let others: Vec<String> = late.map(|step| step.share.to_string()).collect();
        if !others.is_empty() {
            text.push_str(&format!("; nor can it advance in time from {}", others.join(", ")));
        }
        Some(text)
    }

    /// Returns true if the step never advances, or needs more traffic for that than there is.
    fn is_late(&self, requests_per_second: Option<f64>) -> bool {
        match self.requests_per_second {
            None => true,
            Some(needed) => requests_per_second.is_some_and(|measured| measured < needed),
        }
    }

    fn of_step(plan: &CanaryPlan, assumed: &Assumed, share: PartsPerMillion) -> Self {
        let alpha = plan.options.alpha_promote;
        let proof = |measure: GroupMeasure<'_>| {
            requests_to_promote(assumed.rates(measure.kind).new, measure.success_limit(), alpha)
        };
        let needed_by = |group: Group<'_>| {
            let [errors, slow] = group.measures().map(proof);
            errors.zip(slow).map(|(a, b)| a.max(b))
        };
        let own = plan.groups().filter_map(|group| Some((group.route?, needed_by(group))));
        let own: Vec<(&RouteId, Option<u64>)> = own.collect();
        // If one route is never proven, nor is the step.
        let proof = needed_by(plan.rest()).filter(|_| own.iter().all(|(_, needed)| needed.is_some()));
        let seconds = plan.step_duration_minutes * 60.0;
        let part = share.percent() / 100.0;
        let crowd =
            Crowd { min_users: plan.options.min_users, on_new: assumed.users.map(|all| all as f64 * part) };
        let needed = proof.zip(crowd.requests()).map(|(a, b)| a.max(b));
        // Requests of one group prove nothing of another.
        let of_groups = own
            .iter()
            .filter_map(|(_, needed)| *needed)
            .fold(proof, |sum, needed| sum.map(|sum| sum.saturating_add(needed)));
        let of_flag = needed.zip(of_groups).map(|(a, b)| a.max(b));
        // The step lasts its whole duration, also after the proof: under unknown traffic, any number of requests.
        let most = assumed.requests_per_second.zip(needed).map(|(rate, needed)| {
            let seen = (rate * part * seconds) as u64;
            needed.max(seen)
        });
        let stop =
            Stop::first(plan, assumed, share).filter(|stop| most.is_none_or(|most| stop.requests <= most));
        let (outlook, says) = match (&stop, proof, needed) {
            (Some(stop), ..) => {
                let unless = stop.unless(needed.filter(|_| most.is_none()), plan.step_duration_minutes);
                (stop.outlook, format!("{share}: {}{unless}", stop.says))
            }
            (None, Some(proof), Some(needed)) => {
                let says = format!("{share}: {}{}", crowd.says(proof, needed), own_traffic(&own));
                (Outlook::Advances, says)
            }
            (None, Some(_), None) => (Outlook::Undecided, format!("{share}: {}", crowd.misses())),
            (None, None, _) => (
                Outlook::Undecided,
                format!("{share}: nothing is ever decided; the assumed rates are too close to the limits"),
            ),
        };
        Self {
            share,
            canary_requests: needed,
            requests_per_second: of_flag.map(|n| n as f64 / part / seconds),
            outlook,
            says,
        }
    }
}

/// Returns the end of a sentence about routes with criteria of their own: each needs its own traffic.
fn own_traffic(routes: &[(&RouteId, Option<u64>)]) -> String {
    let needed = routes.iter().filter_map(|(route, needed)| Some((route, (*needed)?)));
    needed.map(|(route, needed)| format!(", and {needed} of {route} alone")).collect()
}

/// The distinct users that the new arm must have served in a step.
struct Crowd {
    min_users: u64,
    /// Users on the new arm, if known.
    on_new: Option<f64>,
}

impl Crowd {
    /// Returns the number of requests after which about [`Self::min_users`] distinct users have sent one; `None` if
    /// there are fewer. Of unknown users each is assumed to send one.
    fn requests(&self) -> Option<u64> {
        let wanted = self.min_users as f64;
        match self.on_new {
            None => Some(self.min_users),
            Some(_) if self.min_users == 0 => Some(0),
            Some(on_new) if on_new < wanted => None,
            // The expected number of distinct users, rounded.
            Some(on_new) => first(|n| on_new - on_new * libm::pow(1.0 - 1.0 / on_new, n) >= wanted - 0.5),
        }
    }

    fn says(&self, proof: u64, needed: u64) -> String {
        if needed <= proof {
            return format!("the success criteria are proven after about {needed} requests on new");
        }
        format!(
            "min_users, {} users on new, are served after about {needed} requests at least; the success criteria are \
             proven after about {proof}",
            self.min_users
        )
    }

    fn misses(&self) -> String {
        let on_new = self.on_new.unwrap_or_default();
        format!(
            "min_users is never reached; it is {}, and about {on_new:.0} users are on new",
            self.min_users
        )
    }
}

/// A test that keeps a step from advancing.
struct Stop {
    requests: u64,
    outlook: Outlook,
    says: String,
}

impl Stop {
    /// Returns the stop that needs the fewest requests on the new arm.
    fn first(plan: &CanaryPlan, assumed: &Assumed, share: PartsPerMillion) -> Option<Self> {
        let stops = Measure::ALL.into_iter().flat_map(|measure| {
            let rates = assumed.rates(measure);
            let by_limits = plan.groups().map(|group| Self::by_limit(plan, group.measure(measure), &rates));
            let by_limits: Vec<Option<Self>> = by_limits.collect();
            by_limits.into_iter().chain([Self::by_legacy(plan, measure, &rates, share)])
        });
        stops.flatten().min_by_key(|stop| stop.requests)
    }

    /// Returns the end of a sentence under unknown traffic: the numbers of requests with which a step of so many minutes
    /// advances nevertheless, from the `proven` on. Empty if there are none.
    fn unless(&self, proven: Option<u64>, minutes: f64) -> String {
        match proven.filter(|proven| *proven < self.requests) {
            Some(proven) => {
                let most = self.requests - 1;
                format!("; with {proven} to {most} in its {minutes} minutes the step advances")
            }
            None => String::new(),
        }
    }

    fn by_limit(plan: &CanaryPlan, measure: GroupMeasure<'_>, rates: &Rates) -> Option<Self> {
        let limit = measure.rollback_limit();
        if rates.new <= limit {
            return None;
        }
        let requests = requests_to_roll_back(rates.new, limit, Levels::of(plan).absolute())?;
        let name = named(measure.kind);
        let alone = measure.group.route.map(|route| format!(" of {route} alone")).unwrap_or_default();
        let says = format!(
            "rolled back by the rollback limit of {name} after about {requests} requests on new{alone}"
        );
        Some(Self { requests, outlook: Outlook::RollsBack, says })
    }

    fn by_legacy(plan: &CanaryPlan, measure: Measure, rates: &Rates, share: PartsPerMillion) -> Option<Self> {
        let kind = match measure {
            Measure::Errors => EventKinds::ERROR,
            Measure::Slow => EventKinds::SLOW,
        };
        let tolerated = plan.options.tolerated_risk.of(kind);
        let policy = plan.options.relative;
        if policy == RelativePolicy::Ignore || rates.new <= tolerated * rates.legacy {
            return None;
        }
        let part = share.percent() / 100.0;
        // Share of the new arm among the users with an event.
        let on_new = part * rates.new / (part * rates.new + (1.0 - part) * rates.legacy);
        let mark = firing(Levels::of(plan).of_step(kind));
        let users = first(|all| {
            let new = (all * on_new) as u64;
            new >= MIN_EVENT_USERS && event_evidence(part, tolerated, new, all as u64) >= mark
        })?;
        let requests = (users as f64 * on_new / rates.new).ceil() as u64;
        let holds = policy == RelativePolicy::Hold
            && plan.groups().all(|group| rates.new <= group.measure(measure).success_limit());
        let (outlook, action) = if holds {
            (Outlook::Holds, "held, although within the success limit, by the comparison with legacy")
        } else {
            (Outlook::RollsBack, "rolled back by the comparison with legacy")
        };
        let name = named(measure);
        let says = format!(
            "{action}: {name} are more than {tolerated} times as frequent, found after about {requests} requests on \
             new"
        );
        Some(Self { requests, outlook, says })
    }
}

fn named(measure: Measure) -> &'static str {
    match measure {
        Measure::Errors => "errors",
        Measure::Slow => "slow responses",
    }
}

/// Returns the number of requests after which a rate is proven to be below a limit, if events occur
/// exactly at that rate; `None` beyond 10 million.
pub fn requests_to_promote(rate: f64, limit: f64, alpha: f64) -> Option<u64> {
    let (test, mark) = (Threshold::below(limit, alpha), firing(alpha));
    first(|n| test.evidence_on_path(n * (1.0 - rate), n) >= mark)
}

/// Returns the number of requests after which a rate is proven to be above a limit, if events occur
/// exactly at that rate; `None` beyond 10 million.
pub fn requests_to_roll_back(rate: f64, limit: f64, alpha: f64) -> Option<u64> {
    let (test, mark) = (Threshold::above(limit, alpha), firing(alpha));
    first(|n| test.evidence_on_path(n * rate, n) >= mark)
}

/// Returns the smallest `n` for which the monotone predicate `holds` is true; `None` beyond
/// [`HORIZON`].
fn first(holds: impl Fn(f64) -> bool) -> Option<u64> {
    let mut high = 1_u64;
    while !holds(high as f64) {
        high = high.checked_mul(2).filter(|high| *high <= HORIZON)?;
    }
    let mut low = high / 2;
    while low + 1 < high {
        let middle = low.midpoint(high);
        if holds(middle as f64) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}
