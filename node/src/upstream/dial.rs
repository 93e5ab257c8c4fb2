//! Which of a server's addresses takes a TCP connection first?
//!
//! In the manner of RFC 8305: one address after the other, the next when the last has failed or a
//! short while has passed, and the first connection wins. The order is that of the resolver with the
//! families taking turns.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};

use super::connect_error::ConnectError;

/// How long an address may take before the next one is tried beside it (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);
/// Idle time after which the system asks whether the peer is still there.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// Connects to `port` at the first of `addresses` that takes it, within `timeout` all together.
///
/// # Errors
///
/// [`ConnectError::Timeout`], or [`ConnectError::Refused`] with the last failure when every address
/// has failed. Dropping the future ends all attempts.
pub(super) async fn dial(
    addresses: &[IpAddr],
    port: u16,
    timeout: Duration,
) -> Result<(TcpStream, IpAddr), ConnectError> {
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    // The last one gets its share of the time too.
    let stagger = STAGGER.min(timeout / count);
    let attempts = addresses.iter().map(|address| connect(*address, port));
    match tokio::time::timeout(timeout, first(attempts, stagger)).await {
        Ok(result) => result.map_err(|source| ConnectError::Refused { source }),
        Err(_elapsed) => Err(ConnectError::Timeout { waited: timeout }),
    }
}

/// The first success of `attempts`, which begin one by one.
async fn first<T>(
    mut attempts: impl Iterator<Item = impl Future<Output = io::Result<T>>>,
    stagger: Duration,
) -> io::Result<T> {
    let mut running = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    running.extend(attempts.next());
    while !running.is_empty() {
        match tokio::time::timeout(stagger, running.next()).await {
            Ok(Some(Ok(connected))) => return Ok(connected),
            Ok(Some(Err(error))) => last = error,
            Ok(None) | Err(_) => {}
        }
        running.extend(attempts.next());
    }
    Err(last)
}

async fn connect(address: IpAddr, port: u16) -> io::Result<(TcpStream, IpAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_keepalive(true)?;
    rustix::net::sockopt::set_tcp_keepidle(&socket, PROBE_AFTER)?;
    let stream = socket.connect(SocketAddr::new(address, port)).await?;
    stream.set_nodelay(true)?;
    Ok((stream, address))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    async fn never() -> io::Result<u32> {
        std::future::pending().await
    }

    async fn after(millis: u64, result: Result<u32, io::ErrorKind>) -> io::Result<u32> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        result.map_err(Into::into)
    }

    type Attempt = futures_util::future::BoxFuture<'static, io::Result<u32>>;

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_on_failure_or_after_a_while() {
        let refused = io::ErrorKind::ConnectionRefused;
        // (why, attempts, result, milliseconds)
        type Case = (&'static str, Vec<Attempt>, Result<u32, io::ErrorKind>, u128);
        let cases: Vec<Case> = vec![
            ("no address", vec![], Err(io::ErrorKind::AddrNotAvailable), 0),
            ("one", vec![Box::pin(after(10, Ok(1)))], Ok(1), 10),
            (
                "a refusal goes on at once",
                vec![Box::pin(after(1, Err(refused))), Box::pin(after(1, Ok(2)))],
                Ok(2),
                2,
            ),
            (
                "silence goes on after the stagger",
                vec![Box::pin(never()), Box::pin(never()), Box::pin(after(1, Ok(3)))],
                Ok(3),
                501,
            ),
            (
                "a slow first one may still win",
                vec![Box::pin(after(300, Ok(1))), Box::pin(never())],
                Ok(1),
                300,
            ),
            (
                "all refuse",
                vec![Box::pin(after(1, Err(refused))), Box::pin(after(1, Err(refused)))],
                Err(refused),
                2,
            ),
        ];
        for (why, attempts, expected, millis) in cases {
            let began = tokio::time::Instant::now();
            let result = first(attempts.into_iter(), STAGGER).await.map_err(|error| error.kind());
            assert_eq!((result, began.elapsed().as_millis()), (expected, millis), "{why}");
        }
    }

    #[tokio::test]
    async fn a_dead_first_address_is_no_obstacle() {
        let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let live = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), live];
        let (_stream, address) = dial(&addresses, port, Duration::from_secs(5)).await.unwrap();
        assert_eq!(address, live);
        let error = dial(&addresses[..1], port, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    }
}
