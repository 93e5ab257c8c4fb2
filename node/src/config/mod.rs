//! What is a node told, and what is wrong with it?
//!
//! One TOML file a node, files of sites beside it, and variables over both become a checked
//! [`NodeConfig`], or the list of everything that is wrong with them: each problem with its line,
//! what was expected, and the nearest known key. Acting on the values is left to the node.
//!
//! ```toml
//! include = ["sites.d/*.toml"]            # files with further [[site]] tables
//!
//! [node]
//! name = "edge-0"
//! listen = "0.0.0.0:8080"                 # the admin API stays on 127.0.0.1:9080
//! parents = ["http://regional-0:8180", "http://regional-1:8180"]
//!
//! [store]
//! memory = "1GiB"                         # sizes and durations carry their unit
//!
//! [upstream]
//! first_byte_timeout = "1m30s"
//!
//! [[site]]
//! name = "www"
//! hosts = ["www.example.com", "*.img.example.com"]
//! origins = ["http://10.0.0.5:8000"]
//! heuristic_max = "1h"
//!
//! [site.key]
//! query_ignore = ["utm_*", "fbclid"]
//!
//! [site.fields]
//! x_cache = false
//! ```
//!
//! `WEIR__STORE__MEMORY=64MiB` in the environment replaces `memory` of `[store]`. Secrets are in
//! variables of their own and never in a file.
//!
//! ```text
//! source -> reader (keys, site_keys -> kinds -> units, address) -> relations -> NodeConfig
//! NodeConfig -> catalog (keys, site_keys) -> render -> text
//! ```
//!
//! # Invariants
//!
//! 1. No text panics, and none is read beyond 4 MiB a file or 10,000 sites a node.
//! 2. All problems are reported at once. The one exception: a file that is not TOML is reported
//!    as such, and what its keys mean is left open.
//! 3. No problem repeats a URL as it was written, which may carry a password, or the value of an
//!    unknown key.

mod access;
mod access_keys;
mod address;
mod admin;
mod admin_keys;
mod catalog;
mod country_file;
mod group_keys;
mod include;
mod keys;
mod kinds;
mod limit_keys;
mod limits;
mod model;
mod origin;
mod overrides;
mod problem;
mod rate;
mod reader;
mod relations;
mod render;
mod rules;
mod site_keys;
mod sites;
mod source;
mod store;
mod store_keys;
mod tls;
mod tls_keys;
mod tls_relations;
mod units;

#[cfg(test)]
mod tests;

use std::path::Path;

use toml::de::DeTable;

pub use self::access::SiteAccess;
pub(crate) use self::address::parse_literal;
pub use self::address::{AddressError, Scheme, UpstreamAddr};
pub use self::admin::{AdminConfig, TokenConfig};
pub use self::country_file::CountryFile;
pub use self::limits::{LimitsConfig, SiteLimits};
pub use self::model::{
    FieldSwitches, FillConfig, LogConfig, LogFormat, LogLevel, NatsConfig, NodeConfig, OnIsolation,
    Protocol, PurgeConfig, PushConfig, SiteConfig, Tier, TierDefaults, UnknownHost, UpstreamConfig,
};
pub use self::origin::{Balance, OriginConfig, OriginError, OriginServer, StatusRange};
pub use self::overrides::environment;
pub use self::problem::{ConfigErrors, ConfigProblem};
pub use self::rate::{Bandwidth, Rate, RateError};
pub use self::render::to_toml;
pub use self::store::{OnDiskConfig, StoreConfig};
pub use self::tls::{
    CertificateConfig, ClientCertificates, MinVersion, SiteTls, TlsConfig, UnknownName,
};
pub use self::units::{ByteSize, UnitError, parse_duration, render_duration};

use self::keys::NodeDraft;
use self::overrides::Overrides;
use self::problem::{Problems, Wrong};
use self::reader::{Given, Reader};
use self::relations::Around;
use self::sites::Sites;
use self::source::Source;
use self::tls_keys::read_certificates;

/// Reads the file of a node, the files it includes, and the variables `WEIR__SECTION__KEY` of
/// `env` (see [`environment`]), which win.
///
/// # Errors
///
/// Everything that is wrong, files that cannot be read included. Nothing is half applied: a caller
/// that has a configuration already goes on with it.
pub fn load(
    path: &Path,
    defaults: &TierDefaults,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<NodeConfig, ConfigErrors> {
    let mut problems = Problems::default();
    let overrides = Overrides::from_env(env);
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let config = Source::from_file(path, &mut problems)
        .map(|source| read_node(&source, Some(base), defaults, overrides, &mut problems));
    problems.into_result(config.unwrap_or_else(|| NodeConfig::with_defaults(defaults)))
}

/// Reads the text of a file as [`load`] does, but without files: an `include` is a problem.
///
/// `file_name` is what problems call the text.
///
/// # Errors
///
/// Everything that is wrong.
pub fn parse(
    text: &str,
    file_name: &str,
    defaults: &TierDefaults,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<NodeConfig, ConfigErrors> {
    let mut problems = Problems::default();
    let overrides = Overrides::from_env(env);
    let config = Source::from_text(file_name, text, &mut problems)
        .map(|source| read_node(&source, None, defaults, overrides, &mut problems));
    problems.into_result(config.unwrap_or_else(|| NodeConfig::with_defaults(defaults)))
}

/// Reads a file that holds `[[site]]` tables only.
///
/// A site may be without origins here, because the caller may have others for it. Rules about countries are a
/// problem: nobody says where addresses are.
///
/// # Errors
///
/// Everything that is wrong.
pub fn load_sites(path: &Path) -> Result<Vec<SiteConfig>, ConfigErrors> {
    let mut problems = Problems::default();
    let mut sites = Sites::default();
    if let Some(source) = Source::from_file(path, &mut problems) {
        sites.read_file(&source, &mut problems);
    }
    relations::check_sites(&sites, Around::default(), &mut problems);
    problems.into_result(sites.into_configs())
}

fn read_node(
    source: &Source,
    base: Option<&Path>,
    defaults: &TierDefaults,
    mut overrides: Overrides,
    problems: &mut Problems,
) -> NodeConfig {
    let mut draft = NodeDraft { include: Vec::new(), config: NodeConfig::with_defaults(defaults) };
    let root = source.parse(problems);
    let empty = DeTable::new();
    let mut reader =
        Reader::new(source, root.as_ref().unwrap_or(&empty), "", &mut overrides, problems);
    draft.visit(&mut reader);
    reader.leave(admin_keys::ADMIN, "token");
    reader.leave("tls", "certificate");
    let given = reader.finish();
    overrides.finish(problems);
    draft.config.countries.load(&given, problems);
    let Some(root) = root else { return draft.config };

    draft.config.admin_api.tokens = admin::read_tokens(source, &root, problems);
    draft.config.tls.certificates = {
        let listens = draft.config.tls.listen.is_some() || !given.is_sound("tls.listen");
        read_certificates(source, &root, listens, problems)
    };
    relations::settle_node(&mut draft.config, &given, defaults, problems);
    let mut sites = Sites::default();
    sites.read(source, &root, problems);
    read_includes(&draft.include, base, &given, &mut sites, problems);
    let around = Around {
        alone: draft.config.parents.is_empty() && given.is_sound("node.parents"),
        countries_known: draft.config.countries.is_named() || !given.is_sound("node.country_file"),
    };
    relations::check_sites(&sites, around, problems);
    NodeConfig { sites: sites.into_configs(), ..draft.config }
}

fn read_includes(
    patterns: &[String],
    base: Option<&Path>,
    given: &Given,
    sites: &mut Sites,
    problems: &mut Problems,
) {
    let Some(mark) = given.set("include").filter(|_| !patterns.is_empty()) else { return };
    let Some(base) = base else {
        let wrong = Wrong::new("is of use in a file only; put the sites into this text");
        return problems.push(&mark.place, &mark.label, wrong);
    };
    let report = |wrong| problems.push(&mark.place, &mark.label, wrong);
    for path in include::find_files(base, patterns, report) {
        if let Some(source) = Source::from_file(&path, problems) {
            sites.read_file(&source, problems);
        }
    }
}
