#![no_main]

#[path = "../options.rs"]
mod options;

libfuzzer_sys::fuzz_target!(|data: &[u8]| options::options(data));
