//! Which frames of an HTTP/2 connection are of use, whatever pieces they come in.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "the node says goodbye with it")]
#[path = "../../node/src/listener/http2/frames.rs"]
mod frames;

use frames::Frames;

fuzz_target!(|data: &[u8]| {
    let [size, millis, stream @ ..] = data else { return };
    let now = Instant::now();
    let later = now + Duration::from_millis(u64::from(*millis));
    let read = |size: usize| {
        let mut frames = Frames::new(now);
        for piece in stream.chunks(size) {
            frames.read(piece, later).ok()?;
        }
        Some((frames.is_in_head(), frames.can_say_goodbye()))
    };
    let whole = read(stream.len().max(1));
    assert_eq!(whole, read(usize::from(*size).max(1)));
    // Each frame has a head of nine bytes and costs five credits at most.
    assert!(whole.is_some() || stream.len() / 9 * 5 > 1_000);
    let mut frames = Frames::new(now);
    stream.chunks(usize::from(*size).max(1)).for_each(|piece| frames.wrote(piece));
});
