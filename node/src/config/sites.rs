//! How the `[[site]]` tables of one file are read.
//!
//! Relations between sites, and between a site and its node, are checked when all files are read.

use toml::de::{DeTable, DeValue};
use weir_cache::Profile;

use super::access::{countries_named, read_access};
use super::access_keys::ACCESS;
use super::model::SiteConfig;
use super::overrides::Overrides;
use super::problem::{Place, Problems, Wrong, nearest, printable_key};
use super::reader::{Given, Reader};
use super::rules::read_rules;
use super::site_keys::SiteDraft;
use super::source::Source;

/// Sites of one node.
pub(super) const SITES_MAX: usize = 10_000;

/// A site with the places its keys were set at.
#[derive(Debug)]
pub(super) struct ReadSite {
    pub(super) site: SiteConfig,
    pub(super) given: Given,
    /// Where its table begins.
    pub(super) header: Place,
    /// Where its rules name countries first.
    pub(super) countries: Option<(Place, String)>,
}

/// Sites read so far, of all files.
#[derive(Debug, Default)]
pub(super) struct Sites {
    pub(super) list: Vec<ReadSite>,
}

impl Sites {
    /// Reads a file that may hold nothing but sites.
    pub(super) fn read_file(&mut self, source: &Source, problems: &mut Problems) {
        let Some(root) = source.parse(problems) else { return };
        for (key, _) in root.iter().filter(|(key, _)| key.get_ref() != "site") {
            let wrong = Wrong::new("unknown key; only [[site]] tables may stand in this file")
                .near(nearest(key.get_ref(), ["site"]));
            let place = source.place(key.span().start);
            problems.push(&place, &printable_key(key.get_ref()), wrong);
        }
        self.read(source, &root, problems);
    }

    /// Reads the sites of a file.
    pub(super) fn read(&mut self, source: &Source, root: &DeTable<'_>, problems: &mut Problems) {
        let Some(value) = root.get("site") else { return };
        let DeValue::Array(sites) = value.get_ref() else {
            let wrong = Wrong::new("expected a list of tables, each written [[site]]");
            problems.push(&source.place(value.span().start), "site", wrong);
            return;
        };
        for value in sites.iter() {
            let header = source.place(value.span().start);
            if self.list.len() >= SITES_MAX {
                let wrong = Wrong::new(format!("more than {SITES_MAX} sites"));
                return problems.push(&header, "site", wrong);
            }
            match value.get_ref().as_table() {
                Some(table) => self.list.push(read_site(source, table, header, problems)),
                None => {
                    let wrong = Wrong::new("expected a table, written [[site]]");
                    problems.push(&header, "site", wrong);
                }
            }
        }
    }

    /// Gives up the places.
    pub(super) fn into_configs(self) -> Vec<SiteConfig> {
        self.list.into_iter().map(|read| read.site).collect()
    }
}

fn read_site(
    source: &Source,
    table: &DeTable<'_>,
    header: Place,
    problems: &mut Problems,
) -> ReadSite {
    let mut draft = SiteDraft::new(profile_of(table));
    let mut none = Overrides::default();
    let mut reader = Reader::new(source, table, "site", &mut none, problems);
    draft.visit_identity(&mut reader);
    draft.visit_rules(&mut reader);
    reader.leave("site", "rule");
    for list in ["rule", "referer", "origin", "signature"] {
        reader.leave(ACCESS, list);
    }
    let given = reader.finish();
    draft.site.rules.rules = read_rules(source, table, problems);
    let written = std::mem::take(draft.site.access.draft());
    draft.site.access = read_access(source, table, (written, &given), problems);
    let countries = countries_named(source, table, draft.site.access.written());
    ReadSite { given, site: draft.site, header, countries }
}

/// Looks ahead: the profile decides the defaults of the other keys. A wrong one is reported when
/// its key is visited.
fn profile_of(table: &DeTable<'_>) -> Profile {
    let text = table.get("profile").and_then(|value| value.get_ref().as_str());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
