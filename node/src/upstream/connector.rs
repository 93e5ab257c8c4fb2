//! How is a connection upstream opened, and has it been used before?
//!
//! hyper-util's pool does not tell whether a connection was reused, and only then may a request be
//! sent again after the connection ended without an answer (RFC 9112 §9.3.1). So every connection
//! carries a mark that is set once it has answered.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

/// Set once a connection has answered a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Answered(Arc<AtomicBool>);

impl Answered {
    /// Marks the connection.
    pub(super) fn mark(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether the connection has answered before.
    pub(super) fn is_marked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Opens marked connections.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    http: HttpConnector,
    timeout: Duration,
}

impl Connector {
    /// A connector that gives up after `timeout`, looking the name up and trying all its addresses
    /// included.
    pub(super) fn new(timeout: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_keepalive(Some(Duration::from_secs(60)));
        Self { http, timeout }
    }
}

type ConnectError = Box<dyn std::error::Error + Send + Sync>;
type Connecting = Pin<Box<dyn Future<Output = Result<MarkedStream, ConnectError>> + Send>>;

impl Service<Uri> for Connector {
    type Response = MarkedStream;
    type Error = ConnectError;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.http.call(uri));
        Box::pin(async move {
            let late = |_elapsed| io::Error::new(io::ErrorKind::TimedOut, "connect timeout");
            let stream = connecting.await.map_err(late)??;
            Ok(MarkedStream { stream, answered: Answered::default() })
        })
    }
}

/// A TCP stream with its mark.
pub(super) struct MarkedStream {
    stream: TokioIo<TcpStream>,
    answered: Answered,
}

impl Connection for MarkedStream {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.answered.clone())
    }
}

impl Read for MarkedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for MarkedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
