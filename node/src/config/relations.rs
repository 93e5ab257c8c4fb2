//! What must hold between keys: defaults that depend on other keys, and combinations that cannot
//! work.
//!
//! A relation is checked only where all its values are sound, so that one mistake is one problem.
//! It is reported at the first of its keys that was set.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::address::{Scheme, UpstreamAddr};
use super::limits::LimitsConfig;
use super::model::{NodeConfig, PurgeConfig, Tier, TierDefaults};
use super::problem::{Place, Problems, Wrong, quote};
use super::reader::{Given, Mark};
use super::sites::{ReadSite, Sites};
use super::store::StoreConfig;
use super::tls_relations::{check_site_tls, collide};

/// Derives the defaults that depend on other keys, and checks the keys outside of sites.
pub(super) fn settle_node(
    config: &mut NodeConfig,
    given: &Given,
    defaults: &TierDefaults,
    problems: &mut Problems,
) {
    let mut relations = Relations { given, problems };
    relations.settle_admin(config, defaults.admin.ip());
    relations.check_listeners(config);
    relations.check_parents(config);
    relations.check_purge_log(config);
    relations.check_nats(&config.purge);
    relations.check_tls(config);
    relations.settle_store(&mut config.store, config.data_dir.as_deref());
    relations.settle_url_max(&mut config.limits);
}

/// What is checked against one another.
pub(super) struct Relations<'a> {
    given: &'a Given,
    problems: &'a mut Problems,
}

impl Relations<'_> {
    /// Whether the key was set, to whatever.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.given.has(path)
    }

    /// Pushes a problem at the first of `paths` that was set, unless one of them is unsound.
    pub(super) fn report(&mut self, paths: &[&str], message: impl Into<String>) {
        if !paths.iter().all(|path| self.given.is_sound(path)) {
            return;
        }
        // Without any of them set, the values are those of the program and of no file.
        if let Some(Mark { place, label, .. }) = paths.iter().find_map(|p| self.given.set(p)) {
            self.problems.push(place, label, Wrong::new(message));
        }
    }

    fn settle_admin(&mut self, config: &mut NodeConfig, ip: IpAddr) {
        if self.given.has("node.admin") || self.given.set("node.listen").is_none() {
            return;
        }
        // Port 0 lets the system choose, then for both.
        let port = match config.listen.port() {
            0 => Some(0),
            port => port.checked_add(1_000),
        };
        match port {
            Some(port) => config.admin = SocketAddr::new(ip, port),
            None => self.report(
                &["node.listen"],
                "leaves no port for the admin API at this port + 1000; set node.admin too",
            ),
        }
    }

    fn check_listeners(&mut self, config: &NodeConfig) {
        let (listen, admin) = (config.listen, config.admin);
        if collide(listen, admin) {
            self.report(
                &["node.admin", "node.listen"],
                format!("listen and admin both take port {}; give them two ports", admin.port()),
            );
        }
    }

    fn check_parents(&mut self, config: &NodeConfig) {
        let own = |parent: &&UpstreamAddr| {
            parent.reaches(config.listen)
                || config.tls.listen.is_some_and(|tls| parent.reaches(tls))
        };
        for parent in config.parents.iter().filter(own) {
            self.report(
                &["node.parents", "node.listen"],
                format!("{parent} is this node itself; expected nodes of the next tier"),
            );
        }
    }

    /// Above a regional are shields, and each keeps a purge log unless told otherwise: with two logs a
    /// purge would hold on a part of the nodes only.
    fn check_purge_log(&mut self, config: &NodeConfig) {
        let several = config.tier == Tier::Regional && config.parents.len() > 1;
        let named = config.purge.authority.is_some() || config.purge.nats.server.is_some();
        if several && !named {
            self.report(
                &["node.parents", "purge.authority"],
                "names several shields, each of which would keep a purge log of its own; set \
                 authority in [purge] to the one that keeps it, here, on the edges and on the other \
                 shields, or keep the log in nats",
            );
        }
        if let Some(authority) = &config.purge.authority
            && authority.reaches(config.listen)
        {
            self.report(
                &["purge.authority", "node.listen"],
                format!("{authority} is this node itself; leave authority out on the node that keeps the purge log"),
            );
        }
    }

    fn check_nats(&mut self, purge: &PurgeConfig) {
        if purge.nats.server.is_some() && purge.authority.is_some() {
            self.report(
                &["purge.nats", "purge.authority"],
                "nats and authority each name who keeps the purge log; remove one of them",
            );
        }
        if purge.nats.server.is_some() {
            return;
        }
        for key in ["purge.nats_stream", "purge.nats_credentials"] {
            self.report(&[key], "has no effect without nats; set nats or remove it");
        }
    }

    fn settle_store(&mut self, store: &mut StoreConfig, data_dir: Option<&Path>) {
        if !self.given.has("store.object_max") {
            store.object_max = store.object_max_by_default();
        }
        if !self.given.has("store.memory_object_max") {
            store.memory_object_max = store.memory_object_max_by_default().min(store.object_max);
        }
        let (limit, object_max) = (store.object_max_limit(), store.object_max);
        if object_max > limit {
            let (of, part) = match store.disk {
                Some(_) => ("store.disk", "a quarter of disk"),
                None => ("store.memory", "an eighth of memory"),
            };
            let why =
                format!("object_max is {object_max} and may be at most {part}, which is {limit}");
            self.report(&["store.object_max", of], why);
        }
        let (limit, in_memory) = (store.memory_object_limit(), store.memory_object_max);
        if in_memory > limit && store.disk.is_some() {
            let why = format!(
                "memory_object_max is {in_memory} and may be at most an eighth of memory, which is {limit}"
            );
            self.report(&["store.memory_object_max", "store.memory"], why);
        }
        if store.disk.is_some() && data_dir.is_none() {
            let why =
                "has no effect without node.data_dir; set it to a folder that outlives the node";
            self.report(&["store.disk"], why);
        }
    }

    fn settle_url_max(&mut self, limits: &mut LimitsConfig) {
        if !self.given.has("limits.url_max") {
            limits.url_max = LimitsConfig::url_max_for(limits.head_max);
        }
        if limits.url_max > limits.head_max {
            self.report(
                &["limits.url_max", "limits.head_max"],
                format!(
                    "url_max is {} and may be at most head_max, which is {}",
                    limits.url_max, limits.head_max
                ),
            );
        }
    }
}

/// What the node of some sites has that they may need.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// There is nobody to ask but origins.
    pub(super) alone: bool,
    /// A file says where addresses are.
    pub(super) countries_known: bool,
}

/// Checks the sites of all files against one another, and what they need of their node.
pub(super) fn check_sites(sites: &Sites, around: Around, problems: &mut Problems) {
    let mut names = HashMap::new();
    let mut hosts = HashMap::new();
    for read in &sites.list {
        check_required(read, around.alone, problems);
        check_countries(read, around.countries_known, problems);
        check_heuristic(read, problems);
        check_origins(read, problems);
        check_tls(read, problems);
        check_site_tls(read, problems);
        check_name(read, &mut names, problems);
        check_hosts(read, &mut hosts, problems);
    }
}

fn check_required(read: &ReadSite, origins_required: bool, problems: &mut Problems) {
    let missing = |path: &str, example: &str| {
        (!read.given.has(path)).then(|| Wrong::new(format!("missing; expected {example}")))
    };
    let name = missing("site.name", "a name, for example name = \"www\"");
    let hosts = missing("site.hosts", "its hosts, for example hosts = [\"www.example.com\"]");
    for (path, wrong) in [("site.name", name), ("site.hosts", hosts)] {
        if let Some(wrong) = wrong {
            problems.push(&read.header, path, wrong);
        }
    }
    if origins_required && read.site.origins.is_empty() && read.given.is_sound("site.origins") {
        let place = read.given.set("site.origins").map_or(&read.header, |mark| &mark.place);
        let wrong = "missing; expected one where the node has no parents, for example origins = \
                     [\"http://127.0.0.1:8000\"]";
        problems.push(place, "site.origins", Wrong::new(wrong));
    }
}

/// Without a database all countries are unknown, and a rule would fit everybody or nobody.
fn check_countries(read: &ReadSite, known: bool, problems: &mut Problems) {
    if let Some((place, path)) = read.countries.as_ref().filter(|_| !known) {
        let wrong = "is not known without country_file; set it in [node] to a MaxMind DB file with countries, \
                     for example country_file = \"/etc/weir/GeoLite2-Country.mmdb\"";
        problems.push(place, path, Wrong::new(wrong));
    }
}

fn check_heuristic(read: &ReadSite, problems: &mut Problems) {
    let off = read.site.policy.heuristic.is_none() && read.given.is_sound("site.heuristic");
    if let Some(mark) = read.given.set("site.heuristic_max").filter(|_| off) {
        let wrong = Wrong::new("has no effect with heuristic = false; remove one of them");
        problems.push(&mark.place, &mark.label, wrong);
    }
}

/// A server stands in the list once, whatever its weight, and somebody must come before the backups.
fn check_origins(read: &ReadSite, problems: &mut Problems) {
    let Some(mark) = read.given.set("site.origins") else { return };
    let origins = &read.site.origins;
    let mut seen = HashSet::new();
    if let Some(twice) = origins.iter().find(|origin| !seen.insert(&origin.addr)) {
        let wrong = Wrong::new(format!(
            "{} is listed twice; one entry, with a weight, will do",
            twice.addr
        ));
        problems.push(&mark.place, &mark.label, wrong);
    }
    if !origins.is_empty() && origins.iter().all(|origin| origin.backup) {
        let wrong = Wrong::new("all are backups; expected one that is asked before them");
        problems.push(&mark.place, &mark.label, wrong);
    }
}

/// Keys about TLS must have something to say it about. A site without origins is asked of parents, and
/// may be written in a file that other tiers read too.
fn check_tls(read: &ReadSite, problems: &mut Problems) {
    let origins = &read.site.origins;
    let plain =
        !origins.is_empty() && origins.iter().all(|origin| origin.addr.scheme == Scheme::Http);
    let mut report = |path: &str, message: &str| {
        if let Some(mark) = read.given.set(path).filter(|_| read.given.is_sound(path)) {
            problems.push(&mark.place, &mark.label, Wrong::new(message.to_owned()));
        }
    };
    if plain && read.given.is_sound("site.origins") {
        for path in ["site.origin.tls_name", "site.origin.tls_ca"] {
            report(path, "has no effect without an https origin; remove it");
        }
        if !read.site.origin.tls_verify {
            report("site.origin.tls_verify", "has no effect without an https origin; remove it");
        }
    } else if !read.site.origin.tls_verify {
        report("site.origin.tls_ca", "has no effect with tls_verify = false; remove one of them");
    }
}

fn check_name<'a>(
    read: &'a ReadSite,
    names: &mut HashMap<&'a str, &'a Place>,
    problems: &mut Problems,
) {
    let Some(mark) = read.given.set("site.name") else { return };
    if let Some(first) = names.get(read.site.name.as_str()) {
        let name = quote(&read.site.name);
        let wrong = Wrong::new(format!("{name} is the name of another site too ({})", at(first)));
        problems.push(&mark.place, &mark.label, wrong);
    } else {
        names.insert(&read.site.name, &mark.place);
    }
}

fn check_hosts<'a>(
    read: &'a ReadSite,
    hosts: &mut HashMap<String, &'a Place>,
    problems: &mut Problems,
) {
    let Some(mark) = read.given.set("site.hosts") else { return };
    for host in &read.site.hosts {
        if let Some(first) = hosts.get(&host.to_string()) {
            let host = quote(&host.to_string());
            let wrong = Wrong::new(format!("{host} is a host of another site too ({})", at(first)));
            problems.push(&mark.place, &mark.label, wrong);
        } else {
            hosts.insert(host.to_string(), &mark.place);
        }
    }
}

fn at(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}
