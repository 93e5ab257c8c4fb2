//! Why a response must not be stored.
//!
//! "No, because" is a value, not an error: each reason has a variant, a token for Cache-Status and
//! a counter of its own. How a reason is found is the matter of `storable` and `stored`.

use std::fmt;

/// Why a response must not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotStorable {
    /// The method is not GET, nor a POST that may be stored for GET (RFC 9110 §9.2.3).
    Method,
    /// The status is not final or not defined.
    Status,
    /// The status is that of an error about the request, which others need not have made, and neither the site's rules
    /// nor its choice (`guard`) let it be stored.
    ErrorStatus,
    /// The response is not what its path makes believe, and the origin does not say that it may be stored.
    Disguised,
    /// The status answers a condition or a range of this one request: 304, 412, 416.
    Conditional,
    /// It is a 206 that answers no single range, or says too little of what it is a part of
    /// (RFC 9111 §3.3).
    Partial,
    /// must-understand, and the status is not one that is understood (RFC 9111 §5.2.2.3).
    MustUnderstand,
    /// no-store in the response (RFC 9111 §5.2.2.5).
    NoStore,
    /// no-store in the request (RFC 9111 §5.2.1.5).
    RequestNoStore,
    /// private without a list of fields (RFC 9111 §5.2.2.7).
    Private,
    /// The request had Authorization and the response does not allow sharing (RFC 9111 §3.5).
    Authorization,
    /// Vary says that no request can match (RFC 9111 §4.1).
    VaryAny,
    /// It sets a cookie and does not say that it may be shared (RFC 9111 §7.3).
    SetCookie,
    /// Nothing says that it may be reused, and it could not be validated either.
    NoFreshness,
    /// It is never fresh, and neither a validator nor a stale window makes it useful.
    ZeroLifetime,
    /// It has more field lines than are kept.
    TooManyFields,
}

impl NotStorable {
    /// Every reason, in the order in which they are looked for.
    pub const ALL: [Self; 16] = [
        Self::Method,
        Self::Status,
        Self::ErrorStatus,
        Self::Disguised,
        Self::Conditional,
        Self::Partial,
        Self::MustUnderstand,
        Self::NoStore,
        Self::RequestNoStore,
        Self::Private,
        Self::Authorization,
        Self::VaryAny,
        Self::SetCookie,
        Self::NoFreshness,
        Self::ZeroLifetime,
        Self::TooManyFields,
    ];

    /// Returns the token for Cache-Status (`detail`) and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::ErrorStatus => "error-status",
            Self::Disguised => "disguised",
            Self::Conditional => "conditional",
            Self::Partial => "partial",
            Self::MustUnderstand => "must-understand",
            Self::NoStore => "no-store",
            Self::RequestNoStore => "request-no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::VaryAny => "vary-any",
            Self::SetCookie => "set-cookie",
            Self::NoFreshness => "no-freshness",
            Self::ZeroLifetime => "zero-lifetime",
            Self::TooManyFields => "too-many-fields",
        }
    }

    /// Says whether the next response for the same key will likely be refused too.
    ///
    /// `false` where the reason lies in this request alone.
    pub const fn lasting(&self) -> bool {
        !matches!(
            self,
            Self::Method
                | Self::ErrorStatus
                | Self::Conditional
                | Self::Partial
                | Self::RequestNoStore
                | Self::Authorization
        )
    }
}

impl fmt::Display for NotStorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn reasons_have_names_of_their_own_and_know_whether_they_last() {
        let names: HashSet<&str> = NotStorable::ALL.iter().map(|why| why.as_str()).collect();
        assert_eq!(names.len(), NotStorable::ALL.len());
        assert!(NotStorable::Private.lasting() && NotStorable::SetCookie.lasting());
        assert!(!NotStorable::Authorization.lasting(), "the next client may be anonymous");
        assert!(!NotStorable::Partial.lasting(), "the next client may ask for the whole");
    }
}
