//! Shakes hands with a client over TLS, and hands the connection on by the protocol that was agreed on.
//!
//! The client's first message is read before anything is decided, so that the certificate in use is known
//! and a name that none is for gets the alert that says so. All of it has one deadline; connections that
//! shake hands count among `limits.connections_max` as others do.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::server::Acceptor;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{http1, http2};
use crate::handle::Remote;
use crate::metrics::Handshake;
use crate::node::Node;
use crate::tls::{Choice, Secured, Serving};

/// The protocols offered (ALPN, RFC 7301), the preferred one first. A protocol here has an arm in
/// [`serve`].
pub(crate) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The alert `unrecognized_name` (RFC 6066 §3), fatal, as a record that is not encrypted yet.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Shakes hands on `stream` and serves what follows; see [`http1::serve`].
///
/// # Errors
///
/// Why the connection ended other than in peace, after the handshake. One that fails is counted and no
/// error.
pub(super) async fn serve(
    node: Arc<Node>,
    stream: TcpStream,
    address: SocketAddr,
    mut stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    let Some(serving) = node.tls.serving() else { return Ok(()) };
    let shaking = tokio::time::timeout(serving.handshake_timeout, shake(&serving, stream));
    let shaken = tokio::select! {
        biased;
        shaken = shaking => shaken,
        // Nothing has been asked yet.
        _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
    };
    let (stream, secured) = match shaken.unwrap_or(Err(Broken::TimedOut)) {
        Ok(shaken) => shaken,
        Err(broken) => {
            note_broken(&node, address, &broken);
            return Ok(());
        }
    };
    let connection = stream.get_ref().1;
    node.metrics.tls.ended(Handshake::Ok, version_of(connection.protocol_version()));
    if connection.handshake_kind() == Some(HandshakeKind::Resumed) {
        node.metrics.tls.resumed.inc();
    }
    let remote = Remote { address, secured: Some(Arc::new(secured)) };
    match connection.alpn_protocol() {
        Some(b"h2") => http2::serve(node, stream, remote, stopped).await,
        // RFC 7301 §3.2: a client that offers nothing takes what it always took.
        Some(b"http/1.1") | None => http1::serve(node, stream, remote, stopped).await,
        // Only what was offered can be agreed on.
        Some(_) => Ok(()),
    }
}

/// Why a handshake was not done.
enum Broken {
    /// Either side broke it off; this version had been agreed on.
    Failed(std::io::Error),
    /// Of this version, by a client whose certificate does not count.
    NotVouchedFor(&'static str),
    /// It took too long.
    TimedOut,
    /// No certificate is for the name.
    UnknownName,
}

async fn shake(
    serving: &Serving,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Secured), Broken> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let mut start = hello.await.map_err(Broken::Failed)?;
    let name = start.client_hello().server_name().map(str::to_owned);
    let entry = match serving.choose(name.as_deref()) {
        Choice::Serve(entry) => entry,
        Choice::Refuse => {
            let stream = &mut start.io;
            // Whether the client still listens makes no difference.
            if stream.write_all(&UNRECOGNIZED_NAME).await.is_ok() {
                drop(stream.shutdown().await);
            }
            return Err(Broken::UnknownName);
        }
    };
    let accepted = start.into_stream(Arc::clone(&entry.config)).await;
    let stream = accepted.map_err(Broken::Failed)?;
    let connection = stream.get_ref().1;
    // A session that is resumed brings along a certificate that was verified when it began.
    let Ok(shown) = serving.judge(connection.peer_certificates()) else {
        return Err(Broken::NotVouchedFor(version_of(connection.protocol_version())));
    };
    let certificate = Arc::clone(&entry.certificate);
    Ok((stream, Secured { name, certificate, shown }))
}

fn note_broken(node: &Node, address: SocketAddr, broken: &Broken) {
    let metrics = &node.metrics.tls;
    match broken {
        Broken::Failed(error) => {
            metrics.ended(Handshake::Failed, "none");
            tracing::debug!(%address, %error, "a handshake failed");
        }
        Broken::NotVouchedFor(version) => metrics.ended(Handshake::Refused, version),
        Broken::TimedOut => metrics.ended(Handshake::TimedOut, "none"),
        Broken::UnknownName => metrics.ended(Handshake::Refused, "none"),
    }
}

fn version_of(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "none",
    }
}
