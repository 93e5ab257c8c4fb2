//! Which of the keys makes this MD5?
//!
//! The formats of other CDNs digest a few texts and the secret, one behind the other. MD5 of a secret between texts
//! is not what one would choose: see `docs/signed-urls.md` for what that means.

use std::borrow::Cow;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::secret::{Key, KeyRing, Secret};

/// A piece of what is digested.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// Known to everybody, and not always text.
    Bytes(&'a [u8]),
    /// Known to everybody.
    Text(&'a str),
    /// The secret of the key that is tried.
    Secret,
}

/// Digests the parts with one secret.
pub(crate) fn digest(parts: &[Part<'_>], secret: &Secret) -> [u8; 16] {
    let mut context = md5::Context::new();
    for part in parts {
        match part {
            Part::Bytes(bytes) => context.consume(bytes),
            Part::Text(text) => context.consume(text),
            Part::Secret => context.consume(secret.bytes()),
        }
    }
    context.finalize().0
}

/// The key with which the parts have this digest, compared in constant time.
pub(crate) fn find_key<'k>(
    keys: &'k KeyRing,
    parts: &[Part<'_>],
    given: [u8; 16],
) -> Option<&'k Key> {
    keys.find_by(|key| verify_slices_are_equal(&digest(parts, key.secret()), &given).is_ok())
}

/// What had to be digested, without the secret.
pub(crate) fn describe(parts: &[Part<'_>]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Bytes(bytes) => String::from_utf8_lossy(bytes),
            Part::Text(text) => Cow::Borrowed(*text),
            Part::Secret => Cow::Borrowed("<secret>"),
        })
        .collect()
}

/// Reads 32 hexadecimal digits in lower case.
pub(crate) fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let sound = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let value = if sound { u128::from_str_radix(text, 16).ok()? } else { return None };
    Some(value.to_be_bytes())
}

/// Writes 32 hexadecimal digits in lower case.
pub(crate) fn hex(digest: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_one_spelling() {
        // printf 'abc' | md5sum
        let abc = "900150983cd24fb0d6963f7d28e17f72";
        let secret = Secret::new(b"b").unwrap();
        let parts = [Part::Text("a"), Part::Secret, Part::Text("c")];
        assert_eq!(hex(digest(&parts, &secret)), abc);
        assert_eq!(parse_hex(abc), Some(digest(&parts, &secret)));
        assert_eq!(describe(&parts), "a<secret>c");
        let upper = abc.to_uppercase();
        for text in ["", &abc[1..], &upper, &format!("{abc}0"), &format!("+{}", &abc[1..])] {
            assert_eq!(parse_hex(text), None, "{text}");
        }
    }
}
