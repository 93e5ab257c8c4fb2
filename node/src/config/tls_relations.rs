//! What must hold between the keys of TLS, and between them and others.

use std::net::SocketAddr;
use std::time::Duration;

use super::address::Scheme;
use super::model::NodeConfig;
use super::problem::{Problems, Wrong};
use super::relations::Relations;
use super::sites::ReadSite;
use super::tls::ClientCertificates;

/// Lists that browsers bring along take no host that promises less (hstspreload.org).
const PRELOAD_MIN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Relations<'_> {
    /// Checks the keys of `[tls]`, and addresses that ask for TLS.
    pub(super) fn check_tls(&mut self, config: &NodeConfig) {
        self.check_tls_listener(config);
        self.check_client_certificates(config);
        self.check_tiers(config);
    }

    fn check_tls_listener(&mut self, config: &NodeConfig) {
        let Some(listen) = config.tls.listen else { return };
        if config.tls.certificates.is_empty() {
            self.report(
                &["tls.listen"],
                "has no effect without a certificate; add a [[tls.certificate]] table with certificate and key",
            );
        }
        for (key, other) in [("node.listen", config.listen), ("node.admin", config.admin)] {
            if collide(listen, other) {
                let message =
                    format!("takes port {}, as {key} does; give them two ports", listen.port());
                self.report(&["tls.listen", key], message);
            }
        }
    }

    fn check_client_certificates(&mut self, config: &NodeConfig) {
        let asks = config.tls.client_certificates != ClientCertificates::None;
        match (&config.tls.client_ca, asks) {
            (None, true) => self.report(
                &["tls.client_certificates", "tls.client_ca"],
                "asks for certificates that nobody vouches for; set client_ca to the file with those who do",
            ),
            (Some(_), false) => self.report(
                &["tls.client_ca", "tls.client_certificates"],
                "has no effect without client_certificates; set it to \"optional\" or \"required\"",
            ),
            (None, false) | (Some(_), true) => {}
        }
        if asks && config.tls.listen.is_none() {
            self.report(
                &["tls.client_certificates", "tls.listen"],
                "has no effect without listen in [tls]; set it or remove this",
            );
        }
    }

    fn check_tiers(&mut self, config: &NodeConfig) {
        let tls = &config.tls;
        for (one, other) in
            [("tls.tier_certificate", "tls.tier_key"), ("tls.tier_key", "tls.tier_certificate")]
        {
            if tls.tier_certificate.is_some() != tls.tier_key.is_some() && !self.is_set(other) {
                let name = other.trim_start_matches("tls.");
                self.report(&[one], format!("has no effect without {name}; set both or none"));
            }
        }
        if tls.tier_ca.is_some() {
            if tls.tier_ca == tls.client_ca {
                self.report(
                    &["tls.tier_ca", "tls.client_ca"],
                    "is the file of client_ca too, so that every client would be a node; take a CA that signs nodes only",
                );
            }
            return;
        }
        let authority = config.purge.authority.iter().map(|addr| ("purge.authority", addr));
        let asked = config.parents.iter().map(|addr| ("node.parents", addr)).chain(authority);
        for (key, addr) in asked.filter(|(_, addr)| addr.scheme == Scheme::Https) {
            let message = format!(
                "{addr} is asked over TLS, and nobody vouches for it; set tier_ca in [tls] to the file with \
                 those who do"
            );
            self.report(&[key, "tls.tier_ca"], message);
        }
    }
}

/// Whether two listeners could not both be had.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    same_ip && one.port() == other.port() && one.port() != 0
}

/// Checks the keys of `[site.tls]`. What the node has is not looked at: the file of a site may be read on
/// every tier.
pub(super) fn check_site_tls(read: &ReadSite, problems: &mut Problems) {
    let tls = &read.site.tls;
    let mut report = |path: &str, message: &str| {
        if let Some(mark) = read.given.set(path) {
            problems.push(&mark.place, &mark.label, Wrong::new(message.to_owned()));
        }
    };
    if tls.redirect_port.is_some() && !tls.redirect {
        report("site.tls.redirect_port", "has no effect without redirect = true; remove it");
    }
    if tls.hsts.is_none() && read.given.is_sound("site.tls.hsts") {
        for (on, path) in [
            (tls.hsts_subdomains, "site.tls.hsts_subdomains"),
            (tls.hsts_preload, "site.tls.hsts_preload"),
        ] {
            if on {
                report(path, "has no effect without hsts; set it too, for example hsts = \"365d\"");
            }
        }
    } else if tls.hsts_preload
        && (!tls.hsts_subdomains || tls.hsts.is_some_and(|hsts| hsts < PRELOAD_MIN))
    {
        report(
            "site.tls.hsts_preload",
            "is for hosts that promise at least hsts = \"365d\" and hsts_subdomains = true",
        );
    }
    if let Some(field) = &tls.client_certificate_field
        && !read.site.key.headers.contains(field)
        && read.given.is_sound("site.key.headers")
    {
        report(
            "site.tls.client_certificate_field",
            "has no effect without the same name in headers of [site.key]: else what the origin says to one \
             client would be sent to all",
        );
    }
}
