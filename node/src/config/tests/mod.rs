//! What a whole file comes to: its values. The other questions are asked in the files below.

mod access;
mod admin;
mod documents;
mod files;
mod problems;
mod properties;
mod rules;
mod tls;

use std::num::NonZeroUsize;
use std::time::Duration;

use weir_cache::{HostPattern, KeyRules, Policy, Profile};

use super::*;

const NO_ENV: [(String, String); 0] = [];

fn defaults() -> TierDefaults {
    TierDefaults {
        tier: Tier::Edge,
        name: "edge-0".into(),
        listen: "127.0.0.1:8080".parse().unwrap(),
        admin: "127.0.0.1:9080".parse().unwrap(),
    }
}

fn read(text: &str) -> Result<NodeConfig, ConfigErrors> {
    parse(text, "f", &defaults(), NO_ENV)
}

fn read_with(text: &str, env: &[(&str, &str)]) -> Result<NodeConfig, ConfigErrors> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    parse(text, "f", &defaults(), env)
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = read("").unwrap();
    assert_eq!(config, NodeConfig::with_defaults(&defaults()));
    assert_eq!(config.store.memory, ByteSize::from_mib(256));
    assert_eq!(config.store.object_max, ByteSize::from_mib(32));
    assert_eq!(config.unknown_host.status(), 421);
}

#[test]
fn every_key_reaches_its_field() {
    let text = r#"
        [node]
        name = "e"
        listen = "0.0.0.0:80"
        parents = ["http://r-0:8180"]
        workers = 2
        data_dir = "/data"
        unknown_host = 404
        drain_grace = "0"
        [store]
        memory = "64MiB"
        variants_max = 1
        [limits]
        head_max = "8KiB"
        [log]
        level = "debug"
        access = true
        format = "json"
        [[site]]
        name = "www"
        hosts = ["*.Example.com", "*"]
        origins = ["http://o"]
        origin_host = "Real.example:81"
        profile = "rfc"
        store_set_cookie = false
        heuristic = false
        stale_if_unreachable = "0s"
        targeted_fields = []
        [site.key]
        query_allow = ["id", "page*"]
        headers = ["X-Country"]
        cookies = ["Lang"]
        [site.fields]
        via = false
    "#;
    let config = read(text).unwrap();
    assert_eq!(config.admin.to_string(), "127.0.0.1:1080", "the admin API stays on loopback");
    assert_eq!(config.parents[0].to_string(), "http://r-0:8180");
    assert_eq!(config.workers, NonZeroUsize::new(2));
    assert_eq!(config.data_dir, Some("/data".into()));
    assert_eq!(config.unknown_host, UnknownHost::NotFound);
    assert_eq!(config.drain_grace, Duration::ZERO);
    assert_eq!(config.store.object_max, ByteSize::from_mib(8), "an eighth of memory");
    assert_eq!(config.limits.url_max, ByteSize::from_kib(8), "all of head_max");
    let log = LogConfig { level: LogLevel::Debug, access: true, format: LogFormat::Json };
    assert_eq!(config.log, log);

    let [site] = config.sites.as_slice() else { panic!("one site") };
    assert_eq!(site.hosts, [HostPattern::Suffix("example.com".into()), HostPattern::Any]);
    assert_eq!(site.origins[0].addr.authority(), "o:80");
    assert_eq!(site.origin_host.as_deref(), Some("real.example:81"));
    let policy = Policy {
        store_set_cookie: false,
        heuristic: None,
        stale_if_unreachable: Duration::ZERO,
        targets: Vec::new(),
        ..Policy::for_profile(Profile::Rfc)
    };
    assert_eq!(site.policy, policy, "the profile fills in what is not said");
    assert!(!site.key.query.sort, "as the profile says");
    assert_eq!(site.key.query.allow.as_ref().map(Vec::len), Some(2));
    assert_eq!(site.key.headers, ["x-country"]);
    assert_eq!(site.fields, FieldSwitches { via: false, ..FieldSwitches::default() });
}

#[test]
fn the_smallest_site_has_name_hosts_and_origins() {
    let text = "[[site]]\nname = 'www'\nhosts = ['*']\norigins = ['http://127.0.0.1:8000']";
    let site = SiteConfig {
        hosts: vec![HostPattern::Any],
        origins: vec!["http://127.0.0.1:8000".parse().unwrap()],
        ..SiteConfig::new("www", Profile::Default)
    };
    assert_eq!(read(text).unwrap().sites, [site]);
    assert_eq!(SiteConfig::new("www", Profile::Rfc).key, KeyRules::for_profile(Profile::Rfc));
}

#[test]
fn variables_win_over_the_file() {
    let text = "[node]\nworkers = 4\n[store]\nmemory = '1GiB'";
    let env = [
        ("WEIR__NODE__WORKERS", "1"),
        ("WEIR__NODE__UNKNOWN_HOST", "404"),
        ("WEIR__NODE__PARENTS", "http://a:1,http://b:2"),
        ("WEIR__NODE__LISTEN", "127.0.0.1:8081"),
        ("WEIR__STORE__MEMORY", "64MiB"),
        ("WEIR__UPSTREAM__KEEPALIVE", "250ms"),
        ("WEIR__LOG__ACCESS", "true"),
        ("WEIR_TIER_SECRET", "of no concern here"),
        ("HOME", "/"),
    ];
    let config = read_with(text, &env).unwrap();
    assert_eq!(config.workers, NonZeroUsize::new(1));
    assert_eq!(config.unknown_host, UnknownHost::NotFound);
    assert_eq!(config.parents.len(), 2);
    assert_eq!(config.admin.to_string(), "127.0.0.1:9081", "derived defaults see variables");
    assert_eq!(config.store.object_max, ByteSize::from_mib(8), "derived defaults see variables");
    assert_eq!(config.upstream.keepalive, Duration::from_millis(250));
    assert!(config.log.access);
}
