//! What does a request ask for, and who asks?
//!
//! Reads one request into the form that the rest of the path works on: target from one authority,
//! connection fields and inner fields gone, the peer known. Whatever is ambiguous is refused here; how
//! messages are framed is the work of `listener`.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once};

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use prometheus_client::metrics::counter::Counter;
use weir_cache::purge::AsOf;
use weir_cache::{
    Direction, KeyRules, Policy, Scheme, Target, accepts_trailers, announced_trailers,
    reduce_accept_encoding, strip_hop_by_hop, strip_unkeyed, upgrade_protocols,
};

use crate::handle::Remote;
use crate::inner::{self, NoProof, TierSecret};
use crate::listener::Fault;
use crate::tls::Secured;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Anyone.
    Client,
    /// A node of the tier below, proven.
    Child {
        /// Its name.
        name: String,
    },
}

/// Why a request is refused before anything is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be understood, or can be understood in two ways.
    Malformed(&'static str),
    /// Nobody can tell where it ends.
    Framing(Fault),
    /// It is for another host than the connection.
    Misdirected,
    /// The target is longer than `url_max`.
    TargetTooLong,
    /// There are more fields than `fields_max`.
    TooManyFields,
    /// It expects something other than `100-continue`, once (RFC 9110 §10.1.1).
    UnknownExpectation,
}

impl Refusal {
    /// The word it is counted under.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Framing(_) => "framing",
            Self::Misdirected => "misdirected",
            Self::TargetTooLong => "target-too-long",
            Self::TooManyFields => "too-many-fields",
            Self::UnknownExpectation => "unknown-expectation",
        }
    }

    /// What the client is told.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Malformed(why) | Self::Framing(Fault::Ambiguous(why)) => why,
            Self::Framing(Fault::UnknownCoding) => "of transfer codings only \"chunked\" is taken",
            Self::Misdirected => "this connection is for another host",
            Self::TargetTooLong => "the request target is too long",
            Self::TooManyFields => "the request has too many fields",
            Self::UnknownExpectation => "of expectations only \"100-continue\" is known",
        }
    }

    /// The status that says so.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Framing(Fault::Ambiguous(_)) => StatusCode::BAD_REQUEST,
            Self::Framing(Fault::UnknownCoding) => StatusCode::NOT_IMPLEMENTED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
        }
    }
}

/// One request, read.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// The method.
    pub(crate) method: Method,
    /// The HTTP version it came in, for Via.
    pub(crate) version: Version,
    /// The fields, connection fields and inner fields removed.
    pub(crate) headers: HeaderMap,
    /// The body, where the method has one; a body on GET or HEAD has no meaning (RFC 9110 §9.3.1)
    /// and goes nowhere.
    pub(crate) body: Option<Incoming>,
    /// The protocols that it asks to change to; `None` for every request that is no more than HTTP.
    pub(crate) upgrade: Option<Upgrade>,
    /// Trailers that it announces (RFC 9110 §6.6.2).
    pub(crate) trailer: Option<HeaderValue>,
    /// Whether the sender takes trailers of the answer.
    pub(crate) takes_trailers: bool,
    /// Who sent it.
    pub(crate) peer: Peer,
    /// The address it came from.
    pub(crate) address: IpAddr,
    /// What the handshake has said; `None` without TLS.
    pub(crate) secured: Option<Arc<Secured>>,
    /// What it asks for.
    pub(crate) target: Target,
    /// Whether the child refreshes: stale answers are no use to it.
    pub(crate) refresh: bool,
    /// The purge log position that the answer to a child must reflect.
    pub(crate) min_seq: Option<AsOf>,
    /// The digest of a child's message about the purge log; `None` for every other request.
    pub(crate) control: Option<HeaderValue>,
    /// The name of this request in all logs.
    pub(crate) request_id: HeaderValue,
}

/// A wish for another protocol on the connection (RFC 9110 §7.8).
#[derive(Debug, Clone)]
pub(crate) struct Upgrade {
    /// The protocols, as they go upstream.
    pub(crate) protocols: HeaderValue,
    /// The connection, once the answer is a 101.
    pub(crate) connection: OnUpgrade,
}

/// What reading needs to know of the node.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    /// The tier secret; `None` if the node has none, so that nobody is a child.
    pub(crate) secret: Option<&'a TierSecret>,
    /// Wall clock, seconds since 1970.
    pub(crate) now_secs: i64,
    /// Bytes a target may have.
    pub(crate) url_max: usize,
    /// Fields a request may have.
    pub(crate) fields_max: usize,
    /// Counts proofs that do not hold.
    pub(crate) proof_failures: &'a Counter,
}

/// Reads `request`.
///
/// # Errors
///
/// [`Refusal`]; the connection is to be closed after the answer.
pub(crate) fn read(
    reading: &Reading<'_>,
    remote: &Remote,
    mut request: Request<Incoming>,
) -> Result<Inbound, Refusal> {
    let upgrade = upgrade(&mut request);
    let (parts, body) = request.into_parts();
    let wire_target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    if wire_target.len() > reading.url_max {
        return Err(Refusal::TargetTooLong);
    }
    let mut headers = parts.headers;
    join_cookie_crumbs(parts.version, &mut headers);
    // hyper looks at their number in HTTP/1 only.
    if headers.len() > reading.fields_max {
        return Err(Refusal::TooManyFields);
    }
    if !has_known_expectation(&headers) {
        return Err(Refusal::UnknownExpectation);
    }
    let (address, secured) = (remote.address, remote.secured.as_deref());
    // RFC 9110 §7.4: what belongs on a secured connection is not answered on another one, nor the reverse.
    if parts.uri.scheme_str().is_some_and(|scheme| scheme != scheme_of(secured).as_str()) {
        return Err(Refusal::Malformed("the target has another scheme than this listener"));
    }
    let in_target = parts.uri.authority().map(http::uri::Authority::as_str);
    let authority = authority(parts.version, in_target, &headers)?;
    let (secret, now) = (reading.secret, reading.now_secs);
    let proof = match secured.and_then(|secured| secured.shown.child.clone()) {
        Some(name) => Ok(name),
        None => inner::verify(secret, parts.method.as_str(), wire_target, &headers, now),
    };
    let peer = match proof {
        Ok(name) => Peer::Child { name },
        Err(no_proof) => {
            note_no_proof(reading, address, no_proof);
            Peer::Client
        }
    };
    let target = Target::parse(scheme(&peer, &headers, secured), &authority, wire_target)
        .map_err(|_invalid| Refusal::Malformed("the target or Host is not a valid URI"))?
        .without_port();
    // A child names its parent, and asks for the client's host.
    if peer == Peer::Client
        && secured.is_some_and(|secured| !secured.is_for(target.host_without_port()))
    {
        return Err(Refusal::Misdirected);
    }
    let refresh = peer != Peer::Client && headers.contains_key(inner::REFRESH);
    let is_child = peer != Peer::Client;
    let control = headers.get(inner::CONTROL).filter(|_| is_child).cloned();
    let min_seq = inner::position(&headers, &inner::MIN_SEQ).filter(|_| is_child);
    let (trailer, takes_trailers) = (announced_trailers(&headers), accepts_trailers(&headers));
    inner::strip(&mut headers);
    strip_hop_by_hop(&mut headers, Direction::Request);
    let request_id = request_id(&peer, &headers);
    let inbound = Inbound {
        body: keep_body(&parts.method, body, &mut headers),
        method: parts.method,
        version: parts.version,
        headers,
        upgrade,
        trailer,
        takes_trailers,
        peer,
        address: address.ip(),
        secured: remote.secured.clone(),
        target,
        refresh,
        min_seq,
        control,
        request_id,
    };
    Ok(inbound)
}

fn upgrade(request: &mut Request<Incoming>) -> Option<Upgrade> {
    let protocols = upgrade_protocols(request.method(), request.version(), request.headers())?;
    Some(Upgrade { protocols, connection: hyper::upgrade::on(request) })
}

/// A proof that does not hold is counted and named: most often two nodes have different secrets, or
/// clocks that are far apart.
fn note_no_proof(reading: &Reading<'_>, address: SocketAddr, no_proof: NoProof) {
    if no_proof == NoProof::Invalid {
        reading.proof_failures.inc();
        static TOLD: Once = Once::new();
        // Said once: anyone can send a wrong proof, and the counter goes on.
        TOLD.call_once(|| {
            tracing::warn!(%address, "the proof of a tier does not hold; such requests are treated as a client's. Do all nodes have the same WEIR_TIER_SECRET and the right time?");
        });
    }
}

impl Inbound {
    /// Brings the fields that select a variant into the form that the site's rules give them, before
    /// anything is looked up or sent.
    ///
    /// A client's claims about itself that the key does not know go no further.
    pub(crate) fn normalize(&mut self, policy: &Policy, rules: &KeyRules) {
        if self.peer == Peer::Client {
            normalize_of_client(&mut self.headers, policy, rules);
        } else if policy.reduce_accept_encoding {
            reduce_accept_encoding(&mut self.headers);
        }
    }

    /// The subject of the certificate that the client has shown; `None` where there is none that counts.
    pub(crate) fn certificate_subject(&self) -> Option<&str> {
        self.secured.as_ref()?.shown.client.as_deref()
    }

    /// Says in `field`, where a site wants that, whose certificate the client has shown: what the client
    /// itself says there goes.
    pub(crate) fn tell_of_certificate(&mut self, field: Option<&HeaderName>) {
        let Some(field) = field.filter(|_| self.peer == Peer::Client) else { return };
        self.headers.remove(field);
        let subject = self.certificate_subject().map(HeaderValue::from_str);
        if let Some(Ok(subject)) = subject {
            self.headers.insert(field.clone(), subject);
        }
    }

    /// Whether the sender is a proven child.
    pub(crate) fn is_child(&self) -> bool {
        matches!(self.peer, Peer::Child { .. })
    }
}

/// Brings the fields of a client into the form that a site gives them; see [`Inbound::normalize`].
pub(crate) fn normalize_of_client(headers: &mut HeaderMap, policy: &Policy, rules: &KeyRules) {
    strip_unkeyed(headers, rules);
    drop_forwarded_claims(headers);
    if policy.reduce_accept_encoding {
        reduce_accept_encoding(headers);
    }
}

/// The one authority that routes, keys and goes upstream (RFC 9112 §3.2).
fn authority(
    version: Version,
    in_target: Option<&str>,
    headers: &HeaderMap,
) -> Result<String, Refusal> {
    let mut lines = headers.get_all(HOST).iter();
    let host = lines.next();
    if lines.next().is_some() {
        return Err(Refusal::Malformed("more than one Host field"));
    }
    let host = match host {
        Some(value) => {
            Some(value.to_str().map_err(|_opaque| Refusal::Malformed("Host is not text"))?)
        }
        None => None,
    };
    match (in_target, host) {
        // RFC 9112 §3.2.2 lets the target win; two names that differ are an attempt to split readers.
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => {
            Err(Refusal::Malformed("Host differs from the authority in the target"))
        }
        // RFC 9112 §3.2 wants the field in HTTP/1.1, also beside a target that names the host.
        (Some(authority), None) if version != Version::HTTP_11 => Ok(authority.to_owned()),
        (_, Some(authority)) => Ok(authority.to_owned()),
        (_, None) => Err(Refusal::Malformed("no Host field")),
    }
}

/// The scheme the client used: what a child says it was, else that of this listener.
fn scheme(peer: &Peer, headers: &HeaderMap, secured: Option<&Secured>) -> Scheme {
    let said = headers.get("x-forwarded-proto").map(HeaderValue::as_bytes);
    match peer {
        Peer::Child { .. } if said == Some(b"https") => Scheme::Https,
        Peer::Child { .. } => Scheme::Http,
        Peer::Client => scheme_of(secured),
    }
}

/// Whether nothing is expected, or what every server can do. What others make of anything else is how a request
/// comes to be followed by a body that only one of them waits for.
fn has_known_expectation(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(EXPECT).iter();
    let known =
        lines.next().is_none_or(|line| line.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    known && lines.next().is_none()
}

/// HTTP/2 lets a client send its cookies in several lines, which are one in HTTP/1.1 (RFC 9113 §8.2.3).
fn join_cookie_crumbs(version: Version, headers: &mut HeaderMap) {
    if version < Version::HTTP_2 || headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Values joined by what a value may hold are a value.
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// The scheme of a listener.
fn scheme_of(secured: Option<&Secured>) -> Scheme {
    if secured.is_some() { Scheme::Https } else { Scheme::Http }
}

/// Drops a client's `Forwarded` where it speaks of a host or a scheme: an origin that believes the first
/// element would believe the client (RFC 7239 §8.1).
fn drop_forwarded_claims(headers: &mut HeaderMap) {
    let claims = headers.get_all(FORWARDED).iter().any(|line| {
        let line = line.as_bytes().to_ascii_lowercase();
        let has = |word: &[u8]| line.windows(word.len()).any(|part| part == word);
        has(b"host=") || has(b"proto=")
    });
    if claims {
        headers.remove(FORWARDED);
    }
}

/// A body that goes nowhere takes its length along: upstream would wait for it (RFC 9112 §6.3).
fn keep_body(method: &Method, body: Incoming, headers: &mut HeaderMap) -> Option<Incoming> {
    if matches!(*method, Method::GET | Method::HEAD) {
        headers.remove(CONTENT_LENGTH);
        return None;
    }
    (!body.is_end_stream()).then_some(body)
}

/// A child's request keeps its name through all tiers; a client's gets one.
fn request_id(peer: &Peer, headers: &HeaderMap) -> HeaderValue {
    let given = headers.get("x-request-id").filter(|_| matches!(peer, Peer::Child { .. }));
    given.cloned().unwrap_or_else(fresh_id)
}

/// A name that no other request has: 16 hexadecimal digits.
pub(crate) fn fresh_id() -> HeaderValue {
    HeaderValue::from_bytes(&hexadecimal(fresh_number())).unwrap_or(HeaderValue::from_static("0"))
}

/// The 16 digits of `number`.
pub(crate) fn hexadecimal(number: u64) -> [u8; 16] {
    let mut left = number;
    std::array::from_fn(|_| {
        left = left.rotate_left(4);
        let nibble = u8::try_from(left & 0xf).unwrap_or(0);
        if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
    })
}

/// A number that no other request has. Each thread goes its own way from a random beginning, so that none waits for
/// another; that two ever meet is as likely as that two random numbers are the same.
pub(crate) fn fresh_number() -> u64 {
    use std::cell::Cell;
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(random_u64());
    }
    let number = NEXT.get();
    NEXT.set(number.wrapping_add(0x9e37_79b9_7f4a_7c15));
    number
}

fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness names repeat after a restart, which only logs would notice.
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}
