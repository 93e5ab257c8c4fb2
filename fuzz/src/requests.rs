//! What targets about access ask: a target, fields and an address at some second.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, Method};
use weir_access::{Moment, Request};
use weir_cache::{Target, UnixTime};

/// One request.
pub struct Asked<'a> {
    /// What for.
    pub target: &'a Target,
    /// With what.
    pub headers: &'a HeaderMap,
    /// From where.
    pub client: IpAddr,
    /// When.
    pub now: i64,
}

impl Asked<'_> {
    /// As the check takes it.
    pub fn request(&self) -> Request<'_> {
        let (target, headers, client) = (self.target, self.headers, self.client);
        Request { method: &Method::GET, target, headers, client }
    }

    /// When it is asked, without tolerance.
    pub fn moment(&self) -> Moment {
        Moment { now: UnixTime::from_secs(self.now), skew: Duration::ZERO }
    }
}

/// The address in a text; one of documentation where it has none.
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::from([192, 0, 2, 1]))
}

/// Whether `pattern` stands for `text`, with `*` for any bytes and `?` for one, tried in every way.
pub fn wild(pattern: &[u8], text: &[u8]) -> bool {
    // One row a byte of the pattern: which beginnings of the text fit so far.
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for wanted in pattern {
        let mut next = vec![false; text.len() + 1];
        for end in 0..=text.len() {
            next[end] = match wanted {
                b'*' => row[end] || (end > 0 && next[end - 1]),
                b'?' => end > 0 && row[end - 1],
                byte => end > 0 && row[end - 1] && text[end - 1] == *byte,
            };
        }
        row = next;
    }
    row[text.len()]
}
