//! The origin of a replay: it knows each object's size and lifetime, and counts what it is asked for.
//!
//! `/o/N` is object N, `/p/BYTES` something of so many bytes that must not be stored. Plain HTTP/1.1, GET only, as its
//! only clients are the nodes. `Date` is that of the log's clock, so that nothing is old when it arrives.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weir_bench::replay::{OriginCounts, Workload};
use weir_cache::format_http_date;
use weir_node::{Clock, ManualClock};

/// Longest head of a request; nodes send a few hundred bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a body that are written at once.
const PIECE: usize = 64 * 1024;

/// What the origin has, and what it has counted.
#[derive(Debug)]
pub(super) struct Origin {
    objects: Vec<Thing>,
    cache_controls: Vec<String>,
    clock: Arc<ManualClock>,
    requests: AtomicU64,
    bytes: AtomicU64,
    validations: AtomicU64,
    passed: AtomicU64,
    passed_bytes: AtomicU64,
}

#[derive(Debug)]
struct Thing {
    bytes: u64,
    /// The lifetime that the log gave its last request.
    class: AtomicU32,
}

/// An answer, without its Date.
struct Answer<'a> {
    status: &'static str,
    cache_control: &'a str,
    /// Number of the object; the tag and the bytes are made from it.
    number: Option<u32>,
    length: u64,
    has_body: bool,
}

impl Origin {
    /// Has what `workload` asks for.
    pub(super) fn new(workload: &Workload, clock: Arc<ManualClock>) -> Self {
        let thing = |bytes| Thing { bytes, class: AtomicU32::new(0) };
        Self {
            objects: workload.sizes().map(thing).collect(),
            cache_controls: workload.cache_controls(),
            clock,
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            validations: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            passed_bytes: AtomicU64::new(0),
        }
    }

    /// Says of `object` from here on what the log says of it.
    pub(super) fn set_class(&self, object: u32, class: u32) {
        if let Some(thing) = self.objects.get(object as usize) {
            thing.class.store(class, Relaxed);
        }
    }

    /// What it was asked for so far.
    pub(super) fn counted(&self) -> OriginCounts {
        OriginCounts {
            requests: self.requests.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            validations: self.validations.load(Relaxed),
            passed: self.passed.load(Relaxed),
            passed_bytes: self.passed_bytes.load(Relaxed),
        }
    }

    /// Serves on a free port of the loopback address until the runtime ends.
    pub(super) async fn serve(self: Arc<Self>) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("the origin of the replay finds no port")?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let origin = Arc::clone(&self);
                // What goes wrong on a connection its node sees, and says.
                tokio::spawn(async move { origin.converse(connection).await.ok() });
            }
        });
        Ok(address)
    }

    async fn converse(&self, mut connection: TcpStream) -> std::io::Result<()> {
        connection.set_nodelay(true)?;
        let mut read = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                if read.len() > HEAD_BYTES_MAX || connection.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
            };
            let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).into_owned();
            read.drain(..end);
            self.answer(&head, &mut connection).await?;
        }
    }

    async fn answer(&self, head: &str, connection: &mut TcpStream) -> std::io::Result<()> {
        let answer = self.decide(head);
        let date = format_http_date(self.clock.now().wall);
        let date = date.to_str().unwrap_or_default();
        let tag =
            answer.number.map_or_else(String::new, |number| format!("etag: \"o{number}\"\r\n"));
        let length = if answer.has_body || answer.status == "200 OK" {
            format!("content-length: {}\r\n", answer.length)
        } else {
            String::new()
        };
        let head = format!(
            "HTTP/1.1 {}\r\ndate: {date}\r\ncache-control: {}\r\n{tag}{length}\r\n",
            answer.status, answer.cache_control
        );
        connection.write_all(head.as_bytes()).await?;
        if answer.has_body {
            write_body(connection, answer.number.unwrap_or(0), answer.length).await?;
        }
        Ok(())
    }

    /// What is answered; counts it.
    fn decide(&self, head: &str) -> Answer<'_> {
        let path = head.split(' ').nth(1).unwrap_or_default();
        self.requests.fetch_add(1, Relaxed);
        if let Some(length) = path.strip_prefix("/p/").and_then(|bytes| bytes.parse().ok()) {
            self.bytes.fetch_add(length, Relaxed);
            self.passed.fetch_add(1, Relaxed);
            self.passed_bytes.fetch_add(length, Relaxed);
            let cache_control = "no-store";
            return Answer {
                status: "200 OK",
                cache_control,
                number: None,
                length,
                has_body: true,
            };
        }
        let number: Option<u32> = path.strip_prefix("/o/").and_then(|number| number.parse().ok());
        let found = number.and_then(|number| Some((number, self.objects.get(number as usize)?)));
        let Some((number, thing)) = found else {
            let (status, cache_control) = ("404 Not Found", "no-store");
            return Answer { status, cache_control, number: None, length: 0, has_body: true };
        };
        let class = thing.class.load(Relaxed) as usize;
        let cache_control = self.cache_controls.get(class).map_or("no-store", String::as_str);
        let tag = format!("\"o{number}\"");
        let validates = head.lines().any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("if-none-match") && value.contains(&tag)
            })
        });
        let (status, length) =
            if validates { ("304 Not Modified", 0) } else { ("200 OK", thing.bytes) };
        let counter = if validates { &self.validations } else { &self.bytes };
        counter.fetch_add(if validates { 1 } else { length }, Relaxed);
        Answer { status, cache_control, number: Some(number), length, has_body: !validates }
    }
}

/// The byte at `offset` of an object's body, so that one body is told from another.
pub(super) fn byte_of(number: u32, offset: usize) -> u8 {
    let [a, b, c, d] = number.to_le_bytes();
    match offset % 5 {
        0 => a,
        1 => b,
        2 => c,
        3 => d,
        _ => 0x5a,
    }
}

async fn write_body(connection: &mut TcpStream, number: u32, length: u64) -> std::io::Result<()> {
    // A multiple of the period, so that pieces join.
    const STEP: usize = PIECE - PIECE % 5;
    let mut left = length;
    let step = usize::try_from(left).unwrap_or(STEP).min(STEP);
    let piece: Vec<u8> = (0..step).map(|offset| byte_of(number, offset)).collect();
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(STEP).min(STEP);
        connection.write_all(piece.get(..part).unwrap_or(&piece)).await?;
        left = left.saturating_sub(part as u64);
    }
    Ok(())
}
