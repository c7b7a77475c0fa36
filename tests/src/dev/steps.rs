//! The steps of the tour: a text is printed from them, and a test runs them.

/// A step of the tour.
#[derive(Debug)]
pub struct Step {
    /// The title.
    pub title: &'static str,
    /// True if the step waits for a canary or its measurements.
    pub is_long: bool,
    /// The actions, in order.
    pub actions: &'static [Action],
}

/// An action of a step.
#[derive(Debug)]
pub enum Action {
    /// An explanation.
    Say(&'static str),
    /// A command that runs in the second terminal until Ctrl-C.
    Background(&'static str),
    /// A command of the first terminal.
    Command {
        /// The command.
        line: &'static str,
        /// Lines of its output; `…` stands for any text.
        prints: &'static [&'static str],
        /// The exit code.
        code: i32,
    },
    /// The end of the command in the second terminal.
    Interrupt,
}

use Action::{Background, Command, Interrupt, Say};

const fn run(line: &'static str, prints: &'static [&'static str]) -> Action {
    Command { line, prints, code: 0 }
}

const REQUEST: &str = "curl -si $CUTOVER_EDGE_URL/api/v1/reviews/7 -H 'x-user-id: user-1' | grep -i '^x-'";
const HEAL: &str = "curl -s -X PUT $NEW_BACKEND/_control -H 'content-type: application/json' -d '{}'; echo";

/// The time until a change is in force, with two seconds to spare.
const WAIT: &str = "sleep 8";

/// The steps of the tour, in order.
pub static STEPS: [Step; 5] = [
    Step {
        title: "See a request, and move users",
        is_long: false,
        actions: &[
            Say("Traffic of many users, for the whole tour:"),
            Background("users $CUTOVER_EDGE_URL/api/v1/offers/3/reviews 200"),
            Say("No user is on the new backend yet. The headers tell which backend answered, and why:"),
            run(REQUEST, &["x-backend: legacy", "x-cutover-arm: legacy", "x-cutover-reason: ROLLOUT"]),
            Say(
                "Roll out to a quarter of the users. user-1 is one of them, today and at every larger percentage:",
            ),
            run(
                "cutover rollout graphql_reviews_read 25",
                &[
                    "graphql_reviews_read  yes  25.0  …",
                    "done; revision …, published; in force within about 6 s",
                ],
            ),
            run(WAIT, &[]),
            run(REQUEST, &["x-backend: new", "x-cutover-arm: new", "x-cutover-reason: ROLLOUT"]),
            run(
                "cutover explain graphql_reviews_read --user user-1",
                &["explanation  bucket 110076 of 1000000 is inside the rollout of 25%"],
            ),
        ],
    },
    Step {
        title: "Start a canary, and break the new backend",
        is_long: true,
        actions: &[
            Say(
                "The plan climbs from 10 % to 50 % and 100 %. Before it moves users, it asks; --yes answers:",
            ),
            run(
                "cutover canary start graphql_offers_read --yes",
                &["graphql_offers_read: run … is running at 10%…"],
            ),
            Say("It climbs when errors and slow responses are proven to be rare. In a terminal of its own, \
                 cutover canary watch graphql_offers_read shows the proof grow:"),
            run(
                "cutover canary wait graphql_offers_read --for step=50 --timeout 3m",
                &["graphql_offers_read  run …  running"],
            ),
            Say("Let 3 of 10 requests to the new backend fail:"),
            run(
                "curl -s -X PUT $NEW_BACKEND/_control -H 'content-type: application/json' -d '{\"error_rate\": 0.3}'; echo",
                &["…\"error_rate\":0.3…"],
            ),
            run(
                "cutover canary wait graphql_offers_read --for rolled_back --timeout 3m",
                &["graphql_offers_read  run …  rolled_back"],
            ),
            Say("Nobody had to be awake for that. The counts that decided:"),
            run("cutover canary status graphql_offers_read", &["Rolled back from …"]),
        ],
    },
    Step {
        title: "Heal the backend, and let the canary finish",
        is_long: true,
        actions: &[
            run(HEAL, &["…\"error_rate\":0.0…"]),
            Say("A new run deals other users first:"),
            run(
                "cutover canary start graphql_offers_read --yes",
                &["graphql_offers_read: run … is running at 10%…"],
            ),
            run(
                "cutover canary wait graphql_offers_read --for completed --timeout 5m",
                &["graphql_offers_read  run …  completed"],
            ),
            run("cutover list", &["graphql_offers_read  yes  100.0  …"]),
        ],
    },
    Step {
        title: "Compare the responses of both backends",
        is_long: true,
        actions: &[
            Say(
                "The route compares one request of twenty, behind the response. Let the new backend add a field:",
            ),
            run(
                "curl -s -X PUT $NEW_BACKEND/_control -H 'content-type: application/json' -d '{\"add_field\": true}'; echo",
                &["…\"add_field\":true…"],
            ),
            run("sleep 20", &[]),
            run(
                "cutover compare report offers.reviews",
                &[
                    "offers.reviews (flag graphql_offers_read…",
                    "compared …, mismatched …",
                    "data[].badge  extra  …",
                ],
            ),
            run(HEAL, &["…\"add_field\":false…"]),
            Say("Why a user is on that backend:"),
            run("cutover explain graphql_offers_read --user user-1", &["arm  new", "reason  ROLLOUT"]),
        ],
    },
    Step {
        title: "Ask a second person, and pull the emergency brake",
        is_long: false,
        actions: &[
            Say(
                "This deployment has two-person approval, from which only the root token is free. Two operators:",
            ),
            run(
                "export ANN=\"$(cutover token create ann --role operator)\"",
                &["token … for ann (operator)…"],
            ),
            run(
                "export BOB=\"$(cutover token create bob --role operator)\"",
                &["token … for bob (operator)…"],
            ),
            Say("Ann asks for more users. Nothing changes, and the command exits with 8:"),
            Command {
                line: "CUTOVER_TOKEN=$ANN cutover rollout graphql_reviews_read 60",
                prints: &[
                    "… needs a second person's approval before …",
                    "hint: ask another operator to run …",
                ],
                code: 8,
            },
            run(
                "CUTOVER_TOKEN=$BOB cutover changes list",
                &["CHANGE  ACTION  OBJECTS  REQUESTED_BY  EXPIRES_AT  REASON"],
            ),
            Say("Bob approves it, by the id in the second line of the list:"),
            run(
                "CUTOVER_TOKEN=$BOB cutover changes approve \"$(cutover changes list | awk 'NR == 2 { print $1 }')\"",
                &["approved and applied … as revision …"],
            ),
            Say("In an emergency one person is enough. Everyone goes to legacy:"),
            run("cutover emergency-rollback 'trying it out'", &["…: all users on legacy; revision …"]),
            run(WAIT, &[]),
            run(REQUEST, &["x-backend: legacy", "x-cutover-reason: EMERGENCY"]),
            Say("And back to where they were:"),
            run("cutover emergency-clear 'tried'", &["emergency cleared; revision …"]),
            run(WAIT, &[]),
            run(REQUEST, &["x-backend: new"]),
            Interrupt,
        ],
    },
];
