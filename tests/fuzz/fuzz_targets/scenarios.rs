//! Scenario files, as far as the first requests of their plans.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::scenarios(data));
