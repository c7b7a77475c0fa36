//! The configuration file: whatever it holds, it is taken or refused with places; what is taken can be published, and
//! comes back from there.

#![no_main]

use cutover_core::{
    Ruleset, Snapshot,
    config::{Config, diff},
    vocabulary::revision::Revision,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Config::from_yaml(text) {
        Err(problems) => assert!(!problems.is_empty()),
        Ok(config) => {
            assert!(diff(&config, &config).is_empty());
            let encoded =
                config.snapshot(Revision(1), None).encode().expect("what is checked can be published");
            let snapshot = Snapshot::decode(&encoded).expect("what is published can be read");
            Ruleset::compile(&snapshot).expect("what is published compiles");
        }
    }
});
