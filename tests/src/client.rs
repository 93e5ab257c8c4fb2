//! A client that sends what it is told and shows what came, early ends included.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::soon;

/// Fields that a node may send to a client beside those of the origin: anything else that appears is
/// a leak.
const OURS: [&str; 7] =
    ["age", "cache-status", "connection", "proxy-status", "via", "x-cache", "x-request-id"];

/// A request to one node.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Request {
    /// A GET of `path`; the host is `www.test`.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// A request with any method.
    #[must_use]
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    /// Adds a field. `host` replaces the default.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn build(&self) -> http::Request<Full<Bytes>> {
        let mut builder = http::Request::builder().method(self.method.clone()).uri(&self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            builder = builder.header("host", "www.test");
        }
        for (name, value) in &self.headers {
            builder = builder.header(name, value);
        }
        builder.body(Full::new(self.body.clone())).unwrap()
    }

    /// Sends it on a connection of its own and waits for the response head.
    pub async fn start(&self, to: SocketAddr) -> Transfer {
        soon("a response head", async {
            let stream = TcpStream::connect(to).await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            let driver = tokio::spawn(async move { drop(connection.await) });
            let response = sender.send_request(self.build()).await.unwrap();
            let (parts, body) = response.into_parts();
            Transfer { status: parts.status, headers: parts.headers, body, driver }
        })
        .await
    }

    /// Sends it and waits for the whole response.
    pub async fn send(&self, to: SocketAddr) -> Reply {
        self.start(to).await.finish().await
    }
}

/// A response whose body is still coming in.
#[derive(Debug)]
pub struct Transfer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    body: Incoming,
    driver: tokio::task::JoinHandle<()>,
}

impl Transfer {
    /// The next bytes; `None` at the end, whole or not.
    pub async fn next(&mut self) -> Option<Bytes> {
        soon("body bytes", async {
            loop {
                let frame = self.body.frame().await?.ok()?;
                if let Ok(bytes) = frame.into_data() {
                    return Some(bytes);
                }
            }
        })
        .await
    }

    /// Reads at least `count` bytes, or to the end.
    pub async fn read_at_least(&mut self, count: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while read.len() < count {
            match self.next().await {
                Some(bytes) => read.extend_from_slice(&bytes),
                None => break,
            }
        }
        read
    }

    /// Reads the rest.
    pub async fn finish(mut self) -> Reply {
        let mut body = Vec::new();
        let mut cut = false;
        soon("a whole response", async {
            while let Some(frame) = self.body.frame().await {
                match frame.map(hyper::body::Frame::into_data) {
                    Ok(Ok(bytes)) => body.extend_from_slice(&bytes),
                    Ok(Err(_trailers)) => {}
                    Err(_early_end) => {
                        cut = true;
                        break;
                    }
                }
            }
        })
        .await;
        Reply { status: self.status, headers: self.headers.clone(), body: body.into(), cut }
    }
}

impl Drop for Transfer {
    /// Leaves: the connection is closed at once.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A response, as far as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The bytes that came.
    pub body: Bytes,
    /// Whether the connection ended before the body did.
    pub cut: bool,
}

impl Reply {
    /// All lines of a field, joined; empty if there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        let lines = self.headers.get_all(name).iter();
        lines.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ")
    }

    /// `X-Cache`.
    #[must_use]
    pub fn x_cache(&self) -> String {
        self.field("x-cache")
    }

    /// The last member of `Cache-Status`: that of the node asked.
    #[must_use]
    pub fn cache_status(&self) -> String {
        let all = self.field("cache-status");
        all.rsplit(", ").next().unwrap_or_default().to_owned()
    }

    /// Fails if there is a field that is neither ours nor among `origin`'s.
    pub fn assert_no_other_fields(&self, origin: &[&str]) {
        for name in self.headers.keys() {
            let known = OURS.contains(&name.as_str()) || origin.contains(&name.as_str());
            assert!(known, "unexpected field {name}: {:?}", self.headers);
        }
    }
}

/// Sends `bytes` as they are and reads until the node closes.
pub async fn raw_exchange(to: SocketAddr, bytes: &[u8]) -> String {
    raw_exchange_from(Ipv4Addr::LOCALHOST, to, bytes).await
}

/// The same as a client whose address is `from`, which all of 127.0.0.0/8 is here.
pub async fn raw_exchange_from(from: Ipv4Addr, to: SocketAddr, bytes: &[u8]) -> String {
    soon("a raw exchange", async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        // The node may have answered and closed before all was written.
        drop(stream.write_all(bytes).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
}
