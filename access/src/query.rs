//! Which value does a query give one name, if there is no doubt?
//!
//! Servers differ in which of two equal names counts and in whether `%61` is the name `a`. A
//! signature must not depend on that, so a name that is there twice, or in another spelling, is
//! refused instead of chosen from.

use crate::refusal::Refusal;

/// Finds the value of `name`, as it is written; `None` if the name is not there.
///
/// # Errors
///
/// A refusal if the name is there twice, with escapes in it, or without `=`.
pub(crate) fn one<'a>(query: Option<&'a str>, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut found = None;
    for parameter in query.into_iter().flat_map(|query| query.split('&')) {
        let (given, value) = match parameter.split_once('=') {
            Some((given, value)) => (given, Some(value)),
            None => (parameter, None),
        };
        if !is_spelling_of(given, name) {
            continue;
        }
        if given != name {
            return Err(Refusal::malformed(format!("parameter {name} has escapes in its name")));
        }
        let value = value
            .ok_or_else(|| Refusal::malformed(format!("parameter {name} is without a value")))?;
        if found.replace(value).is_some() {
            return Err(Refusal::malformed(format!("parameter {name} is there twice")));
        }
    }
    Ok(found)
}

/// What is left of a query without the parameters of these names; `None` if nothing is.
pub(crate) fn without(query: Option<&str>, names: &[String]) -> Option<String> {
    let query = query?;
    let ours = |parameter: &str| {
        let given = parameter.split_once('=').map_or(parameter, |(given, _)| given);
        names.iter().any(|name| is_spelling_of(given, name))
    };
    if !query.split('&').any(ours) {
        return Some(query.to_owned());
    }
    let kept: Vec<&str> = query.split('&').filter(|parameter| !ours(parameter)).collect();
    if kept.is_empty() { None } else { Some(kept.join("&")) }
}

/// Adds parameters to a query.
pub(crate) fn with(query: Option<&str>, added: &str) -> String {
    match query {
        Some(query) if !query.is_empty() => format!("{query}&{added}"),
        _ => added.to_owned(),
    }
}

/// Whether `given` is `name`, possibly with escapes.
fn is_spelling_of(given: &str, name: &str) -> bool {
    given == name || (given.contains('%') && lenient(given).eq(name.bytes()))
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digit(high)?.checked_mul(16)?.checked_add(digit(low)?)
}

/// The bytes of `text` with escapes decoded; what is no escape stands for itself.
fn lenient(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        if let [b'%', high, low, tail @ ..] = rest
            && let Some(byte) = hex(*high, *low)
        {
            rest = tail;
            return Some(byte);
        }
        let (first, tail) = rest.split_first()?;
        rest = tail;
        Some(*first)
    })
}

/// Decodes every escape of `text` once; `None` if one is broken or the result is not visible ASCII.
pub(crate) fn decode_visible(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' { hex(rest.next()?, rest.next()?)? } else { byte };
        if !byte.is_ascii_graphic() {
            return None;
        }
        decoded.push(char::from(byte));
    }
    Some(decoded)
}

/// Decodes every escape of a path in normal form into bytes.
pub(crate) fn escapes_of(path: &str) -> impl Iterator<Item = u8> {
    path.match_indices('%').filter_map(|(at, _)| {
        match path.as_bytes().get(at.saturating_add(1)..at.saturating_add(3)) {
            Some([high, low]) => hex(*high, *low),
            _ => None,
        }
    })
}

/// The bytes of a path in normal form, decoded.
pub(crate) fn decode_bytes(path: &str) -> impl Iterator<Item = u8> {
    lenient(path)
}

/// Escapes what would end or change a parameter or a cookie.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // These mean nothing in the value of a parameter or of a cookie, and paths are made of them.
            b'/' | b'*' | b':' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Reason;

    #[test]
    fn a_name_has_one_value_or_is_refused() {
        type Expected = Result<Option<&'static str>, ()>;
        const CASES: &[(Option<&str>, Expected, &str)] = &[
            (None, Ok(None), "no query"),
            (Some(""), Ok(None), "an empty one"),
            (Some("b=1&sig=x&a"), Ok(Some("x")), "among others"),
            (Some("sig="), Ok(Some("")), "an empty value"),
            (Some("sig=a=b"), Ok(Some("a=b")), "the first sign separates"),
            (Some("SIG=x&sigs=y&a=sig=z"), Ok(None), "other names"),
            (Some("sig=x&sig=x"), Err(()), "twice the same"),
            (Some("sig=x&sig"), Err(()), "once without a value"),
            (Some("sig"), Err(()), "without a value"),
            (Some("%73ig=x"), Err(()), "in another spelling"),
            (Some("sig=x&s%69g=y"), Err(()), "in both"),
            (Some("%zzsig=x"), Ok(None), "what is no escape is another name"),
        ];
        for &(query, expected, why) in CASES {
            let found = one(query, "sig").map_err(|refusal| {
                assert_eq!(refusal.reason(), Reason::Malformed, "{why}");
            });
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn what_is_left_keeps_its_bytes_and_order() {
        let names = ["sig".to_owned(), "exp".to_owned()];
        let cases = [
            (None, None),
            (Some(""), Some("")),
            (Some("sig=x"), None),
            (Some("b=%zz&sig=x&a&&exp=1"), Some("b=%zz&a&")),
            (Some("s%69g=x&c=1"), Some("c=1")),
            (Some("SIG=x"), Some("SIG=x")),
        ];
        for (query, expected) in cases {
            assert_eq!(without(query, &names).as_deref(), expected, "{query:?}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let all: String = (0x21..=0x7e).map(char::from).collect();
        let encoded = encode(&all);
        assert_eq!(decode_visible(&encoded).as_deref(), Some(all.as_str()));
        assert!(!encoded.contains(['&', ';', ',', '=', '"', '+', '#', '?', ' ']));
        for broken in ["%", "%4", "%zz", "%0a", "%ff", "a b", "é"] {
            assert_eq!(decode_visible(broken), None, "{broken}");
        }
    }
}
