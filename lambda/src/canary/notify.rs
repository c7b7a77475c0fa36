//! Notifications: a signed webhook for every automatic decision about a canary. They are written in
//! the transaction of the decision and delivered afterwards, with exponential backoff, so that a
//! receiver that is down delays no decision and misses no notification.

use crate::{
    clock,
    observe::telemetry::traced,
    platform::Platform,
    store::{Notification, error::StoreError},
};
use cutover_core::{
    RouteId, Timestamp,
    canary::{Action, Breach, Decision, Reason, Run},
    signature,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Limits of one tick: the number of notifications to deliver, and the time spent on it.
const MAX_AT_ONCE: usize = 50;

const PATIENCE: Duration = Duration::from_secs(10);

/// First and longest pause between attempts, in milliseconds.
const FIRST_PAUSE_MS: i64 = 15_000;

const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// Age after which an undelivered notification is dropped, in milliseconds.
const GIVEN_UP_MS: i64 = 3 * 24 * 3_600_000;

/// Returns the webhook's name of an event; `None` if the decision needs no notification.
pub fn event(decision: &Decision) -> Option<&'static str> {
    Some(match (decision.action, decision.reason) {
        (
            Action::Hold,
            Reason::StepTime | Reason::Baking | Reason::Ended | Reason::Paused | Reason::Alarm,
        ) => return None,
        (Action::Hold, _) => "hold",
        (Action::Advance, _) => "advance",
        (Action::Complete, _) => "complete",
        (Action::RollBack, _) => "rollback",
        (Action::Pause, _) => "pause",
        (Action::Restart, _) => "restart",
    })
}

/// Builds the notification of a decision; `None` if it needs none or no webhook is configured.
/// `run` is the run after the decision.
pub fn of(platform: &Platform, run: &Run, decision: &Decision, at: Timestamp) -> Option<Notification> {
    platform.settings.webhook.as_ref()?;
    let event = event(decision)?;
    let breach = decision.verdict.breach.as_ref().map(shown);
    let message = match &decision.verdict.breach {
        Some(breach) if decision.action == Action::RollBack => breach.sentence(),
        _ => decision.says(),
    };
    Some(Notification {
        id: format!("{}-{}-{event}-{}", run.id, run.step, at.millis()),
        at,
        next_at: at,
        attempts: 0,
        body: json!({
            "event": event,
            "flag": run.flag,
            "run": run.id,
            "state": run.state,
            "step": run.step,
            "percentage": run.share(),
            "reason": decision.reason,
            "message": message,
            "breach": breach,
            "at": at,
        }),
    })
}

/// Returns a breach as documents show it: the test, one sentence, and the counts behind it.
pub fn shown(breach: &Breach) -> serde_json::Value {
    let shown = json!({
        "test": breach.test,
        "step": breach.step,
        "says": breach.test.says(),
        "sentence": breach.sentence(),
        "figures": breach.figures,
    });
    with_route(shown, breach.route.as_ref())
}

/// Adds the name of a route with criteria of its own to an object, if there is one.
pub fn with_route(mut shown: serde_json::Value, route: Option<&RouteId>) -> serde_json::Value {
    if let Some((fields, route)) = shown.as_object_mut().zip(route) {
        fields.insert("route".to_owned(), json!(route));
    }
    shown
}

/// Delivers the notifications that are due, and returns the number of successful deliveries.
///
/// # Errors
///
/// Fails if the table cannot be read or written.
pub async fn deliver(platform: &Platform) -> Result<usize, StoreError> {
    let Some((url, secret)) = &platform.settings.webhook else { return Ok(0) };
    let now = clock::now();
    let due = platform.store.outbox().await?.into_iter().filter(|held| held.next_at <= now);
    let mut due = due.take(MAX_AT_ONCE).peekable();
    if due.peek().is_none() {
        return Ok(0);
    }
    // Signed with the current secret; receivers accept the previous one as well during a rotation.
    let secret = match secret.values().await.map(|values| values.into_iter().next()) {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            tracing::error!("notifications are delayed: their secret has no value yet");
            return Ok(0);
        }
        Err(error) => {
            tracing::error!(%error, "notifications are delayed: their secret could not be read");
            return Ok(0);
        }
    };
    // A redirect could lead to another host, or to one without TLS.
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = match builder.timeout(Duration::from_secs(3)).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "notifications are delayed: the HTTP client could not be built");
            return Ok(0);
        }
    };
    let started = Instant::now();
    let mut delivered = 0;
    for mut notification in due {
        if started.elapsed() > PATIENCE {
            break;
        }
        if send(&client, url, &secret, &notification).await {
            platform.store.forget_notification(&notification).await?;
            delivered += 1;
        } else if now.millis() - notification.at.millis() > GIVEN_UP_MS {
            tracing::error!(id = notification.id, "notification dropped after three days of failed attempts");
            platform.store.forget_notification(&notification).await?;
        } else {
            let pause = (FIRST_PAUSE_MS << notification.attempts.min(10)).min(LONGEST_PAUSE_MS);
            notification.attempts += 1;
            notification.next_at = Timestamp::from_millis(now.millis() + pause);
            tracing::warn!(
                id = notification.id,
                attempts = notification.attempts,
                "notification not delivered"
            );
            platform.store.keep_notification(&notification).await?;
        }
    }
    Ok(delivered)
}

async fn send(client: &reqwest::Client, url: &str, secret: &str, notification: &Notification) -> bool {
    let body = notification.body.to_string();
    let at = clock::now().millis();
    let sent = traced(client.post(url))
        .header("content-type", "application/json")
        .header("x-cutover-event-id", &notification.id)
        .header(signature::TIMESTAMP, at.to_string())
        .header(signature::SIGNATURE, signature::sign(secret, at, body.as_bytes()))
        .body(body)
        .send()
        .await;
    sent.is_ok_and(|response| response.status().is_success())
}
