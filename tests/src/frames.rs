//! An HTTP/2 connection on which every frame is chosen by the scenario (RFC 9113 §4).
//!
//! Fields are written as literals without an index (RFC 7541 §6.2.2), so that what is sent needs no table. Of what
//! comes back frames are told apart, and fields are left as they are.

use std::net::SocketAddr;

use crate::Raw;

/// Types of frames (RFC 9113 §6).
pub mod kind {
    /// Bytes of a body.
    pub const DATA: u8 = 0;
    /// The fields of a message, or their beginning.
    pub const HEADERS: u8 = 1;
    /// Cancels a stream.
    pub const RST_STREAM: u8 = 3;
    /// How the peer wants things.
    pub const SETTINGS: u8 = 4;
    /// Is anyone there?
    pub const PING: u8 = 6;
    /// The end of a connection.
    pub const GOAWAY: u8 = 7;
    /// Room for more bytes.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of the fields of a message.
    pub const CONTINUATION: u8 = 9;
}

/// Of HEADERS and DATA: nothing follows on the stream.
pub const END_STREAM: u8 = 1;
/// Of HEADERS and CONTINUATION: the fields are whole.
pub const END_HEADERS: u8 = 4;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream it belongs to.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM and GOAWAY.
    #[must_use]
    pub fn error_code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The bytes of a frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// Fields as they stand in HEADERS.
#[must_use]
pub fn fields(lines: &[(&str, &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in lines {
        block.push(0);
        for text in [name.as_bytes(), value] {
            // Lengths from 127 on take more than one byte (RFC 7541 §5.1).
            let mut left = text.len();
            if left < 127 {
                block.push(u8::try_from(left).unwrap());
            } else {
                block.push(127);
                left -= 127;
                while left >= 128 {
                    block.push(u8::try_from(left % 128).unwrap() | 128);
                    left /= 128;
                }
                block.push(u8::try_from(left).unwrap());
            }
            block.extend_from_slice(text);
        }
    }
    block
}

/// The fields of a GET of `path` from `www.test`.
#[must_use]
pub fn get(path: &str) -> Vec<u8> {
    fields(&[
        (":method", b"GET"),
        (":scheme", b"http"),
        (":authority", b"www.test"),
        (":path", path.as_bytes()),
    ])
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub struct FrameRaw {
    /// The bytes beneath.
    pub raw: Raw,
}

impl FrameRaw {
    /// Connects to `to` and says so in HTTP/2, with the initial window `window` for each stream.
    pub async fn connect(to: SocketAddr, window: u32) -> Self {
        let mut raw = Raw::connect(to).await;
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        raw.write([PREFACE, &frame(kind::SETTINGS, 0, 0, &settings)].concat()).await;
        Self { raw }
    }

    /// Sends a frame as far as the peer takes it.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.raw.try_write(frame(kind, flags, stream, payload)).await
    }

    /// Asks for `path` on `stream`.
    pub async fn ask(&mut self, stream: u32, path: &str) -> bool {
        self.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get(path)).await
    }

    /// The next frame; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        let head = self.raw.try_exactly(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let payload = self.raw.try_exactly(usize::try_from(length).unwrap()).await?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of this type; `None` when the connection ends before.
    pub async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The error code of the GOAWAY that ends the connection; `None` if it ends without one.
    pub async fn ended(&mut self) -> Option<u32> {
        let goodbye = self.next_of(kind::GOAWAY).await?;
        Some(goodbye.error_code())
    }
}
