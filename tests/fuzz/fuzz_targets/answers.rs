//! Any bytes as an answer, cut anywhere: the fast HTTP/1.1 path and hyper must make the same of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let case = tidegate::driver::Case::from_bytes(data);
    let (wire, hyper) = case.verdicts();
    assert_eq!(wire, hyper, "{case:?}");
});
