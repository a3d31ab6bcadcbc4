//! libFuzzer's program for [`merit_fuzz::heads`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| merit_fuzz::heads(input));
