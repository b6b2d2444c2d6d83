//! Recorded arrivals of every format.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::logs(data));
