//! The scheduled promotion of canaries, the stop of experiments by their guardrails, and the notifications of both.

pub mod decide;
pub mod guardrail;
pub mod notify;
pub mod promote;
pub mod run;
