//! Which values does a request's `Cookie` field give one name (RFC 6265 §4.2, §5.4)?
//!
//! For key rules only, so every doubt ends in two keys rather than one: a name sent several times
//! yields every value, and a pair that only some servers read as this cookie is yielded as
//! [`Value::Odd`]. Quotes do not protect a `;` (they do not in the standard either).

use http::HeaderMap;
use http::header::COOKIE;

use crate::canonical::Value;

/// Yields what `headers` say about the cookie `name`, in order, over all `Cookie` lines.
pub(crate) fn cookie_values<'a>(
    headers: &'a HeaderMap,
    name: &str,
) -> impl Iterator<Item = Value<'a>> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |pair| value_of(pair.trim_ascii(), name.as_bytes()))
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<Value<'a>> {
    let rest = pair.strip_prefix(name)?;
    match rest.trim_ascii_start().first() {
        Some(b'=') => Some(rest.strip_prefix(b"=").map_or(Value::Odd(pair), Value::Plain)),
        // A bare word is a cookie without a name to some servers and one without a value to others.
        None => Some(Value::Odd(pair)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn every_value_of_the_name_counts() {
        use Value::{Odd, Plain};
        const CASES: &[(&[&str], &[Value<'static>], &str)] = &[
            (&[], &[], "no field"),
            (&["lang=de"], &[Plain(b"de")], "one pair"),
            (&["a=1; lang=de; b=2"], &[Plain(b"de")], "among others"),
            (&["a=1;lang=de ;b=2"], &[Plain(b"de")], "spaces around a pair mean nothing"),
            (
                &["lang=de; lang=fr"],
                &[Plain(b"de"), Plain(b"fr")],
                "servers differ in their choice",
            ),
            (&["lang=de", "lang=fr"], &[Plain(b"de"), Plain(b"fr")], "over several lines"),
            (&["lang="], &[Plain(b"")], "an empty value is a value"),
            (&["lang= de"], &[Plain(b" de")], "a space in the value may count"),
            (&["lang=a=b"], &[Plain(b"a=b")], "only the first sign separates"),
            (&["lang=\"de\""], &[Plain(b"\"de\"")], "quotes belong to the value"),
            (&["lang"], &[Odd(b"lang")], "a bare word"),
            (&["lang =de"], &[Odd(b"lang =de")], "a space before the sign"),
            (&["Lang=de; language=de; xlang=de"], &[], "other names"),
            (&["lang de=fr; x=lang=de"], &[], "other names that contain it"),
        ];
        for &(lines, expected, why) in CASES {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            let values: Vec<_> = cookie_values(&headers, "lang").collect();
            assert_eq!(values, expected, "{why}: {lines:?}");
        }
    }
}
