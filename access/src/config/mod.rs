//! How are the access rules of a site written, and what is wrong with them?
//!
//! An [`AccessConfig`] is what stands in a file, or what another reader has put there; nothing of it is checked.
//! [`AccessConfig::compile`] makes a [`Policy`] of it, or says everything that is wrong, because an operator mends a
//! file once. Secrets are named in it (`env:NAME`, `file:/path`) and never written; who reads them is asked for each.
//!
//! ```toml
//! methods = ["GET", "HEAD"]
//!
//! [[rule]]                                   # the first that fits decides
//! action = "deny"
//! path = "/admin/**"
//! clients = ["0.0.0.0/0", "::/0"]
//!
//! [[referer]]                                # the first whose path fits counts
//! path = "/img/**"
//! allow = ["example.com", "*.example.com"]
//! absent = "allow"
//!
//! [[signature]]                              # the first whose path fits counts
//! path = "/video/**"
//! format = "weir"
//! keys = [{ id = "k1", secret = "env:VIDEO_KEY_1" }, { id = "k2", secret = "env:VIDEO_KEY_2" }]
//! ```

mod formats;
mod keys;
mod parts;
mod rules;

use std::fmt;

use serde::Deserialize;

use self::parts::Report;
use crate::policy::Policy;
use crate::rules::source::{SourceField, SourceRules};

/// Entries of one list of rules. Each request tries them in order.
const RULES_MAX: usize = 256;

/// The access rules of a site, as they are written.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// Methods that are let in; without it, every one.
    pub methods: Option<Vec<String>>,
    /// Rules about clients.
    pub rule: Vec<RuleConfig>,
    /// Rules about the page that a request comes from.
    pub referer: Vec<SourceConfig>,
    /// Rules about the site whose script asks (CORS).
    pub origin: Vec<SourceConfig>,
    /// What has to be signed.
    pub signature: Vec<SignatureConfig>,
}

/// One rule about clients. It fits if all that it names does; lists mean "one of".
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// What explanations call it; without it, its place in the list.
    pub name: Option<String>,
    /// `allow` or `deny`. Required.
    pub action: Option<String>,
    /// Glob for paths.
    pub path: Option<String>,
    /// Methods.
    pub methods: Option<Vec<String>>,
    /// Addresses and networks.
    pub clients: Option<Vec<String>>,
    /// Parts of user agents, or patterns with `*` and `?`; the empty text stands for none.
    pub user_agents: Option<Vec<String>>,
    /// Countries by two letters, or `unknown`.
    pub countries: Option<Vec<String>>,
}

/// One rule about `Referer` or `Origin`.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// Glob for paths.
    pub path: Option<String>,
    /// Hosts that are let in: `example.com`, `*.example.com`, `*`. Without it, all that are not refused.
    pub allow: Vec<String>,
    /// Hosts that are refused, before `allow` is looked at.
    pub deny: Vec<String>,
    /// `allow` or `deny` for requests without the field. Required.
    pub absent: Option<String>,
    /// `allow` or `deny` for requests whose field names no host; `deny` without it.
    pub unreadable: Option<String>,
    /// Whether the host that is asked is let in as well; true without it.
    pub same_host: Option<bool>,
}

/// What has to be signed, and how.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct SignatureConfig {
    /// Glob for paths, without what a format puts before them.
    pub path: Option<String>,
    /// Name of the format, or `none` for what is free. Required.
    pub format: Option<String>,
    /// Live keys.
    pub keys: Vec<KeyConfig>,
    /// Methods that a signature is for; GET and HEAD without it.
    pub methods: Option<Vec<String>>,
    /// How far the clock of the signer may be off; `30s` without it, at most `5m`.
    pub skew: Option<String>,
    /// How long a URL is right after it was signed; for the formats of Alibaba Cloud and Tencent Cloud. `30m` without it.
    pub validity: Option<String>,
    /// Names of the parameters, where the format lets one choose.
    pub parameters: Option<Vec<String>>,
    /// `decimal` or `hex`: how Tencent Cloud's types A and D write the time.
    pub time: Option<String>,
    /// Expression of `secure_link_md5`, with `$secret` for the secret.
    pub expression: Option<String>,
    /// Name of the token of Akamai; `hdnts` without it.
    pub name: Option<String>,
    /// Where the salt of Akamai's tokens is.
    pub salt: Option<String>,
    /// Akamai's `escape_early`.
    pub escape_early: Option<bool>,
    /// `http` or `https`: with which CloudFront's URLs are signed; without it, that of the request.
    pub scheme: Option<String>,
}

/// One key.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct KeyConfig {
    /// Its name, which is no secret.
    pub id: String,
    /// Where the secret is: `env:NAME` or `file:/path`.
    pub secret: Option<String>,
    /// Where the public key is, for CloudFront.
    pub public_key: Option<String>,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In this variable of the environment.
    Env(String),
    /// In this file.
    File(String),
}

/// A text that does not say where a secret is. It may be the secret itself, so that it is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not say where it is (expected \"env:NAME\" or \"file:/path\")")]
pub struct NoSecretRef;

impl std::str::FromStr for SecretRef {
    type Err = NoSecretRef;

    fn from_str(text: &str) -> Result<Self, NoSecretRef> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            _ => Err(NoSecretRef),
        }
    }
}

/// Reads secrets; its error says why one cannot be read.
pub type ReadSecret<'a> = dyn Fn(&SecretRef) -> Result<String, String> + 'a;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessProblem {
    /// Dotted path of the key below the access rules of the site, with places in lists from 0: `rule[0].clients[2]`.
    pub key: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for AccessProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl AccessConfig {
    /// Makes the policy.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in the order of this type. No message holds a secret.
    pub fn compile(&self, read: &ReadSecret<'_>) -> Result<Policy, Vec<AccessProblem>> {
        let mut report = Report::default();
        let methods =
            self.methods.as_deref().map(|list| parts::methods(&mut report, "methods", list));
        let clients = parts::each(&mut report, "rule", &self.rule, rules::client_rule);
        let mut sources = Vec::new();
        for (name, field, list) in [
            ("referer", SourceField::Referer, &self.referer),
            ("origin", SourceField::Origin, &self.origin),
        ] {
            let rules = parts::each(&mut report, name, list, rules::source_rule);
            if !rules.is_empty() {
                sources.push(SourceRules { field, rules });
            }
        }
        let signatures =
            parts::each(&mut report, "signature", &self.signature, |report, key, config| {
                formats::signature_rule(report, key, config, read)
            });
        report.into_result(Policy { methods, clients, sources, signatures })
    }
}
