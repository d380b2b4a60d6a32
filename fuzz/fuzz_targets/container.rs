#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lopper::fuzzing::container(data));
