//! Users whose truth is known: all that a user does follows from the user's number, and so do the figures that results
//! must have.

use super::NAME;
use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, Uri},
    routing::get,
};
use cutover_core::{Facts, Revision, Ruleset, Timestamp, config::Config};
use cutover_tests::{
    http::{self, Answer, Connection},
    server::Server,
};
use serde_json::{Value, json};
use std::{ops::Range, sync::Arc};

/// Pages are served by the arms of the variants; orders by a flag that no experiment decides.
const CONFIGURATION: &str = r#"
feature_flags: { pages: { enabled: true }, orders: { enabled: true } }
origins: { old: { url: "LEGACY_URL", timeout_ms: 3000 }, new: { url: "NEW_URL", timeout_ms: 3000 } }
routes:
  - { id: pages, match: { path: "/pages/{n}" }, flag: pages, legacy: old, new: new, identity: ["header:x-user-id"] }
  - { id: orders, match: { path: /orders }, flag: orders, legacy: old, new: new, identity: ["header:x-user-id"] }
experiments:
  e:
    name: Counted
    flag: pages
    variants:
      control: { name: REST, traffic_percentage: 60, arm: legacy }
      treatment: { name: GraphQL, traffic_percentage: 40, arm: new }
    metrics:
      - { name: ordered, role: primary, on: { response: { route: orders } } }
      - { name: spent, kind: ratio, cap: 1000000, on: { event: purchase } }
"#;

/// Keys of the variants, and the arms that they name.
const VARIANTS: [(&str, &str); 2] = [("control", "legacy"), ("treatment", "new")];

/// An order that is refused, which is no conversion.
pub(super) const DECLINED: &str = "/orders?declined";

/// Returns the id of a user.
pub(super) fn user(number: usize) -> String {
    format!("user-{number}")
}

/// Returns the values of the purchases that the response to the page of a user reports, in thousandths.
fn purchases(number: usize) -> Vec<u64> {
    let first = number.is_multiple_of(20).then_some(125 * (number as u64 % 97 + 1));
    first.into_iter().chain(number.is_multiple_of(40).then_some(500)).collect()
}

/// Returns true if a user requests the page once more, from another isolate.
fn comes_back(number: usize) -> bool {
    number % 20 == 5
}

/// Returns the orders of a user, which come to another isolate than the page.
fn orders(number: usize) -> &'static [&'static str] {
    match number % 50 {
        3 => &["/orders", "/orders"],
        13 | 23 | 33 | 43 => &["/orders"],
        7 => &[DECLINED],
        _ => &[],
    }
}

/// Returns true if one of a user's orders is a conversion.
fn has_ordered(number: usize) -> bool {
    orders(number).contains(&"/orders")
}

/// Starts a backend that names itself, and reports the purchases of a page's user.
async fn backend(name: &'static str) -> Server {
    let page = move |Path(number): Path<usize>| async move {
        let event = |value: &u64| format!("purchase;value={}.{:03}", value / 1_000, value % 1_000);
        let events: Vec<String> = purchases(number).iter().map(event).collect();
        let mut headers = HeaderMap::new();
        headers.insert("x-backend", HeaderValue::from_static(name));
        if !events.is_empty() {
            headers.insert("x-cutover-event", events.join(", ").parse().unwrap());
        }
        headers
    };
    let order = |uri: Uri| async move {
        if uri.query() == Some("declined") { StatusCode::PAYMENT_REQUIRED } else { StatusCode::OK }
    };
    Server::start(Router::new().route("/pages/{number}", get(page)).route("/orders", get(order))).await
}

fn configuration(legacy: &Server, new: &Server) -> String {
    CONFIGURATION.replace("LEGACY_URL", &legacy.url()).replace("NEW_URL", &new.url())
}

/// Users with the variant of each, and the two backends that serve them.
pub(super) struct Crowd {
    /// Position of the variant, by the number of the user.
    variants: Arc<[usize]>,
    legacy: Server,
    new: Server,
}

impl Crowd {
    pub(super) async fn of(users: usize) -> Self {
        let (legacy, new) = (backend("legacy").await, backend("new").await);
        let config = Config::from_yaml(&configuration(&legacy, &new));
        let config = config.unwrap_or_else(|problems| panic!("{problems:?}"));
        let rules = Ruleset::compile(&config.snapshot(Revision(1), None)).unwrap();
        let experiment = rules.experiment(NAME).unwrap();
        let variant = |number: usize| {
            let id = user(number);
            let assigned = experiment.assign(Some(&*id), &Facts::default(), Timestamp::from_millis(0));
            let key = assigned.unwrap().key.as_str();
            VARIANTS.iter().position(|(held, _)| *held == key).unwrap()
        };
        Self { variants: (0..users).map(variant).collect(), legacy, new }
    }

    /// Returns the configuration with the two backends.
    pub(super) fn configuration(&self) -> String {
        configuration(&self.legacy, &self.new)
    }

    /// Returns the position of a user's variant.
    pub(super) fn variant(&self, number: usize) -> usize {
        self.variants[number]
    }

    /// Sends the requests of users. The page is requested from one isolate, by the number of the user, everything else
    /// from the next one.
    pub(super) async fn visit(&self, ports: &[u16], users: Range<usize>) {
        let tasks: Vec<_> = (0..ports.len())
            .map(|isolate| {
                let (users, variants) = (users.clone(), Arc::clone(&self.variants));
                let (own, next, count) = (ports[isolate], ports[(isolate + 1) % ports.len()], ports.len());
                tokio::spawn(async move {
                    let mut own = Connection::open(own).await;
                    for number in users.filter(|number| number % count == isolate) {
                        let (id, page) = (user(number), format!("/pages/{number}"));
                        let headers = [("x-user-id", id.as_str())];
                        assert_served(&own.get(&page, &headers).await, variants[number]);
                        if comes_back(number) {
                            assert_served(&http::get(next, &page, &headers).await, variants[number]);
                        }
                        for order in orders(number) {
                            let expected = if *order == DECLINED { 402 } else { 200 };
                            assert_eq!(http::get(next, order, &headers).await.status, expected);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }

    /// Sends an order of each of these users, to one isolate.
    pub(super) async fn order(&self, port: u16, users: impl Iterator<Item = usize>) {
        let mut connection = Connection::open(port).await;
        for number in users {
            let id = user(number);
            assert_eq!(connection.get("/orders", &[("x-user-id", &id)]).await.status, 200);
        }
    }

    /// Returns the figures of these users, with an order of each of `late`, who have no other one.
    pub(super) fn truth(
        &self,
        users: impl Iterator<Item = usize>,
        late: impl Iterator<Item = usize>,
    ) -> Value {
        let mut all = VARIANTS.map(|_| Sums::default());
        for number in users {
            let (sums, purchases) = (&mut all[self.variant(number)], purchases(number));
            sums.users += 1;
            sums.ordered += u64::from(has_ordered(number));
            sums.buyers += u64::from(!purchases.is_empty());
            sums.purchases += purchases.len() as u64;
            sums.spent += purchases.iter().sum::<u64>();
        }
        late.for_each(|number| all[self.variant(number)].ordered += 1);
        all.iter().map(Sums::shown).collect()
    }
}

/// Figures of a variant.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    users: u64,
    ordered: u64,
    buyers: u64,
    purchases: u64,
    /// Sum of the purchases, in thousandths.
    spent: u64,
}

impl Sums {
    /// Returns the figures as results have them.
    fn shown(&self) -> Value {
        json!({
            "users": self.users,
            "ordered": self.ordered,
            "buyers": self.buyers,
            "purchases": self.purchases as f64,
            "spent": self.spent as f64 / 1_000.0,
        })
    }
}

/// Returns the figures of results in the shape of [`Crowd::truth`], with null in the place of those that are not shown.
pub(super) fn figures(results: &Value) -> Value {
    let of_variant = |(key, _): &(&str, &str)| {
        let metric = |name: &str| {
            let metric = named(&results["metrics"], "metric", name);
            named(&metric["variants"], "variant", key)
        };
        let (ordered, spent) = (metric("ordered"), metric("spent"));
        json!({
            "users": named(&results["variants"], "variant", key)["users"],
            "ordered": ordered["users_with_event"],
            "buyers": spent["users_with_event"],
            "purchases": spent["events"],
            "spent": spent["value"],
        })
    };
    VARIANTS.iter().map(of_variant).collect()
}

/// Returns the object of a list that has this name in a field, or null.
fn named<'v>(list: &'v Value, field: &str, name: &str) -> &'v Value {
    static NOBODY: Value = Value::Null;
    let mut objects = list.as_array().into_iter().flatten();
    objects.find(|object| object[field] == name).unwrap_or(&NOBODY)
}

/// Asserts that a page was served by the arm of a variant, and that the client is not told of purchases.
fn assert_served(answer: &Answer, variant: usize) {
    let (_, arm) = VARIANTS[variant];
    let header = |name: &str| answer.header(name).unwrap_or_default();
    let served = (header("x-cutover-reason"), header("x-cutover-arm"), header("x-backend"));
    assert_eq!(answer.status, 200);
    assert_eq!(served, ("EXPERIMENT".to_owned(), arm.to_owned(), arm.to_owned()));
    assert_eq!(header("x-cutover-event"), "");
}
