//! What can be said of every key without a file: its form, range, meaning and present value.

use super::access_keys::{
    ABOUT_ORIGIN, ABOUT_REFERER, ORIGIN, REFERER, visit_key, visit_rule, visit_signature,
    visit_source,
};
use super::admin_keys::TokenDraft;
use super::keys::{NodeDraft, Visitor};
use super::kinds::Kind;
use super::rules::RuleDraft;
use super::site_keys::SiteDraft;
use super::tls_keys::CertificateDraft;
use weir_access::{AccessConfig, KeyConfig, RuleConfig, SignatureConfig, SourceConfig};

/// One table of a file.
#[derive(Clone, Debug)]
pub(super) struct TableInfo {
    /// `store`, `site.key`; empty for the top of the file.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) keys: Vec<KeyInfo>,
}

/// One key.
#[derive(Clone, Debug)]
pub(super) struct KeyInfo {
    pub(super) name: &'static str,
    pub(super) unit: String,
    pub(super) range: String,
    pub(super) meaning: &'static str,
    /// The value in TOML; `None` when the key is left out.
    pub(super) value: Option<String>,
    /// Some valid value in TOML.
    pub(super) example: String,
}

/// Describes the keys outside of sites, with the values of `draft`.
pub(super) fn node_tables(mut draft: NodeDraft) -> Vec<TableInfo> {
    let mut catalog = Catalog::default();
    draft.visit(&mut catalog);
    catalog.tables
}

/// Describes the keys of a site, with the values of `draft`.
pub(super) fn site_tables(mut draft: SiteDraft) -> Vec<TableInfo> {
    let mut catalog = Catalog::default();
    draft.visit_identity(&mut catalog);
    draft.visit_rules(&mut catalog);
    catalog.tables
}

/// Describes the keys of an admin token, with the values of `draft`.
pub(super) fn token_tables(mut draft: TokenDraft) -> Vec<TableInfo> {
    let mut catalog = Catalog::default();
    draft.visit(&mut catalog);
    catalog.tables
}

/// Describes the keys of a rule, with the values of `draft`.
pub(super) fn rule_tables(mut draft: RuleDraft) -> Vec<TableInfo> {
    let mut catalog = Catalog::default();
    draft.visit(&mut catalog);
    catalog.tables
}

/// Describes the keys of a certificate, with the values of `draft`.
pub(super) fn certificate_tables(mut draft: CertificateDraft) -> Vec<TableInfo> {
    let mut catalog = Catalog::default();
    draft.visit(&mut catalog);
    catalog.tables
}

/// Describes the keys of the lists in the access rules of a site, with the values of `access`: one
/// group of tables for each entry, with its list.
pub(super) fn access_tables(access: &AccessConfig) -> Vec<TableInfo> {
    let mut catalog = Catalog::default();
    let mut access = access.clone();
    access.rule.iter_mut().for_each(|rule| visit_rule(rule, &mut catalog));
    for source in &mut access.referer {
        visit_source((REFERER, ABOUT_REFERER), source, &mut catalog);
    }
    for source in &mut access.origin {
        visit_source((ORIGIN, ABOUT_ORIGIN), source, &mut catalog);
    }
    for signature in &mut access.signature {
        visit_signature(signature, &mut catalog);
        signature.keys.iter_mut().for_each(|key| visit_key(key, &mut catalog));
    }
    catalog.tables
}

/// Access rules with one entry of each list, in which nothing is said.
pub(super) fn blank_access() -> AccessConfig {
    let keys = vec![KeyConfig::default()];
    AccessConfig {
        methods: None,
        rule: vec![RuleConfig::default()],
        referer: vec![SourceConfig::default()],
        origin: vec![SourceConfig::default()],
        signature: vec![SignatureConfig { keys, ..SignatureConfig::default() }],
    }
}

#[derive(Default)]
struct Catalog {
    tables: Vec<TableInfo>,
}

impl Visitor for Catalog {
    fn table(&mut self, name: &'static str, about: &'static str) {
        self.tables.push(TableInfo { name, about, keys: Vec::new() });
    }

    fn key<K: Kind>(
        &mut self,
        name: &'static str,
        kind: &K,
        value: &mut K::Value,
        meaning: &'static str,
    ) {
        let info = KeyInfo {
            name,
            unit: kind.unit(),
            range: kind.range(),
            meaning,
            value: kind.render(value),
            example: kind.example(),
        };
        if let Some(table) = self.tables.last_mut() {
            table.keys.push(info);
        }
    }
}
