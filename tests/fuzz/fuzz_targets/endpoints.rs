//! Any bytes at the port of the platform's APIs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(tidegate_fuzz::endpoints(data)));
