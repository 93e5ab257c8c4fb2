//! Which part of a response does the client get: all of it, ranges, or only "not modified"?
//!
//! Preconditions and ranges are evaluated here, on the first tier that has the response, whether it
//! lies in the store or streams in (RFC 9110 §13, §14).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE, TRAILER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use weir_cache::{
    ByteRange, Precondition, RangeSpec, StoredHead, Timestamp, content_range, cut_of, evaluate,
    if_range_holds, not_modified_headers, resolve_range, unsatisfied_range,
};
use weir_store::{Body, DiskBody, StoredResponse};

use crate::body::Content;
use crate::disk_reader::DiskReader;
use crate::fill::{FillHead, Ticket};
use crate::inbound::Inbound;
use crate::multipart::Multipart;
use crate::parts::PartAnswer;
use crate::refuse;
use crate::row::Piece;
use crate::slices::{Fetcher, Seat, SlicesAnswer};

/// Field lines that an answer has beyond those stored: Age, what is said of the cache, and what the way to the
/// client needs.
const FIELDS_ADDED: usize = 8;

/// What a client gets of a response.
#[derive(Debug)]
enum Part {
    Whole,
    Range { range: ByteRange, length: u64 },
    Several(Box<Multipart>),
    NotModified,
    PreconditionFailed,
    Unsatisfiable { length: u64 },
}

/// Where a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// At rest: any byte of it can be read, or fetched, at any time.
    At,
    /// Coming in, and read one way.
    Coming,
}

/// A response from the store.
pub(crate) fn from_store(
    inbound: &Inbound,
    stored: &StoredResponse,
    healer: Option<Arc<Fetcher>>,
    now: Timestamp,
) -> Response<Content> {
    let sending = Sending { body: &stored.body, fetcher: healer, seat: None };
    from_body(inbound, &stored.head, sending, now)
}

/// A response of which slices may be missing.
pub(crate) fn from_slices(
    inbound: &Inbound,
    answer: SlicesAnswer,
    now: Timestamp,
) -> Response<Content> {
    let SlicesAnswer { slices, fetcher, seat } = answer;
    let sending = Sending { body: &slices.stored().body, fetcher: Some(fetcher), seat };
    from_body(inbound, slices.head(), sending, now)
}

/// The bytes that a request gets of `body`, which is under `head`: from the first offset up to and without
/// the second; `None` where it gets none.
pub(crate) fn bytes_wanted(
    inbound: &Inbound,
    head: &StoredHead,
    body: &DiskBody,
) -> Option<(u64, u64)> {
    match part(inbound, head, Some(body.len()), Rest::At) {
        Part::Whole => Some((0, body.len())),
        Part::Range { range, .. } => Some((range.first, range.last.saturating_add(1))),
        Part::Several(_)
        | Part::NotModified
        | Part::PreconditionFailed
        | Part::Unsatisfiable { .. } => None,
    }
}

/// A body to be sent, and what brings slices of it that are missing.
struct Sending<'a> {
    body: &'a Body,
    fetcher: Option<Arc<Fetcher>>,
    seat: Option<Seat>,
}

fn from_body(
    inbound: &Inbound,
    head: &StoredHead,
    sending: Sending<'_>,
    now: Timestamp,
) -> Response<Content> {
    let length = sending.body.len();
    let part = part(inbound, head, Some(length), Rest::At);
    let status = status(&part, head.status);
    let mut headers = fields(inbound, &part, head.headers.to_map(FIELDS_ADDED));
    headers.insert(AGE, HeaderValue::from(head.plan.age_secs(now)));
    let content = match part {
        _ if inbound.method == Method::HEAD => Content::Empty,
        Part::Whole => send(sending, 0, length),
        Part::Range { range, .. } => send(sending, range.first, range.last.saturating_add(1)),
        Part::Several(parts) => {
            Content::Row(Box::new(parts.into_row(|range| piece(&sending, range))))
        }
        Part::NotModified | Part::PreconditionFailed | Part::Unsatisfiable { .. } => Content::Empty,
    };
    make(status, headers, content)
}

/// The bytes of a body from offset `first` up to and without `end`.
fn send(sending: Sending<'_>, first: u64, end: u64) -> Content {
    match sending.body {
        Body::InMemory(bytes) if first == 0 && end >= bytes.len() as u64 => {
            Content::Whole(bytes.clone())
        }
        Body::InMemory(bytes) => {
            Content::Whole(slice(bytes, ByteRange { first, last: end.saturating_sub(1) }))
        }
        Body::OnDisk(body) => {
            let reader = DiskReader::new(body, first, end);
            Content::Disk(Box::new(reader.filled_by(sending.fetcher, sending.seat)))
        }
    }
}

/// One of several ranges of a body.
fn piece(sending: &Sending<'_>, range: ByteRange) -> Piece {
    match sending.body {
        Body::InMemory(bytes) => slice(bytes, range).into(),
        Body::OnDisk(body) => {
            let reader = DiskReader::new(body, range.first, range.last.saturating_add(1));
            Piece::Disk(Box::new(reader.filled_by(sending.fetcher.clone(), None)))
        }
    }
}

/// A range out of the parts that are held.
pub(crate) fn from_parts(
    inbound: &Inbound,
    answer: &PartAnswer,
    now: Timestamp,
) -> Response<Content> {
    let (held, range) = (&answer.stored.held, answer.range);
    let part = match evaluate(&inbound.headers, &held.head) {
        Precondition::NotModified => Part::NotModified,
        Precondition::Failed => Part::PreconditionFailed,
        Precondition::Proceed => Part::Range { range, length: held.pieces.length() },
    };
    let mut headers = fields(inbound, &part, held.head.headers.to_map(FIELDS_ADDED));
    headers.insert(AGE, HeaderValue::from(held.head.plan.age_secs(now)));
    let content = match (&part, held.pieces.cut(range)) {
        (Part::Range { .. }, Some(pieces)) => Content::Row(Box::new(pieces.into_iter().collect())),
        _ => Content::Empty,
    };
    make(status(&part, held.head.status), headers, content)
}

/// A response that streams in for the one whose request it answers, with the fields as they came.
pub(crate) fn from_fill(inbound: &Inbound, head: &FillHead, ticket: Ticket) -> Response<Content> {
    let trailer = head.private_trailer().filter(|_| takes_trailers(inbound));
    let Some(trailer) = trailer else {
        return streaming(inbound, head, head.response.headers.clone(), ticket);
    };
    let mut headers = head.response.headers.clone();
    headers.insert(TRAILER, trailer.clone());
    let reader = ticket.into_reader(0, None).with_trailers();
    make(head.response.status, headers, Content::Fill(reader))
}

/// The same for one who joined: it gets the fields that are stored, as if it had come a moment later,
/// and is told how old they are.
pub(crate) fn from_shared_fill(
    inbound: &Inbound,
    head: &FillHead,
    ticket: Ticket,
    now: Timestamp,
) -> Response<Content> {
    let Some(stored) = &head.storable else { return from_fill(inbound, head, ticket) };
    let mut headers = stored.headers.to_map(FIELDS_ADDED);
    headers.insert(AGE, HeaderValue::from(stored.plan.age_secs(now)));
    streaming(inbound, head, headers, ticket)
}

/// A response that streams in. The place at the fill goes where the bytes go.
fn streaming(
    inbound: &Inbound,
    head: &FillHead,
    headers: HeaderMap,
    ticket: Ticket,
) -> Response<Content> {
    let part = match &head.storable {
        Some(stored) => part(inbound, stored, head.content_length, Rest::Coming),
        // More was asked for than the client wants.
        None if let Some(cut) = cut(inbound, head) => {
            return from_wider(head, headers, (cut, ticket));
        }
        // A response that is only this client's is passed on as it is.
        None => Part::Whole,
    };
    let status = status(&part, head.response.status);
    let headers = fields(inbound, &part, headers);
    let content = match part {
        _ if inbound.method == Method::HEAD => leave(&ticket),
        // A reader of a fill goes one way, so `part` has several ranges of a body at rest only.
        Part::Whole | Part::Several(_) => Content::Fill(ticket.into_reader(0, None)),
        Part::Range { range, .. } => {
            Content::Fill(ticket.into_reader(range.first, Some(range.len())))
        }
        Part::NotModified | Part::PreconditionFailed | Part::Unsatisfiable { .. } => leave(&ticket),
    };
    make(status, headers, content)
}

/// The client's bytes of a part that is wider, with what the part begins at.
fn cut(inbound: &Inbound, head: &FillHead) -> Option<Cut> {
    // What says another length than its range has is passed on as it is.
    let part = head.part.as_ref().filter(|part| head.content_length == Some(part.range().len()))?;
    let range = cut_of(&inbound.headers, &head.response.headers)?;
    (range != part.range()).then(|| Cut { range, part: part.range(), length: part.length() })
}

/// The bytes of a part that a client gets.
struct Cut {
    range: ByteRange,
    part: ByteRange,
    length: u64,
}

fn from_wider(
    head: &FillHead,
    of_part: HeaderMap,
    (cut, ticket): (Cut, Ticket),
) -> Response<Content> {
    let mut headers = of_representation(of_part);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(cut.range.len()));
    headers.insert(CONTENT_RANGE, content_range(cut.range, cut.length));
    let skip = cut.range.first.saturating_sub(cut.part.first);
    let reader = ticket.into_reader(skip, Some(cut.range.len()));
    make(head.response.status, headers, Content::Fill(reader))
}

/// Gives up the place at a fill that is to be finished all the same: it was asked for.
fn leave(ticket: &Ticket) -> Content {
    ticket.want();
    Content::Empty
}

/// Decides by the request's preconditions and its range, in the order of RFC 9110 §13.2.2.
///
/// Several ranges of a body that is still coming in get the whole, which RFC 9110 §14.2 leaves to the server:
/// the first may lie behind the last.
fn part(inbound: &Inbound, stored: &StoredHead, length: Option<u64>, rest: Rest) -> Part {
    if stored.status != StatusCode::OK {
        return Part::Whole;
    }
    match evaluate(&inbound.headers, stored) {
        Precondition::NotModified => return Part::NotModified,
        Precondition::Failed => return Part::PreconditionFailed,
        Precondition::Proceed => {}
    }
    let (Some(range), Some(length)) = (inbound.headers.get(RANGE), length) else {
        return Part::Whole;
    };
    if inbound.method != Method::GET || !if_range_holds(&inbound.headers, &stored.headers) {
        return Part::Whole;
    }
    match resolve_range(range.as_bytes(), length) {
        RangeSpec::Whole => Part::Whole,
        RangeSpec::One(range) => Part::Range { range, length },
        RangeSpec::Many(_) if rest == Rest::Coming => Part::Whole,
        RangeSpec::Many(ranges) => Multipart::new(&stored.headers, length, &ranges)
            .map_or(Part::Whole, |parts| Part::Several(Box::new(parts))),
        RangeSpec::Unsatisfiable => Part::Unsatisfiable { length },
    }
}

/// The fields that go with the part, made of those of the whole.
fn fields(inbound: &Inbound, part: &Part, of_whole: HeaderMap) -> HeaderMap {
    match *part {
        Part::Whole => of_whole,
        // A lower tier freshens what it stores, so it gets every field (RFC 9111 §4.3.4).
        Part::NotModified => not_modified_headers(of_whole, inbound.is_child()),
        Part::Range { range, length } => {
            let mut headers = of_representation(of_whole);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
            headers.insert(CONTENT_RANGE, content_range(range, length));
            headers
        }
        Part::Several(ref parts) => {
            let mut headers = of_representation(of_whole);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(parts.len()));
            headers.insert(CONTENT_TYPE, parts.content_type().clone());
            // RFC 9110 §15.3.7.2: each part has its own, and the answer has none.
            headers.remove(CONTENT_RANGE);
            headers
        }
        Part::PreconditionFailed => {
            let refused = refuse::plain(StatusCode::PRECONDITION_FAILED, "");
            refused.headers().clone()
        }
        Part::Unsatisfiable { length } => {
            let mut refused = refuse::plain(StatusCode::RANGE_NOT_SATISFIABLE, "");
            refused.headers_mut().insert(CONTENT_RANGE, unsatisfied_range(length));
            refused.headers().clone()
        }
    }
}

/// The fields of the whole without the digests of its content, which is not the content of a part
/// (RFC 9530 §2).
fn of_representation(mut headers: HeaderMap) -> HeaderMap {
    strip_digests_of_whole(&mut headers);
    headers
}

/// Removes the digests of the content of the whole.
pub(crate) fn strip_digests_of_whole(headers: &mut HeaderMap) {
    for name in ["content-digest", "content-md5"] {
        headers.remove(name);
    }
}

/// The status that goes with the part.
fn status(part: &Part, of_whole: StatusCode) -> StatusCode {
    match part {
        Part::Whole => of_whole,
        Part::Range { .. } | Part::Several(_) => StatusCode::PARTIAL_CONTENT,
        Part::NotModified => StatusCode::NOT_MODIFIED,
        Part::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Part::Unsatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
    }
}

fn make(status: StatusCode, headers: HeaderMap, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The bytes of a range; shares the body.
pub(crate) fn slice(body: &Bytes, range: ByteRange) -> Bytes {
    let first = usize::try_from(range.first).unwrap_or(usize::MAX).min(body.len());
    let end = usize::try_from(range.last.saturating_add(1)).unwrap_or(usize::MAX).min(body.len());
    body.slice(first..end.max(first))
}

/// Whether trailers may follow the answer (RFC 9110 §6.5.1).
pub(crate) fn takes_trailers(inbound: &Inbound) -> bool {
    inbound.takes_trailers && inbound.method != Method::HEAD
}
