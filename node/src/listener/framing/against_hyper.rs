//! Does hyper find the requests in a stream that [`Framing`] finds, and no other?
//!
//! Streams are put together at random from pieces that framing is made of; seeds name them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Framing;
use crate::config::Bandwidth;
use crate::limits::Watch;
use crate::listener::{Guarded, Http1, Phase};

/// Streams looked at; `WEIR_STREAMS` asks for more.
const STREAMS: u64 = 4_000;

const PIECES: [&str; 34] = [
    "GET /a HTTP/1.1\r\n",
    "POST /b HTTP/1.1\r\n",
    "POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET /e HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /f HTTP/1.0\r\n",
    "GET /g#h HTTP/1.1\r\n",
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 20\r\n",
    "content-length : 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "Transfer-Encoding:chunked \r\n",
    "Connection: keep-alive\r\n",
    "Connection: close\r\n",
    "Upgrade: x\r\nConnection: upgrade\r\n",
    "X: y\r\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "hello",
    "5\r\nhello\r\n",
    "5;x=y\r\nhello\r\n",
    "5 ;x\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "00005\r\nhello\r\n",
    " ",
    ";",
    "\0",
];

/// A generator that names its streams by their seeds (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

fn stream(seed: u64) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let count = 2 + random.below(10);
    let mut text = (0..count).map(|_| PIECES[random.below(PIECES.len())]).collect::<String>();
    // A length that ends amid something that looks like a request.
    if random.below(3) == 0 {
        text.push_str("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    text.into_bytes()
}

/// What hyper hands over of `stream`: requests that are answered, and all that came back.
async fn served(stream: &[u8]) -> (u64, Vec<u8>) {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let phase = Phase::new();
    let spoken = Http1::new(Arc::clone(&phase));
    let long = Duration::from_secs(60);
    let watch = Watch::new(long, Bandwidth::ZERO);
    let io = Guarded::new(server, spoken, Arc::clone(&phase), long, watch);
    let answered = Arc::new(AtomicU64::new(0));
    let service = service_fn(|request: Request<Incoming>| {
        let (answering, answered) = (phase.begin(), Arc::clone(&answered));
        async move {
            let refused = answering.fault().is_some();
            let whole = !refused && request.into_body().collect().await.is_ok();
            answered.fetch_add(u64::from(whole), Relaxed);
            let status = if whole { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = status;
            if !whole || answering.is_last() {
                response.headers_mut().insert("connection", "close".parse().unwrap());
            }
            Ok::<_, Infallible>(response)
        }
    });
    client.write_all(stream).await.unwrap();
    client.shutdown().await.unwrap();
    let connection =
        http1::Builder::new().half_close(true).serve_connection(TokioIo::new(io), service);
    // How it ends is hyper's matter; what it found is looked at.
    drop(connection.await);
    let mut back = Vec::new();
    drop(client.read_to_end(&mut back).await);
    (answered.load(Relaxed), back)
}

/// Requests that the strict reading finds whole before its first fault or the end.
fn whole(stream: &[u8]) -> u64 {
    let mut framing = Framing::new();
    let mut whole = 0;
    for byte in stream {
        let before = framing.is_between();
        if framing.read(&[*byte]).is_some() {
            return whole;
        }
        whole += u64::from(!before && framing.is_between() && framing.begun > whole);
    }
    whole
}

#[tokio::test]
async fn hyper_finds_no_request_that_strict_reading_does_not() {
    let streams = std::env::var("WEIR_STREAMS").ok().and_then(|text| text.parse().ok());
    let mut answered = 0;
    for seed in 0..streams.unwrap_or(STREAMS) {
        let bytes = stream(seed);
        let (found, back) = served(&bytes).await;
        let strict = whole(&bytes);
        // An upgrade is the last request, which the strict reading stops before.
        let last = u64::from(bytes.windows(8).any(|part| part == b"Upgrade:"));
        assert!(
            found <= strict + last,
            "seed {seed}: {found} answered, {strict} whole: {:?}\n{}",
            String::from_utf8_lossy(&bytes),
            String::from_utf8_lossy(&back)
        );
        answered += found;
    }
    assert!(answered > streams.unwrap_or(STREAMS) / 10, "{answered}: the streams are all broken");
}
