//! Rate limits of routes: policies, the keys that they count by, the arithmetic, and the tokens that an isolate borrows.

mod gcra;
mod held;
mod key;
mod policy;
#[cfg(test)]
mod tests;

pub use gcra::{Rate, Taken};
pub use held::{Answer, Held, LEASE_MS, Left, Standing};
pub use key::{CLAIM, InvalidKeyPart, Key, KeyPart};
pub use policy::{
    CompiledLimit, LimitMode, LimitPolicy, LimitScope, MAX_PERIOD_SECONDS, MAX_POLICIES, MAX_REQUESTS,
    MAX_REQUESTS_PER_SECOND, OnLimiterFailure,
};
