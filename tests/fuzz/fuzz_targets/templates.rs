//! Templates in a path, a header and a body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::templates(data));
