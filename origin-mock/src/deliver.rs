//! How does an answer get onto the wire?
//!
//! Carries out the plan of an [`Answer`]: decides the framing, writes the head once, then bytes of
//! the body at the pace and to the point that the plan asks for.
//!
//! # Invariants
//!
//! 1. The head is written at most once, before the first body byte.
//! 2. The connection is kept only if a client that believed the head knows where the next answer
//!    starts, or if excess bytes are the fault that was asked for.
//! 3. Whatever is queued is flushed before every wait.

use std::{io, time::SystemTime};

use http::StatusCode;
use tokio::time::sleep;

use crate::{
    answer::{Answer, End, Length, Pace, Step},
    fields::Fields,
    request::RequestHead,
    source::Source,
    wire::{PIECE_MAX, Wire},
};

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Close,
    Keep,
    Reset,
}

/// What the request says about the form of its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// HEAD: the head as for GET, and no body (RFC 9110 §9.3.2).
    pub(crate) head_only: bool,
    pub(crate) http10: bool,
    pub(crate) keep_alive: bool,
}

impl Asked {
    pub(crate) fn by(head: &RequestHead) -> Self {
        Self {
            head_only: head.method == http::Method::HEAD,
            http10: head.http10,
            keep_alive: head.keep_alive,
        }
    }

    /// For a request that could not be read.
    pub(crate) fn unread() -> Self {
        Self { head_only: false, http10: false, keep_alive: false }
    }
}

/// Sends `answer` and says what to do with the connection.
///
/// # Errors
///
/// If the client is gone or stuck, the body cannot be read, or a gate stayed closed too long. The
/// connection must be dropped then.
pub(crate) async fn deliver(
    wire: &mut Wire,
    mut answer: Answer,
    asked: Asked,
) -> io::Result<After> {
    let framing = frame(&mut answer, asked);
    let mut sending = Sending {
        wire,
        head: Some(render_head(answer.status, &answer.fields)),
        source: if framing.bodiless { Source::empty() } else { answer.source },
        chunked: framing.chunked && !framing.bodiless,
        trailers: answer.plan.trailers,
        pace: answer.plan.pace,
        piece_left: answer.plan.pace.map_or(u64::MAX, |pace| pace.bytes),
    };
    for step in answer.plan.steps {
        sending.step(step, asked).await?;
    }
    wire.flush().await?;
    Ok(match answer.plan.end {
        End::Keep if framing.keeps => After::Keep,
        End::Keep | End::Close => After::Close,
        End::Reset => After::Reset,
    })
}

struct Framed {
    bodiless: bool,
    chunked: bool,
    keeps: bool,
}

/// Adds the fields that frame the answer (RFC 9112 §6.3) and date it.
fn frame(answer: &mut Answer, asked: Asked) -> Framed {
    let has_no_content = matches!(answer.status, 100..=199 | 204 | 304);
    let bodiless = asked.head_only || has_no_content;
    let len = answer.source.remaining();
    let fields = &mut answer.fields;
    // A script that writes framing fields itself gets them verbatim, and a close after the body.
    let writes_own = fields.has("Content-Length") || fields.has("Transfer-Encoding");
    let length = match answer.length {
        _ if writes_own => Length::Unsaid,
        // RFC 9112 §6.1: not to a client of HTTP/1.0.
        Length::Chunked if asked.http10 => Length::Unsaid,
        length => length,
    };
    match length {
        Length::Actual if !has_no_content => fields.push("Content-Length", len.to_string()),
        Length::Chunked if !has_no_content => fields.push("Transfer-Encoding", "chunked"),
        Length::Declared(declared) => fields.push("Content-Length", declared.to_string()),
        Length::Actual | Length::Chunked | Length::Unsaid => {}
    }
    if length == Length::Chunked && !answer.plan.trailers.is_empty() {
        fields.push("Trailer", answer.plan.trailers.names());
    }
    let delimited = bodiless
        || match length {
            Length::Actual | Length::Chunked => true,
            Length::Declared(declared) => declared <= len,
            Length::Unsaid => false,
        };
    if !fields.has("Connection") && !writes_own {
        let unsaid = length == Length::Unsaid && !bodiless;
        match asked.keep_alive && !unsaid {
            false => fields.push("Connection", "close"),
            true if asked.http10 => fields.push("Connection", "keep-alive"),
            true => {}
        }
    }
    if answer.dated && !fields.has("Date") {
        fields.push("Date", httpdate::fmt_http_date(SystemTime::now()));
    }
    let keeps = asked.keep_alive && delimited && !fields.says("Connection", "close");
    Framed { bodiless, chunked: length == Length::Chunked, keeps }
}

fn render_head(status: u16, fields: &Fields) -> Vec<u8> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut head = format!("HTTP/1.1 {status:03} {}\r\n", reason.unwrap_or_default()).into_bytes();
    fields.write_to(&mut head);
    head
}

struct Sending<'a> {
    wire: &'a mut Wire,
    /// `None` once it is written.
    head: Option<Vec<u8>>,
    source: Source,
    chunked: bool,
    trailers: Fields,
    pace: Option<Pace>,
    /// Bytes until the next pause.
    piece_left: u64,
}

impl Sending<'_> {
    async fn step(&mut self, step: Step, asked: Asked) -> io::Result<()> {
        match step {
            Step::Delay(delay) => {
                self.wire.flush().await?;
                sleep(delay).await;
                Ok(())
            }
            Step::Hold(hold) => {
                self.wire.flush().await?;
                if hold.pass().await { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
            }
            // RFC 9110 §15.2: a client of HTTP/1.0 gets none.
            Step::Inform(..) if asked.http10 => Ok(()),
            Step::Inform(status, fields) => self.wire.write(&render_head(status, &fields)).await,
            Step::Raw(bytes) => self.wire.write(&bytes).await,
            Step::Send(bytes) => self.send(bytes).await,
            Step::Finish => self.finish().await,
        }
    }

    async fn send(&mut self, bytes: u64) -> io::Result<()> {
        if let Some(head) = self.head.take() {
            self.wire.write(&head).await?;
        }
        let mut left = bytes;
        while left > 0 && self.source.remaining() > 0 {
            self.pause_if_due().await?;
            let piece = self.source.next(left.min(self.piece_left)).await?;
            left = left.saturating_sub(piece.len() as u64);
            self.piece_left = self.piece_left.saturating_sub(piece.len() as u64);
            self.write_piece(&piece).await?;
        }
        Ok(())
    }

    async fn pause_if_due(&mut self) -> io::Result<()> {
        if self.piece_left > 0 {
            return Ok(());
        }
        self.piece_left = u64::MAX;
        if let Some(pace) = self.pace {
            self.piece_left = pace.bytes;
            self.wire.flush().await?;
            sleep(pace.every).await;
        }
        Ok(())
    }

    async fn write_piece(&mut self, piece: &[u8]) -> io::Result<()> {
        debug_assert!(piece.len() <= PIECE_MAX);
        if !self.chunked {
            return self.wire.write(piece).await;
        }
        self.wire.write(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        self.wire.write(piece).await?;
        self.wire.write(b"\r\n").await
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.send(u64::MAX).await?;
        if self.chunked {
            let mut last = b"0\r\n".to_vec();
            self.trailers.write_to(&mut last);
            self.wire.write(&last).await?;
        }
        Ok(())
    }
}
