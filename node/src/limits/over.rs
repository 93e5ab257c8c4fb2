//! Which limit does a request meet, and what is its client told?

use std::time::Duration;

use http::StatusCode;

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The request's body is larger than it may be.
    Body,
    /// The rate of one client over all sites.
    ClientRate {
        /// How long until a request is let in.
        wait: Duration,
    },
    /// The rate of one client at this site.
    ClientSiteRate {
        /// How long until a request is let in.
        wait: Duration,
    },
    /// The requests of this site that may be answered at once.
    InFlight,
    /// The rate of all clients at this site.
    SiteRate {
        /// How long until a request is let in.
        wait: Duration,
    },
}

impl Over {
    /// The word it is counted and logged under.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Body => "body-max",
            Self::ClientRate { .. } => "client-rate",
            Self::ClientSiteRate { .. } => "client-site-rate",
            Self::InFlight => "requests-in-flight",
            Self::SiteRate { .. } => "site-rate",
        }
    }

    /// 429 for what the client itself has done too often (RFC 6585 §4), 503 for what it shares with others
    /// (RFC 9110 §15.6.4): it has done nothing wrong, and slowing down would not help it.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ClientRate { .. } | Self::ClientSiteRate { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::InFlight | Self::SiteRate { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Seconds after which asking again may help, at least one; `None` if it will not.
    pub(crate) fn retry_after_secs(self) -> Option<u64> {
        match self {
            Self::Body => None,
            Self::InFlight => Some(1),
            Self::ClientRate { wait } | Self::ClientSiteRate { wait } | Self::SiteRate { wait } => {
                let whole = wait.as_secs();
                Some(whole.saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
            }
        }
    }

    /// What the client is told.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Body => "The body of the request is too large.\n",
            Self::ClientRate { .. } | Self::ClientSiteRate { .. } => {
                "Too many requests. Slow down.\n"
            }
            Self::InFlight | Self::SiteRate { .. } => {
                "The site has more requests than it may have. Try again soon.\n"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_whole_seconds_and_never_too_short() {
        let told =
            |millis| Over::ClientRate { wait: Duration::from_millis(millis) }.retry_after_secs();
        for (millis, expected) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_500, 60)] {
            assert_eq!(told(millis), Some(expected), "{millis}");
        }
        let endless = Over::SiteRate { wait: Duration::MAX };
        assert_eq!(endless.retry_after_secs(), Some(u64::MAX));
        assert_eq!(Over::Body.retry_after_secs(), None);
    }
}
