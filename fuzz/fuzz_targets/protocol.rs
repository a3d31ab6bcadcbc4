//! libFuzzer's program for [`merit_fuzz::protocol`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| merit_fuzz::protocol(input));
