//! What is to be done for a request, before anything is sent upstream?
//!
//! The store is asked once, the rules of `weir-cache` judge what it holds, and the fill table says
//! whether somebody is already fetching. The answer carries what its branch needs.

use std::sync::Arc;
use std::time::Duration;

use http::header::RANGE;
use http::{HeaderName, HeaderValue, Method};
use weir_cache::purge::Standing;
use weir_cache::{
    ByteRange, ForwardReason, Keyed, RangeSpec, RequestDirectives, Reuse, Timestamp, is_whole_open,
    resolve_range,
};
use weir_store::{StoredParts, StoredResponse, StoredSlices, Variants};

use crate::fill::{FillWork, Join, Lead, Role, Ticket};
use crate::inbound::Inbound;
use crate::interim::Sink;
use crate::listener::Phase;
use crate::node::Node;
use crate::parts::{self, PartAnswer};
use crate::site::Site;
use crate::slices;
use crate::upstream::Position;
use crate::upstream::request::{fill_request, has_state_precondition};

/// What the node decided for one request.
#[derive(Debug)]
#[must_use = "a decision that is dropped leaves the client unanswered"]
pub(crate) enum Decision {
    /// Reuse a fresh stored response (RFC 9111 §4.2).
    Reuse { stored: Arc<StoredResponse> },
    /// Reuse a stale one at once and refresh it out of band (RFC 5861 §3), unless somebody does.
    ReuseThenRefresh { stored: Arc<StoredResponse>, refresh: Option<Lead> },
    /// Ask upstream whether the stored response still holds (RFC 9111 §4.3.1).
    Validate { stored: Arc<StoredResponse>, lead: Lead },
    /// Fetch and, if the response allows it, store.
    ///
    /// `held` are parts of it that need not be fetched again.
    Fetch { why: ForwardReason, lead: Lead, held: Option<Arc<StoredParts>> },
    /// Reuse fresh parts that hold all that is asked for (RFC 9111 §3.3).
    ReuseParts { answer: PartAnswer },
    /// Fetch a range as it was asked for; `known` are the parts held, stale or not enough.
    FetchPart { why: ForwardReason, known: Option<Arc<StoredParts>> },
    /// Answer from a response of which slices may be missing; one that is not fresh is confirmed first.
    Slices { slices: StoredSlices, fresh: bool },
    /// Fetch `range`, from one border of slices to another, in place of the range that is wanted.
    OpenSlices { why: ForwardReason, range: ByteRange },
    /// Join a fill in flight (RFC 9111 §4). Not a hit: `collapsed`.
    ///
    /// `stored` is the stale response that the fill is to take the place of.
    Wait { why: ForwardReason, ticket: Ticket, stored: Option<Arc<StoredResponse>> },
    /// Forward without touching the store.
    Bypass { why: ForwardReason, detail: Option<&'static str> },
    /// The client wants a stored response or none (RFC 9111 §5.2.1.7), and there is none.
    Unavailable,
}

/// One request at the point where it is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The site it is for.
    pub(crate) site: &'a Arc<Site>,
    /// The request.
    pub(crate) inbound: &'a Inbound,
    /// Its key.
    pub(crate) keyed: &'a Keyed,
    /// The connection it came over.
    pub(crate) phase: &'a Arc<Phase>,
    /// Whether what is stored may answer it without asking upstream.
    pub(crate) trust: Trust,
}

/// Whether this node knows of every purge that the answer must reflect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It does.
    Full,
    /// It is cut off from the purge log, or behind the child that asks: nothing is reused unasked, and no
    /// fill is joined, since both may be older than a purge that already holds elsewhere.
    None,
}

impl Trust {
    /// Whether the purges known here are all that `inbound`, a request to `site`, must reflect; waits
    /// a moment for those that a child knows already.
    pub(crate) async fn of(node: &Node, site: &Site, inbound: &Inbound) -> Self {
        if let Some(min) = inbound.min_seq
            && !node.purges.reaches(min)
        {
            if node.keeps_log {
                // Never behind itself: the child follows another life of this log, or another log.
                node.purges.note_stranger();
            }
            if node.keeps_log || !node.purges.catch_up(min, CATCH_UP_WITHIN).await {
                node.metrics.purge.behind.inc();
                return Self::None;
            }
        }
        if node.purges.is_fenced_for(site.on_isolation) {
            node.metrics.purge.fenced_requests.inc();
            return Self::None;
        }
        Self::Full
    }
}

/// How long a request waits for a purge that its sender has applied to come here too.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(1);

impl Asked<'_> {
    /// The way for interim responses to this request, where there is one.
    pub(crate) fn interim_sink(&self) -> Option<Sink> {
        self.phase.interim_sink(self.inbound.version)
    }

    /// Where in the purge log this request is sent from: what this node has applied, and for the answer
    /// also what the child has.
    pub(crate) fn position(&self, node: &Node) -> Position {
        let own = node.purges.as_of();
        let ahead = self.inbound.min_seq.filter(|min| !node.purges.reaches(*min));
        Position { own, min: ahead.or(own) }
    }

    /// What a fetch for this request needs, without conditions.
    pub(crate) fn work(&self, node: &Node) -> FillWork {
        let mut request = fill_request(self.inbound, self.keyed, self.site, &node.hop);
        request.position = self.position(node);
        FillWork {
            site: Arc::clone(self.site),
            keyed: self.keyed.clone(),
            request,
            stored: None,
            held: None,
            refresh: self.inbound.refresh,
            trust: self.trust,
            method: Method::GET,
        }
    }
}

/// Decides about one request at `now`.
///
/// `alone` asks for a fill that is shared with nobody: the request has learned that it must not be.
pub(crate) async fn decide(node: &Node, asked: Asked<'_>, now: Timestamp, alone: bool) -> Decision {
    let Asked { site, inbound, keyed, .. } = asked;
    if let Some(why) = bypass(inbound) {
        return Decision::Bypass { why, detail: None };
    }
    if site.bypasses(keyed) {
        return Decision::Bypass { why: ForwardReason::Bypass, detail: Some("rule-bypass") };
    }
    if inbound.upgrade.is_some() {
        return Decision::Bypass { why: ForwardReason::Bypass, detail: Some("upgrade") };
    }
    let directives = site
        .policy
        .honor_request_directives
        .then(|| RequestDirectives::parse(&inbound.headers))
        .flatten();
    let variants = node.store.lookup(&keyed.key).await;
    let selected =
        variants.as_ref().and_then(|list| list.select(&inbound.headers, &site.policy)).cloned();
    let selected = without_purged(node, keyed, selected).await;
    let was_there = selected.is_some();
    let selected = resident(node, keyed, selected).await;
    let variants = if was_there && selected.is_none() {
        // What is left of it lies elsewhere.
        node.store.lookup(&keyed.key).await
    } else {
        variants
    };
    let reuse = selected.as_ref().map(|stored| match node.purges.standing(stored) {
        Standing::Clear if asked.trust == Trust::Full => {
            stored.head.judge(directives.as_ref(), now)
        }
        _ => Reuse::Validate,
    });
    let held = match (&selected, &variants) {
        (None, Some(list)) => parts::select(node, asked, list),
        _ => None,
    };
    if let Some(answer) = held.as_ref().and_then(|held| PartAnswer::of(held, asked))
        && answer.head().judge(directives.as_ref(), now) == Reuse::Fresh
    {
        return Decision::ReuseParts { answer };
    }
    if selected.is_none()
        && let Some(decision) = from_slices(node, asked, (variants.as_ref(), now)).await
    {
        return decision;
    }
    match (selected, reuse) {
        (Some(stored), Some(Reuse::Fresh)) => Decision::Reuse { stored },
        // A child that refreshes wants an answer that is fresh, not ours that is stale.
        (Some(stored), Some(Reuse::StaleWhileRevalidate)) if !inbound.refresh => {
            let refresh = lead_refresh(node, asked, variants.as_ref());
            Decision::ReuseThenRefresh { stored, refresh }
        }
        _ if directives.as_ref().is_some_and(|asked| asked.only_if_cached) => Decision::Unavailable,
        (selected, _) => fetch(node, asked, Found { selected, held, variants }, alone),
    }
}

/// What to do where slices are stored of what the request wants.
async fn from_slices(
    node: &Node,
    asked: Asked<'_>,
    (variants, now): (Option<&Variants>, Timestamp),
) -> Option<Decision> {
    let slices = slices::select(node, asked, variants?).await?;
    let directives = asked
        .site
        .policy
        .honor_request_directives
        .then(|| RequestDirectives::parse(&asked.inbound.headers))
        .flatten();
    let fresh = slices::is_trusted(node, asked, &slices)
        && slices.head().judge(directives.as_ref(), now) == Reuse::Fresh;
    let only_stored = directives.is_some_and(|asked| asked.only_if_cached);
    if only_stored && (!fresh || slices::lacks(asked, &slices)) {
        return Some(Decision::Unavailable);
    }
    Some(Decision::Slices { slices, fresh })
}

/// The stored response, unless a purge has removed it.
async fn without_purged(
    node: &Node,
    keyed: &Keyed,
    selected: Option<Arc<StoredResponse>>,
) -> Option<Arc<StoredResponse>> {
    let stored = selected?;
    if !matches!(node.purges.standing(&stored), Standing::Purged { .. }) {
        return Some(stored);
    }
    node.store.discard(&keyed.key, &stored).await;
    None
}

/// The stored response with a body that can be sent; `None` where the disk does not give it.
async fn resident(
    node: &Node,
    keyed: &Keyed,
    selected: Option<Arc<StoredResponse>>,
) -> Option<Arc<StoredResponse>> {
    node.store.resident(&keyed.key, selected?).await
}

/// Why the request goes past the store by its method or its fields; `None` if it does not.
fn bypass(inbound: &Inbound) -> Option<ForwardReason> {
    if !matches!(inbound.method, Method::GET | Method::HEAD) {
        return Some(ForwardReason::Method);
    }
    // RFC 9111 §4.3.2: only the origin knows the state these ask about.
    has_state_precondition(&inbound.headers).then_some(ForwardReason::Request)
}

/// What the store has under a key, none of which answers the request.
struct Found {
    /// The whole response that the request selects.
    selected: Option<Arc<StoredResponse>>,
    /// The parts that it selects, where there is no such response.
    held: Option<Arc<StoredParts>>,
    /// Everything under the key.
    variants: Option<Variants>,
}

impl Found {
    /// Why the request goes upstream (RFC 9211 §2.2).
    fn why(&self, asked: Asked<'_>) -> ForwardReason {
        match self {
            Self { selected: Some(_), .. } => ForwardReason::Stale,
            Self { held: Some(held), .. } if PartAnswer::of(held, asked).is_some() => {
                ForwardReason::Stale
            }
            Self { held: Some(_), .. } => ForwardReason::Partial,
            Self { variants: Some(_), .. } => ForwardReason::VaryMiss,
            Self { variants: None, .. } => ForwardReason::UriMiss,
        }
    }
}

/// The way upstream for a request that nothing stored answers.
fn fetch(node: &Node, asked: Asked<'_>, found: Found, alone: bool) -> Decision {
    let Asked { inbound, keyed, .. } = asked;
    let why = found.why(asked);
    let Found { selected, held, variants } = found;
    // A stale stored response is validated with a GET for a HEAD as well: it serves both from then on.
    if inbound.method == Method::HEAD && selected.is_none() {
        return Decision::Bypass { why, detail: None };
    }
    // A part of something unknown travels as asked: fetching the whole for it may cost gigabytes.
    let filling = asked.trust == Trust::Full && node.fills.is_filling(&keyed.key);
    if selected.is_none() && wants_part(inbound) && !filling {
        if held.is_none()
            && let Some(range) = slices::range_to_open(node, asked)
        {
            return Decision::OpenSlices { why, range };
        }
        return Decision::FetchPart { why, known: held };
    }
    let join = join(node, asked, variants.as_ref());
    let alone = alone || asked.trust == Trust::None;
    let role = if alone || node.unshared.contains(&keyed.key) {
        Role::Leader(node.fills.begin_alone(&join))
    } else {
        node.fills.join(join)
    };
    match (role, selected) {
        (Role::Leader(lead), Some(stored)) => Decision::Validate { stored, lead },
        (Role::Leader(lead), None) => Decision::Fetch { why, lead, held },
        (Role::Waiter(ticket), stored) => Decision::Wait { why, ticket, stored },
        (Role::Crowded, _) => Decision::Bypass { why, detail: Some("waiters-max") },
    }
}

/// Whether the request asks for less than everything, in a way that may be passed on.
///
/// A list that overlaps or goes on too long is asked for as a whole: an origin that answers each member
/// would send many times what it has.
fn wants_part(inbound: &Inbound) -> bool {
    let Some(range) = inbound.headers.get(RANGE).map(HeaderValue::as_bytes) else { return false };
    let listed = range.contains(&b',');
    match resolve_range(range, u64::MAX) {
        RangeSpec::One(_) => !listed && !is_whole_open(range),
        RangeSpec::Many(_) => listed,
        RangeSpec::Whole | RangeSpec::Unsatisfiable => false,
    }
}

/// Whether the first byte that the request asks for has come in at a fill, or soon will. A seek in a
/// large file must not wait for all that lies before it.
pub(crate) fn is_near(node: &Node, inbound: &Inbound, ticket: &Ticket) -> bool {
    let Some(range) = inbound.headers.get(RANGE) else { return true };
    // The length counts for the end of the range only.
    let first = match resolve_range(range.as_bytes(), u64::MAX) {
        RangeSpec::One(range) => range.first,
        RangeSpec::Whole | RangeSpec::Many(_) | RangeSpec::Unsatisfiable => 0,
    };
    ticket.is_near(first, node.config.fill.window.as_u64())
}

/// Begins a refresh unless one is under way or has just failed.
fn lead_refresh(node: &Node, asked: Asked<'_>, variants: Option<&Variants>) -> Option<Lead> {
    if node.unrefreshed.contains(&asked.keyed.key) {
        return None;
    }
    match node.fills.join(join(node, asked, variants)) {
        Role::Leader(lead) => Some(lead),
        Role::Waiter(_) | Role::Crowded => None,
    }
}

pub(crate) fn join<'a>(node: &'a Node, asked: Asked<'a>, variants: Option<&Variants>) -> Join<'a> {
    Join {
        key: asked.keyed.key,
        text: &asked.keyed.text,
        purges: &node.purges,
        headers: &asked.inbound.headers,
        policy: &asked.site.policy,
        known: variants.map_or_else(Vec::new, vary_names),
        as_of: node.purges.applied(),
        now: node.clock.now().monotonic,
    }
}

/// The fields that select among the stored variants.
fn vary_names(variants: &Variants) -> Vec<HeaderName> {
    variants.heads().flat_map(|head| head.vary.names().iter().cloned()).collect()
}
