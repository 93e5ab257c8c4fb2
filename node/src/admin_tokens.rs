//! Who asks the admin API, and what may they do?
//!
//! A token has a name, which is no secret, and scopes. Of the token itself only a digest is kept, so
//! that nothing that is printed can hold it.
//!
//! # Invariant
//!
//! How long a search takes tells neither how much of a token is right nor whose it is nearest to.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, header};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::config::TokenConfig;

/// Name of the token that the environment gives.
pub(crate) const ADMIN: &str = "admin";
/// What stands before the token in the field; case does not count (RFC 9110 §11.1).
const SCHEME: &[u8] = b"bearer";

/// Something that a token may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything, what has no other scope included.
    Admin,
    /// Purging and invalidating, and reading what became of it.
    Purge,
    /// Preloads and objects, and reading how far they are.
    Push,
    /// Reading, changing nothing.
    Read,
}

impl Scope {
    /// The word in files, answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Purge => "purge",
            Self::Push => "push",
            Self::Read => "read",
        }
    }
}

/// A text that lets in whoever sends it.
#[derive(Clone)]
pub struct AdminToken(blake3::Hash);

impl AdminToken {
    /// The token `text`; `None` if it is empty. Space around it does not count.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(blake3::hash(text.as_bytes())))
    }

    /// Whether both are the same text. Takes the same time wherever they differ.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// Somebody whom a token let in.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) name: Box<str>,
    pub(crate) scopes: Box<[Scope]>,
}

impl Holder {
    /// Whether one of `scopes` is held, or `admin`.
    pub(crate) fn may(&self, scopes: &[Scope]) -> bool {
        self.scopes.iter().any(|held| *held == Scope::Admin || scopes.contains(held))
    }
}

/// The tokens of a node.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<(AdminToken, Arc<Holder>)>);

impl Tokens {
    /// `admin`, which may do everything, and those of the node's file.
    pub(crate) fn new(admin: AdminToken, named: &[TokenConfig]) -> Self {
        let holder = |name: &str, scopes: &[Scope]| {
            Arc::new(Holder { name: name.into(), scopes: scopes.into() })
        };
        let first = (admin, holder(ADMIN, &[Scope::Admin]));
        let named =
            named.iter().map(|named| (named.token.clone(), holder(&named.name, &named.scopes)));
        Self(std::iter::once(first).chain(named).collect())
    }

    /// The same with other tokens of a file.
    pub(crate) fn with(&self, named: &[TokenConfig]) -> Option<Self> {
        let (admin, _) = self.0.first()?;
        Some(Self::new(admin.clone(), named))
    }

    /// Whose token `headers` carry. Each is compared, also after one that fits; of two that are the
    /// same the last counts, which a file gives and which can do less.
    pub(crate) fn holder(&self, headers: &HeaderMap) -> Option<Arc<Holder>> {
        // Digests, so that not even the length shows.
        let given = blake3::hash(bearer(headers)?);
        let mut found = 0;
        for (number, (token, _)) in (1_u32..).zip(&self.0) {
            found.conditional_assign(&number, token.0.as_bytes().ct_eq(given.as_bytes()));
        }
        let index = usize::try_from(found).ok()?.checked_sub(1)?;
        self.0.get(index).map(|(_, holder)| Arc::clone(holder))
    }
}

/// The token in the one `Authorization` line; of two nobody could say which counts.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, rest) = line.as_bytes().split_at_checked(SCHEME.len())?;
    let token = rest.trim_ascii_start();
    let apart = rest.first() == Some(&b' ');
    (scheme.eq_ignore_ascii_case(SCHEME) && apart && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const LONG: &str = "0123456789abcdef0123456789abcdef";

    fn tokens() -> Tokens {
        let named = |name: &str, scopes: &[Scope], text: &str| TokenConfig {
            name: name.to_owned(),
            scopes: scopes.to_vec(),
            secret: "env:X".to_owned(),
            token: AdminToken::new(text).unwrap(),
        };
        let named = [
            named("ci", &[Scope::Purge], LONG),
            named("dash", &[Scope::Read, Scope::Push], "dashboard-dashboard"),
        ];
        Tokens::new(AdminToken::new(" all \n").unwrap(), &named)
    }

    fn name_of(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(line).unwrap());
        }
        tokens().holder(&headers).map(|holder| holder.name.to_string())
    }

    #[test]
    fn a_token_is_one_whole_line_of_its_scheme() {
        let right = format!("Bearer {LONG}");
        // (lines, whose, why)
        let cases: &[(&[&str], Option<&str>, &str)] = &[
            (&[&right], Some("ci"), "as it is"),
            (&["Bearer all"], Some("admin"), "space around the text of the environment is none"),
            (&[&right.replace("Bearer", "bearer")], Some("ci"), "schemes have no case"),
            (&[&right.replace("Bearer", "BEARER ")], Some("ci"), "1*SP (RFC 9110 §11.4)"),
            (&["Bearer dashboard-dashboard"], Some("dash"), "the last of the list"),
            (&[], None, "no line"),
            (&[""], None, "an empty line"),
            (&["Bearer"], None, "no token"),
            (&["Bearer "], None, "an empty token"),
            (&[LONG], None, "no scheme"),
            (&[&right.replace(' ', "")], None, "nothing between scheme and token"),
            (&[&right.replace("Bearer", "Basic")], None, "another scheme"),
            (&[&right.replace("Bearer", "Bearers")], None, "a longer scheme"),
            (&[&right.replace('0', "O")], None, "other characters"),
            (&[&right[..right.len() - 1]], None, "a prefix of the token"),
            (&[&format!("{right}0")], None, "a longer token"),
            (&[&format!("{right},")], None, "a list"),
            (&[&right.replace("abc", "ABC")], None, "tokens have case"),
            (&[&right, &right], None, "two lines"),
            (&[&right, "Basic x"], None, "two lines of which one is right"),
        ];
        for (lines, expected, why) in cases {
            assert_eq!(name_of(lines).as_deref(), *expected, "{why}: {lines:?}");
        }
    }

    #[test]
    fn every_token_one_character_off_is_wrong() {
        for at in 0..LONG.len() {
            let mut bytes = LONG.as_bytes().to_vec();
            bytes[at] ^= 1;
            let off = format!("Bearer {}", String::from_utf8(bytes).unwrap());
            assert_eq!(name_of(&[&off]), None, "{off}");
        }
    }

    #[test]
    fn admin_includes_every_scope_and_no_other_does() {
        let all = [Scope::Admin, Scope::Purge, Scope::Push, Scope::Read];
        for held in all {
            let holder = Holder { name: "x".into(), scopes: [held].into() };
            for wanted in all {
                let expected = held == Scope::Admin || held == wanted;
                assert_eq!(holder.may(&[wanted]), expected, "{held:?} for {wanted:?}");
            }
        }
    }

    #[test]
    fn of_one_text_for_two_the_lesser_counts() {
        let named = TokenConfig {
            name: "low".to_owned(),
            scopes: vec![Scope::Read],
            secret: "env:X".to_owned(),
            token: AdminToken::new("same").unwrap(),
        };
        let tokens = Tokens::new(AdminToken::new("same").unwrap(), &[named]);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer same"));
        assert_eq!(&*tokens.holder(&headers).unwrap().name, "low");
    }

    #[test]
    fn no_token_is_printed() {
        assert!(!format!("{:?}", tokens()).contains("dashboard-"));
    }
}
