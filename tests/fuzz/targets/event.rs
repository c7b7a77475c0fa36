//! Events that backends, clients and servers report: whatever it is, it is read or refused, and a value has its bound.

#![no_main]

use cutover_core::{
    Timestamp,
    request::{
        event::{HeaderEvents, MAX_EVENTS, MAX_VALUE, is_event_name, read_header},
        track::{ServerEvent, TrackedEvent},
    },
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Ok(header) = std::str::from_utf8(body) {
        let HeaderEvents { events, .. } = read_header(header);
        assert!(events.len() <= MAX_EVENTS);
        for event in events {
            assert!(is_event_name(event.name) && event.value.unwrap_or_default() <= MAX_VALUE);
        }
    }
    if let Ok(event) = TrackedEvent::read(body) {
        assert!(is_event_name(&event.name) && event.value.unwrap_or_default() <= MAX_VALUE);
    }
    let now = Timestamp::from_millis(1_767_225_600_000);
    if let Ok(reported) = ServerEvent::read(body, now) {
        assert_eq!(TrackedEvent::read(body), Ok(reported.event));
    }
});
