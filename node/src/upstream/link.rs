//! The connections to one server: which one a request takes, and when it may take another.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::header::UPGRADE;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use hyper::body::Incoming;

use super::addresses::{Addresses, Known};
use super::connect_error::ConnectError;
use super::connector::{Connector, Opened};
use super::http1::{Lease, Opening, Pool};
use super::http2::{Slot, as_http2, is_unprocessed, target_of};
use super::out::OutBody;
use super::transport::Links;
use crate::config::{Scheme, UpstreamAddr};

/// How often a request that no server has looked at is sent again here.
const RESENDS_MAX: u32 = 3;

/// Why a server gave no answer over any of its connections.
#[derive(Debug)]
pub(super) enum LinkError {
    /// No connection could be had. Nothing was sent.
    Connect(Arc<ConnectError>),
    /// The request was sent, or may have been.
    Exchange {
        /// Whether the connection had served before, or the server says that it has not looked at a
        /// request whose body has gone.
        reused: bool,
        /// What became of it.
        source: hyper::Error,
    },
}

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Link {
    authority: String,
    scheme: Scheme,
    addresses: Addresses,
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    /// Where the server is asked over HTTP/2.
    slot: Option<Arc<Slot>>,
}

impl Link {
    /// No connection yet to the server at `addr`.
    pub(super) fn new(addr: &UpstreamAddr, links: &Links) -> Self {
        let config = links.config();
        Self {
            authority: addr.authority(),
            scheme: addr.scheme,
            addresses: Addresses::of(&addr.host, links.lookups()),
            connector: Arc::new(links.connector(addr)),
            pool: Arc::new(Pool::new(config.keepalive, config.connections_max)),
            slot: links.speaks_http2().then(|| Arc::new(Slot::new(config.keepalive))),
        }
    }

    /// `host:port`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The URI under which `path_and_query` is asked for here, byte for byte; `None` where that is
    /// none.
    pub(super) fn uri(&self, path_and_query: &str) -> Option<Uri> {
        PathAndQuery::try_from(path_and_query).ok().map(Uri::from)
    }

    /// Sends a request over a connection that is open or a fresh one. Its Host field says whom it is
    /// for; where it goes is this link's affair. With `fresh` the connection is opened for it, except
    /// over HTTP/2, where a server says which requests it has not looked at.
    ///
    /// # Errors
    ///
    /// [`LinkError`]. Dropping the future closes the connection, or ends the stream.
    pub(super) async fn request(
        &self,
        request: Request<OutBody>,
        fresh: bool,
    ) -> Result<Response<Incoming>, LinkError> {
        let patience = self.connector.connect_timeout;
        let addresses = self.addresses.current(patience).await.map_err(|error| {
            self.connector.count(&error);
            LinkError::Connect(Arc::new(error))
        })?;
        let answer = match &self.slot {
            // RFC 9113 §8.6: HTTP/2 has no upgrades, and not every server has RFC 8441.
            Some(slot) if !request.headers().contains_key(UPGRADE) => {
                Box::pin(self.by_http2(slot, request, &addresses)).await
            }
            _ => self.by_http1(request, &addresses, fresh).await,
        };
        if let Err(LinkError::Connect(error)) = &answer
            && error.doubts_addresses()
        {
            self.addresses.doubt();
        }
        answer
    }

    async fn by_http1(
        &self,
        mut request: Request<OutBody>,
        addresses: &Known,
        fresh: bool,
    ) -> Result<Response<Incoming>, LinkError> {
        let mut resends = if fresh { 0 } else { RESENDS_MAX };
        loop {
            // After some tries with connections that were ending, with one that is new.
            let usable: &[IpAddr] = if resends > 0 { addresses } else { &[] };
            let lease = self
                .pool
                .lease(usable, || self.opening(addresses))
                .await
                .map_err(LinkError::Connect)?;
            let Lease { mut connection, reused } = lease;
            match connection.sender.try_send_request(request).await {
                Ok(answer) => {
                    self.pool.keep_after(connection, &answer);
                    return Ok(answer);
                }
                Err(mut error) => match error.take_message() {
                    // It never left this node.
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(LinkError::Exchange { reused, source: error.into_error() }),
                },
            }
            resends = resends.saturating_sub(1);
        }
    }

    fn opening(&self, addresses: &Known) -> Opening {
        let (connector, addresses) = (Arc::clone(&self.connector), Arc::clone(addresses));
        Box::pin(async move {
            match connector.open(&addresses, false).await? {
                Opened::Http1(connection) => Ok(connection),
                // Only what was offered can be chosen.
                Opened::Http2(_) => Err(Arc::new(ConnectError::Interrupted)),
            }
        })
    }

    async fn by_http2(
        &self,
        slot: &Arc<Slot>,
        request: Request<OutBody>,
        addresses: &Known,
    ) -> Result<Response<Incoming>, LinkError> {
        let (parts, mut body) = request.into_parts();
        let Some(target) = target_of(&parts, self.scheme) else {
            return Box::pin(self.by_http1(Request::from_parts(parts, body), addresses, false))
                .await;
        };
        let mut resends = RESENDS_MAX;
        loop {
            let lease = slot.lease(addresses, &self.connector, &self.pool).await;
            let Some(mut connection) = lease.map_err(LinkError::Connect)? else {
                return Box::pin(self.by_http1(Request::from_parts(parts, body), addresses, false))
                    .await;
            };
            let same_again = body.again();
            let outgoing = as_http2(&parts, target.clone(), body);
            let sent = connection.sender.try_send_request(outgoing).await;
            let mut error = match sent {
                Ok(answer) => {
                    connection.answered.store(true, Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let unsent = error.take_message().map(Request::into_body);
            let source = error.into_error();
            let unprocessed = is_unprocessed(&source);
            // A server that goes on refusing is asked no more often than here.
            let reused = if unprocessed { same_again.is_none() } else { connection.has_answered() };
            // What was begun to be sent of a client's body is gone.
            let whole = same_again.as_ref().filter(|_| unprocessed).and_then(OutBody::again);
            match unsent.or(whole) {
                Some(again) if resends > 0 => body = again,
                _ => return Err(LinkError::Exchange { reused, source }),
            }
            resends -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
