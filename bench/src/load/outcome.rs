//! Did the answer come from the cache? By what its fields say.
//!
//! `X-Cache` is asked first, because it speaks of the node that was asked alone; then the last member of `Cache-Status`
//! (RFC 9211), which is the node nearest to the client.

use memchr::memmem;

/// What a cache said of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheOutcome {
    /// From the store, fresh.
    Hit,
    /// From upstream.
    Miss,
    /// From the store, past its lifetime.
    Stale,
    /// From upstream, past the store.
    Bypass,
    /// The answer says nothing, or nothing that can be read.
    Unsaid,
}

impl CacheOutcome {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Hit, Self::Miss, Self::Stale, Self::Bypass, Self::Unsaid];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
            Self::Unsaid => "none",
        }
    }

    /// The place in [`CacheOutcome::ALL`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Hit => 0,
            Self::Miss => 1,
            Self::Stale => 2,
            Self::Bypass => 3,
            Self::Unsaid => 4,
        }
    }
}

/// No word that is looked for begins later in a value.
const LOOKED_AT_MAX: usize = 64;

/// What a value of `X-Cache` says: the last member, in the spellings of Weir, nginx, Squid, Varnish and others.
pub(crate) fn from_x_cache(value: &[u8]) -> Option<CacheOutcome> {
    match value {
        b"HIT" => return Some(CacheOutcome::Hit),
        b"MISS" => return Some(CacheOutcome::Miss),
        _ => {}
    }
    let last = value.rsplit(|byte| *byte == b',').next()?.trim_ascii();
    let word = last.get(..LOOKED_AT_MAX).unwrap_or(last).to_ascii_lowercase();
    // In this order: nginx says EXPIRED where it asked upstream, Squid says REFRESH_MISS.
    let words: [(&[u8], CacheOutcome); 8] = [
        (b"stale", CacheOutcome::Stale),
        (b"updating", CacheOutcome::Stale),
        (b"bypass", CacheOutcome::Bypass),
        (b"pass", CacheOutcome::Bypass),
        (b"dynamic", CacheOutcome::Bypass),
        (b"miss", CacheOutcome::Miss),
        (b"expired", CacheOutcome::Miss),
        (b"hit", CacheOutcome::Hit),
    ];
    words.iter().find(|(text, _)| memmem::find(&word, text).is_some()).map(|(_, outcome)| *outcome)
}

/// What the last member of a value of `Cache-Status` says.
pub(crate) fn from_cache_status(value: &[u8]) -> Option<CacheOutcome> {
    let last = split_unquoted(value, b',').last()?;
    let mut hit = false;
    let mut expired = false;
    let mut forward = None;
    for parameter in split_unquoted(last, b';').skip(1).map(<[u8]>::trim_ascii) {
        hit |= parameter == b"hit" || parameter == b"hit=?1";
        expired |= parameter.starts_with(b"ttl=-");
        forward = parameter.strip_prefix(b"fwd=").or(forward);
    }
    match (hit, forward) {
        (true, _) if expired => Some(CacheOutcome::Stale),
        (true, _) => Some(CacheOutcome::Hit),
        (false, Some(b"bypass")) => Some(CacheOutcome::Bypass),
        (false, Some(_)) => Some(CacheOutcome::Miss),
        (false, None) => None,
    }
}

/// The pieces between separators that stand outside of quotes.
fn split_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |byte| {
        let splits = !quoted && *byte == separator;
        if escaped {
            escaped = false;
        } else if quoted && *byte == b'\\' {
            escaped = true;
        } else if *byte == b'"' {
            quoted = !quoted;
        }
        splits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_cache_is_read_in_all_its_spellings() {
        use CacheOutcome::{Bypass, Hit, Miss, Stale};
        let table = [
            ("HIT", Some(Hit)),
            ("hit", Some(Hit)),
            ("MISS", Some(Miss)),
            ("STALE", Some(Stale)),
            ("BYPASS", Some(Bypass)),
            ("MISS, HIT", Some(Hit)),
            ("HIT, MISS", Some(Miss)),
            ("Hit from cloudfront", Some(Hit)),
            ("RefreshHit from cloudfront", Some(Hit)),
            ("TCP_REFRESH_MISS", Some(Miss)),
            ("EXPIRED", Some(Miss)),
            ("UPDATING", Some(Stale)),
            ("", None),
            ("perhaps", None),
        ];
        for (value, expected) in table {
            assert_eq!(from_x_cache(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn the_last_member_of_cache_status_counts() {
        use CacheOutcome::{Bypass, Hit, Miss, Stale};
        let table = [
            ("edge; hit; ttl=59", Some(Hit)),
            ("edge;hit;ttl=-3", Some(Stale)),
            ("shield; hit, edge; fwd=uri-miss; stored", Some(Miss)),
            ("shield; fwd=uri-miss, edge; hit", Some(Hit)),
            ("edge; fwd=bypass; detail=\"rule, hit\"", Some(Bypass)),
            ("edge; fwd=stale; fwd-status=304", Some(Miss)),
            ("\"a, b; hit\"; fwd=miss", Some(Miss)),
            ("\"a \\\" , b\"; hit", Some(Hit)),
            ("edge", None),
            ("", None),
        ];
        for (value, expected) in table {
            assert_eq!(from_cache_status(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn places_are_those_of_the_list() {
        for (index, outcome) in CacheOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), index, "{}", outcome.name());
        }
    }
}
