//! One request and its answer, on one connection.
//!
//! The bytes of an answer are read into a buffer that all connections of a thread share: the reader keeps none of them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::answer::{Answer, Broken, Reader};

/// What is read at once at most.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Why a request has no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The connection was closed before the answer began.
    Closed,
    /// No connection.
    Connect,
    /// The answer is no HTTP/1.1.
    Malformed,
    /// The connection was reset.
    Reset,
    /// The connection ended in the answer.
    Short,
    /// The answer took longer than it may.
    Timeout,
}

impl FaultKind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::Connect, Self::Malformed, Self::Reset, Self::Short, Self::Timeout];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Connect => "connect",
            Self::Malformed => "malformed",
            Self::Reset => "reset",
            Self::Short => "short",
            Self::Timeout => "timeout",
        }
    }

    /// The place in [`FaultKind::ALL`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Closed => 0,
            Self::Connect => 1,
            Self::Malformed => 2,
            Self::Reset => 3,
            Self::Short => 4,
            Self::Timeout => 5,
        }
    }
}

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("the connection failed")]
    Lost(#[source] io::Error),
    #[error("the answer is no whole response")]
    Broken(#[source] Broken),
    #[error("the connection was closed before an answer")]
    Closed,
    #[error("the answer took too long")]
    Timeout,
}

impl Fault {
    pub(crate) fn kind(&self) -> FaultKind {
        match self {
            Self::Connect(_) => FaultKind::Connect,
            Self::Lost(_) => FaultKind::Reset,
            Self::Broken(Broken::EndInHead | Broken::EndInBody) => FaultKind::Short,
            Self::Broken(_) => FaultKind::Malformed,
            Self::Closed => FaultKind::Closed,
            Self::Timeout => FaultKind::Timeout,
        }
    }

    /// The text with its causes.
    pub(crate) fn text(&self) -> String {
        let cause = std::error::Error::source(self);
        cause.map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }
}

/// A connection and what it has done.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// Whether it has carried an answer: only then may its end be the server's giving up an idle connection.
    pub(crate) used: bool,
}

impl Connection {
    /// Connects to the first of `addresses` that takes it.
    pub(crate) async fn open(addresses: &[SocketAddr]) -> Result<Self, Fault> {
        let stream = TcpStream::connect(addresses).await.map_err(Fault::Connect)?;
        // A head is one write; waiting for more of it would be Nagle's 40 ms.
        stream.set_nodelay(true).map_err(Fault::Connect)?;
        Ok(Self { stream, used: false })
    }

    /// Sends `head` and reads the answer to its end; adds what was read to `bytes`.
    ///
    /// The connection is of no more use after a fault, after an answer that is not reusable, and where this future is
    /// dropped half way.
    pub(crate) async fn exchange(
        &mut self,
        head: &[u8],
        reader: &mut Reader,
        buffer: &RefCell<Vec<u8>>,
        bytes: &mut u64,
    ) -> Result<Answer, Fault> {
        self.stream.write_all(head).await.map_err(lost)?;
        let answer = poll_fn(|context| self.poll_answer(context, reader, buffer, bytes)).await?;
        self.used = true;
        Ok(answer)
    }

    fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut Reader,
        buffer: &RefCell<Vec<u8>>,
        bytes: &mut u64,
    ) -> Poll<Result<Answer, Fault>> {
        let mut buffer = buffer.borrow_mut();
        loop {
            let mut read = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read)).map_err(lost)?;
            let read = read.filled();
            *bytes += u64::try_from(read.len()).unwrap_or(u64::MAX);
            let answer = if !read.is_empty() {
                reader.feed(read).map_err(Fault::Broken)?
            } else if reader.has_begun() {
                Some(reader.end().map_err(Fault::Broken)?)
            } else {
                return Poll::Ready(Err(Fault::Closed));
            };
            if let Some(answer) = answer {
                return Poll::Ready(Ok(answer));
            }
        }
    }
}

fn lost(error: io::Error) -> Fault {
    match error.kind() {
        ErrorKind::TimedOut => Fault::Timeout,
        _ => Fault::Lost(error),
    }
}
