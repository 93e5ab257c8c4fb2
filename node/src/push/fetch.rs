//! Fetches one URL into this node as a request of a client would.
//!
//! It takes the request path but for the rules about clients: the site by the host, the key, the store,
//! a fill that others may join, the parents. Redirects are stored, never followed. What comes of it is told apart
//! from what clients get: no request and no hit is counted for it.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use http_body_util::{BodyExt, Limited};
use weir_cache::purge::Standing;
use weir_cache::{CacheKey, Keyed, Reuse, Target};
use weir_store::{Body, StoredResponse};

use crate::access;
use crate::fill::{FillHead, Ticket};
use crate::handle;
use crate::inbound::{Inbound, Peer, fresh_id};
use crate::listener::Phase;
use crate::lookup::{Asked, Trust};
use crate::node::Node;
use crate::outcome::{Outcome, Source};
use crate::site::Site;

/// Times that one URL is tried.
const TRIES_MAX: u32 = 3;
/// The pause after the first try; each further one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How long a fetch makes way for clients before it goes on all the same, and how often it looks.
const MAKE_WAY_FOR: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What became of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It was stored and fresh already.
    Hit,
    /// It has been stored, or what was stored has been confirmed.
    Stored {
        /// Body bytes that came.
        bytes: u64,
    },
}

/// Why a URL is not stored and fresh here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotFetched {
    /// Why.
    pub(super) why: String,
    /// Whether another try may help.
    again: bool,
}

impl NotFetched {
    fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: false }
    }

    fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: true }
    }

    fn status(status: StatusCode) -> Self {
        Self { why: format!("the answer is {status}"), again: status.is_server_error() }
    }
}

/// The fields of a request as its order has them.
pub(super) fn header_map(fields: &[(String, String)]) -> HeaderMap {
    let field = |(name, value): &(String, String)| {
        Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
    };
    fields.iter().filter_map(field).collect()
}

/// Whether `url` is stored here and fresh, so that nothing need be fetched.
pub(super) async fn is_fresh(node: &Node, url: &str, headers: &HeaderMap) -> bool {
    let Ok(request) = Request::read(node, url, headers) else { return false };
    let Request { site, inbound, keyed } = &request;
    if site.bypasses(keyed) || Trust::of(node, site, inbound).await == Trust::None {
        return false;
    }
    let variants = node.store.lookup(&keyed.key).await;
    let stored =
        variants.as_ref().and_then(|variants| variants.select(&inbound.headers, &site.policy));
    stored.is_some_and(|stored| {
        stored.head.status.as_u16() < 400
            && node.purges.standing(stored) == Standing::Clear
            && stored.head.judge(None, node.clock.now().monotonic) == Reuse::Fresh
    })
}

/// Fetches `url`, again after a pause where that may help.
pub(super) async fn fetch(
    node: &Arc<Node>,
    url: &str,
    headers: &HeaderMap,
) -> Result<Fetched, NotFetched> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES_MAX {
        make_way(node).await;
        match once(node, url, headers).await {
            Err(failed) if failed.again => node.push.metrics.retries.inc(),
            otherwise => return otherwise,
        };
        tokio::time::sleep(jittered(pause)).await;
        pause *= 4;
    }
    once(node, url, headers).await
}

/// Waits while clients' own fills take up half of what one upstream may be asked at once.
async fn make_way(node: &Node) {
    let busy = usize::try_from(node.config.upstream.connections_max).unwrap_or(usize::MAX) / 2;
    let mut waited = Duration::ZERO;
    loop {
        let own =
            node.push.slots_max - node.push.slots.available_permits().min(node.push.slots_max);
        if node.fills.active().saturating_sub(own) <= busy || waited >= MAKE_WAY_FOR {
            return;
        }
        node.push.metrics.made_way.inc();
        tokio::time::sleep(LOOK_AGAIN).await;
        waited += LOOK_AGAIN;
    }
}

/// Between half of `pause` and one and a half, so that nodes that failed together do not come back
/// together.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    if getrandom::fill(&mut byte).is_err() {
        // Without randomness the pause is as it was asked for.
        return pause;
    }
    pause / 2 + pause * u32::from(byte[0]) / 256
}

async fn once(node: &Arc<Node>, url: &str, headers: &HeaderMap) -> Result<Fetched, NotFetched> {
    let request = Request::read(node, url, headers)?;
    let outcome = request.outcome(node).await;
    let (stale, forwarded) = (outcome.stale, outcome.forward.is_some());
    match outcome.source {
        Source::Stored(_) if stale => Err(NotFetched::passing("upstream failed; it is stale")),
        Source::Stored(stored) => match (stored.head.status, forwarded) {
            (status, _) if status.as_u16() >= 400 => Err(NotFetched::status(status)),
            (_, true) => Ok(Fetched::Stored { bytes: 0 }),
            (_, false) => Ok(Fetched::Hit),
        },
        Source::Filling(head, ticket) => request.keep(node, &head, ticket).await,
        Source::Forwarded(answer) if answer.status.as_u16() >= 400 => {
            Err(NotFetched::status(answer.status))
        }
        Source::Forwarded(_) | Source::Switching(_) => {
            Err(NotFetched::lasting("it is passed on and never stored"))
        }
        Source::Failed(error) => {
            Err(NotFetched::passing(crate::telemetry::chain(&error).to_string()))
        }
        Source::Slices(answer) => match answer.fetcher.bring_all().await {
            Ok(bytes) => Ok(Fetched::Stored { bytes }),
            Err(error) => Err(NotFetched::passing(crate::telemetry::chain(&*error).to_string())),
        },
        // No range was asked for.
        Source::Parts(_) => Err(NotFetched::lasting("only parts of it came")),
        Source::Unavailable => Err(NotFetched::lasting("the request wants nothing fetched")),
    }
}

/// The whole body of `url`, at most `bytes_max` of it; anything but a 200 is a failure.
pub(super) async fn body(node: &Arc<Node>, url: &str, bytes_max: usize) -> Result<Bytes, String> {
    let request = Request::read(node, url, &HeaderMap::new()).map_err(|failed| failed.why)?;
    let too_long = || format!("it is longer than {bytes_max} bytes");
    let ok = |status: StatusCode| match status {
        StatusCode::OK => Ok(()),
        status => Err(format!("the answer is {status}")),
    };
    match request.outcome(node).await.source {
        Source::Stored(stored) => {
            ok(stored.head.status)?;
            if stored.body.len() > bytes_max as u64 {
                Err(too_long())
            } else {
                whole(&stored).await
            }
        }
        Source::Filling(head, ticket) => {
            ok(head.response.status)?;
            let mut whole = BytesMut::new();
            let fits = |bytes: &Bytes| {
                whole.extend_from_slice(bytes);
                whole.len() <= bytes_max
            };
            if !read_whole(ticket, fits).await? {
                return Err(too_long());
            }
            Ok(whole.freeze())
        }
        Source::Switching(_) => Err("the connection changed to another protocol".to_owned()),
        Source::Forwarded(answer) => {
            ok(answer.status)?;
            let body = Limited::new(answer.body, bytes_max).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
        }
        Source::Failed(error) => Err(crate::telemetry::chain(&error).to_string()),
        Source::Parts(_) | Source::Slices(_) | Source::Unavailable => {
            Err("it is not to be had".to_owned())
        }
    }
}

/// All of a stored body.
async fn whole(stored: &StoredResponse) -> Result<Bytes, String> {
    match &stored.body {
        Body::InMemory(bytes) => Ok(bytes.clone()),
        Body::OnDisk(body) => {
            let body = Arc::clone(body);
            let read = tokio::task::spawn_blocking(move || body.read_whole()).await;
            read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        }
    }
}

/// Reads a body to its end, or until `goes_on` has seen enough; returns whether it was read whole.
async fn read_whole(
    ticket: Ticket,
    mut goes_on: impl FnMut(&Bytes) -> bool,
) -> Result<bool, String> {
    let mut reader = ticket.into_reader(0, None);
    while let Some(read) = poll_fn(|cx| reader.poll_next(cx)).await {
        let bytes = read.map_err(|error| crate::telemetry::chain(&error).to_string())?;
        if !goes_on(&bytes) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A request that nobody sent.
struct Request {
    site: Arc<Site>,
    inbound: Inbound,
    keyed: Keyed,
}

impl Request {
    fn read(node: &Node, url: &str, headers: &HeaderMap) -> Result<Self, NotFetched> {
        let target: Target = url
            .parse()
            .map_err(|error| NotFetched::lasting(format!("it is no URL of ours: {error}")))?;
        let target = target.without_port();
        let site = node.sites.load().find(target.host_without_port()).cloned();
        let site = site.ok_or_else(|| NotFetched::lasting("no site has its host"))?;
        let mut inbound = Inbound {
            method: Method::GET,
            takes_trailers: false,
            trailer: None,
            upgrade: None,
            version: Version::HTTP_11,
            headers: headers.clone(),
            body: None,
            secured: None,
            peer: Peer::Client,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            target: target.clone(),
            // A parent's stale answer would be no use to the clients that are to come.
            refresh: true,
            min_seq: None,
            control: None,
            request_id: fresh_id(),
        };
        inbound.normalize(&site.policy, &site.key_rules);
        let granted = access::for_operator(target)
            .ok_or_else(|| NotFetched::lasting("it cannot be asked for"))?;
        let keyed = CacheKey::derive(&site.name, &site.key_rules, granted, &inbound.headers);
        Ok(Self { site, inbound, keyed })
    }

    async fn outcome(&self, node: &Arc<Node>) -> Outcome {
        let Self { site, inbound, keyed } = self;
        let trust = Trust::of(node, site, inbound).await;
        let asked = Asked { site, inbound, keyed, phase: &Phase::new(), trust };
        Box::pin(handle::answer(node, asked, None)).await
    }

    /// Sees a fill through and looks whether its response is stored.
    async fn keep(
        &self,
        node: &Node,
        head: &FillHead,
        ticket: Ticket,
    ) -> Result<Fetched, NotFetched> {
        let status = head.response.status;
        if status.as_u16() >= 400 {
            return Err(NotFetched::status(status));
        }
        if !head.admitted {
            let why = head.detail.unwrap_or("purged");
            return Err(NotFetched::lasting(format!("it may not be stored: {why}")));
        }
        ticket.want();
        let mut bytes = 0;
        let count = |piece: &Bytes| {
            bytes += piece.len() as u64;
            true
        };
        read_whole(ticket, count).await.map_err(NotFetched::passing)?;
        // What was stored is there before its last bytes are.
        let variants = node.store.lookup(&self.keyed.key).await;
        let stored = variants
            .as_ref()
            .and_then(|variants| variants.select(&self.inbound.headers, &self.site.policy));
        match stored {
            Some(stored) if node.purges.standing(stored) == Standing::Clear => {
                Ok(Fetched::Stored { bytes })
            }
            Some(_) => Err(NotFetched::passing("it was purged meanwhile")),
            None => Err(NotFetched::lasting("the store did not keep it: no room, or purged")),
        }
    }
}
