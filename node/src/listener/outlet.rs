//! Where do the bytes of a connection go: to a socket as they are, or through something that changes them?

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection's stream.
pub(crate) trait Outlet: AsyncRead + AsyncWrite + Unpin {
    /// The socket, where what is written to it is what the peer gets; `None` where it is not.
    fn socket(&self) -> Option<&TcpStream>;
}

impl Outlet for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Outlet for TlsStream<TcpStream> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}
