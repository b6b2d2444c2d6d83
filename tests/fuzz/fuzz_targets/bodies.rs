//! Bodies of answers, compressed or not: one pass over them against the tree of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(tidegate_fuzz::bodies(data)));
