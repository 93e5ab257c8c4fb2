//! How a configuration is written as a file that a person goes on with.
//!
//! Every key appears with its meaning, its form and its range; those with their default value are
//! commented out. Only the first site is explained, so that a file of many sites stays readable.
//!
//! # Invariant
//!
//! Reading the text gives the same configuration, provided that it could come from a file: what no
//! key sets (`Policy::apparent_age`, the fraction of the heuristic) is not written.

use std::collections::HashSet;

use weir_cache::Profile;

use super::access_keys::LISTS;
use super::admin_keys::{TOKEN, TokenDraft};
use super::catalog::{
    KeyInfo, TableInfo, access_tables, blank_access, certificate_tables, node_tables, rule_tables,
    site_tables, token_tables,
};
use super::keys::NodeDraft;
use super::model::{NodeConfig, SiteConfig, TierDefaults};
use super::rules::RuleDraft;
use super::site_keys::SiteDraft;
use super::tls_keys::{CERTIFICATE, CertificateDraft};

/// Writes the file of a node. It names no secret.
pub fn to_toml(config: &NodeConfig) -> String {
    let mut out = format!(
        "# Configuration of a Weir {} node. Keys that are commented out show their defaults.\n",
        config.tier.as_str()
    );
    let draft = |config| node_tables(NodeDraft { include: Vec::new(), config });
    let defaults = draft(NodeConfig::with_defaults(&defaults_of(config)));
    for (table, default) in draft(config.clone()).iter().zip(&defaults) {
        write_table(&mut out, table, default, true);
    }
    write_tokens(&mut out, config);
    write_certificates(&mut out, config);
    for (i, site) in config.sites.iter().enumerate() {
        write_site(&mut out, site, i == 0);
    }
    out
}

/// Writes the admin tokens; where there are none, as a comment.
fn write_tokens(out: &mut String, config: &NodeConfig) {
    let default = token_tables(TokenDraft::default());
    for (i, token) in config.admin_api.tokens.iter().enumerate() {
        for (table, default) in token_tables(token.into()).iter().zip(&default) {
            write_table(out, table, default, i == 0);
        }
    }
    for table in default.iter().filter(|_| config.admin_api.tokens.is_empty()) {
        write_commented(out, table);
    }
}

/// Writes the certificates of a node; where there are none, as a comment.
fn write_certificates(out: &mut String, config: &NodeConfig) {
    let default = certificate_tables(CertificateDraft::default());
    for (i, certificate) in config.tls.certificates.iter().enumerate() {
        for (table, default) in certificate_tables(certificate.into()).iter().zip(&default) {
            write_table(out, table, default, i == 0);
        }
    }
    for table in default.iter().filter(|_| config.tls.certificates.is_empty()) {
        write_commented(out, table);
    }
}

fn defaults_of(config: &NodeConfig) -> TierDefaults {
    TierDefaults {
        tier: config.tier,
        name: config.name.clone(),
        listen: config.listen,
        admin: config.admin,
    }
}

fn write_site(out: &mut String, site: &SiteConfig, explain: bool) {
    let profile = nearest_profile(site);
    let tables = site_tables(SiteDraft { profile, site: site.clone() });
    let defaults = site_tables(SiteDraft::new(profile));
    for (table, default) in tables.iter().zip(&defaults) {
        write_table(out, table, default, explain);
    }
    write_rules(out, site, explain);
    write_access(out, site, explain);
}

/// Writes the lists of a site's access rules; those that are empty, where one is explained, as comments.
fn write_access(out: &mut String, site: &SiteConfig, explain: bool) {
    let blank = access_tables(&blank_access());
    let blank_of = |name| blank.iter().find(|table| table.name == name);
    let mut explained = HashSet::new();
    for table in access_tables(site.access.written()) {
        if let Some(blank) = blank_of(table.name) {
            write_table(out, &table, blank, explain && explained.insert(table.name));
        }
    }
    for table in blank.iter().filter(|table| explain && !explained.contains(table.name)) {
        write_commented(out, table);
    }
}

fn write_commented(out: &mut String, table: &TableInfo) {
    out.push_str(&format!("\n# {}\n# [[{}]]\n", table.about, table.name));
    table.keys.iter().for_each(|key| write_explanation(out, key, false));
}

/// Writes the rules of a site; where there are none and one is explained, as a comment.
fn write_rules(out: &mut String, site: &SiteConfig, explain: bool) {
    let default = rule_tables(RuleDraft::default());
    for (i, rule) in site.rules.rules.iter().enumerate() {
        for (table, default) in rule_tables(rule.into()).iter().zip(&default) {
            write_table(out, table, default, explain && i == 0);
        }
    }
    for table in default.iter().filter(|_| explain && site.rules.rules.is_empty()) {
        write_commented(out, table);
    }
}

/// Finds the profile from which the fewest keys differ.
fn nearest_profile(site: &SiteConfig) -> Profile {
    let differences = |profile: &Profile| {
        let tables = site_tables(SiteDraft { profile: *profile, site: site.clone() });
        let defaults = site_tables(SiteDraft::new(*profile));
        let pairs = tables.iter().zip(&defaults).flat_map(|(a, b)| a.keys.iter().zip(&b.keys));
        pairs.filter(|(key, default)| key.value != default.value).count()
    };
    [Profile::Default, Profile::Rfc].into_iter().min_by_key(differences).unwrap_or_default()
}

fn write_table(out: &mut String, table: &TableInfo, default: &TableInfo, explain: bool) {
    let mut body = String::new();
    for (key, default) in table.keys.iter().zip(&default.keys) {
        let set = key.value != default.value || ALWAYS.contains(&(table.name, key.name));
        if explain {
            write_explanation(&mut body, key, set);
        }
        if set && let Some(value) = &key.value {
            body.push_str(&format!("{} = {value}\n", key.name));
        }
    }
    let header = match table.name {
        "" => String::new(),
        name if is_list(name) => format!("[[{name}]]\n"),
        name => format!("[{name}]\n"),
    };
    if explain {
        out.push_str(&format!("\n# {}\n", table.about));
    } else if !body.is_empty() {
        out.push('\n');
    }
    if explain || !body.is_empty() {
        out.push_str(&header);
        out.push_str(&body);
    }
}

/// Whether there may be several tables of this name.
fn is_list(name: &str) -> bool {
    matches!(name, "site" | "site.rule" | TOKEN | CERTIFICATE) || LISTS.contains(&name)
}

/// Keys that are written even with their default: it lies with the program and not with the file,
/// or, for the profile, the defaults of other keys depend on it.
const ALWAYS: &[(&str, &str)] =
    &[("node", "name"), ("node", "listen"), ("node", "admin"), ("site", "profile")];

fn write_explanation(body: &mut String, key: &KeyInfo, set: bool) {
    let form = match key.unit.as_str() {
        // The value shows it.
        "boolean" => String::new(),
        unit => format!(" ({unit}: {})", key.range),
    };
    body.push_str(&format!("# {}{form}\n", key.meaning));
    if set {
        return;
    }
    match key.value.as_deref() {
        None | Some("[]") => {
            body.push_str(&format!(
                "# Not set by default. For example:\n# {} = {}\n",
                key.name, key.example
            ));
        }
        Some(value) => body.push_str(&format!("# {} = {value}\n", key.name)),
    }
}
