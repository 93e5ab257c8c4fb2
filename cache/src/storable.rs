//! Whether the standard and the operator allow a response to be stored (RFC 9111 §3).
//!
//! Refusals are listed in `not_storable`. Whether we *want* to store what is allowed (size, popularity) is admission, which is
//! not decided here.

use http::header::{AUTHORIZATION, CONTENT_LOCATION, EXPIRES};
use http::{HeaderMap, Method, StatusCode};

use crate::directives::{Lifetime, ResponseDirectives, Scope};
use crate::freshness::is_heuristically_cacheable;
use crate::guise::{is_about_request, needs_statement};
use crate::not_storable::NotStorable;
use crate::policy::Policy;
use crate::reference::same_origin_uri;
use crate::request_directives::RequestDirectives;
use crate::targeted::Governing;
use crate::time::Now;

/// The most field lines a response may have and be stored.
///
/// Validations add fields to what is stored; without a bound an origin could grow it for ever.
pub(crate) const FIELD_LINES_MAX: usize = 1000;

/// What counts of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method as it came.
    pub method: &'a Method,
    /// The fields that went upstream.
    pub headers: &'a HeaderMap,
    /// The absolute target URI; only a stored POST needs it, and without it none is stored.
    pub target_uri: Option<&'a str>,
}

/// The status and fields of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status as it came.
    pub status: StatusCode,
    /// The fields, each line by itself and in order.
    pub headers: HeaderMap,
}

/// When an exchange with the upstream took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When the request was sent.
    pub request: Now,
    /// When the response head came; not before `request`.
    pub response: Now,
}

/// Checks all that request, status and directives forbid; Vary and the use of storing come later.
pub(crate) fn check(
    policy: &Policy,
    request: &RequestHead<'_>,
    response: &ResponseHead,
    governing: &Governing,
) -> Result<(), NotStorable> {
    let directives = &governing.directives;
    check_status(response.status)?;
    check_directives(response.status, directives)?;
    // RFC 9111 §5.2.1.5, as far as clients are listened to.
    if policy.honor_request_directives
        && RequestDirectives::parse(request.headers).is_some_and(|asked| asked.no_store)
    {
        return Err(NotStorable::RequestNoStore);
    }
    // RFC 9111 §3.5: an answer to one user is shared only if it says so.
    if request.headers.contains_key(AUTHORIZATION) && !allows_authorized(directives) {
        return Err(NotStorable::Authorization);
    }
    if response.headers.len() > FIELD_LINES_MAX {
        return Err(NotStorable::TooManyFields);
    }
    if needs_statement(policy, response)
        && !has_explicit_freshness(response, governing)
        && !directives.public
    {
        return Err(NotStorable::Disguised);
    }
    check_basis(policy, response, governing)?;
    if policy.guard && is_about_request(response.status) && !policy.lifetime_rule.grants_status() {
        return Err(NotStorable::ErrorStatus);
    }
    check_method(policy, request, response, governing)
}

fn check_status(status: StatusCode) -> Result<(), NotStorable> {
    match status.as_u16() {
        // RFC 9110 §15: interim responses, and numbers outside the five classes.
        ..200 | 600.. => Err(NotStorable::Status),
        206 => Err(NotStorable::Partial),
        // These answer fields of the request that are not part of the key. A stored 412 or 416
        // would be given to clients that set no condition.
        304 | 412 | 416 => Err(NotStorable::Conditional),
        _ => Ok(()),
    }
}

fn check_directives(
    status: StatusCode,
    directives: &ResponseDirectives,
) -> Result<(), NotStorable> {
    // RFC 9111 §5.2.2.3: must-understand forbids unknown statuses and lifts no-store from known ones.
    if directives.must_understand && !is_understood(status) {
        return Err(NotStorable::MustUnderstand);
    }
    if directives.no_store && !directives.must_understand {
        return Err(NotStorable::NoStore);
    }
    if directives.private == Some(Scope::All) {
        return Err(NotStorable::Private);
    }
    Ok(())
}

/// Says whether the cache knows what `status` demands of it: the final ones of RFC 9110 §15 that
/// are in use, without 206 and 304.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

fn allows_authorized(directives: &ResponseDirectives) -> bool {
    directives.public || directives.must_revalidate || has_usable_s_maxage(directives)
}

fn has_usable_s_maxage(directives: &ResponseDirectives) -> bool {
    directives.s_maxage.and_then(Lifetime::usable).is_some()
}

/// Asks for one of the grounds on which a response may be stored at all (RFC 9111 §3).
fn check_basis(
    policy: &Policy,
    response: &ResponseHead,
    governing: &Governing,
) -> Result<(), NotStorable> {
    let granted = has_explicit_freshness(response, governing)
        || governing.directives.public
        || is_heuristically_cacheable(response.status)
        || policy.lifetime_rule.grants_status();
    if granted { Ok(()) } else { Err(NotStorable::NoFreshness) }
}

fn has_explicit_freshness(response: &ResponseHead, governing: &Governing) -> bool {
    governing.directives.max_age.is_some()
        || governing.directives.s_maxage.is_some()
        || (!governing.targeted && response.headers.contains_key(EXPIRES))
}

fn check_method(
    policy: &Policy,
    request: &RequestHead<'_>,
    response: &ResponseHead,
    governing: &Governing,
) -> Result<(), NotStorable> {
    let allowed = *request.method == Method::GET
        || (*request.method == Method::POST
            && policy.post_to_get
            && response.status.is_success()
            && has_explicit_freshness(response, governing)
            && describes_target(request, &response.headers));
    if allowed { Ok(()) } else { Err(NotStorable::Method) }
}

/// Says whether Content-Location is the target itself (RFC 9110 §9.3.3).
fn describes_target(request: &RequestHead<'_>, headers: &HeaderMap) -> bool {
    let location = headers.get(CONTENT_LOCATION).and_then(|value| value.to_str().ok());
    request.target_uri.zip(location).is_some_and(|(target, location)| {
        same_origin_uri(target, location).as_deref() == Some(target)
    })
}

/// Says whether a response that sets a cookie may be stored (RFC 9111 §7.3).
pub(crate) fn allows_set_cookie(policy: &Policy, governing: &Governing) -> bool {
    policy.store_set_cookie
        || governing.targeted
        || governing.directives.public
        || has_usable_s_maxage(&governing.directives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{TARGET, at_once, headers, response};
    use crate::policy::Profile;
    use crate::seq::Seq;
    use crate::stored::StoredHead;

    fn judge(
        profile: Profile,
        method: &str,
        asked: &str,
        status: u16,
        fields: &str,
    ) -> &'static str {
        let policy = Policy::for_profile(profile);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let headers = headers(asked);
        let request = RequestHead { method: &method, headers: &headers, target_uri: Some(TARGET) };
        StoredHead::derive(&policy, &request, &response(status, fields), at_once(), Seq::new(1))
            .map_or_else(NotStorable::as_str, |_| "stored")
    }

    #[test]
    fn responses_are_stored_or_refused_with_a_reason() {
        // (status, response fields, expected, why); RFC 9111 §3, default profile, GET.
        const CASES: &[(u16, &str, &str, &str)] = &[
            (200, "Cache-Control: max-age=9", "stored", "explicit freshness"),
            (200, "Expires: {date+9}", "stored", "explicit freshness in Expires"),
            (200, "Last-Modified: {date-1000}", "stored", "heuristic freshness"),
            (200, "ETag: \"a\"", "stored", "can be validated"),
            (200, "Content-Type: x", "no-freshness", "nothing to reuse it by"),
            (299, "Cache-Control: max-age=9", "stored", "unknown final status, explicit freshness"),
            (302, "Cache-Control: public\nETag: \"a\"", "stored", "public is a ground"),
            (403, "Last-Modified: {date-1000}", "no-freshness", "no heuristics on 403"),
            (503, "ETag: \"a\"", "no-freshness", "no heuristics on 503"),
            (201, "Last-Modified: {date-1000}", "no-freshness", "no heuristics on 201"),
            (304, "Cache-Control: max-age=9", "conditional", "a 304 is about another response"),
            (412, "Cache-Control: max-age=9", "conditional", "a 412 answers a condition"),
            (416, "Cache-Control: max-age=9", "conditional", "a 416 answers a range"),
            (206, "Cache-Control: max-age=9", "partial", "a part never answers a plain GET"),
            (103, "Cache-Control: max-age=9", "status", "not final"),
            (700, "Cache-Control: max-age=9", "status", "outside the five classes"),
            (200, "Cache-Control: max-age=9, No-Store", "no-store", "in any case"),
            (200, "Cache-Control: max-age=9\nCache-Control: no-store", "no-store", "on any line"),
            (200, "Cache-Control: max-age=9, Private", "private", "in any case"),
            (200, "Cache-Control: max-age=9, private=\"\"", "private", "an empty list is no list"),
            (200, "Cache-Control: public, private, max-age=9", "private", "the stricter one"),
            (200, "Cache-Control: max-age=9, private=\"a\"", "stored", "without that field"),
            (200, "Cache-Control: no-store, must-understand, max-age=9", "stored", "200 is known"),
            (599, "Cache-Control: must-understand, max-age=9", "must-understand", "599 is not"),
            (299, "Cache-Control: max-age=9, no-store", "no-store", "known or not"),
            (200, "Cache-Control: max-age=9\nVary: a, *", "vary-any", "no request can match"),
            (200, "Cache-Control: max-age=9\nSet-Cookie: a=b", "set-cookie", "one user's cookie"),
            (200, "Cache-Control: public, max-age=9\nSet-Cookie: a=b", "stored", "public"),
            (200, "Cache-Control: s-maxage=9\nSet-Cookie: a=b", "stored", "s-maxage"),
            (200, "CDN-Cache-Control: max-age=9\nSet-Cookie: a=b", "stored", "targeted"),
            (
                200,
                "Cache-Control: max-age=9, private=\"set-cookie\"\nSet-Cookie: a=b",
                "stored",
                "the cookie is not stored",
            ),
            (200, "Cache-Control: max-age=0", "zero-lifetime", "useless"),
            (200, "Cache-Control: max-age=0\nETag: \"a\"", "stored", "can be validated"),
            (200, "Cache-Control: max-age=0, stale-if-error=9", "stored", "stale use"),
            (200, "Cache-Control: max-age=0, stale-while-revalidate=9", "stored", "stale use"),
            (
                200,
                "Cache-Control: max-age=0, stale-if-error=9, must-revalidate",
                "zero-lifetime",
                "stale use is banned",
            ),
            (200, "Cache-Control: no-cache, max-age=9", "zero-lifetime", "cannot be validated"),
            (200, "Cache-Control: max-age=junk", "zero-lifetime", "unusable is expired"),
            (404, "Cache-Control: max-age=junk\nETag: \"a\"", "stored", "to be validated"),
            (200, "CDN-Cache-Control: no-store\nCache-Control: max-age=9", "no-store", "targeted"),
            (
                200,
                "CDN-Cache-Control: max-age=10000, &&&&&\nCache-Control: no-store",
                "no-store",
                "a broken targeted field does not count",
            ),
            (
                200,
                "CDN-Cache-Control: max-age=\"10000\"\nCache-Control: no-store",
                "zero-lifetime",
                "a String is no lifetime",
            ),
            (200, "Pragma: no-cache\nCache-Control: max-age=9", "stored", "Pragma means nothing"),
        ];
        for &(status, fields, expected, why) in CASES {
            let verdict = judge(Profile::Default, "GET", "", status, fields);
            assert_eq!(verdict, expected, "{why}\n{status} {fields}");
        }
    }

    #[test]
    fn errors_about_the_request_are_kept_from_others_by_the_guard() {
        let fresh = "Cache-Control: public, max-age=9\nLast-Modified: {date-1000}";
        for (status, expected) in [
            (400, "error-status"),
            (405, "error-status"),
            (414, "error-status"),
            (429, "error-status"),
            (431, "error-status"),
            (500, "error-status"),
            (501, "error-status"),
            (503, "error-status"),
            (599, "error-status"),
            (403, "stored"),
            (404, "stored"),
            (410, "stored"),
            (451, "stored"),
            (399, "stored"),
        ] {
            assert_eq!(judge(Profile::Default, "GET", "", status, fresh), expected, "{status}");
            assert_eq!(judge(Profile::Rfc, "GET", "", status, fresh), "stored", "{status}");
        }
    }

    #[test]
    fn an_authorized_answer_is_shared_only_if_it_says_so() {
        // RFC 9111 §3.5.
        for (directives, expected) in [
            ("max-age=9", "authorization"),
            ("max-age=9, public", "stored"),
            ("max-age=9, must-revalidate", "stored"),
            ("s-maxage=9", "stored"),
            ("s-maxage=junk", "authorization"),
            ("max-age=9, proxy-revalidate", "authorization"),
        ] {
            let fields = format!("ETag: \"a\"\nCache-Control: {directives}");
            let verdict = judge(Profile::Default, "GET", "Authorization: x", 200, &fields);
            assert_eq!(verdict, expected, "{directives}");
        }
    }

    #[test]
    fn profiles_decide_about_cookies_and_clients() {
        let cookie = "Cache-Control: max-age=9\nSet-Cookie: a=b";
        assert_eq!(judge(Profile::Rfc, "GET", "", 200, cookie), "stored");
        let asked = "Cache-Control: no-store";
        let fresh = "Cache-Control: max-age=9";
        assert_eq!(judge(Profile::Rfc, "GET", asked, 200, fresh), "request-no-store");
        assert_eq!(judge(Profile::Default, "GET", asked, 200, fresh), "stored");
    }

    #[test]
    fn only_get_is_stored_and_post_under_conditions() {
        // (profile, method, status, fields, expected, why); RFC 9110 §9.3.3.
        use Profile::{Default, Rfc};
        let own = "Cache-Control: max-age=9\nContent-Location: /a/b?c=d";
        let cases: &[(Profile, &str, u16, &str, &str, &str)] = &[
            (Default, "HEAD", 200, own, "method", "HEAD has no body to store"),
            (Default, "OPTIONS", 200, own, "method", "not defined as cacheable"),
            (Default, "get", 200, own, "method", "methods are case-sensitive"),
            (Default, "POST", 200, own, "method", "switched off"),
            (Rfc, "POST", 201, own, "stored", "2xx, explicit freshness, its own location"),
            (Rfc, "POST", 404, own, "method", "an error describes nothing"),
            (Rfc, "POST", 200, "Cache-Control: max-age=9", "method", "no Content-Location"),
            (
                Rfc,
                "POST",
                200,
                "Cache-Control: max-age=9\nContent-Location: /other",
                "method",
                "another location",
            ),
            (
                Rfc,
                "POST",
                200,
                "Last-Modified: {date-1000}\nContent-Location: /a/b?c=d",
                "method",
                "heuristic freshness is not enough",
            ),
        ];
        for &(profile, method, status, fields, expected, why) in cases {
            assert_eq!(judge(profile, method, "", status, fields), expected, "{why}");
        }
    }

    #[test]
    fn a_flood_of_fields_is_not_stored() {
        let flood: String = (0..=FIELD_LINES_MAX).map(|n| format!("X-{n}: y\n")).collect();
        let fields = format!("{flood}Cache-Control: max-age=9");
        assert_eq!(judge(Profile::Default, "GET", "", 200, &fields), "too-many-fields");
    }
}
