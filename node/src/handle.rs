//! Answers one request. [`handle`] is the request path; read it top to bottom.
//!
//! ```text
//! read -> site -> access -> key -> lookup -+- reuse -------------------------------------+
//!                                          +- wait on a fill in flight                   +-> respond
//!                                          +- fetch or validate -> upstream -> store ----+
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::header::LOCATION;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use weir_cache::{
    CacheKey, Denied, Failure, ForwardReason, HopIdentity, ProxyError, has_visited, loop_count,
    proxy_status_value, via_contains,
};
use weir_store::{StoredResponse, StoredSlices};

use crate::access::{self, NotAdmitted, Refused};
use crate::body::{Content, ResponseBody};
use crate::entry;
use crate::fill::{self, FillWork, Lead, Progress, Settled, SettledBy, Ticket};
use crate::forward;
use crate::inbound::{self, Inbound, Refusal};
use crate::limits::Upload;
use crate::listener::{Fault, Phase};
use crate::lookup::{self, Asked, Decision, Trust};
use crate::metrics::{Reason, SiteReason};
use crate::node::Node;
use crate::outcome::{Outcome, Source};
use crate::parts;
use crate::purge;
use crate::refuse;
use crate::respond::{self, Asking};
use crate::site::Site;
use crate::slices::{self, Attempt, Fetcher};
use crate::stand_in::may_stand_in;
use crate::tls::{Secured, is_challenge};
use crate::upstream::FillError;

/// How often a request may be looked up again when the fill that it waited on was not for it.
const ROUNDS_MAX: usize = 4;
/// Nodes of one CDN that a request may pass.
const HOPS_MAX: usize = 8;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// What the handshake has said; `None` without TLS.
    pub(crate) secured: Option<Arc<Secured>>,
}

impl Remote {
    /// The other end of a connection without TLS.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, secured: None }
    }
}

/// The connection a request came over.
pub(crate) struct Caller {
    /// Its other end.
    pub(crate) remote: Remote,
    /// How far it is with its requests.
    pub(crate) phase: Arc<Phase>,
    /// Why the request is refused before it is read; `None` for one that is well framed.
    pub(crate) fault: Option<Fault>,
}

/// Answers one request.
///
/// Dropping the future, as hyper does when the client leaves, gives up the request's place at any
/// fill; fills that others wait for go on.
pub(crate) async fn handle(
    node: &Arc<Node>,
    caller: &Caller,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let began = Instant::now();
    let now = node.clock.now();
    if let Some(fault) = caller.fault {
        return refused(node, caller, Refusal::Framing(fault));
    }
    let mut inbound = match inbound::read(&node.reading(now), &caller.remote, request) {
        Ok(inbound) => inbound,
        Err(refusal) => return refused(node, caller, refusal),
    };
    if let Err(over) = entry::at_the_door(node, &inbound, now) {
        return entry::too_often(node, &inbound, over);
    }
    if is_loop(node, &inbound) {
        return looped(node, &inbound);
    }
    if let Some(digest) = &inbound.control {
        let answer = purge::answer_control(node, digest, inbound.body.take()).await;
        return refuse::unaccounted(answer);
    }
    let site = node.sites.load().find(inbound.target.host_without_port()).cloned();
    let Some(site) = site else { return unknown_host(node) };
    if let Some(answer) = secure(node, &site, &inbound) {
        return refuse::unaccounted(answer);
    }
    // The rules see the fields as the client sent them.
    let granted = match access::admit(node, &site, &mut inbound, now) {
        Ok(granted) => granted,
        Err(denied) => {
            return turned_away(Asking { node, site: &site, inbound: &inbound, began }, &denied);
        }
    };
    inbound.tell_of_certificate(site.security.certificate_field.as_ref());
    inbound.normalize(&site.policy, &site.key_rules);
    let keyed = CacheKey::derive(&site.name, &site.key_rules, granted, &inbound.headers);
    let body = inbound.body.take();
    let (place, body) = match entry::enter(node, &site, &inbound, body, now) {
        Ok(entered) => entered,
        Err(over) => {
            return entry::over_a_limit(
                Asking { node, site: &site, inbound: &inbound, began },
                over,
            );
        }
    };
    let trust = Trust::of(node, &site, &inbound).await;
    let asked =
        Asked { site: &site, inbound: &inbound, keyed: &keyed, phase: &caller.phase, trust };
    let mut outcome = answer(node, asked, body).await;
    outcome.healer = healer(node, asked, &outcome);
    note_forward(node, &site, &outcome);
    note_hit(node, asked, &outcome);
    let shaper = (!inbound.is_child()).then(|| site.limits.shaper(&caller.phase.pace)).flatten();
    let response = respond::finish(Asking { node, site: &site, inbound: &inbound, began }, outcome);
    response.map(|body| body.limited(place, shaper))
}

/// Looks the request up and does what was decided, again if the fill it waited on was not for it.
pub(crate) async fn answer(node: &Arc<Node>, asked: Asked<'_>, body: Option<Upload>) -> Outcome {
    let mut alone = false;
    for _ in 0..ROUNDS_MAX {
        let now = node.clock.now().monotonic;
        match lookup::decide(node, asked, now, alone).await {
            Decision::Reuse { stored } => return Outcome::hit(stored),
            Decision::ReuseThenRefresh { stored, refresh } => {
                if let Some(lead) = refresh {
                    refresh_in_background(node, asked, &stored, lead);
                }
                return Outcome::stale_while_revalidate(stored);
            }
            Decision::ReuseParts { answer } => return Outcome::parts(answer),
            Decision::Validate { stored, lead } => {
                let work = FillWork { stored: Some(stored), ..asked.work(node) };
                return lead_fill(node, asked, lead, work, ForwardReason::Stale).await;
            }
            Decision::Fetch { why, lead, held } => {
                let work = FillWork { held, ..asked.work(node) };
                return lead_fill(node, asked, lead, work, why).await;
            }
            Decision::Wait { why, ticket, stored } => {
                match wait(node, asked, ticket, (stored, why)).await {
                    Waited::Done(outcome) => return outcome,
                    Waited::Again => {}
                    Waited::Alone => alone = true,
                    Waited::PassOn => {
                        return parts::fetch(node, asked, why, None).await;
                    }
                }
            }
            Decision::FetchPart { why, known } => {
                return parts::fetch(node, asked, why, known).await;
            }
            Decision::Slices { slices, fresh } => {
                match Box::pin(slices::serve(node, asked, slices, fresh)).await {
                    Attempt::Done(outcome) => return *outcome,
                    Attempt::Again => {}
                }
            }
            Decision::OpenSlices { why, range } => {
                match Box::pin(slices::open(node, asked, why, range)).await {
                    Attempt::Done(outcome) => return *outcome,
                    Attempt::Again => {}
                }
            }
            Decision::Bypass { why, detail } => {
                return forward::forward(node, asked, body, why, detail).await;
            }
            Decision::Unavailable => return Outcome::unavailable(),
        }
    }
    forward::forward(node, asked, body, ForwardReason::Miss, Some("not-shared")).await
}

/// What a client is told in place of an answer because of how it came: to come over TLS, or with a
/// certificate.
fn secure(node: &Node, site: &Site, inbound: &Inbound) -> Option<Response<Content>> {
    if inbound.is_child() {
        return None;
    }
    if inbound.secured.is_none()
        && let Some((status, location)) =
            site.security.redirect(&inbound.method, &inbound.target, node.tls.port)
    {
        count_refused(node, "redirected-to-https");
        let mut response = refuse::plain(status, "This is found over https.\n");
        response.headers_mut().insert(LOCATION, location);
        return Some(response);
    }
    // Certificate authorities come without TLS, and show nothing.
    let is_challenge = inbound.secured.is_none() && is_challenge(inbound.target.path());
    if site.security.requires_certificate
        && inbound.certificate_subject().is_none()
        && !is_challenge
    {
        count_refused(node, "no-client-certificate");
        return Some(refuse::plain(StatusCode::FORBIDDEN, "Not allowed.\n"));
    }
    None
}

/// Starts a refresh that no client waits for.
fn refresh_in_background(
    node: &Arc<Node>,
    asked: Asked<'_>,
    stored: &Arc<StoredResponse>,
    lead: Lead,
) {
    let stored = Some(Arc::clone(stored));
    lead.ticket.want();
    fill::spawn(node, lead.begun, FillWork { stored, refresh: true, ..asked.work(node) });
}

/// Starts a fill and waits for what comes of it.
async fn lead_fill(
    node: &Arc<Node>,
    asked: Asked<'_>,
    lead: Lead,
    mut work: FillWork,
    why: ForwardReason,
) -> Outcome {
    let Lead { begun, ticket } = lead;
    // Interim responses answer this request only: nobody knows yet whether others may see them.
    work.request.interim = asked.interim_sink();
    let stored = work.stored.clone();
    fill::spawn(node, begun, work);
    match progress_in_time(node, asked, &ticket, stored).await {
        Progress::Shared(head) | Progress::Private(head) => Outcome::filling(head, ticket, why),
        Progress::Settled(settled) => Outcome::settled(settled, why),
        Progress::Failed(error) => Outcome::failed(error, why),
        Progress::Pending | Progress::Abandoned => {
            Outcome::failed(Arc::new(FillError::Abandoned), why)
        }
    }
}

/// What comes of a fill; the stale response `stored` where that takes longer than the site wants to wait
/// and the response may stand in. The fill then goes on, for those who come later.
async fn progress_in_time(
    node: &Node,
    asked: Asked<'_>,
    ticket: &Ticket,
    stored: Option<Arc<StoredResponse>>,
) -> Progress {
    // A child has a clock of its own, and would store what is stale in place of what is on its way.
    let patience = asked.site.stale_if_slow.filter(|_| !asked.inbound.is_child());
    let (Some(patience), Some(stored)) = (patience, stored) else { return ticket.progress().await };
    if let Ok(progress) = tokio::time::timeout(patience, ticket.progress()).await {
        return progress;
    }
    if !may_stand_in(node, asked.site, asked.trust, (&stored, Failure::Unreachable)) {
        return ticket.progress().await;
    }
    ticket.want();
    Progress::Settled(Settled { stored, by: SettledBy::Slow })
}

/// What waiting on another request's fill came to.
enum Waited {
    /// An answer.
    Done(Outcome),
    /// The fill was not for this request; there may be another.
    Again,
    /// The response may not be shared: this request fetches for itself.
    Alone,
    /// The part wanted is far from what has come in: the request is passed on as it is.
    PassOn,
}

/// Waits for what comes of another request's fill.
async fn wait(
    node: &Node,
    asked: Asked<'_>,
    ticket: Ticket,
    (stored, why): (Option<Arc<StoredResponse>>, ForwardReason),
) -> Waited {
    node.metrics.collapsed.inc();
    let outcome = match progress_in_time(node, asked, &ticket, stored).await {
        Progress::Shared(head) => {
            let Some(stored) = &head.storable else { return Waited::Alone };
            if !stored.vary.matches(&asked.inbound.headers, &asked.site.policy) {
                return Waited::Again;
            }
            if !head.admitted && !lookup::is_near(node, asked.inbound, &ticket) {
                return Waited::PassOn;
            }
            Outcome::filling(head, ticket, why)
        }
        Progress::Private(head) if head.response.status.is_server_error() => {
            // Everyone asking a failing origin for itself would not help it to its feet.
            let status = head.response.status;
            Outcome::failed(Arc::new(FillError::Failing { status }), why)
        }
        Progress::Settled(settled) if may_share(node, &settled) => Outcome::settled(settled, why),
        Progress::Failed(error) => Outcome::failed(error, why),
        Progress::Private(_) | Progress::Settled(_) => return Waited::Alone,
        Progress::Pending | Progress::Abandoned => return Waited::Again,
    };
    Waited::Done(outcome.collapsed())
}

/// Whether a stored response that answers one request also answers those who waited with it: where
/// every use must be validated, each use needs a validation of its own.
fn may_share(node: &Node, settled: &Settled) -> bool {
    match settled.by {
        SettledBy::Found | SettledBy::Validated => {
            fill::is_reusable(&settled.stored.head, node.clock.now().monotonic)
        }
        SettledBy::ServerError(_) | SettledBy::Unreachable | SettledBy::Slow => true,
    }
}

/// Whether the request has been here before, or has passed more nodes than a chain can have.
fn is_loop(node: &Node, inbound: &Inbound) -> bool {
    let HopIdentity { cdn_id, node: name, .. } = &node.hop;
    has_visited(&inbound.headers, cdn_id, name)
        || loop_count(&inbound.headers, cdn_id) >= HOPS_MAX
        || via_contains(&inbound.headers, &node.hop.via)
}

fn looped(node: &Node, inbound: &Inbound) -> Response<ResponseBody> {
    count_refused(node, "loop");
    tracing::warn!(target_uri = %inbound.target, "a request came back to this node: the tiers or the origin point at each other");
    let mut response =
        refuse::plain(StatusCode::LOOP_DETECTED, "The request came back to where it had been.\n");
    let value = proxy_status_value(&node.hop.via, ProxyError::ProxyLoopDetected, None);
    response.headers_mut().insert("proxy-status", value);
    refuse::unaccounted(response)
}

fn refused(node: &Node, caller: &Caller, refusal: Refusal) -> Response<ResponseBody> {
    // It is refused all the same; what comes after it may be over the rate.
    node.limits.charge_refused(caller.remote.address.ip(), node.clock.now().monotonic);
    count_refused(node, refusal.reason());
    refuse::unaccounted(refuse::and_close(refusal.status(), refusal.text()))
}

fn unknown_host(node: &Node) -> Response<ResponseBody> {
    count_refused(node, "unknown-host");
    let status = node.config.unknown_host.status();
    refuse::unaccounted(refuse::plain(status, "No site of this server has that host name.\n"))
}

fn turned_away(asking: Asking<'_>, denied: &NotAdmitted) -> Response<ResponseBody> {
    let Asking { node, site, inbound, .. } = asking;
    match denied {
        Denied::Gate(Refused::Limit(over)) => return entry::over_a_limit(asking, *over),
        Denied::Gate(Refused::Rule(denial)) => {
            let reason = denial.as_str();
            let labels = SiteReason { site: site.name.clone(), reason };
            node.metrics.denied.get_or_create(&labels).inc();
            let (host, path) = (inbound.target.host(), inbound.target.path());
            let (client, id) = (inbound.address, &inbound.request_id);
            tracing::debug!(site = site.name, reason, host, path, %client, request_id = ?id, "not let in: {}", denial.explain());
        }
        Denied::Method => count_refused(node, access::word(denied)),
    }
    respond::not_admitted(asking, denied)
}

fn count_refused(node: &Node, reason: &'static str) {
    node.metrics.refused.get_or_create(&Reason { reason }).inc();
}

/// What brings slices that are found missing while a body on disk is sent.
fn healer(node: &Arc<Node>, asked: Asked<'_>, outcome: &Outcome) -> Option<Arc<Fetcher>> {
    let Source::Stored(stored) = &outcome.source else { return None };
    StoredSlices::of(stored).map(|slices| Fetcher::new(node, asked, slices))
}

/// Lets a client's hit be counted among those that say what is hot.
fn note_hit(node: &Node, asked: Asked<'_>, outcome: &Outcome) {
    if let (Source::Stored(stored), None, false) =
        (&outcome.source, outcome.forward, asked.inbound.is_child())
    {
        node.push.hot.note(asked.keyed, stored);
    }
}

/// Counts why the request went upstream.
fn note_forward(node: &Node, site: &Site, outcome: &Outcome) {
    if let Some(why) = outcome.forward {
        let labels = SiteReason { site: site.name.clone(), reason: why.as_str() };
        node.metrics.forwards.get_or_create(&labels).inc();
    }
}
