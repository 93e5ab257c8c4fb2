//! How are the servers of a site written, chosen among, and checked?
//!
//! A server is its address with an optional weight and the word `backup` behind it. Which of them is
//! asked for a request is decided in `upstream`, not here.
//!
//! # Invariant
//!
//! What `Display` writes is read back as the same value.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;

use super::address::{AddressError, UpstreamAddr};
use super::model::Protocol;

/// Weights that a server may have.
const WEIGHTS: RangeInclusive<u16> = 1..=1_000;

/// One server of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginServer {
    /// Where it is asked.
    pub addr: UpstreamAddr,
    /// Its share of the requests beside those of the others, 1 to 1000.
    pub weight: u16,
    /// Whether it is asked only while no other server can be.
    pub backup: bool,
}

impl From<UpstreamAddr> for OriginServer {
    /// A server of weight 1 that is no backup.
    fn from(addr: UpstreamAddr) -> Self {
        Self { addr, weight: 1, backup: false }
    }
}

impl fmt::Display for OriginServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr.fmt(f)?;
        if self.weight != 1 {
            write!(f, " weight={}", self.weight)?;
        }
        if self.backup {
            f.write_str(" backup")?;
        }
        Ok(())
    }
}

/// Why a text names no server. Each completes a sentence whose subject is the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The address is none.
    #[error("the address {0}")]
    Address(AddressError),
    /// The weight is not from 1 to 1000.
    #[error("the weight is not a whole number from 1 to 1000")]
    Weight,
    /// A word is said twice.
    #[error("`{0}` stands there twice")]
    Twice(&'static str),
    /// Some other word follows the address.
    #[error("only `weight=N` and `backup` may follow the address")]
    Word,
}

impl FromStr for OriginServer {
    type Err = OriginError;

    /// Parses `http://host:port`, `http://host:port weight=3`, `http://host:port backup` or both, in any
    /// order.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let mut words = text.split_ascii_whitespace();
        let addr = words.next().unwrap_or_default().parse().map_err(OriginError::Address)?;
        let (mut weight, mut backup) = (None, false);
        for word in words {
            if let Some(digits) = word.strip_prefix("weight=") {
                let plain = digits.bytes().all(|b| b.is_ascii_digit());
                let read = digits.parse().ok().filter(|w| plain && WEIGHTS.contains(w));
                if weight.replace(read.ok_or(OriginError::Weight)?).is_some() {
                    return Err(OriginError::Twice("weight"));
                }
            } else if word == "backup" {
                if backup {
                    return Err(OriginError::Twice("backup"));
                }
                backup = true;
            } else {
                return Err(OriginError::Word);
            }
        }
        Ok(Self { addr, weight: weight.unwrap_or(1), backup })
    }
}

/// How one of several servers is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Balance {
    /// They take turns, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight for its weight.
    LeastOutstanding,
    /// The key chooses, so that one server is asked for one URL.
    Rendezvous,
}

/// Statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// The statuses from `first` to `last`; `None` unless `100 <= first <= last <= 599`.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (100 <= first && first <= last && last <= 599).then_some(Self { first, last })
    }

    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for StatusRange {
    type Err = ();

    /// Parses `204` or `200-399`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| {
            let plain = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|_| plain)
        };
        status(first).zip(status(last)).and_then(|(a, b)| Self::new(a, b)).ok_or(())
    }
}

/// How the servers of a site are connected to, chosen among and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginConfig {
    /// Which HTTP is spoken.
    pub protocol: Protocol,
    /// Name that certificates are for; `None` for the one in the address.
    pub tls_name: Option<String>,
    /// PEM file with the certificates that vouch for servers; `None` for those of the system.
    pub tls_ca: Option<PathBuf>,
    /// Whether certificates are checked.
    pub tls_verify: bool,
    /// Who is asked next.
    pub balance: Balance,
    /// Path and query that checks ask for; `None` for no checks.
    pub check_path: Option<String>,
    /// Time between two checks of one server.
    pub check_interval: Duration,
    /// Time for a check, its answer's head included.
    pub check_timeout: Duration,
    /// Good checks in a row after which a server that was left out is asked again, 1 to 100.
    pub check_rise: u32,
    /// Bad checks in a row after which a server is left out, 1 to 100.
    pub check_fall: u32,
    /// Statuses that make a check a good one.
    pub check_status: Vec<StatusRange>,
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            tls_name: None,
            tls_ca: None,
            tls_verify: true,
            balance: Balance::default(),
            check_path: None,
            check_interval: Duration::from_secs(5),
            check_timeout: Duration::from_secs(2),
            check_rise: 2,
            check_fall: 3,
            check_status: vec![StatusRange { first: 200, last: 399 }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_with_weight_and_backup() {
        use OriginError::{Address, Twice, Weight, Word};
        // (text, as it is written, or what is wrong)
        let cases: &[(&str, Result<&str, OriginError>)] = &[
            ("http://10.0.0.1:8000", Ok("http://10.0.0.1:8000")),
            ("http://a weight=3", Ok("http://a:80 weight=3")),
            ("http://a   weight=1", Ok("http://a:80")),
            ("http://a backup", Ok("http://a:80 backup")),
            ("http://a backup weight=1000", Ok("http://a:80 weight=1000 backup")),
            ("", Err(Address(AddressError::Scheme))),
            ("backup http://a", Err(Address(AddressError::Scheme))),
            ("http://a weight=0", Err(Weight)),
            ("http://a weight=1001", Err(Weight)),
            ("http://a weight=+3", Err(Weight)),
            ("http://a weight=", Err(Weight)),
            ("http://a weight = 3", Err(Word)),
            ("http://a weight=1 weight=2", Err(Twice("weight"))),
            ("http://a backup backup", Err(Twice("backup"))),
            ("http://a Backup", Err(Word)),
            ("http://a http://b", Err(Word)),
        ];
        for (text, expected) in cases {
            let read = text.parse::<OriginServer>();
            assert_eq!(
                read.clone().map(|server| server.to_string()),
                expected.clone().map(str::to_owned)
            );
            if let Ok(server) = read {
                assert_eq!(server.to_string().parse(), Ok(server), "{text}");
            }
        }
    }

    #[test]
    fn statuses_are_one_or_a_range() {
        for text in ["200", "200-399", "100-599"] {
            assert_eq!(text.parse::<StatusRange>().unwrap().to_string(), text);
        }
        for text in ["", "99", "600", "399-200", "200-", "-", "200-600", "2e2", "+20", "0200"] {
            assert_eq!(text.parse::<StatusRange>(), Err(()), "{text}");
        }
        let range: StatusRange = "200-299".parse().unwrap();
        assert!(range.contains(StatusCode::OK) && !range.contains(StatusCode::FOUND));
    }
}
