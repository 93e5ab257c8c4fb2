//! Is a request so plain that a stored response can answer it with nothing else looked at?
//!
//! A GET or HEAD in HTTP/1.1 with one Host and no field that changes what is answered. Whatever else there is, is
//! left to hyper and the request path, refusals of what is malformed included.

use std::mem::MaybeUninit;

use http::Version;
use httparse::{Header, Request, Status};

/// Fields that a plain request may have; browsers send about fifteen.
pub(super) const FIELDS_MAX: usize = 48;

/// Room for the fields of one request.
pub(crate) struct Room<'b>([MaybeUninit<Header<'b>>; FIELDS_MAX]);

impl Room<'_> {
    /// Empty room.
    pub(crate) const fn new() -> Self {
        Self([MaybeUninit::uninit(); FIELDS_MAX])
    }
}

/// A plain request.
#[derive(Debug)]
pub(crate) struct Plain<'h, 'b> {
    /// Whether only the head is wanted.
    pub(crate) is_head: bool,
    /// The Host field.
    pub(crate) host: &'b str,
    /// Path and query as sent.
    pub(crate) target: &'b str,
    /// One Range, as sent.
    pub(crate) range: Option<&'b [u8]>,
    /// Whether it states what of the cache it wants (RFC 9111 §5.2.1).
    pub(crate) has_directives: bool,
    /// All fields.
    pub(crate) fields: &'h [Header<'b>],
    /// Bytes of the head; 0 for one that was read elsewhere.
    pub(crate) length: usize,
}

/// What a field means to the short way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Nothing, unless the stored response varies by it.
    None,
    Host,
    Range,
    /// What is wanted of the cache.
    Directives,
    Connection,
    /// More than is looked at here.
    Odd,
}

impl<'h, 'b> Plain<'h, 'b> {
    /// The request that `bytes` begin with, if its head is whole and plain.
    pub(crate) fn read(bytes: &'b [u8], room: &'h mut Room<'b>) -> Option<Self> {
        let mut request = Request::new(&mut []);
        let Ok(Status::Complete(length)) = request.parse_with_uninit_headers(bytes, &mut room.0)
        else {
            return None;
        };
        let is_head = match request.method? {
            "GET" => false,
            "HEAD" => true,
            _ => return None,
        };
        let target = request.path.filter(|target| target.starts_with('/'))?;
        if request.version != Some(1) {
            return None;
        }
        Self::of_fields(is_head, (None, target), request.headers, length)
    }

    /// The request that was read as `request`, if it is plain; its fields find room in `room`.
    pub(crate) fn of<B>(
        request: &'b http::Request<B>,
        room: &'h mut [Header<'b>; FIELDS_MAX],
    ) -> Option<Self> {
        let is_head = match *request.method() {
            http::Method::GET => false,
            http::Method::HEAD => true,
            _ => return None,
        };
        let uri = request.uri();
        let authority = match request.version() {
            Version::HTTP_2 => Some(uri.authority()?.as_str()),
            Version::HTTP_11 if uri.authority().is_none() => None,
            _ => return None,
        };
        let target = uri.path_and_query().map(http::uri::PathAndQuery::as_str)?;
        let fields = room.get_mut(..request.headers().len())?;
        for (field, (name, value)) in fields.iter_mut().zip(request.headers()) {
            *field = Header { name: name.as_str(), value: value.as_bytes() };
        }
        let target = Some(target).filter(|target| target.starts_with('/'))?;
        Self::of_fields(is_head, (authority, target), fields, 0)
    }

    /// `authority` is the host where the target names it; there is no Host field beside it then.
    fn of_fields(
        is_head: bool,
        (authority, target): (Option<&'b str>, &'b str),
        fields: &'h [Header<'b>],
        length: usize,
    ) -> Option<Self> {
        let (mut host, mut range, mut has_directives) = (authority.map(str::as_bytes), None, false);
        for field in fields {
            match meaning(field.name) {
                Meaning::None => {}
                Meaning::Host if host.is_none() => host = Some(field.value),
                Meaning::Range if range.is_none() && !is_head => range = Some(field.value),
                Meaning::Directives => has_directives = true,
                Meaning::Connection if field.value.eq_ignore_ascii_case(b"keep-alive") => {}
                Meaning::Host | Meaning::Range | Meaning::Connection | Meaning::Odd => return None,
            }
        }
        let host = std::str::from_utf8(host?).ok()?;
        Some(Self { is_head, host, target, range, has_directives, fields, length })
    }
}

/// What the field `name` means.
fn meaning(name: &str) -> Meaning {
    let is = |word: &str| name.eq_ignore_ascii_case(word);
    let begins = |word: &str| {
        name.as_bytes()
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    let meanings: &[(&str, Meaning)] = match name.as_bytes().first().map(u8::to_ascii_lowercase) {
        Some(b'c') => &[
            ("connection", Meaning::Connection),
            ("cache-control", Meaning::Directives),
            ("content-length", Meaning::Odd),
            ("cdn-loop", Meaning::Odd),
        ],
        Some(b'e') => &[("expect", Meaning::Odd)],
        Some(b'f') => &[("forwarded", Meaning::Odd)],
        Some(b'h') => &[("host", Meaning::Host), ("http2-settings", Meaning::Odd)],
        Some(b'i') if begins("if-") => return Meaning::Odd,
        Some(b'k') => &[("keep-alive", Meaning::Odd)],
        Some(b'p') if begins("proxy") => return Meaning::Odd,
        Some(b'p') => &[("pragma", Meaning::Directives)],
        Some(b'r') => &[("range", Meaning::Range)],
        Some(b't') => {
            &[("te", Meaning::Odd), ("trailer", Meaning::Odd), ("transfer-encoding", Meaning::Odd)]
        }
        Some(b'u') => &[("upgrade", Meaning::Odd)],
        Some(b'v') => &[("via", Meaning::Odd)],
        Some(b'w') if begins("weir-") => return Meaning::Odd,
        _ => &[],
    };
    meanings.iter().find(|(word, _)| is(word)).map_or(Meaning::None, |(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &str) -> bool {
        let head = format!("{}\r\n\r\n", lines.replace('\n', "\r\n"));
        let whole = Plain::read(head.as_bytes(), &mut Room::new()).map(|plain| plain.length);
        if let Some(length) = whole {
            assert_eq!(length, head.len());
            for end in 0..head.len() {
                assert!(Plain::read(&head.as_bytes()[..end], &mut Room::new()).is_none(), "{end}");
            }
        }
        whole.is_some()
    }

    #[test]
    fn only_what_changes_nothing_is_plain() {
        const CASES: &[(&str, bool, &str)] = &[
            ("GET /a?b HTTP/1.1\nHost: x", true, "nothing but what must be"),
            (
                "HEAD / HTTP/1.1\nhost: x\nUser-Agent: a\nCookie: b=c\nAccept-Encoding: br",
                true,
                "a browser's",
            ),
            ("GET / HTTP/1.1\nHost: x\nConnection: Keep-Alive", true, "what is so anyway"),
            ("GET / HTTP/1.1\nHost: x\nRange: bytes=0-1", true, "a range"),
            (
                "GET / HTTP/1.1\nHost: x\nCache-Control: no-cache",
                true,
                "for the site to honor or not",
            ),
            ("GET / HTTP/1.1", false, "no Host"),
            ("GET / HTTP/1.1\nHost: x\nHost: x", false, "two"),
            ("GET / HTTP/1.0\nHost: x", false, "another version"),
            ("POST / HTTP/1.1\nHost: x", false, "another method"),
            ("get / HTTP/1.1\nHost: x", false, "methods have a case"),
            ("GET http://x/ HTTP/1.1\nHost: x", false, "another form"),
            ("GET * HTTP/1.1\nHost: x", false, "another form"),
            ("GET / HTTP/1.1\nHost: x\nRange: a\nRange: b", false, "two ranges"),
            ("HEAD / HTTP/1.1\nHost: x\nRange: bytes=0-1", false, "a range of a head"),
            ("GET / HTTP/1.1\nHost: x\nConnection: close", false, "the last one"),
            ("GET / HTTP/1.1\nHost: x\nConnection: keep-alive, x", false, "names a field"),
            ("GET / HTTP/1.1\nHost: x\nContent-Length: 0", false, "a body"),
            ("GET / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked", false, "a body"),
            ("GET / HTTP/1.1\nHost: x\nIf-None-Match: *", false, "a condition"),
            ("GET / HTTP/1.1\nHost: x\nIF-RANGE: *", false, "a condition"),
            ("GET / HTTP/1.1\nHost: x\nExpect: 100-continue", false, "an expectation"),
            ("GET / HTTP/1.1\nHost: x\nUpgrade: h2c", false, "another protocol"),
            ("GET / HTTP/1.1\nHost: x\nTE: trailers", false, "trailers"),
            ("GET / HTTP/1.1\nHost: x\nVia: 1.1 y", false, "a proxy that may be this one"),
            ("GET / HTTP/1.1\nHost: x\nCDN-Loop: y", false, "the same"),
            ("GET / HTTP/1.1\nHost: x\nWeir-Proof: y", false, "a child"),
            ("GET / HTTP/1.1\nHost: x\nProxy-Connection: close", false, "connection fields of old"),
            ("GET / HTTP/1.1\nHost: x\nbad name: y", false, "for hyper to refuse"),
        ];
        for (lines, expected, why) in CASES {
            assert_eq!(plain(lines), *expected, "{why}: {lines}");
        }
        let many = "\nX-A: 1".repeat(FIELDS_MAX);
        assert!(!plain(&format!("GET / HTTP/1.1\nHost: x{many}")), "too many fields");
    }
}
