#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::fleet_nodes(data));
