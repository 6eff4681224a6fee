#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coinfuse_fuzz::directory_paths(data));
