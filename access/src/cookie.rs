//! Which value do cookies or a header field give one name, if there is no doubt?
//!
//! A browser sends two cookies of one name when they were set for two paths. Which of them counts
//! differs among servers, so that both together are refused, as two equal parameters are.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName};

use crate::refusal::Refusal;

/// Finds the value of the cookie `name`; `None` if there is none.
///
/// # Errors
///
/// A refusal if there are two, or if the value is not visible ASCII.
pub(crate) fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii);
    let mut found = None;
    for pair in pairs {
        let Some(rest) = pair.strip_prefix(name.as_bytes()) else { continue };
        let Some(value) = rest.strip_prefix(b"=") else { continue };
        if found.replace(value).is_some() {
            return Err(Refusal::malformed(format!("cookie {name} is there twice")));
        }
    }
    found.map(|value| visible(value, name)).transpose()
}

/// Finds the value of the field `name`; `None` if there is none.
///
/// # Errors
///
/// A refusal if there are two lines, or if the value is not visible ASCII.
pub(crate) fn field<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, Refusal> {
    let mut lines = headers.get_all(name).iter();
    let (first, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err(Refusal::malformed(format!("field {name} is there twice")));
    }
    first.map(|line| visible(line.as_bytes(), name.as_str())).transpose()
}

fn visible<'a>(value: &'a [u8], name: &str) -> Result<&'a str, Refusal> {
    let text = std::str::from_utf8(value).ok();
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| Refusal::malformed(format!("{name} has other bytes than visible ASCII")))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_has_one_value_or_is_refused() {
        type Expected = Result<Option<&'static str>, ()>;
        let cases: &[(&[&[u8]], Expected, &str)] = &[
            (&[], Ok(None), "no field"),
            (&[b"a=1; t=x=y; b=2"], Ok(Some("x=y")), "among others"),
            (&[b"a=t=x; tt=1; T=2; t"], Ok(None), "other names"),
            (&[b"t=x; t=x"], Err(()), "twice"),
            (&[b"t=x", b"t=y"], Err(()), "in two lines"),
            (&[b"t=\xff"], Err(()), "not text"),
            (&[b"t=a b"], Err(()), "a space"),
            (&[b"u=\xff; t=x"], Ok(Some("x")), "another cookie may be what it wants"),
        ];
        for &(lines, expected, why) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
            }
            assert_eq!(one(&headers, "t").map_err(|_refusal| ()), expected, "{why}");
        }
    }
}
