//! How a signature that is required is read: its format, its keys and what only that format has.

use std::collections::HashSet;
use std::time::Duration;

use weir_cache::Scheme;

use crate::config::keys::{SecretRule, key_ring, load, public_keys};
use crate::config::parts::{Report, duration, glob, methods, quote, word};
use crate::config::{ReadSecret, SignatureConfig};
use crate::instant::TimeForm;
use crate::policy::{Required, SignatureRule};
use crate::secret::Secret;
use crate::signed::cloudfront::CloudFront;
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

    const fn secrets(self) -> SecretRule {
        match self {
            Self::AlibabaA | Self::AlibabaB | Self::AlibabaC | Self::AlibabaCQuery => {
                SecretRule::Alphanumeric
            }
            Self::TencentA | Self::TencentB | Self::TencentC | Self::TencentD => {
                SecretRule::Alphanumeric
            }
            Self::CloudFront | Self::None | Self::SecureLink => SecretRule::Any,
            Self::EdgeAuth => SecretRule::Hex,
            Self::Weir => SecretRule::Long,
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
        let keys = key_ring(report, &at("keys"), (kind.secrets(), &config.keys), read);
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
