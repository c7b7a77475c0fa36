//! Random identifiers of requests.

/// Returns a new `Idempotency-Key`; `None` if the system has no random numbers.
pub fn new_key() -> Option<String> {
    random::<16>()
}

/// Returns a new W3C trace context, so that the functions' log lines of one command can be found.
pub(super) fn traceparent() -> Option<String> {
    Some(format!("00-{}-{}-01", random::<16>()?, random::<8>()?))
}

/// Returns the given number of random bytes as hexadecimal digits; `None` if there are none.
fn random<const BYTES: usize>() -> Option<String> {
    let mut bits = [0_u8; BYTES];
    getrandom::fill(&mut bits).ok()?;
    Some(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}
