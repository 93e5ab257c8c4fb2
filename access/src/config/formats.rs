//! How a signature that is required is read: its format, its keys and what only that format has.

use std::collections::HashSet;
use std::time::Duration;

use weir_cache::Scheme;

use crate::config::parts::{Report, duration, glob, methods, quote, word};
use crate::config::{KeyConfig, ReadSecret, SecretRef, SignatureConfig};
use crate::instant::TimeForm;
use crate::policy::{Required, SignatureRule};
use crate::secret::{Key, KeyProblem, KeyRing, Secret};
use crate::signed::cloudfront::{CloudFront, PublicKey, PublicKeys};
use crate::signed::edge_auth::EdgeAuth;
use crate::signed::secure_link::{Expression, SecureLink};
use crate::signed::type_a::TypeA;
use crate::signed::type_b::TypeB;
use crate::signed::type_c::TypeC;
use crate::signed::type_d::TypeD;
use crate::signed::weir::Weir;
use crate::signed::{Format, Signature};

const SKEW: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));
/// Tencent Cloud's greatest, which is twenty years.
const VALIDITY: (Duration, Duration) =
    (Duration::from_secs(1800), Duration::from_secs(630_720_000));
/// Bytes of the shortest secret of our own format.
const WEIR_SECRET_MIN: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    AlibabaA,
    AlibabaB,
    AlibabaC,
    AlibabaCQuery,
    CloudFront,
    EdgeAuth,
    None,
    SecureLink,
    TencentA,
    TencentB,
    TencentC,
    TencentD,
    Weir,
}

const KINDS: [(&str, Kind); 13] = [
    ("alibaba-a", Kind::AlibabaA),
    ("alibaba-b", Kind::AlibabaB),
    ("alibaba-c", Kind::AlibabaC),
    ("alibaba-c-query", Kind::AlibabaCQuery),
    ("cloudfront", Kind::CloudFront),
    ("edge-auth", Kind::EdgeAuth),
    ("none", Kind::None),
    ("secure-link", Kind::SecureLink),
    ("tencent-a", Kind::TencentA),
    ("tencent-b", Kind::TencentB),
    ("tencent-c", Kind::TencentC),
    ("tencent-d", Kind::TencentD),
    ("weir", Kind::Weir),
];

impl Kind {
    /// Keys that mean something with this format, beside those of all.
    const fn takes(self) -> &'static [&'static str] {
        match self {
            Self::AlibabaA => &["keys", "methods", "skew", "validity", "parameters"],
            Self::AlibabaB | Self::AlibabaC | Self::TencentB | Self::TencentC => {
                &["keys", "methods", "skew", "validity"]
            }
            Self::AlibabaCQuery => &["keys", "methods", "skew", "validity", "parameters"],
            Self::CloudFront => &["keys", "methods", "skew", "scheme"],
            Self::EdgeAuth => &["keys", "methods", "skew", "name", "salt", "escape_early"],
            Self::None => &[],
            Self::SecureLink => &["keys", "methods", "skew", "parameters", "expression"],
            Self::TencentA | Self::TencentD => {
                &["keys", "methods", "skew", "validity", "parameters", "time"]
            }
            Self::Weir => &["keys", "methods", "skew"],
        }
    }

    /// Whether secrets are letters and digits only, which keeps what is digested unambiguous.
    const fn is_alphanumeric(self) -> bool {
        match self {
            Self::AlibabaA | Self::AlibabaB | Self::AlibabaC | Self::AlibabaCQuery => true,
            Self::TencentA | Self::TencentB | Self::TencentC | Self::TencentD => true,
            Self::CloudFront | Self::EdgeAuth | Self::None | Self::SecureLink | Self::Weir => false,
        }
    }
}

pub(super) fn signature_rule(
    report: &mut Report,
    key: &str,
    config: &SignatureConfig,
    read: &ReadSecret<'_>,
) -> Option<SignatureRule> {
    let at = |name: &str| format!("{key}.{name}");
    let kind = word(report, &at("format"), config.format.as_deref(), &KINDS);
    let path = glob(report, key, config.path.as_deref());
    let skew = duration(report, &at("skew"), config.skew.as_deref(), SKEW);
    let default = ["GET", "HEAD"].map(str::to_owned);
    let methods = methods(report, &at("methods"), config.methods.as_deref().unwrap_or(&default));
    let kind = kind?;
    report_useless(report, key, config, kind);
    if kind == Kind::None {
        return Some(SignatureRule { path, required: None });
    }
    let signature = if kind == Kind::CloudFront {
        let keys = public_keys(report, &at("keys"), &config.keys, read);
        Signature::CloudFront(CloudFront::new(scheme(report, key, config)), keys?)
    } else {
        let keys = key_ring(report, &at("keys"), (kind, &config.keys), read);
        let format = format(report, key, (kind, config), read);
        Signature::Shared(format?, keys?)
    };
    Some(SignatureRule { path, required: Some(Required { signature, methods, skew }) })
}

/// Reports keys that the format does not look at: whoever wrote one expects something of it.
fn report_useless(report: &mut Report, key: &str, config: &SignatureConfig, kind: Kind) {
    let given = [
        ("keys", !config.keys.is_empty()),
        ("methods", config.methods.is_some()),
        ("skew", config.skew.is_some()),
        ("validity", config.validity.is_some()),
        ("parameters", config.parameters.is_some()),
        ("time", config.time.is_some()),
        ("expression", config.expression.is_some()),
        ("name", config.name.is_some()),
        ("salt", config.salt.is_some()),
        ("escape_early", config.escape_early.is_some()),
        ("scheme", config.scheme.is_some()),
    ];
    for (name, _) in given.iter().filter(|(name, given)| *given && !kind.takes().contains(name)) {
        report.push(&format!("{key}.{name}"), "has no effect with this format; remove it");
    }
}

fn scheme(report: &mut Report, key: &str, config: &SignatureConfig) -> Option<Scheme> {
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
    let text = config.scheme.as_deref()?;
    word(report, &format!("{key}.scheme"), Some(text), &schemes)
}

fn format(
    report: &mut Report,
    key: &str,
    (kind, config): (Kind, &SignatureConfig),
    read: &ReadSecret<'_>,
) -> Option<Format> {
    let at = |name: &str| format!("{key}.{name}");
    let validity = duration(report, &at("validity"), config.validity.as_deref(), VALIDITY);
    let forms = [("decimal", TimeForm::Decimal), ("hex", TimeForm::Hex)];
    let time = config.time.as_deref().or(Some("decimal"));
    let time = word(report, &at("time"), time, &forms)?;
    let names = &at("parameters");
    Some(match kind {
        Kind::AlibabaA => {
            Format::TypeA(TypeA::new(&one(report, names, config, "auth_key")?, time, validity))
        }
        Kind::TencentA => {
            Format::TypeA(TypeA::new(&one(report, names, config, "sign")?, time, validity))
        }
        Kind::AlibabaB | Kind::TencentB => Format::TypeB(TypeB::new(validity)),
        Kind::AlibabaC | Kind::TencentC => Format::TypeC(TypeC::new(validity)),
        Kind::AlibabaCQuery => {
            let names = parameters(report, names, config, ["KEY1", "KEY2"])?;
            Format::TypeD(TypeD::new(names.each_ref().map(String::as_str), TimeForm::Hex, validity))
        }
        Kind::TencentD => {
            let names = parameters(report, names, config, ["sign", "t"])?;
            Format::TypeD(TypeD::new(names.each_ref().map(String::as_str), time, validity))
        }
        Kind::SecureLink => {
            let names = parameters(report, names, config, ["md5", "expires"])?;
            let expression = config.expression.as_deref().unwrap_or_default();
            let expression = report.take(&at("expression"), expression.parse::<Expression>())?;
            let names = names.each_ref().map(String::as_str);
            Format::SecureLink(SecureLink::new(expression, names))
        }
        Kind::EdgeAuth => Format::EdgeAuth(edge_auth(report, key, config, read)?),
        Kind::Weir | Kind::CloudFront | Kind::None => Format::Weir(Weir::new()),
    })
}

/// The name of a format's one parameter.
fn one(report: &mut Report, key: &str, config: &SignatureConfig, default: &str) -> Option<String> {
    parameters(report, key, config, [default]).map(|[name]| name)
}

/// The names of a format's parameters.
fn parameters<const N: usize>(
    report: &mut Report,
    key: &str,
    config: &SignatureConfig,
    defaults: [&str; N],
) -> Option<[String; N]> {
    let Some(given) = &config.parameters else { return Some(defaults.map(str::to_owned)) };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let sound = |name: &String| !name.is_empty() && name.len() <= 100 && name.bytes().all(plain);
    let differ = given.iter().collect::<HashSet<_>>().len() == given.len();
    let names = <[String; N]>::try_from(given.clone()).ok();
    let names = names.filter(|names| differ && names.iter().all(sound));
    if names.is_none() {
        let expected = defaults.map(quote).join(", ");
        report.push(key, format!("expected {N} different names such as {expected}"));
    }
    names
}

fn edge_auth(
    report: &mut Report,
    key: &str,
    config: &SignatureConfig,
    read: &ReadSecret<'_>,
) -> Option<EdgeAuth> {
    let salt = match config.salt.as_deref() {
        Some(text) => {
            let at = format!("{key}.salt");
            let salt = load(report, &at, Some(text), read)?;
            Some(report.take(&at, Secret::new(salt.as_bytes()))?)
        }
        None => None,
    };
    let name = config.name.as_deref().unwrap_or("hdnts");
    let format = EdgeAuth::new(name, salt, config.escape_early.unwrap_or(false));
    let expected = "is not a name of a header field (expected such as \"hdnts\")";
    report.take(&format!("{key}.name"), format.ok_or(expected))
}

/// Asks for the secret that `text` names.
fn load(
    report: &mut Report,
    key: &str,
    text: Option<&str>,
    read: &ReadSecret<'_>,
) -> Option<String> {
    let reference = text.and_then(|text| match text.split_once(':')? {
        ("env", name) if !name.is_empty() => Some(SecretRef::Env(name.to_owned())),
        ("file", path) if !path.is_empty() => Some(SecretRef::File(path.to_owned())),
        _ => None,
    });
    let Some(reference) = reference else {
        // What is written there may be the secret itself, so that it is not repeated.
        report.push(key, "does not say where it is (expected \"env:NAME\" or \"file:/path\")");
        return None;
    };
    let loaded = report.take(key, read(&reference))?;
    Some(loaded.trim_end_matches(['\r', '\n']).to_owned())
}

fn key_ring(
    report: &mut Report,
    key: &str,
    (kind, configs): (Kind, &[KeyConfig]),
    read: &ReadSecret<'_>,
) -> Option<KeyRing> {
    let mut keys = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        let at = format!("{key}[{index}].secret");
        if config.public_key.is_some() {
            report.push(&format!("{key}[{index}].public_key"), "is for cloudfront only");
        }
        let Some(text) = load(report, &at, config.secret.as_deref(), read) else { continue };
        if kind == Kind::Weir && text.len() < WEIR_SECRET_MIN {
            report.push(&at, "has fewer than 16 characters; make one with `openssl rand -hex 32`");
        }
        let secret = match kind {
            Kind::EdgeAuth => Secret::from_hex(&text),
            _ => Secret::new(text.as_bytes()),
        };
        let made = report.take(&at, secret).map(|secret| Key::new(&config.id, secret));
        keys.extend(made.and_then(|made| report.take(&format!("{key}[{index}].id"), made)));
    }
    let ring = KeyRing::new(keys).and_then(|ring| {
        if kind.is_alphanumeric() {
            ring.only_alphanumeric()?;
        }
        Ok(ring)
    });
    take_keys(report, key, configs, ring)
}

fn public_keys(
    report: &mut Report,
    key: &str,
    configs: &[KeyConfig],
    read: &ReadSecret<'_>,
) -> Option<PublicKeys> {
    let mut keys = Vec::new();
    for (index, config) in configs.iter().enumerate() {
        let at = format!("{key}[{index}].public_key");
        if config.secret.is_some() {
            report.push(&format!("{key}[{index}].secret"), "is not for cloudfront; remove it");
        }
        let Some(pem) = load(report, &at, config.public_key.as_deref(), read) else { continue };
        keys.extend(report.take(&at, PublicKey::from_pem(&config.id, &pem)));
    }
    take_keys(report, key, configs, PublicKeys::new(keys))
}

/// Keeps the keys; that there is none is a problem of its own only if none was given.
fn take_keys<T>(
    report: &mut Report,
    key: &str,
    configs: &[KeyConfig],
    made: Result<T, KeyProblem>,
) -> Option<T> {
    match made {
        Err(KeyProblem::NoKey) if !configs.is_empty() => None,
        made => report.take(key, made),
    }
}
