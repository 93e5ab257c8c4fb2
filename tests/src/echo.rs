//! An origin that changes to another protocol when it is asked to, and then sends back what it gets.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::soon;

/// The origin; it ends when this is dropped.
pub struct EchoOrigin {
    address: SocketAddr,
    open: watch::Receiver<usize>,
    serving: JoinHandle<()>,
}

impl EchoOrigin {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (counter, open) = watch::channel(0);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let counter = counter.clone();
                counter.send_modify(|open| *open += 1);
                tokio::spawn(async move {
                    // A peer that breaks the connection off is what some scenarios are about.
                    serve(stream).await.ok();
                    counter.send_modify(|open| *open -= 1);
                });
            }
        });
        Self { address, open, serving }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has `count` connections.
    pub async fn has(&self, count: usize) {
        let mut open = self.open.clone();
        soon("connections of the origin", open.wait_for(|open| *open == count)).await.unwrap();
    }
}

impl Drop for EchoOrigin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await?;
            head.push(byte);
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        head.clear();
        if text.contains("\r\nupgrade: websocket") && text.contains("\r\nconnection: upgrade") {
            break;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain").await?;
    }
    let accept = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: as-the-origin-says\r\nX-Origin: yes\r\n\r\n";
    stream.write_all(accept.as_bytes()).await?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = stream.read(&mut buffer).await?;
        let said = buffer.get(..read).unwrap_or_default();
        if read == 0 {
            stream.write_all(b"<end>").await?;
            return stream.shutdown().await;
        }
        if said == b"<leave>" {
            return Ok(());
        }
        stream.write_all(said).await?;
    }
}
