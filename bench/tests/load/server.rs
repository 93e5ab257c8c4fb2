//! A server that answers by the number of the request, with whatever bytes a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These bytes, then the next request.
    Bytes(Vec<u8>),
    /// These bytes, then the end.
    Last(Vec<u8>),
    /// The same bytes until the client has gone.
    Endless(Vec<u8>),
    /// These bytes; all who ask meanwhile wait as long.
    Stall(Duration, Vec<u8>),
    /// A reset.
    Reset,
    /// Nothing, ever.
    Silence,
    /// The server is gone: all connections are reset, nobody listens.
    Die,
}

/// What was asked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    count: AtomicU64,
    connections: AtomicU64,
    heads: Mutex<Vec<String>>,
}

impl Seen {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }
}

/// The server; ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the request with number n (from 0) with `reply(n)`.
    pub(crate) async fn start(reply: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::new(Shared {
            reply: Box::new(reply),
            seen: Arc::clone(&seen),
            gate: tokio::sync::Mutex::new(()),
            dead: tokio::sync::Notify::new(),
        });
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    taken = listener.accept() => {
                        let (stream, _) = taken.unwrap();
                        connections.spawn(serve(stream, Arc::clone(&shared)));
                    }
                    () = shared.dead.notified() => return,
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { address, seen }
    }
}

struct Shared {
    reply: Box<dyn Fn(u64) -> Reply + Send + Sync>,
    seen: Arc<Seen>,
    gate: tokio::sync::Mutex<()>,
    dead: tokio::sync::Notify,
}

/// The client may go at any time, so what cannot be written is no failure here.
async fn serve(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    shared.seen.connections.fetch_add(1, Ordering::SeqCst);
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        shared.seen.heads.lock().push(head);
        let number = shared.seen.count.fetch_add(1, Ordering::SeqCst);
        match (shared.reply)(number) {
            Reply::Bytes(bytes) => {
                drop(shared.gate.lock().await);
                stream.write_all(&bytes).await?;
            }
            Reply::Last(bytes) => return stream.write_all(&bytes).await,
            Reply::Endless(bytes) => loop {
                stream.write_all(&bytes).await?;
            },
            Reply::Stall(time, bytes) => {
                let stalled = shared.gate.lock().await;
                tokio::time::sleep(time).await;
                drop(stalled);
                stream.write_all(&bytes).await?;
            }
            Reply::Reset => return stream.get_ref().set_zero_linger(),
            Reply::Silence => std::future::pending().await,
            Reply::Die => {
                shared.dead.notify_one();
                std::future::pending::<()>().await;
            }
        }
    }
}

/// A whole answer with `body`.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    with("", body)
}

/// A whole answer with `fields` (lines that end in CRLF) and `body`.
pub(crate) fn with(fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
