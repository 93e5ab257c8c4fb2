//! The HTTP/1.1 connections to one server that are open and unused, and how long they may be so.
//!
//! A connection answers one request at a time and is put back when its answer has been read. The
//! server says how long it waits for the next request (`Keep-Alive: timeout=5`); a connection is not
//! used for longer than that, less a margin for the way, because a request that crosses the end of
//! its connection is lost, and only some may be sent again (RFC 9112 §9.3.1).
//!
//! # Invariants
//!
//! 1. No more than the server's permits are kept, and one task closes those whose time is over.
//! 2. A connection to an address that the server has no more is never taken.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::connect_error::ConnectError;
use super::out::OutBody;

/// Time that an end of a connection takes on its way here.
const MARGIN: Duration = Duration::from_secs(1);

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Where requests go in.
    pub(super) sender: SendRequest<OutBody>,
    /// The address it leads to.
    pub(super) address: IpAddr,
}

/// A connection for one request.
#[derive(Debug)]
pub(super) struct Lease {
    /// The connection.
    pub(super) connection: Connection,
    /// Whether it lay idle before, so that its end may cross the request.
    pub(super) reused: bool,
}

/// A connection that is being opened.
pub(super) type Opening = BoxFuture<'static, Result<Connection, Arc<ConnectError>>>;

/// The idle connections to one server.
#[derive(Debug)]
pub(super) struct Pool {
    kept: Mutex<Kept>,
    /// Says that one was put back.
    freed: Notify,
    /// How many may be opened for nobody in particular.
    spare: Arc<Semaphore>,
    idle_max: usize,
    keepalive: Duration,
    /// What the server said last of how long it waits; `u64::MAX` while it has said nothing.
    said_millis: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// The latest one put back last: it is the most likely to be open.
    idle: VecDeque<Idle>,
    /// Whether somebody closes those whose time is over.
    watched: bool,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Instant,
}

impl Pool {
    /// No connection yet; they are kept unused for `keepalive` and at most `idle_max` of them.
    pub(super) fn new(keepalive: Duration, idle_max: u32) -> Self {
        Self {
            kept: Mutex::default(),
            freed: Notify::new(),
            spare: Arc::new(Semaphore::new(idle_max as usize)),
            idle_max: idle_max as usize,
            keepalive,
            said_millis: AtomicU64::new(u64::MAX),
        }
    }

    /// A connection to one of `addresses`: an idle one, the first that is put back, or what `opening`
    /// brings, whichever comes first. An opening that somebody began goes on for the next request.
    ///
    /// # Errors
    ///
    /// Those of `opening`.
    pub(super) async fn lease(
        self: &Arc<Self>,
        addresses: &[IpAddr],
        open: impl FnOnce() -> Opening,
    ) -> Result<Lease, Arc<ConnectError>> {
        if let Some(connection) = self.take(addresses) {
            return Ok(Lease { connection, reused: true });
        }
        let mut opening = open();
        let mut begun = false;
        loop {
            let mut freed = pin!(self.freed.notified());
            // From here on nothing that is put back is missed.
            freed.as_mut().enable();
            if let Some(connection) = self.take(addresses) {
                if begun {
                    self.keep_when_open(opening);
                }
                return Ok(Lease { connection, reused: true });
            }
            begun = true;
            tokio::select! {
                biased;
                () = freed => {}
                opened = &mut opening => {
                    return opened.map(|connection| Lease { connection, reused: false });
                }
            }
        }
    }

    /// Keeps the connection of an answer for the next request, from when the answer has been read.
    pub(super) fn keep_after(
        self: &Arc<Self>,
        connection: Connection,
        answer: &Response<Incoming>,
    ) {
        if let Some(said) = said_timeout(answer.headers()) {
            let millis = u64::try_from(said.as_millis()).unwrap_or(u64::MAX - 1);
            self.said_millis.store(millis, Relaxed);
        }
        if is_ambiguous(answer.headers()) {
            return;
        }
        self.keep_when_free(connection);
    }

    fn keep_when_free(self: &Arc<Self>, mut connection: Connection) {
        if connection.sender.is_ready() {
            self.put(connection);
            return;
        }
        let pool = Arc::downgrade(self);
        // Ends with the answer's body, which a permit stands for.
        tokio::spawn(async move {
            if connection.sender.ready().await.is_ok()
                && let Some(pool) = pool.upgrade()
            {
                pool.put(connection);
            }
        });
    }

    /// Lets `opening` go on without the request that began it, and keeps what it brings.
    fn keep_when_open(self: &Arc<Self>, opening: Opening) {
        let Ok(permit) = Arc::clone(&self.spare).try_acquire_owned() else { return };
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            // Its failure has been counted and concerns nobody.
            if let Ok(connection) = opening.await
                && let Some(pool) = pool.upgrade()
            {
                pool.put(connection);
            }
            drop(permit);
        });
    }

    /// Puts a connection back.
    pub(super) fn put(self: &Arc<Self>, connection: Connection) {
        let until = Instant::now() + self.idle_time();
        {
            let mut kept = self.kept.lock();
            if kept.idle.len() >= self.idle_max {
                return;
            }
            kept.idle.push_back(Idle { connection, until });
            if !std::mem::replace(&mut kept.watched, true) {
                tokio::spawn(close_in_time(Arc::downgrade(self)));
            }
        }
        self.freed.notify_one();
    }

    /// The connection put back last that can be used for `addresses`.
    fn take(&self, addresses: &[IpAddr]) -> Option<Connection> {
        let now = Instant::now();
        let mut kept = self.kept.lock();
        while let Some(Idle { connection, until }) = kept.idle.pop_back() {
            let usable = now < until && addresses.contains(&connection.address);
            if usable && connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// How long a connection that is put back now may be used: less than the server waits.
    fn idle_time(&self) -> Duration {
        let said = Duration::from_millis(self.said_millis.load(Relaxed));
        self.keepalive.min(said.saturating_sub(MARGIN).max(said / 2))
    }

    /// Drops connections that are closed or whose time is over; returns when to look again.
    fn close_old(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut kept = self.kept.lock();
        kept.idle.retain(|idle| now < idle.until && idle.connection.sender.is_ready());
        let next = kept.idle.iter().map(|idle| idle.until).min();
        kept.watched = next.is_some();
        next
    }
}

/// Closes the idle connections of `pool` when their time is over, until there is none.
async fn close_in_time(pool: Weak<Pool>) {
    loop {
        let Some(next) = pool.upgrade().and_then(|pool| pool.close_old()) else { return };
        tokio::time::sleep_until(next).await;
    }
}

/// Whether an answer has two lengths: what follows it on the connection cannot be trusted to be the
/// next answer (RFC 9112 §6.3).
fn is_ambiguous(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// How long the server waits for the next request, if it says so (`timeout` of Keep-Alive, RFC 2068
/// §19.7.1). Of several the shortest.
pub(crate) fn said_timeout(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("keep-alive").into_iter().filter_map(|value| value.to_str().ok());
    let seconds = values.flat_map(|value| value.split(',')).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let digits = value.trim().trim_matches('"');
        let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
        (is_timeout && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            // What overflows is longer than anything is kept.
            .then(|| digits.parse::<u32>().unwrap_or(u32::MAX))
    });
    seconds.min().map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_server_says_how_long_it_waits() {
        // (fields, seconds)
        let cases: &[(&[&str], Option<u64>)] = &[
            (&["timeout=5"], Some(5)),
            (&["timeout=5, max=100"], Some(5)),
            (&["max=100,Timeout = 15"], Some(15)),
            (&["timeout=\"7\""], Some(7)),
            (&["timeout=9", "timeout=3"], Some(3)),
            (&["timeout=0"], Some(0)),
            (&["timeout=99999999999999999999"], Some(u32::MAX.into())),
            (&["max=100"], None),
            (&["timeout="], None),
            (&["timeout=+5"], None),
            (&["timeout=-1"], None),
            (&["timeout=5.5"], None),
            (&["timeout"], None),
            (&[""], None),
            (&[], None),
        ];
        for (fields, seconds) in cases {
            let mut headers = HeaderMap::new();
            for field in *fields {
                headers.append("keep-alive", HeaderValue::from_static(field));
            }
            assert_eq!(said_timeout(&headers), seconds.map(Duration::from_secs), "{fields:?}");
        }
    }

    #[test]
    fn a_connection_is_kept_for_less_than_the_server_waits() {
        let pool = Pool::new(Duration::from_secs(20), 1);
        assert_eq!(pool.idle_time(), Duration::from_secs(20), "it has said nothing");
        // (milliseconds said, milliseconds kept)
        for (said, kept) in [
            (5_000, 4_000),
            (1_000, 500),
            (2_000, 1_000),
            (0, 0),
            (21_000, 20_000),
            (60_000, 20_000),
        ] {
            pool.said_millis.store(said, Relaxed);
            assert_eq!(pool.idle_time(), Duration::from_millis(kept), "{said}");
        }
    }
}
