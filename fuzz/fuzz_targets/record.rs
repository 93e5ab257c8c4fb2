//! Stored responses at rest: a record as bytes, or the fields of one without version and check.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| weir_store::fuzzing::record(data));
