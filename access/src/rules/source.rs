//! May a page of that site use this? `Referer` for hotlinks, `Origin` for scripts (CORS).
//!
//! A page can keep its name to itself, so that what happens without one is always said. A field that does not parse is
//! an outcome of its own: it is most often an attempt.

use http::header::{ORIGIN, REFERER};
use http::{HeaderMap, HeaderName};
use weir_cache::{Glob, Target};

use crate::rules::hosts::{Host, Hosts};

/// Which field a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceField {
    /// `Origin`.
    Origin,
    /// `Referer`.
    Referer,
}

impl SourceField {
    pub(crate) const fn name(self) -> HeaderName {
        match self {
            Self::Origin => ORIGIN,
            Self::Referer => REFERER,
        }
    }
}

/// Why the page that a request comes from is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceDenial {
    /// It is not named.
    Absent,
    /// It is on the list of those that are refused.
    Listed,
    /// The field names no host, or is there twice.
    Unreadable,
    /// It is not on the list of those that are let in.
    Unlisted,
}

/// What one rule says.
#[derive(Debug, Clone)]
pub(crate) struct SourceRule {
    pub(crate) path: Option<Glob>,
    /// Who is let in; empty for everyone that is not refused.
    pub(crate) allow: Hosts,
    pub(crate) deny: Hosts,
    pub(crate) absent: bool,
    pub(crate) unreadable: bool,
    /// Whether pages of the host that is asked are let in.
    pub(crate) same_host: bool,
}

/// Rules about one field; the first whose path fits counts.
#[derive(Debug, Clone)]
pub(crate) struct SourceRules {
    pub(crate) field: SourceField,
    pub(crate) rules: Vec<SourceRule>,
}

impl SourceRules {
    pub(crate) fn check(
        &self,
        path: &str,
        target: &Target,
        headers: &HeaderMap,
    ) -> Result<(), SourceDenial> {
        let covers = |rule: &&SourceRule| rule.path.as_ref().is_none_or(|glob| glob.matches(path));
        let Some(rule) = self.rules.iter().find(covers) else { return Ok(()) };
        rule.check(self.field, target, headers)
    }
}

impl SourceRule {
    fn check(
        &self,
        field: SourceField,
        target: &Target,
        headers: &HeaderMap,
    ) -> Result<(), SourceDenial> {
        let mut lines = headers.get_all(field.name()).iter();
        let (first, second) = (lines.next(), lines.next());
        // An empty field names nobody, as no field does.
        let Some(url) = first.filter(|line| second.is_some() || !line.is_empty()) else {
            return if self.absent { Ok(()) } else { Err(SourceDenial::Absent) };
        };
        let host = if second.is_some() { None } else { Host::of_url(url.as_bytes()) };
        let Some(host) = host else {
            return if self.unreadable { Ok(()) } else { Err(SourceDenial::Unreadable) };
        };
        if self.deny.have(&host) {
            return Err(SourceDenial::Listed);
        }
        let own = || Host::of_authority(target.host().as_bytes()) == Some(host);
        if self.allow.is_empty() || self.allow.have(&host) || (self.same_host && own()) {
            return Ok(());
        }
        Err(SourceDenial::Unlisted)
    }
}
