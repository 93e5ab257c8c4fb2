//! How are connections accepted, and how do they all end?
//!
//! ```text
//!   Listening ── stop ──► Reserved ── listen ──► Listening
//! ```
//!
//! While stopped, the port stays bound by a socket that does not listen: connecting is refused,
//! and no other program gets the port before the restart.
//!
//! # Invariants
//!
//! 1. At most [`CONNECTIONS_MAX`] connections are open; further ones wait in the system's queue.
//! 2. When [`Server::stop`] returns, the listener and every connection are closed.
//! 3. Dropping a [`Server`] ends its tasks.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::{connection, state::State};

const CONNECTIONS_MAX: usize = 10_000;
/// Length of the system's queue of connections that are not accepted yet.
const BACKLOG: u32 = 1_024;
/// Pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket that does not listen.
#[derive(Debug)]
pub(crate) struct Reserved(TcpSocket);

/// A listener with its connections.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Reserved {
    /// Binds `addr`; port 0 takes a free one.
    pub(crate) fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Connections of an earlier listener that linger in the system must not keep the port.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(Self(socket))
    }

    /// Listens and serves on the current runtime.
    pub(crate) fn listen(self, state: Arc<State>) -> io::Result<Server> {
        let listener = self.0.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept_until(stopped, listener, state));
        Ok(Server { addr, stop, task })
    }
}

impl Server {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the listener and every connection.
    ///
    /// If this is dropped half way, the server stops all the same, a little later.
    pub(crate) async fn stop(mut self) {
        let (unused, _) = oneshot::channel();
        // Fails only if the task has ended, which is what is wanted.
        std::mem::replace(&mut self.stop, unused).send(()).ok();
        // Likewise.
        (&mut self.task).await.ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept_until(
    mut stopped: oneshot::Receiver<()>,
    listener: TcpListener,
    state: Arc<State>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener), if connections.len() < CONNECTIONS_MAX => {
                connections.spawn(connection::serve(Arc::clone(&state), stream));
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}
