//! Which of the choices that RFC 9111 leaves open an operator has made.
//!
//! Every switch that changes a caching decision is a field here; there are no feature flags and no
//! constants elsewhere. Reading a configuration file into a [`Policy`] is the node's work.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;

use crate::guise::Guise;
use crate::rules::LifetimeRule;

/// A named set of choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Careful where the standard permits what has hurt others. The normal choice.
    #[default]
    Default,
    /// As close to the standard as a cache can be; for conformance runs.
    Rfc,
}

impl Profile {
    /// Returns the name used in configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Rfc => "rfc",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`Profile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown caching profile; expected \"default\" or \"rfc\"")]
pub struct UnknownProfile;

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "default" => Ok(Self::Default),
            "rfc" => Ok(Self::Rfc),
            _ => Err(UnknownProfile),
        }
    }
}

/// How a lifetime is guessed for a response that states none (RFC 9111 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heuristic {
    /// Share of the time between Last-Modified and Date, from 0 to 1.
    pub fraction: f64,
    /// Longest lifetime that is guessed.
    pub max: Duration,
}

/// The choices of one site.
///
/// A field is public because each is independent of the others; any combination is lawful.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Targeted fields that replace Cache-Control, most specific first (RFC 9213 §2.2).
    pub targets: Vec<HeaderName>,
    /// Whether Set-Cookie on its own leaves a response storable.
    ///
    /// `false` stores such a response only with public, s-maxage or a targeted field, because a
    /// stored cookie is one client's session handed to the next (RFC 9111 §7.3).
    pub store_set_cookie: bool,
    /// Whether a 206 is kept only if it has a strong ETag and exactly the bytes that its
    /// Content-Range says.
    ///
    /// `false` keeps one without, to which nothing can be added, and takes a shorter one for what
    /// came.
    pub strict_partial: bool,
    /// Whether two orders of the same Accept-Language members select the same variant.
    ///
    /// RFC 9110 §12.5.4 gives the order no meaning, but many origins do.
    pub sort_accept_language: bool,
    /// Whether the response to a POST may be stored for later GETs (RFC 9110 §9.3.3).
    pub post_to_get: bool,
    /// Whether Cache-Control and Pragma of clients are obeyed (RFC 9111 §5.2.1).
    pub honor_request_directives: bool,
    /// How missing lifetimes are guessed; `None` guesses none.
    pub heuristic: Option<Heuristic>,
    /// Whether Accept-Encoding is reduced to known codings before it goes upstream.
    pub reduce_accept_encoding: bool,
    /// How long past its lifetime a response that states no `stale-while-revalidate` may be used while
    /// it is validated (RFC 5861 §3); zero for not at all.
    pub stale_while_revalidate: Duration,
    /// How long past its lifetime a response that states no `stale-if-error` may stand in for a 5xx
    /// (RFC 5861 §4); zero for not at all.
    pub stale_if_error: Duration,
    /// The same where no usable answer comes at all (RFC 9111 §4.2.4).
    pub stale_if_unreachable: Duration,
    /// Whether the difference to Date counts as age (RFC 9111 §4.2.3, `apparent_age`).
    pub apparent_age: bool,
    /// Whether what may have come of something odd in a request is kept from others: errors about the request, pages
    /// under paths of files, reflected origins (see `guise`).
    pub guard: bool,
    /// What the path of the request in hand makes believe; nothing in the policy of a site as a whole.
    pub guise: Guise,
    /// What the site's rules say about the lifetime of the response in hand; nothing in the policy
    /// of a site as a whole.
    pub lifetime_rule: LifetimeRule,
}

impl Policy {
    /// Returns the choices that `profile` stands for.
    pub fn for_profile(profile: Profile) -> Self {
        let rfc = profile == Profile::Rfc;
        Self {
            targets: vec![
                HeaderName::from_static("weir-cdn-cache-control"),
                HeaderName::from_static("cdn-cache-control"),
            ],
            store_set_cookie: rfc,
            strict_partial: !rfc,
            sort_accept_language: rfc,
            post_to_get: rfc,
            honor_request_directives: rfc,
            heuristic: Some(Heuristic { fraction: 0.1, max: DAY }),
            reduce_accept_encoding: !rfc,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_if_unreachable: DAY,
            apparent_age: true,
            guard: !rfc,
            guise: Guise::default(),
            lifetime_rule: LifetimeRule::default(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::for_profile(Profile::Default)
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_names_round_trip() {
        for profile in [Profile::Default, Profile::Rfc] {
            assert_eq!(profile.as_str().parse(), Ok(profile));
            assert_eq!(profile.to_string(), profile.as_str());
        }
        assert_eq!("RFC".parse::<Profile>(), Err(UnknownProfile), "names are exact");
    }

    #[test]
    fn profiles_differ_in_exactly_these_switches() {
        let rfc = Policy::for_profile(Profile::Rfc);
        let default = Policy::default();
        assert!(default.strict_partial && default.reduce_accept_encoding);
        let changed = Policy {
            store_set_cookie: true,
            strict_partial: false,
            sort_accept_language: true,
            post_to_get: true,
            honor_request_directives: true,
            reduce_accept_encoding: false,
            guard: false,
            ..default
        };
        assert_eq!(changed, rfc);
    }
}
