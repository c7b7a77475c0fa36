//! Notifications: a signed webhook for everything that happens to a canary by itself. They are written in the
//! transaction of the decision and delivered after it, again and again with growing pauses, so that a receiver that
//! is down delays nothing and misses nothing.

use crate::{
    Platform, clock,
    store::{Notification, StoreError},
    telemetry::traced,
};
use cutover_core::{
    Timestamp,
    canary::{Action, Decision, Reason, Run},
    signature,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Notifications that one tick tries to deliver, and how long it goes on trying.
const MAX_AT_ONCE: usize = 50;
const PATIENCE: Duration = Duration::from_secs(10);

/// The first pause, and the longest, in milliseconds.
const FIRST_PAUSE_MS: i64 = 15_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;

/// A notification that could not be delivered for this long is given up, in milliseconds.
const GIVEN_UP_MS: i64 = 3 * 24 * 3_600_000;

/// What happened, in the words of the webhook; `None` where nobody needs to know.
pub fn event(decision: &Decision) -> Option<&'static str> {
    Some(match (decision.action, decision.reason) {
        (Action::Hold, Reason::StepTime | Reason::Baking | Reason::Ended | Reason::Paused) => return None,
        (Action::Hold, _) => "hold",
        (Action::Advance, _) => "advance",
        (Action::Complete, _) => "complete",
        (Action::RollBack, _) => "rollback",
        (Action::Pause, _) => "pause",
        (Action::Restart, _) => "restart",
    })
}

/// The notification of a decision, if there is one and somebody wants it. `run` is the run after it.
pub fn of(platform: &Platform, run: &Run, decision: &Decision, at: Timestamp) -> Option<Notification> {
    platform.settings.webhook.as_ref()?;
    let event = event(decision)?;
    let breach = decision
        .verdict
        .breach
        .map(|breach| json!({ "test": breach.test, "step": breach.step, "says": breach.test.says() }));
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
            "message": decision.reason.says(),
            "breach": breach,
            "at": at,
        }),
    })
}

/// Delivers what is due. Returns how many were delivered.
pub async fn deliver(platform: &Platform) -> Result<usize, StoreError> {
    let Some((url, secret)) = &platform.settings.webhook else { return Ok(0) };
    let now = clock::now();
    let due = platform.store.outbox().await?.into_iter().filter(|held| held.next_at <= now);
    let mut due = due.take(MAX_AT_ONCE).peekable();
    if due.peek().is_none() {
        return Ok(0);
    }
    // The current one; whoever checks it accepts the one before while it is rotated.
    let secret = match secret.values().await.map(|values| values.into_iter().next()) {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            tracing::error!("notifications wait: their secret has no value yet");
            return Ok(0);
        }
        Err(error) => {
            tracing::error!(%error, "notifications wait");
            return Ok(0);
        }
    };
    let client = match reqwest::Client::builder().timeout(Duration::from_secs(3)).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no HTTP client for notifications");
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
            tracing::error!(id = notification.id, "notification given up after three days");
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
    sent.is_ok_and(|answer| answer.status().is_success())
}
