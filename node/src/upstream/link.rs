//! The connections to one server: a client with a pool of its own, and the address that it is asked at.

use http::{Request, Uri};
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::Connector;
use super::out::OutBody;
use crate::config::{UpstreamAddr, UpstreamConfig};

/// Fields that an answer may have; `limits.fields_max` is for clients.
const FIELDS_MAX: usize = 256;

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Link {
    authority: String,
    client: Client<Connector, OutBody>,
}

impl Link {
    /// No connection yet to the server at `addr`.
    pub(super) fn new(addr: &UpstreamAddr, config: &UpstreamConfig) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.keepalive)
            .http1_max_headers(FIELDS_MAX)
            .set_host(false)
            .build(Connector::new(config.connect_timeout));
        Self { authority: addr.authority(), client }
    }

    /// `host:port`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The URI under which `path_and_query` is asked for here; `None` where that is none.
    pub(super) fn uri(&self, path_and_query: &str) -> Option<Uri> {
        Uri::builder()
            .scheme("http")
            .authority(self.authority())
            .path_and_query(path_and_query)
            .build()
            .ok()
    }

    /// Sends a request, over a connection that is idle or a fresh one.
    ///
    /// Dropping the future closes the connection.
    pub(super) fn request(&self, request: Request<OutBody>) -> ResponseFuture {
        self.client.request(request)
    }
}
