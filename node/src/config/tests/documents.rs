//! What is written about the keys: the rendered file, the guide and the examples.

use std::collections::BTreeSet;

use super::super::access_keys::{KEYS, ORIGIN, REFERER, RULE, SIGNATURE};
use super::super::admin_keys::{TOKEN, TokenDraft};
use super::super::catalog::{
    TableInfo, access_tables, blank_access, certificate_tables, node_tables, rule_tables,
    site_tables, token_tables,
};
use super::super::rules::RuleDraft;
use super::super::site_keys::SiteDraft;
use super::super::tls_keys::{CERTIFICATE, CertificateDraft};
use weir_access::{AccessConfig, KeyConfig, RuleConfig, SignatureConfig, SourceConfig};

use crate::admin_tokens::{AdminToken, Scope};

use super::*;

pub(super) fn tables() -> Vec<TableInfo> {
    let config = NodeConfig::with_defaults(&defaults());
    let mut tables = node_tables(NodeDraft { include: Vec::new(), config });
    tables.extend(token_tables(TokenDraft::default()));
    tables.extend(certificate_tables(CertificateDraft::default()));
    tables.extend(site_tables(SiteDraft::new(Profile::Default)));
    tables.extend(rule_tables(RuleDraft::default()));
    tables.extend(access_tables(&blank_access()));
    tables
}

/// A configuration in which many keys differ from their defaults.
fn changed() -> NodeConfig {
    let mut config = NodeConfig::with_defaults(&defaults());
    config.parents = vec!["http://r:1".parse().unwrap(), "http://[::1]:2".parse().unwrap()];
    config.workers = NonZeroUsize::new(3);
    config.data_dir = Some("/a \"b\"".into());
    config.unknown_host = UnknownHost::NotFound;
    config.admin_api = AdminConfig {
        audit_file: Some("/var/log/weir/audit.jsonl".into()),
        tokens: vec![TokenConfig {
            name: "ci".to_owned(),
            scopes: vec![Scope::Purge, Scope::Read],
            // Cargo sets it wherever tests run.
            secret: "env:CARGO_PKG_DESCRIPTION".to_owned(),
            token: AdminToken::new("not compared").unwrap(),
        }],
    };
    config.store.memory = ByteSize::from_mib(64);
    config.store.object_max = ByteSize::from_bytes(12_345);
    config.store.memory_object_max = ByteSize::from_kib(1);
    config.limits.head_max = ByteSize::from_kib(8);
    config.limits.url_max = ByteSize::from_bytes(8_000);
    config.upstream.eject_for = Duration::from_millis(90_001);
    config.tls = TlsConfig {
        listen: Some("[::]:8443".parse().unwrap()),
        certificates: ["a", "b"]
            .map(|name| CertificateConfig {
                certificate: format!("/{name}.pem").into(),
                key: format!("/{name}.key").into(),
            })
            .into(),
        min_version: MinVersion::Tls13,
        unknown_name: UnknownName::First,
        client_ca: Some("/ca \"c\".pem".into()),
        client_certificates: ClientCertificates::Optional,
        ..TlsConfig::default()
    };
    config.log.level = LogLevel::Trace;
    let mut first = SiteConfig::new("first", Profile::Rfc);
    first.hosts = vec![HostPattern::Any];
    first.policy.post_to_get = false;
    first.policy.heuristic = None;
    first.key.query.allow = Some(Vec::new());
    first.key.query.ignore = vec!["utm_*".parse().unwrap()];
    first.fields.age = false;
    first.origins = vec!["https://[::1]".parse().unwrap()];
    first.origin = OriginConfig {
        protocol: Protocol::Http2,
        tls_name: Some("o.example".to_owned()),
        tls_ca: Some("/ca.pem".into()),
        check_path: Some("/healthz".to_owned()),
        ..OriginConfig::default()
    };
    let mut second = SiteConfig::new("second", Profile::Default);
    second.hosts = vec!["*.example.com".parse().unwrap()];
    second.origins = vec!["http://o:81".parse().unwrap()];
    second.policy.targets = Vec::new();
    second.fields.via = false;
    second.tls = SiteTls {
        redirect: true,
        redirect_port: Some(8443),
        hsts: Some(Duration::from_secs(60)),
        hsts_subdomains: true,
        ..SiteTls::default()
    };
    second.access =
        SiteAccess::compile(every_rule(), &|_| Ok("0123456789abcdef".to_owned())).unwrap();
    config.sites = vec![first, second];
    config
}

/// Access rules with at least one entry of each list, whose secrets are in a file that there is.
fn every_rule() -> AccessConfig {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let text = |text: &str| Some(text.to_owned());
    let key = |id: &str| KeyConfig {
        id: id.to_owned(),
        secret: text("file:Cargo.toml"),
        ..KeyConfig::default()
    };
    let deny = RuleConfig {
        action: text("deny"),
        clients: Some(texts(&["192.0.2.0/24"])),
        ..RuleConfig::default()
    };
    let named = RuleConfig { name: text("a \"b\""), ..deny.clone() };
    let source = SourceConfig {
        allow: texts(&["*.a.test"]),
        absent: text("allow"),
        same_host: Some(false),
        ..SourceConfig::default()
    };
    let free = SignatureConfig {
        path: text("/free/**"),
        format: text("none"),
        ..SignatureConfig::default()
    };
    let signed = SignatureConfig {
        format: text("secure-link"),
        expression: text("$secure_link_expires$uri $secret"),
        keys: vec![key("a"), key("b")],
        ..SignatureConfig::default()
    };
    AccessConfig {
        methods: Some(texts(&["GET", "HEAD"])),
        rule: vec![deny, named],
        referer: vec![source.clone()],
        origin: vec![source],
        signature: vec![free, signed],
    }
}

#[test]
fn a_rendered_configuration_is_read_back() {
    let default = NodeConfig::with_defaults(&defaults());
    for config in [default, changed()] {
        let text = to_toml(&config);
        assert_eq!(read(&text).as_ref(), Ok(&config), "{text}");
    }
}

#[test]
fn a_rendered_file_shows_every_key_and_its_default_is_what_it_says() {
    let mut config = NodeConfig::with_defaults(&defaults());
    config.sites = vec![SiteConfig::new("www", Profile::Default)];
    let text = to_toml(&config);
    for table in tables() {
        for key in &table.keys {
            let shown = match &key.value {
                Some(value) if value != "[]" && key.name != "name" => value,
                _ => &key.example,
            };
            let line = format!("{} = {shown}\n", key.name);
            assert!(key.name == "name" || text.contains(&line), "{line} in\n{text}");
            assert!(text.contains(key.meaning), "{} in\n{text}", key.meaning);
        }
    }
    // Lines after "For example:" are no defaults; all others change nothing when they are set.
    let mut example = false;
    let mut plain = String::new();
    for line in text.lines() {
        let key = line.strip_prefix("# ").filter(|line| line.contains(" = ") && !example);
        plain.push_str(key.unwrap_or(line));
        plain.push('\n');
        example = line.ends_with("For example:");
    }
    let plain = plain.replace("[[site]]\n", "[[site]]\nhosts = ['*']\norigins = ['http://o']\n");
    let read = read(&plain).unwrap_or_else(|errors| panic!("{errors}\n{plain}"));
    config.sites[0].hosts = vec![HostPattern::Any];
    config.sites[0].origins = vec!["http://o".parse().unwrap()];
    assert_eq!(read, config);
}

#[test]
fn every_example_is_valid() {
    for table in tables().iter().filter(|table| !table.name.is_empty()) {
        for key in &table.keys {
            let line = format!("{} = {}", key.name, key.example);
            let site = "[[site]]\nname = 'n'\nhosts = ['h']\norigins = ['http://o']\n";
            let text = match table.name {
                "site" if site.contains(&format!("{} =", key.name)) => continue,
                "site" => format!("{site}{line}"),
                "site.rule" if key.name == "path" => format!("{site}[[site.rule]]\n{line}"),
                "site.rule" => format!("{site}[[site.rule]]\npath = '/a'\n{line}"),
                RULE if key.name != "action" => {
                    format!("{site}[[{RULE}]]\naction = 'deny'\n{line}")
                }
                list @ (REFERER | ORIGIN) if key.name != "absent" => {
                    format!("{site}[[{list}]]\nabsent = 'deny'\n{line}")
                }
                SIGNATURE if key.name != "format" => {
                    format!("{site}[[{SIGNATURE}]]\nformat = 'weir'\n{line}")
                }
                KEYS => format!("{site}[[{SIGNATURE}]]\nformat = 'weir'\n[[{KEYS}]]\n{line}"),
                TOKEN => format!("[[{TOKEN}]]\n{line}"),
                list @ (RULE | REFERER | ORIGIN | SIGNATURE) => {
                    format!("{site}[[{list}]]\n{line}")
                }
                "site.key" | "site.fields" | "site.origin" | "site.access" | "site.limits"
                | "site.tls" => {
                    format!("{site}[{}]\n{line}", table.name)
                }
                CERTIFICATE => "[tls]\nlisten = '[::]:0'\n[[tls.certificate]]\n\
                                certificate = '/c'\nkey = '/k'\n"
                    .replace(&format!("{} = ", key.name), &format!("{line}\n# ")),
                name => format!("[{name}]\n{line}"),
            };
            // The sample of a size may be too large for another key's default, and some keys are
            // of use only with another.
            let relation = |errors: &ConfigErrors| {
                let text = errors.to_string();
                let known = [
                    "at most",
                    "has no effect without",
                    "is not known without",
                    "expected a MaxMind DB file",
                ];
                known.iter().any(|known| text.contains(known))
            };
            let access = |errors: &ConfigErrors| {
                // Formats differ in their keys, and no secret is where the examples say.
                table.name.starts_with("site.access.signature")
                    && errors.problems().iter().all(|problem| {
                        let known = [
                            "has no effect",
                            "is for cloudfront",
                            "is not set",
                            "there is no key",
                            "does not say where",
                            "cannot be read",
                            "a key id",
                        ];
                        known.iter().any(|known| problem.message.contains(known))
                    })
            };
            let token = |errors: &ConfigErrors| {
                // The other keys of the token are missing, or its secret is not there.
                let known = ["missing", "is not set"];
                let known = |message: &str| known.iter().any(|known| message.contains(known));
                table.name == TOKEN
                    && errors.problems().iter().all(|problem| known(&problem.message))
            };
            let fits = read(&text)
                .err()
                .is_none_or(|errors| relation(&errors) || access(&errors) || token(&errors));
            assert!(fits, "{text}");
        }
    }
}

/// One row of the operator's guide.
fn row(path: &str, table: &TableInfo, i: usize, rfc: Option<&str>) -> String {
    let key = &table.keys[i];
    let plain = |text: &str| text.replace('|', "\\|").replace('*', "\\*");
    let default = match key.value.as_deref() {
        _ if ["name", "listen", "admin"].contains(&key.name) && path.starts_with("node") => {
            "the program's".to_owned()
        }
        _ if key.meaning.ends_with("Required.") => "required".to_owned(),
        None | Some("[]") => "none".to_owned(),
        Some(value) => {
            format!("`{value}`{}", rfc.map(|v| format!(" (rfc: `{v}`)")).unwrap_or_default())
        }
    };
    let range = plain(&key.range);
    format!("| `{path}` | {} | {default} | {range} | {} |", key.unit, plain(key.meaning))
}

#[test]
fn the_guide_has_a_row_for_every_key_and_no_other() {
    let guide = include_str!("../../../../docs/configuration.md");
    let rfc = site_tables(SiteDraft::new(Profile::Rfc));
    let mut rows = BTreeSet::new();
    for table in tables() {
        let other = rfc.iter().find(|other| other.name == table.name);
        for (i, key) in table.keys.iter().enumerate() {
            let path = format!("{}.{}", table.name, key.name);
            let rfc = other.and_then(|other| other.keys[i].value.as_deref());
            let rfc =
                rfc.filter(|value| Some(*value) != key.value.as_deref() && key.name != "profile");
            rows.insert(row(path.trim_start_matches('.'), &table, i, rfc));
        }
    }
    let written: BTreeSet<_> =
        guide.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let missing: Vec<_> = rows.difference(&written).cloned().collect();
    let surplus: Vec<_> = written.difference(&rows).cloned().collect();
    assert!(missing.is_empty(), "missing in docs/configuration.md:\n{}", missing.join("\n"));
    assert!(surplus.is_empty(), "unknown in docs/configuration.md:\n{}", surplus.join("\n"));
}

/// Joins the first TOML example of a text, without what is read from files.
fn first_example(text: &str, prefix: &str) -> String {
    let lines = text.lines().map(|line| line.strip_prefix(prefix).unwrap_or(line).trim_start());
    let example =
        lines.skip_while(|line| *line != "```toml").skip(1).take_while(|line| *line != "```");
    example.filter(|line| !line.contains("include =")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_examples_in_the_documents_are_valid() {
    let module = first_example(include_str!("../mod.rs"), "//!");
    let guide = first_example(include_str!("../../../../docs/configuration.md"), "");
    for example in [module, guide] {
        let config = read(&example).unwrap_or_else(|errors| panic!("{errors}\n{example}"));
        assert_eq!(config.sites.len(), 1);
        assert_eq!(config.admin.to_string(), "127.0.0.1:9080");
    }
}
