#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| coinfuse_fuzz::discovery_record(data));
