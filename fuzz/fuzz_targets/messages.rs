//! Messages between nodes and entries of the purge log: each input is read as every kind.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weir_cache::purge::{Mode, Selector};
use weir_fuzz::fields;
use weir_node::fuzzing::{keep_alive, known_line, log_entry, order, put};

fuzz_target!(|data: &[u8]| {
    check_entry(data);
    // What is read, written again, is read as the same.
    if let Some(line) = known_line(data) {
        assert_eq!(known_line(&line).as_ref(), Some(&line));
    }
    for message in [Bytes::copy_from_slice(data), [b"weir-put 1\n", data].concat().into()] {
        if let Some(written) = put(&message) {
            assert_eq!(put(&written).as_ref(), Some(&written));
        }
    }
    if let Some([asked, passed_on]) = order(data) {
        assert_eq!(asked, passed_on);
    }
    let headers = fields(data);
    if let Some(time) = keep_alive(&headers) {
        let said = headers.get_all("keep-alive").iter().any(|value| {
            String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().contains("timeout")
        });
        assert!(said && time.subsec_nanos() == 0);
    }
});

/// An entry purges everything unless all of it is understood; what is understood is written as it is read.
fn check_entry(data: &[u8]) {
    let entry = log_entry(data);
    for selector in &entry.selectors {
        assert_eq!(selector.to_string().parse::<Selector>().as_ref(), Ok(selector));
    }
    let read: Option<serde_json::Value> = serde_json::from_slice(data).ok();
    let named = read.as_ref().and_then(|read| {
        let understood =
            read["v"] == 1 && ["purge", "invalidate"].contains(&read["mode"].as_str()?);
        let named: Option<Vec<&str>> =
            read["selectors"].as_array()?.iter().map(serde_json::Value::as_str).collect();
        named.filter(|_| understood)
    });
    let widest = entry.mode == Mode::Purge && entry.selectors == [Selector::Everything];
    match named {
        Some(named) if !widest => {
            assert_eq!(entry.selectors.len(), named.len());
            assert_eq!(
                entry.mode == Mode::Invalidate,
                read.as_ref().is_some_and(|read| read["mode"] == "invalidate")
            );
        }
        // A list of the fields in their order is read too.
        None if read.as_ref().is_some_and(serde_json::Value::is_array) => {}
        _ => assert!(widest, "{entry:?}"),
    }
}
