//! How the tokens of the admin API are read: the `[[admin.token]]` tables of a file.
//!
//! A token is named by where it is, as every secret is, and read with the file, so that a file whose
//! tokens cannot be had is refused as a whole.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_access::SecretRef;

use super::admin_keys::{TOKEN, TokenDraft};
use super::overrides::Overrides;
use super::problem::{Place, Problems, Wrong};
use super::reader::{Given, Reader};
use super::source::Source;
use crate::admin_tokens::{ADMIN, AdminToken, Scope};
use crate::secrets::{ADMIN_TOKEN, read_secret};

/// Tokens of one node. Each request is compared with all of them.
const TOKENS_MAX: usize = 64;
/// Characters of the shortest token: 64 bits, if each is a hexadecimal digit.
const CHARACTERS_MIN: usize = 16;

/// Who may use the admin API beside the holder of `WEIR_ADMIN_TOKEN`, and what is kept of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdminConfig {
    /// File that every change is noted in; `None` for the log of events alone.
    pub audit_file: Option<PathBuf>,
    /// Further tokens. Names and texts are unique.
    pub tokens: Vec<TokenConfig>,
}

/// One further token.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// What logs call its holder; not `admin`.
    pub name: String,
    /// What it is for; at least one.
    pub scopes: Vec<Scope>,
    /// Where it is: `env:NAME` or `file:/path`.
    pub secret: String,
    /// The token itself.
    pub token: AdminToken,
}

impl PartialEq for TokenConfig {
    /// Compares what is written; tokens are not compared.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.scopes, &self.secret) == (&other.name, &other.scopes, &other.secret)
    }
}

/// Reads the tokens in the file `root`.
pub(super) fn read_tokens(
    source: &Source,
    root: &DeTable<'_>,
    problems: &mut Problems,
) -> Vec<TokenConfig> {
    // What is no table was reported when the keys beside the list were visited.
    let table = root.get("admin").and_then(|admin| admin.get_ref().as_table());
    let Some(value) = table.and_then(|table| table.get("token")) else { return Vec::new() };
    let DeValue::Array(tables) = value.get_ref() else {
        problems.push(&source.place(value.span().start), TOKEN, no_table());
        return Vec::new();
    };
    let mut reading = Reading { source, problems, tokens: Vec::new() };
    for (i, value) in tables.iter().enumerate() {
        if i >= TOKENS_MAX {
            let wrong = Wrong::new(format!("more than {TOKENS_MAX} tokens"));
            reading.problems.push(&source.place(value.span().start), TOKEN, wrong);
            break;
        }
        reading.token(value);
    }
    reading.tokens
}

fn no_table() -> Wrong {
    Wrong::new(format!("expected a list of tables, each written [[{TOKEN}]]"))
}

/// The list being read.
struct Reading<'a> {
    source: &'a Source,
    problems: &'a mut Problems,
    tokens: Vec<TokenConfig>,
}

impl Reading<'_> {
    fn token(&mut self, value: &Spanned<DeValue<'_>>) {
        let header = self.source.place(value.span().start);
        let Some(table) = value.get_ref().as_table() else {
            return self.problems.push(&header, TOKEN, no_table());
        };
        let mut draft = TokenDraft::default();
        let mut none = Overrides::default();
        let mut reader = Reader::new(self.source, table, TOKEN, &mut none, self.problems);
        draft.visit(&mut reader);
        let at = At { given: reader.finish(), header };
        let name = self.name(&at, draft.name);
        if !at.given.has(&path("scopes")) {
            let wrong = "missing; expected at least one, for example scopes = [\"purge\"]";
            self.report(&at, "scopes", wrong.to_owned());
        }
        let read = self.secret(&at, draft.secret.as_deref());
        if let (Some(name), Some(secret), Some(token), false) =
            (name, draft.secret, read, draft.scopes.is_empty())
        {
            self.tokens.push(TokenConfig { name, scopes: draft.scopes, secret, token });
        }
    }

    /// The name, if nobody else has it.
    fn name(&mut self, at: &At, name: Option<String>) -> Option<String> {
        let wrong = match name {
            None if at.given.has(&path("name")) => return None,
            None => "missing; expected one, for example name = \"ci\"".to_owned(),
            Some(name) if name == ADMIN => {
                format!("\"{ADMIN}\" is the name of the token in {ADMIN_TOKEN}; choose another")
            }
            Some(name) if self.tokens.iter().any(|token| token.name == name) => {
                format!("\"{name}\" is the name of another token too")
            }
            Some(name) => return Some(name),
        };
        self.report(at, "name", wrong);
        None
    }

    /// The token where `secret` says it is.
    fn secret(&mut self, at: &At, secret: Option<&str>) -> Option<AdminToken> {
        let read =
            match secret {
                None if at.given.has(&path("secret")) => return None,
                None => Err("missing; expected where it is, for example secret = \"env:CI_TOKEN\""
                    .to_owned()),
                Some(secret) => read_token(secret),
            };
        let read = read.and_then(|token| {
            match self.tokens.iter().find(|other| other.token.is_same(&token)) {
                Some(other) => {
                    Err(format!("is the token of \"{}\" too; make one for each", other.name))
                }
                None => Ok(token),
            }
        });
        read.map_err(|wrong| self.report(at, "secret", wrong)).ok()
    }

    fn report(&mut self, at: &At, key: &str, wrong: String) {
        let path = path(key);
        let place = at.given.set(&path).map_or(&at.header, |mark| &mark.place);
        self.problems.push(place, &path, Wrong::new(wrong));
    }
}

/// Where the keys of one token are.
struct At {
    given: Given,
    header: Place,
}

fn path(key: &str) -> String {
    format!("{TOKEN}.{key}")
}

/// Reads the token that `secret` names.
///
/// # Errors
///
/// Why there is none, with nothing of the text in it.
fn read_token(secret: &str) -> Result<AdminToken, String> {
    let reference: SecretRef =
        secret.parse().map_err(|why: weir_access::NoSecretRef| why.to_string())?;
    let text = read_secret(&reference)?;
    let text = text.trim();
    if text.len() < CHARACTERS_MIN {
        return Err(format!(
            "has fewer than {CHARACTERS_MIN} characters; make one with `openssl rand -hex 32`"
        ));
    }
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(
            "has characters that cannot be sent; make one with `openssl rand -hex 32`".to_owned()
        );
    }
    AdminToken::new(text).ok_or_else(|| "is empty".to_owned())
}
