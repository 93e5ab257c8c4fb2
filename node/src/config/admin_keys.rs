//! Which keys say who may use the admin API.
//!
//! Part of the list that begins in `keys`.

use super::admin::{AdminConfig, TokenConfig};
use super::keys::Visitor;
use super::kinds::{Choice, List, Maybe, file, text, token};
use crate::admin_tokens::Scope;

/// Name of the table.
pub(super) const ADMIN: &str = "admin";
/// Name of the list of tables in it.
pub(super) const TOKEN: &str = "admin.token";

const SCOPE: Choice<Scope> = Choice {
    options: &[
        (Scope::Read.as_str(), Scope::Read),
        (Scope::Purge.as_str(), Scope::Purge),
        (Scope::Push.as_str(), Scope::Push),
        (Scope::Admin.as_str(), Scope::Admin),
    ],
};

/// Visits the keys that stand in the table itself.
pub(super) fn visit_admin(admin: &mut AdminConfig, v: &mut impl Visitor) {
    v.table(ADMIN, "Who may use the admin API, and what is kept of it.");
    v.key(
        "audit_file",
        &Maybe(file("/var/log/weir/audit.jsonl")),
        &mut admin.audit_file,
        "File that every change is noted in before it is made, a line of JSON each; the log alone when \
         left out.",
    );
}

/// A token as it is written; a key that is left out is `None`, or empty.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenDraft {
    pub(super) name: Option<String>,
    pub(super) scopes: Vec<Scope>,
    pub(super) secret: Option<String>,
}

impl TokenDraft {
    /// Visits what is said of a token.
    pub(super) fn visit(&mut self, v: &mut impl Visitor) {
        v.table(TOKEN, "A token beside the one in WEIR_ADMIN_TOKEN, which may do everything.");
        v.key("name", &Maybe(token()), &mut self.name, "What logs call its holder. Required.");
        v.key(
            "scopes",
            &List::of_some(SCOPE),
            &mut self.scopes,
            "What it is for; admin includes all. Required.",
        );
        let secret = text("secret", "env:NAME or file:/path", "env:CI_TOKEN");
        v.key(
            "secret",
            &Maybe(secret),
            &mut self.secret,
            "Where the token is, of at least 16 characters; never the token itself. Required.",
        );
    }
}

impl From<&TokenConfig> for TokenDraft {
    fn from(token: &TokenConfig) -> Self {
        Self {
            name: Some(token.name.clone()),
            scopes: token.scopes.clone(),
            secret: Some(token.secret.clone()),
        }
    }
}
