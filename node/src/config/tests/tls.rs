//! What the keys of TLS come to.

use super::problems::assert_problems;
use super::*;

#[test]
fn the_keys_of_tls_reach_their_fields() {
    let text = r#"
        [node]
        parents = ["https://r:8443"]
        [tls]
        listen = "0.0.0.0:8443"
        min_version = "1.3"
        unknown_name = "first"
        handshake_timeout = "3s"
        reread_interval = "0s"
        client_ca = "clients.pem"
        client_certificates = "optional"
        tier_ca = "tiers.pem"
        tier_certificate = "node.pem"
        tier_key = "node.key"
        tier_name = "regional.cdn.test"
        [[tls.certificate]]
        certificate = "a.pem"
        key = "a.key"
        [[tls.certificate]]
        certificate = "b.pem"
        key = "b.key"
        [[site]]
        name = "www"
        hosts = ["*"]
        [site.key]
        headers = ["x-client"]
        [site.tls]
        redirect = true
        redirect_port = 444
        hsts = "365d"
        hsts_subdomains = true
        hsts_preload = true
        require_client_certificate = true
        client_certificate_field = "X-Client"
    "#;
    let config = read(text).unwrap();
    let pair = |name: &str| CertificateConfig {
        certificate: format!("{name}.pem").into(),
        key: format!("{name}.key").into(),
    };
    let expected = TlsConfig {
        listen: Some("0.0.0.0:8443".parse().unwrap()),
        certificates: vec![pair("a"), pair("b")],
        min_version: MinVersion::Tls13,
        unknown_name: UnknownName::First,
        handshake_timeout: Duration::from_secs(3),
        reread_interval: Duration::ZERO,
        client_ca: Some("clients.pem".into()),
        client_certificates: ClientCertificates::Optional,
        tier_ca: Some("tiers.pem".into()),
        tier_certificate: Some("node.pem".into()),
        tier_key: Some("node.key".into()),
        tier_name: Some("regional.cdn.test".to_owned()),
    };
    assert_eq!(config.tls, expected);
    let expected = SiteTls {
        redirect: true,
        redirect_port: Some(444),
        hsts: Some(Duration::from_secs(365 * 86_400)),
        hsts_subdomains: true,
        hsts_preload: true,
        require_client_certificate: true,
        client_certificate_field: Some("x-client".parse().unwrap()),
    };
    assert_eq!(config.sites[0].tls, expected);
}

const CERTIFICATE_TABLE: &str = "[[tls.certificate]]\ncertificate = 'c'\nkey = 'k'\n";

fn listening(rest: &str) -> String {
    format!("[tls]\nlisten = '[::]:8443'\n{rest}\n{CERTIFICATE_TABLE}")
}

fn site(rest: &str) -> String {
    format!("[[site]]\nname = 'a'\nhosts = ['a']\norigins = ['http://o']\n[site.tls]\n{rest}")
}

#[test]
fn keys_of_tls_that_cannot_work_are_problems() {
    let cases = [
        (
            "[tls]\nlisten = '[::]:8443'".to_owned(),
            vec!["f:2:10: tls.listen: has no effect without a certificate"],
        ),
        (
            CERTIFICATE_TABLE.to_owned(),
            vec!["f:1:1: tls.certificate: has no effect without listen"],
        ),
        (
            "[tls]\ncertificate = 'c'\nlisten = '[::]:1'".to_owned(),
            vec![
                "f:2:15: tls.certificate: expected a list of tables",
                "f:3:10: tls.listen: has no effect without a certificate",
            ],
        ),
        (
            "[tls]\nlisten = '[::]:8443'\n[[tls.certificate]]\nkye = 'k'".to_owned(),
            vec![
                "f:2:10: tls.listen: has no effect without a certificate",
                "f:3:1: tls.certificate.certificate: missing; expected a file",
                "f:3:1: tls.certificate.key: missing; expected a file",
                "f:4:1: tls.certificate.kye: unknown key; did you mean `key`?",
            ],
        ),
        (
            format!("[node]\nlisten = '0.0.0.0:8443'\n{}", listening("")),
            vec!["f:4:10: tls.listen: takes port 8443, as node.listen does"],
        ),
        (listening("min_version = '1.1'"), vec!["f:3:15: tls.min_version: found \"1.1\""]),
        (
            listening("unknown_name = 'default'"),
            vec!["f:3:16: tls.unknown_name: found \"default\""],
        ),
    ];
    for (text, expected) in cases {
        assert_problems(&[(&text, &expected)]);
    }
}

#[test]
fn keys_about_who_vouches_and_of_sites_that_cannot_work_are_problems() {
    let cases = [
        (
            listening("client_certificates = 'required'"),
            vec!["f:3:23: tls.client_certificates: asks for certificates that nobody vouches for"],
        ),
        (
            listening("client_ca = 'ca'"),
            vec!["f:3:13: tls.client_ca: has no effect without client_certificates"],
        ),
        (
            listening("client_certificates = 'optional'\nclient_ca = 'c'\ntier_ca = 'c'"),
            vec!["f:5:11: tls.tier_ca: is the file of client_ca too"],
        ),
        (
            listening("tier_key = 'k'"),
            vec!["f:3:12: tls.tier_key: has no effect without tier_certificate"],
        ),
        (
            "[node]\nparents = ['http://a', 'https://b']".to_owned(),
            vec![
                "f:2:11: node.parents: https://b:443 is asked over TLS, and nobody vouches for it",
            ],
        ),
        (
            "[purge]\nauthority = 'https://b:1'".to_owned(),
            vec!["f:2:13: purge.authority: https://b:1 is asked over TLS"],
        ),
        (
            format!("[node]\nparents = ['https://127.0.0.1:8443']\n{}", listening("tier_ca = 'c'")),
            vec!["f:2:11: node.parents: https://127.0.0.1:8443 is this node itself"],
        ),
        (
            site("redirect_port = 1"),
            vec!["f:6:17: site.tls.redirect_port: has no effect without redirect"],
        ),
        (
            site("hsts_preload = true"),
            vec!["f:6:16: site.tls.hsts_preload: has no effect without hsts"],
        ),
        (
            site("hsts = '364d'\nhsts_preload = true\nhsts_subdomains = true"),
            vec!["f:7:16: site.tls.hsts_preload: is for hosts that promise at least"],
        ),
        (
            site("client_certificate_field = 'x-client'"),
            vec!["f:6:28: site.tls.client_certificate_field: has no effect without the same name"],
        ),
        (
            site("client_certificate_field = 'host'"),
            vec!["f:6:28: site.tls.client_certificate_field: found \"host\""],
        ),
    ];
    for (text, expected) in cases {
        assert_problems(&[(&text, &expected)]);
    }
}
