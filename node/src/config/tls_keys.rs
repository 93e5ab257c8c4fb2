//! Which keys TLS has: name, form, range and meaning of each, next to the field it sets, and how the
//! `[[tls.certificate]]` tables are read.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::keys::Visitor;
use super::kinds::{
    Choice, Count, Flag, Maybe, Span, listen_addr, origin_field_name, pem_file, tls_name,
};
use super::overrides::Overrides;
use super::problem::{Place, Problems, Wrong};
use super::reader::Reader;
use super::source::Source;
use super::tls::{
    CertificateConfig, ClientCertificates, MinVersion, SiteTls, TlsConfig, UnknownName,
};

/// Certificates of one node. All are kept in memory.
const CERTIFICATES_MAX: usize = 10_000;

/// Name of the tables.
pub(super) const CERTIFICATE: &str = "tls.certificate";

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const MIN_VERSION: Choice<MinVersion> =
    Choice { options: &[("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)] };

const UNKNOWN_NAME: Choice<UnknownName> =
    Choice { options: &[("refuse", UnknownName::Refuse), ("first", UnknownName::First)] };

const CLIENT_CERTIFICATES: Choice<ClientCertificates> = Choice {
    options: &[
        ("none", ClientCertificates::None),
        ("optional", ClientCertificates::Optional),
        ("required", ClientCertificates::Required),
    ],
};

/// Visits the keys of TLS to clients and between nodes.
pub(super) fn visit_tls(tls: &mut TlsConfig, v: &mut impl Visitor) {
    v.table("tls", "TLS to clients and between nodes. Files are read again at a reload.");
    v.key(
        "listen",
        &Maybe(listen_addr("0.0.0.0:8443")),
        &mut tls.listen,
        "Address for requests over TLS, beside node.listen; none when left out.",
    );
    v.key(
        "min_version",
        &MIN_VERSION,
        &mut tls.min_version,
        "Oldest version of TLS that clients may speak.",
    );
    v.key(
        "unknown_name",
        &UNKNOWN_NAME,
        &mut tls.unknown_name,
        "What a client gets that names a host that no certificate is for: an alert that says so, or the \
         first certificate. Clients that name none get the first.",
    );
    v.key(
        "handshake_timeout",
        &Span { min: Duration::from_millis(1), max: 10 * MINUTE },
        &mut tls.handshake_timeout,
        "Time for a whole handshake of a client.",
    );
    v.key(
        "reread_interval",
        &Span { min: Duration::ZERO, max: DAY },
        &mut tls.reread_interval,
        "How often the files are looked at, and read again where they have changed; 0s for never.",
    );
    v.key(
        "client_ca",
        &Maybe(pem_file()),
        &mut tls.client_ca,
        "PEM file with the certificates that vouch for those of clients.",
    );
    v.key(
        "client_certificates",
        &CLIENT_CERTIFICATES,
        &mut tls.client_certificates,
        "Whether clients are asked for certificates, and whether they must have one.",
    );
    visit_tiers(tls, v);
}

fn visit_tiers(tls: &mut TlsConfig, v: &mut impl Visitor) {
    v.key(
        "tier_ca",
        &Maybe(pem_file()),
        &mut tls.tier_ca,
        "PEM file with the certificates that vouch for nodes of this CDN: for children, which then need \
         no tier secret, and for https parents. The same on every node.",
    );
    v.key(
        "tier_certificate",
        &Maybe(pem_file()),
        &mut tls.tier_certificate,
        "PEM file with this node's certificate for its https parents.",
    );
    v.key(
        "tier_key",
        &Maybe(pem_file()),
        &mut tls.tier_key,
        "PEM file with the key of tier_certificate.",
    );
    v.key(
        "tier_name",
        &Maybe(tls_name()),
        &mut tls.tier_name,
        "Name that the certificates of https parents are for; the one in the address when left out.",
    );
}

/// Visits the keys of TLS of one site.
pub(super) fn visit_site_tls(tls: &mut SiteTls, v: &mut impl Visitor) {
    v.table("site.tls", "What TLS means to the site.");
    v.key(
        "redirect",
        &Flag,
        &mut tls.redirect,
        "Whether clients without TLS are sent to https: by 301, by 308 where the method is neither GET nor \
         HEAD. Not below /.well-known/acme-challenge/.",
    );
    v.key(
        "redirect_port",
        &Maybe(Count::new(1, 65_535)),
        &mut tls.redirect_port,
        "Port that they are sent to; that of tls.listen when left out.",
    );
    v.key(
        "hsts",
        &Maybe(Span { min: Duration::ZERO, max: 10 * 366 * DAY }),
        &mut tls.hsts,
        "How long clients are to use TLS only (Strict-Transport-Security), whatever the origin says; its \
         own word when left out. 0s takes it back.",
    );
    v.key(
        "hsts_subdomains",
        &Flag,
        &mut tls.hsts_subdomains,
        "Whether that is for every host below too.",
    );
    v.key(
        "hsts_preload",
        &Flag,
        &mut tls.hsts_preload,
        "Whether browsers may bring that along. Takes years to undo.",
    );
    v.key(
        "require_client_certificate",
        &Flag,
        &mut tls.require_client_certificate,
        "Whether clients without a certificate that tls.client_ca vouches for get 403.",
    );
    v.key(
        "client_certificate_field",
        &Maybe(origin_field_name()),
        &mut tls.client_certificate_field,
        "Field with the subject of the client's certificate for the origin. Must be in site.key.headers \
         too. Clients cannot set it.",
    );
}

/// A certificate as it is written; a key that is left out is `None`.
#[derive(Clone, Debug, Default)]
pub(super) struct CertificateDraft {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl CertificateDraft {
    /// Visits what is said of a certificate.
    pub(super) fn visit(&mut self, v: &mut impl Visitor) {
        v.table(
            CERTIFICATE,
            "A certificate for the hosts that it names. The first one also serves clients that name no host.",
        );
        v.key(
            "certificate",
            &Maybe(pem_file()),
            &mut self.certificate,
            "PEM file with the certificate and those between it and the root. Required.",
        );
        v.key(
            "key",
            &Maybe(pem_file()),
            &mut self.key,
            "PEM file with its key (PKCS#8, PKCS#1 or SEC1). Required.",
        );
    }
}

impl From<&CertificateConfig> for CertificateDraft {
    fn from(config: &CertificateConfig) -> Self {
        Self { certificate: Some(config.certificate.clone()), key: Some(config.key.clone()) }
    }
}

/// Reads the certificates in the file `root`, which are of use where the node `listens` for TLS.
pub(super) fn read_certificates(
    source: &Source,
    root: &DeTable<'_>,
    listens: bool,
    problems: &mut Problems,
) -> Vec<CertificateConfig> {
    // What is no table was reported when the keys of it were visited.
    let table = root.get("tls").and_then(|value| value.get_ref().as_table());
    let Some(value) = table.and_then(|table| table.get("certificate")) else { return Vec::new() };
    let DeValue::Array(tables) = value.get_ref() else {
        let wrong = Wrong::new("expected a list of tables, each written [[tls.certificate]]");
        problems.push(&source.place(value.span().start), CERTIFICATE, wrong);
        return Vec::new();
    };
    if !listens {
        let wrong = Wrong::new("has no effect without listen in [tls]; set it or remove this");
        problems.push(&source.place(value.span().start), CERTIFICATE, wrong);
    }
    let mut certificates = Vec::new();
    for (i, value) in tables.iter().enumerate() {
        let header = source.place(value.span().start);
        if i >= CERTIFICATES_MAX {
            let wrong = Wrong::new(format!("more than {CERTIFICATES_MAX} certificates"));
            problems.push(&header, CERTIFICATE, wrong);
            break;
        }
        match value.get_ref().as_table() {
            Some(table) => certificates.extend(read_one(source, table, &header, problems)),
            None => {
                let wrong = Wrong::new("expected a table, written [[tls.certificate]]");
                problems.push(&header, CERTIFICATE, wrong);
            }
        }
    }
    certificates
}

fn read_one(
    source: &Source,
    table: &DeTable<'_>,
    header: &Place,
    problems: &mut Problems,
) -> Option<CertificateConfig> {
    let mut draft = CertificateDraft::default();
    let mut none = Overrides::default();
    let mut reader = Reader::new(source, table, CERTIFICATE, &mut none, problems);
    draft.visit(&mut reader);
    let given = reader.finish();
    for (path, example) in [
        ("tls.certificate.certificate", "certificate = \"fullchain.pem\""),
        ("tls.certificate.key", "key = \"privkey.pem\""),
    ] {
        if !given.has(path) {
            let wrong = Wrong::new(format!("missing; expected a file, for example {example}"));
            problems.push(header, path, wrong);
        }
    }
    Some(CertificateConfig { certificate: draft.certificate?, key: draft.key? })
}
