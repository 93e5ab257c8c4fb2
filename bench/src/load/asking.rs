//! Which request is sent next? URLs, keys and misses drawn, and the head written out.
//!
//! Everything that may be wrong with a request is refused when [`Asking`] is made; what is left costs a copy a request.
//!
//! A miss is a request that nobody can have stored: text made of the run's name, the thread and a count takes the place
//! of `{miss}`, or goes into a query parameter of its own where the URL has no such place.

use std::io::Write as _;

use super::random::{Random, Zipf};
use super::target::{Piece, Target, TargetError};

/// The query parameter that makes a URL unique.
const MISS_PARAMETER: &str = "weir-miss";
const URLS_MAX: usize = 1_000_000;
/// Each connection slot holds a connection to each place at most.
const PLACES_MAX: usize = 64;
const FIELDS_BYTES_MAX: usize = 32 * 1024;
/// What a request says of itself unless told otherwise.
const USER_AGENT: &str = concat!("weir-bench/", env!("CARGO_PKG_VERSION"));

/// What is asked, as somebody writes it down.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// URLs, at least one; `{n}` stands for a key, `{miss}` for something never asked before.
    pub urls: Vec<String>,
    /// HEAD in place of GET.
    pub head: bool,
    /// Fields as `Name: value`; `Host` replaces that of the URLs.
    pub fields: Vec<String>,
    /// What `Host` says in place of the URL's.
    pub host: Option<String>,
    /// The first and last byte of a range that is asked for.
    pub range: Option<(u64, u64)>,
    /// How many keys `{n}` is drawn from, from 0.
    pub keys: Option<u64>,
    /// Exponent by which the likelihood of keys (or of URLs, where there are no keys) falls; `None` draws evenly.
    pub zipf: Option<f64>,
    /// The share of requests that are misses, 0 to 1.
    pub miss: f64,
}

/// What is asked, checked.
#[derive(Debug, Clone)]
pub struct Asking {
    templates: Vec<Template>,
    places: Vec<String>,
    head: bool,
    keys: u64,
    zipf: Option<Zipf>,
    by_key: bool,
    miss: f64,
}

#[derive(Debug, Clone)]
struct Template {
    place: usize,
    target: Target,
    /// From the version to the end of the head.
    tail: Vec<u8>,
}

/// Why nothing of this can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskingError {
    /// A URL is none.
    #[error("{url:?}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        #[source]
        source: TargetError,
    },
    /// There is none.
    #[error("expected at least one URL")]
    NoUrls,
    /// There are too many.
    #[error("expected at most {URLS_MAX} URLs on at most {PLACES_MAX} addresses")]
    TooMany,
    /// A field cannot be sent.
    #[error("{0:?} is no field; expected 'Name: value'")]
    Field(String),
    /// A field would change where the request ends or what becomes of the connection.
    #[error("the field {0} is the driver's own")]
    OwnField(String),
    /// Fields are too long.
    #[error("expected at most {FIELDS_BYTES_MAX} bytes of fields")]
    FieldsTooLong,
    /// The host cannot be sent.
    #[error("{0:?} is no host")]
    Host(String),
    /// A range ends before it begins.
    #[error("expected a range whose end is not before its begin")]
    Range,
    /// Keys without a place for them, or the other way round.
    #[error("{{n}} in a URL and a number of keys (at least 1) need each other")]
    Keys,
    /// The exponent makes no sense.
    #[error("expected an exponent above 0 and at most 10")]
    Zipf,
    /// The share makes no sense.
    #[error("expected a share of misses between 0 and 100%")]
    Miss,
}

impl Asking {
    /// Checks what is asked.
    ///
    /// # Errors
    ///
    /// [`AskingError`] says what to write instead.
    pub fn new(asked: &Asked) -> Result<Self, AskingError> {
        if asked.urls.is_empty() {
            return Err(AskingError::NoUrls);
        }
        let (fields, host) = parse_fields(asked)?;
        let mut places = Vec::new();
        let mut templates = Vec::with_capacity(asked.urls.len().min(URLS_MAX));
        for url in &asked.urls {
            let target = Target::parse(url).map_err(|source| AskingError::Url {
                url: url.chars().take(200).collect(),
                source,
            })?;
            let known = places.iter().position(|place| *place == target.place);
            let place = known.unwrap_or(places.len());
            if known.is_none() {
                places.push(target.place.clone());
            }
            if places.len() > PLACES_MAX || templates.len() == URLS_MAX {
                return Err(AskingError::TooMany);
            }
            let host = host.as_deref().unwrap_or(&target.authority);
            let tail = format!(" HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").into_bytes();
            templates.push(Template { place, target, tail });
        }
        let by_key = templates.iter().any(|template| template.target.has_number());
        if by_key != asked.keys.is_some() || asked.keys == Some(0) {
            return Err(AskingError::Keys);
        }
        if asked.zipf.is_some_and(|exponent| !(exponent > 0.0 && exponent <= 10.0)) {
            return Err(AskingError::Zipf);
        }
        if !(0.0..=1.0).contains(&asked.miss) {
            return Err(AskingError::Miss);
        }
        let urls = u64::try_from(templates.len()).unwrap_or(u64::MAX);
        let keys = asked.keys.unwrap_or(urls);
        let zipf = asked.zipf.map(|exponent| Zipf::new(keys, exponent));
        Ok(Self { templates, places, head: asked.head, keys, zipf, by_key, miss: asked.miss })
    }

    /// The addresses that the URLs name, `host:port`.
    pub(crate) fn places(&self) -> &[String] {
        &self.places
    }

    /// Whether answers have no bodies.
    pub(crate) fn is_head(&self) -> bool {
        self.head
    }
}

/// Draws requests for one thread.
#[derive(Debug)]
pub(crate) struct Asker {
    asking: Asking,
    random: Random,
    /// What makes this thread of this run unlike any other.
    name: String,
    count: u64,
}

/// What was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drawn {
    /// Index of the place to ask.
    pub(crate) place: usize,
    /// Whether it is a miss on purpose.
    pub(crate) miss: bool,
}

impl Asker {
    pub(crate) fn new(asking: Asking, seed: u64, name: String) -> Self {
        Self { asking, random: Random::new(seed), name, count: 0 }
    }

    /// Draws a request and writes its head in place of what `head` held.
    pub(crate) fn draw(&mut self, head: &mut Vec<u8>) -> Drawn {
        head.clear();
        let asking = &self.asking;
        // Nothing is drawn where there is nothing to choose.
        let key = match &asking.zipf {
            Some(zipf) => zipf.draw(&mut self.random),
            None if asking.keys > 1 => self.random.below(asking.keys),
            None => 0,
        };
        let urls = u64::try_from(asking.templates.len()).unwrap_or(u64::MAX);
        let url = if !asking.by_key {
            key
        } else if urls > 1 {
            self.random.below(urls)
        } else {
            0
        };
        let miss = asking.miss > 0.0 && self.random.unit() < asking.miss;
        let unique = miss.then(|| {
            self.count += 1;
            (self.name.as_str(), self.count)
        });
        let template = usize::try_from(url).ok().and_then(|url| asking.templates.get(url));
        let Some(template) = template else { return Drawn { place: 0, miss: false } };
        head.extend_from_slice(if asking.head { b"HEAD " } else { b"GET " });
        template.write_target(key, unique, head);
        head.extend_from_slice(&template.tail);
        Drawn { place: template.place, miss }
    }
}

impl Template {
    fn write_target(&self, key: u64, unique: Option<(&str, u64)>, head: &mut Vec<u8>) {
        let mut unique_left = unique;
        for piece in &self.target.pieces {
            match (piece, unique) {
                (Piece::Text(text), _) => head.extend_from_slice(text.as_bytes()),
                (Piece::Number, _) => write(head, format_args!("{key}")),
                (Piece::Unique, Some((name, count))) => {
                    write(head, format_args!("{name}-{count}"));
                    unique_left = None;
                }
                (Piece::Unique, None) => head.push(b'0'),
            }
        }
        if let Some((name, count)) = unique_left {
            let mark = if self.target.has_query { '&' } else { '?' };
            write(head, format_args!("{mark}{MISS_PARAMETER}={name}-{count}"));
        }
    }
}

fn write(head: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into memory cannot fail.
    drop(head.write_fmt(text));
}

/// The fields as they are sent, and the host that replaces that of the URLs.
fn parse_fields(asked: &Asked) -> Result<(String, Option<String>), AskingError> {
    let mut fields = String::new();
    let mut host = asked.host.clone();
    let mut named = Vec::new();
    for field in &asked.fields {
        let refused = || AskingError::Field(field.clone());
        let (name, value) = field.split_once(':').ok_or_else(refused)?;
        let value = value.trim();
        let is_value = |byte: u8| byte == b'\t' || byte >= b' ' && byte != 0x7f;
        if name.is_empty() || !name.bytes().all(is_token) || !value.bytes().all(is_value) {
            return Err(refused());
        }
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "host" => host = Some(value.to_owned()),
            "connection" | "content-length" | "transfer-encoding" | "expect" | "upgrade" => {
                return Err(AskingError::OwnField(name.to_owned()));
            }
            _ => fields += &format!("{name}: {value}\r\n"),
        }
        named.push(lower);
    }
    if let Some(host) = &host
        && (host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err(AskingError::Host(host.clone()));
    }
    if let Some((first, last)) = asked.range {
        if last < first {
            return Err(AskingError::Range);
        }
        fields += &format!("Range: bytes={first}-{last}\r\n");
    }
    for (name, value) in [("User-Agent", USER_AGENT), ("Accept", "*/*")] {
        if !named.iter().any(|named| named.eq_ignore_ascii_case(name)) {
            fields += &format!("{name}: {value}\r\n");
        }
    }
    if fields.len() > FIELDS_BYTES_MAX {
        return Err(AskingError::FieldsTooLong);
    }
    Ok((fields, host))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn asked(url: &str) -> Asked {
        Asked { urls: vec![url.to_owned()], ..Asked::default() }
    }

    fn heads(asked: &Asked, count: usize) -> Vec<(String, Drawn)> {
        let mut asker = Asker::new(Asking::new(asked).unwrap(), 11, "run-0".to_owned());
        let mut head = Vec::new();
        let mut draw = |_| {
            let drawn = asker.draw(&mut head);
            (String::from_utf8(head.clone()).unwrap(), drawn)
        };
        (0..count).map(&mut draw).collect()
    }

    fn path(head: &str) -> &str {
        head.split(' ').nth(1).unwrap()
    }

    #[test]
    fn a_head_holds_what_was_asked_for() {
        let asked = Asked {
            head: true,
            fields: vec!["X-A: b".to_owned(), "user-agent: me".to_owned()],
            host: Some("www.example".to_owned()),
            range: Some((2, 9)),
            ..asked("http://127.0.0.1:8080/a?b")
        };
        let expected = "HEAD /a?b HTTP/1.1\r\nHost: www.example\r\nX-A: b\r\nuser-agent: me\r\nRange: bytes=2-9\r\nAccept: */*\r\n\r\n";
        assert_eq!(heads(&asked, 1)[0].0, expected);
    }

    #[test]
    fn keys_are_drawn_evenly() {
        let asked = Asked { keys: Some(10), ..asked("http://a/k{n}.js") };
        let mut counts = BTreeMap::<String, u32>::new();
        for (head, drawn) in heads(&asked, 20_000) {
            *counts.entry(path(&head).to_owned()).or_default() += 1;
            assert!(!drawn.miss);
        }
        assert_eq!(counts.len(), 10);
        assert!(counts.values().all(|count| (1_740..2_260).contains(count)), "{counts:?}");
        assert!(counts.contains_key("/k0.js") && counts.contains_key("/k9.js"));
    }

    #[test]
    fn low_keys_and_first_urls_are_favored_under_zipf() {
        let by_key = Asked { keys: Some(1_000), zipf: Some(1.0), ..asked("http://a/{n}") };
        let first = heads(&by_key, 5_000).iter().filter(|(head, _)| path(head) == "/0").count();
        assert!((500..850).contains(&first), "{first}");
        let by_url = Asked {
            urls: vec!["http://a/x".to_owned(), "http://b/y".to_owned()],
            zipf: Some(1.0),
            ..Asked::default()
        };
        let drawn = heads(&by_url, 3_000);
        let first = drawn.iter().filter(|(head, drawn)| path(head) == "/x" && drawn.place == 0);
        assert!((1_850..2_150).contains(&first.count()));
        assert!(drawn.iter().any(|(head, drawn)| path(head) == "/y" && drawn.place == 1));
    }

    #[test]
    fn misses_have_their_share_and_never_come_twice() {
        for (url, hit) in
            [("http://a/x", "/x"), ("http://a/x?y", "/x?y"), ("http://a/{miss}/x", "/0/x")]
        {
            let drawn = heads(&Asked { miss: 0.05, ..asked(url) }, 20_000);
            let misses: Vec<&str> =
                drawn.iter().filter(|(_, drawn)| drawn.miss).map(|(head, _)| path(head)).collect();
            assert!((815..1_185).contains(&misses.len()), "{}", misses.len());
            assert_eq!(misses.iter().collect::<BTreeSet<_>>().len(), misses.len());
            assert!(drawn.iter().all(|(head, drawn)| drawn.miss == (path(head) != hit)));
        }
        let paths: Vec<String> = heads(&Asked { miss: 1.0, ..asked("http://a/x?y") }, 1)
            .into_iter()
            .map(|(head, _)| head)
            .collect();
        assert!(paths[0].starts_with("GET /x?y&weir-miss=run-0-1 HTTP/1.1\r\n"), "{paths:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let field = |field: &str| Asked { fields: vec![field.to_owned()], ..asked("http://a/") };
        let table = [
            (Asked::default(), AskingError::NoUrls),
            (field("no colon"), AskingError::Field("no colon".to_owned())),
            (field("a b: c"), AskingError::Field("a b: c".to_owned())),
            (field("a: b\r\nc: d"), AskingError::Field("a: b\r\nc: d".to_owned())),
            (field("Content-Length: 3"), AskingError::OwnField("Content-Length".to_owned())),
            (field("host: a b"), AskingError::Host("a b".to_owned())),
            (field(&format!("a: {}", "b".repeat(FIELDS_BYTES_MAX))), AskingError::FieldsTooLong),
            (Asked { range: Some((3, 2)), ..asked("http://a/") }, AskingError::Range),
            (asked("http://a/{n}"), AskingError::Keys),
            (Asked { keys: Some(3), ..asked("http://a/") }, AskingError::Keys),
            (Asked { keys: Some(0), ..asked("http://a/{n}") }, AskingError::Keys),
            (Asked { zipf: Some(0.0), ..asked("http://a/") }, AskingError::Zipf),
            (Asked { zipf: Some(f64::NAN), ..asked("http://a/") }, AskingError::Zipf),
            (Asked { miss: 1.1, ..asked("http://a/") }, AskingError::Miss),
        ];
        for (asked, expected) in table {
            assert_eq!(Asking::new(&asked).unwrap_err(), expected);
        }
        let places = (0..=PLACES_MAX).map(|place| format!("http://h{place}/")).collect();
        let asked = Asked { urls: places, ..Asked::default() };
        assert_eq!(Asking::new(&asked).unwrap_err(), AskingError::TooMany);
    }
}
