//! Do the frames of an HTTP/2 connection serve requests, or do they only keep the node busy?
//!
//! Resets, PINGs, SETTINGS, CONTINUATIONs and empty frames cost who sends them nothing and who reads them a little
//! each (RFC 9113 §10.5). Here each costs its sender credit, which comes back with time and with bytes that he takes,
//! so that who fetches and cancels as people do never notices. Pure: the time is an argument. What frames mean, and
//! the bounds on streams and header lists, are h2's.

use std::time::{Duration, Instant};

/// RFC 9113 §3.4: what a client sends first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// GOAWAY with ENHANCE_YOUR_CALM, for no stream in particular (RFC 9113 §6.8, §7).
pub(super) const CALM_DOWN: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

/// Credit that a connection begins with, and at most has.
const CREDIT_MAX: u32 = 1_000;
/// Credit that comes back in a second.
const CREDIT_PER_SECOND: u32 = 200;
/// Bytes that the client takes for one credit more.
const BYTES_PER_CREDIT: u32 = 2_048;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client that sent more frames without use than it has credit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client floods the connection with frames of type {kind}")]
pub(super) struct Flood {
    /// The type of the last of them (RFC 9113 §6).
    kind: u8,
}

/// Reads along with the frames of one direction.
#[derive(Debug)]
struct Cursor {
    head: [u8; 9],
    have: usize,
    payload_left: u32,
}

/// The head of a frame (RFC 9113 §4.1).
#[derive(Debug, Clone, Copy)]
struct FrameHead {
    length: u32,
    kind: u8,
    flags: u8,
}

impl Cursor {
    const fn new() -> Self {
        Self { head: [0; 9], have: 0, payload_left: 0 }
    }

    /// Reads up to the end of the next frame head; `None` when the bytes end before.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let skipped = bytes.len().min(usize::try_from(self.payload_left).unwrap_or(usize::MAX));
        self.payload_left -= u32::try_from(skipped).unwrap_or(self.payload_left);
        *bytes = bytes.get(skipped..).unwrap_or_default();
        // Most often the head lies there whole.
        if self.have == 0
            && let Some((head, rest)) = bytes.split_first_chunk()
        {
            *bytes = rest;
            return Some(self.begin(*head));
        }
        let taken = bytes.len().min(self.head.len() - self.have);
        let (head, rest) = bytes.split_at(taken);
        self.head.iter_mut().skip(self.have).zip(head).for_each(|(into, byte)| *into = *byte);
        (self.have, *bytes) = (self.have + taken, rest);
        if self.have < self.head.len() {
            return None;
        }
        self.have = 0;
        Some(self.begin(self.head))
    }

    /// The frame that begins with `head`, whose payload follows.
    fn begin(&mut self, head: [u8; 9]) -> FrameHead {
        let [high, middle, low, kind, flags, ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.payload_left = length;
        FrameHead { length, kind, flags }
    }

    fn is_between_frames(&self) -> bool {
        self.have == 0 && self.payload_left == 0
    }
}

/// Reads along with one connection.
#[derive(Debug)]
pub(super) struct Frames {
    preface_left: usize,
    read: Cursor,
    written: Cursor,
    /// Whether a field section has begun and its last frame has not come.
    in_fields: bool,
    /// Whether the present frame holds fields.
    holds_fields: bool,
    credit: u32,
    credited_at: Instant,
    /// Bytes written that no credit has been given for.
    uncredited: u32,
}

impl Frames {
    /// A connection that begins at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            preface_left: PREFACE.len(),
            read: Cursor::new(),
            written: Cursor::new(),
            in_fields: false,
            holds_fields: false,
            credit: CREDIT_MAX,
            credited_at: now,
            uncredited: 0,
        }
    }

    /// Whether something has begun that its sender is to end soon: the preface, or the fields of a request.
    pub(super) fn is_in_head(&self) -> bool {
        self.preface_left > 0 || self.in_fields || (self.holds_fields && self.read.payload_left > 0)
    }

    /// Whether a frame of ours can follow what has been written.
    pub(super) fn can_say_goodbye(&self) -> bool {
        self.written.is_between_frames()
    }

    /// Reads on what the client sent.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        let skipped = bytes.len().min(self.preface_left);
        self.preface_left -= skipped;
        bytes = bytes.get(skipped..).unwrap_or_default();
        while let Some(frame) = self.read.next(&mut bytes) {
            self.holds_fields = matches!(frame.kind, HEADERS | CONTINUATION);
            if self.holds_fields {
                self.in_fields = frame.flags & END_HEADERS == 0;
            }
            let cost = cost(frame);
            if cost > 0 {
                self.pay(cost, now).map_err(|()| Flood { kind: frame.kind })?;
            }
        }
        Ok(())
    }

    /// Notes bytes that the client takes.
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.uncredited = self.uncredited.saturating_add(length);
        let more = self.uncredited / BYTES_PER_CREDIT;
        self.uncredited %= BYTES_PER_CREDIT;
        self.credit = self.credit.saturating_add(more).min(CREDIT_MAX);
        while self.written.next(&mut bytes).is_some() {}
    }

    fn pay(&mut self, cost: u32, now: Instant) -> Result<(), ()> {
        let since = now.saturating_duration_since(self.credited_at);
        let back = since.as_millis() * u128::from(CREDIT_PER_SECOND) / 1_000;
        if back > 0 {
            let back = u32::try_from(back).unwrap_or(u32::MAX);
            self.credit = self.credit.saturating_add(back).min(CREDIT_MAX);
            // What is less than one credit stays owed to the client.
            let used =
                Duration::from_millis(u64::from(back) * 1_000 / u64::from(CREDIT_PER_SECOND));
            self.credited_at = self.credited_at.checked_add(used).map_or(now, |at| at.min(now));
        }
        self.credit = self.credit.checked_sub(cost).ok_or(())?;
        Ok(())
    }
}

/// What a frame costs its sender. Requests and their bodies are free: how many come is limited elsewhere.
fn cost(frame: FrameHead) -> u32 {
    match frame.kind {
        HEADERS => 0,
        DATA if frame.length > 0 || frame.flags & END_STREAM != 0 => 0,
        SETTINGS | PING if frame.flags & ACK != 0 => 1,
        WINDOW_UPDATE | PRIORITY => 1,
        RST_STREAM => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(9 + usize::from(length), 0);
        bytes
    }

    fn connection() -> (Frames, Instant) {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        frames.read(PREFACE, now).unwrap();
        (frames, now)
    }

    /// Frames of this kind in a row until the connection is flooded.
    fn taken(kind: u8, flags: u8, length: u8) -> u32 {
        let (mut frames, now) = connection();
        let one = frame(kind, flags, length);
        (0..10_000).find(|_| frames.read(&one, now).is_err()).unwrap_or(u32::MAX)
    }

    #[test]
    fn frames_without_use_cost_credit_and_others_do_not() {
        let cases = [
            ("resets", taken(RST_STREAM, 0, 4), 250),
            ("pings", taken(PING, 0, 8), 200),
            ("answers to pings", taken(PING, ACK, 8), 1_000),
            ("settings", taken(SETTINGS, 0, 0), 200),
            ("continuations", taken(CONTINUATION, 0, 10), 200),
            ("empty continuations", taken(CONTINUATION, 0, 0), 200),
            ("empty data", taken(DATA, 0, 0), 200),
            ("the end of a body", taken(DATA, END_STREAM, 0), u32::MAX),
            ("data", taken(DATA, 0, 1), u32::MAX),
            ("requests", taken(HEADERS, END_HEADERS, 30), u32::MAX),
            ("windows", taken(WINDOW_UPDATE, 0, 4), 1_000),
            ("unknown frames", taken(0xee, 0, 3), 200),
        ];
        for (what, found, expected) in cases {
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn credit_comes_back_with_time_and_with_bytes_taken() {
        let (mut frames, now) = connection();
        let spend = |frames: &mut Frames, at| (0..).find(|_| frames.pay(4, at).is_err());
        assert_eq!(spend(&mut frames, now), Some(250));
        let later = now + Duration::from_secs(1);
        assert_eq!(spend(&mut frames, later), Some(50), "{CREDIT_PER_SECOND} credits");
        frames.wrote(&frame(DATA, 0, 200).repeat(40));
        assert_eq!(spend(&mut frames, later), Some(1), "8,360 bytes are 4 credits");
        // A clock that steps back gives nothing and takes nothing.
        assert_eq!(spend(&mut frames, now), Some(0));
    }

    /// A browser's downloads: two window updates for 16 KiB, 80 MB in all.
    #[test]
    fn who_takes_bytes_may_open_windows_for_ever() {
        let (mut frames, now) = connection();
        let windows = frame(WINDOW_UPDATE, 0, 4).repeat(2);
        let taken = frame(DATA, 0, 191).repeat(82);
        for _ in 0..5_000 {
            frames.wrote(&taken);
            frames.read(&windows, now).unwrap();
        }
    }

    #[test]
    fn pieces_of_any_size_are_read_alike() {
        let stream = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, 18),
            frame(HEADERS, 0, 40),
            frame(CONTINUATION, 0, 7),
            frame(CONTINUATION, END_HEADERS, 0),
            frame(DATA, 0, 200),
        ]
        .concat();
        for size in 1..stream.len() {
            let now = Instant::now();
            let mut frames = Frames::new(now);
            stream.chunks(size).for_each(|piece| frames.read(piece, now).unwrap());
            assert!(frames.read.is_between_frames(), "in pieces of {size}");
            assert!(!frames.is_in_head());
            assert_eq!(frames.credit, CREDIT_MAX - 15);
        }
    }

    #[test]
    fn a_head_is_under_way_from_the_preface_to_the_end_of_the_fields() {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        let mut step = |bytes: &[u8]| {
            frames.read(bytes, now).unwrap();
            frames.is_in_head()
        };
        assert!(step(&PREFACE[..10]));
        assert!(!step(&PREFACE[10..]));
        assert!(step(&frame(HEADERS, 0, 5)));
        assert!(step(&frame(CONTINUATION, 0, 5)));
        assert!(!step(&frame(CONTINUATION, END_HEADERS, 5)));
        let whole = frame(HEADERS, END_HEADERS, 5);
        assert!(step(&whole[..11]));
        assert!(!step(&whole[11..]));
    }

    #[test]
    fn a_goodbye_goes_between_two_frames_only() {
        let (mut frames, _now) = connection();
        assert!(frames.can_say_goodbye());
        let whole = frame(DATA, 0, 20);
        frames.wrote(&whole[..12]);
        assert!(!frames.can_say_goodbye());
        frames.wrote(&whole[12..]);
        assert!(frames.can_say_goodbye());
    }
}
