//! How is a connection to one server opened: name, TCP, TLS, HTTP, each within its time?
//!
//! Nothing is kept here; see [`super::http1`] and [`super::http2`] for what becomes of a connection.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect_error::ConnectError;
use super::dial::dial;
use super::group::Kind;
use super::tls::Tls;
use super::{http1 as one, http2 as two};
use crate::metrics::UpstreamMetrics;

/// Fields that an answer over HTTP/1.1 may have; `limits.fields_max` is for clients.
const FIELDS_MAX: usize = 256;
/// Bytes of the fields of an answer over HTTP/2, as RFC 9113 §6.5.2 counts them.
const FIELD_BYTES_MAX: u32 = 64 << 10;
/// Bytes of a body that may come before they are read: of one answer, and of all on a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// How often a server is asked over HTTP/2 whether it is still there, and how long it may take.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(5);

/// What came of opening a connection.
pub(super) enum Opened {
    /// It carries one request at a time.
    Http1(one::Connection),
    /// It carries many.
    Http2(two::Connection),
}

/// What protects the connections to one server.
#[derive(Debug)]
pub(super) enum Security {
    /// Nothing: plain HTTP.
    None,
    /// TLS with a server that proves to have this name.
    Tls(Arc<Tls>, ServerName<'static>),
    /// TLS, which is not set up for this server: no connection is ever made.
    Missing,
}

/// Opens connections to one server.
#[derive(Debug)]
pub(super) struct Connector {
    /// What the server is to this node.
    pub(super) kind: Kind,
    /// Its port.
    pub(super) port: u16,
    /// What protects its connections.
    pub(super) security: Security,
    /// Time to connect, all addresses together.
    pub(super) connect_timeout: Duration,
    /// Time for the TLS handshake.
    pub(super) tls_timeout: Duration,
    /// What is counted.
    pub(super) metrics: UpstreamMetrics,
}

impl Connector {
    /// Opens a connection to one of `addresses`. With `http2` over TLS the server chooses, without TLS
    /// it is taken to know HTTP/2 (RFC 9113 §3.3).
    ///
    /// # Errors
    ///
    /// [`ConnectError`], counted here. Nothing stays open, also if the future is dropped.
    pub(super) async fn open(
        &self,
        addresses: &[IpAddr],
        http2: bool,
    ) -> Result<Opened, Arc<ConnectError>> {
        let opened = self.try_open(addresses, http2).await;
        match &opened {
            Ok(_) => drop(self.metrics.connections(self.kind).inc()),
            Err(error) => self.count(error),
        }
        opened.map_err(Arc::new)
    }

    /// Counts a connection that could not be opened.
    pub(super) fn count(&self, error: &ConnectError) {
        self.metrics.connect_failures(self.kind, error.step()).inc();
    }

    async fn try_open(&self, addresses: &[IpAddr], http2: bool) -> Result<Opened, ConnectError> {
        let (tls, name) = match &self.security {
            Security::None => {
                let (stream, address) = dial(addresses, self.port, self.connect_timeout).await?;
                return shake_hands(stream, address, http2).await;
            }
            Security::Tls(tls, name) => (tls, name),
            Security::Missing => {
                let source = io::Error::other("TLS is not set up for this server");
                return Err(ConnectError::Tls { source });
            }
        };
        let (stream, address) = dial(addresses, self.port, self.connect_timeout).await?;
        let shaking = tls.connector(http2).connect(name.clone(), stream);
        let stream = match tokio::time::timeout(self.tls_timeout, shaking).await {
            Ok(result) => result.map_err(|source| ConnectError::Tls { source })?,
            Err(_elapsed) => return Err(ConnectError::TlsTimeout { waited: self.tls_timeout }),
        };
        let chose_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        shake_hands(stream, address, chose_http2).await
    }
}

/// Begins HTTP on `stream`. Waits for nothing that the server sends.
async fn shake_hands<T>(stream: T, address: IpAddr, http2: bool) -> Result<Opened, ConnectError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = TokioIo::new(stream);
    let unusable = |source| ConnectError::Unusable { source };
    if http2 {
        let (sender, connection) = http2_settings().handshake(stream).await.map_err(unusable)?;
        spawn_quietly(connection);
        let answered = Arc::new(AtomicBool::new(false));
        return Ok(Opened::Http2(two::Connection { sender, address, answered }));
    }
    let mut settings = http1::Builder::new();
    settings.max_headers(FIELDS_MAX);
    let (sender, connection) = settings.handshake(stream).await.map_err(unusable)?;
    spawn_quietly(connection.with_upgrades());
    Ok(Opened::Http1(one::Connection { sender, address }))
}

fn http2_settings() -> http2::Builder<TokioExecutor> {
    let mut settings = http2::Builder::new(TokioExecutor::new());
    settings
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(FIELD_BYTES_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN)
        .keep_alive_while_idle(true);
    settings
}

/// Drives a connection to its end. What ended it is told to the requests on it; without any it
/// concerns nobody.
fn spawn_quietly(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(error = %crate::telemetry::chain(&error), "a connection upstream ended");
        }
    });
}
