//! Records after the content of a body: a line of changes, each two bytes for where and one for how, then
//! one record a line. All of it is taken for such records, too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let changes: Vec<(usize, u8)> = input
        .line()
        .chunks_exact(3)
        .map(|change| (usize::from(change[0]) << 8 | usize::from(change[1]), change[2]))
        .collect();
    let records: Vec<&[u8]> = input.rest().split(|&byte| byte == b'\n').collect();
    weir_store::fuzzing::records(data, &records, &changes);
});
