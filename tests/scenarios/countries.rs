//! Rules that name countries, with a database that says where addresses of the loopback network are.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use http::Method;
use weir_access::{AccessConfig, RuleConfig};
use weir_node::config::{CountryFile, SiteAccess, SiteConfig};
use weir_tests::{
    Folder, Mmdb, Program, Record, Request, Shape, TestNode, free_base_port, raw_exchange_from,
};

const GERMANY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const FRANCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const NOWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

/// Puts a file in place in which two addresses have these countries, and all others none.
fn write_database(path: &Path, [germany, france]: [&str; 2]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let networks =
        [("127.0.0.2/32", Record::Country(germany)), ("127.0.0.3/32", Record::City(france))];
    std::fs::write(path, Mmdb::COUNTRIES.write(&networks)).unwrap();
}

/// Asks `node` for `path` as a client with the address `from`; returns the status.
async fn status(node: SocketAddr, from: Ipv4Addr, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: www.test\r\nconnection: close\r\n\r\n");
    let answer = raw_exchange_from(from, node, request.as_bytes()).await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn rule(action: &str, path: &str, countries: Option<&[&str]>) -> RuleConfig {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    RuleConfig {
        action: Some(action.to_owned()),
        path: Some(path.to_owned()),
        countries: countries.map(texts),
        ..RuleConfig::default()
    }
}

fn only_germany(site: &mut SiteConfig) {
    let rule = vec![
        rule("allow", "/de/**", Some(&["DE"])),
        rule("deny", "/de/**", None),
        rule("deny", "/known/**", Some(&["unknown"])),
    ];
    let rules = AccessConfig { rule, ..AccessConfig::default() };
    site.access = SiteAccess::compile(rules, &|_| Err(String::new())).unwrap();
}

#[tokio::test]
async fn clients_are_let_in_by_country_hits_included() {
    let folder = Folder::new();
    let file = folder.path().join("countries.mmdb");
    write_database(&file, ["DE", "FR"]);
    let countries = CountryFile::read(&file).unwrap();
    let shape = Shape::tiers(1, 2).site(only_germany);
    let stack = shape.node(move |node| node.countries = countries.clone()).start().await;
    for path in ["/de/a", "/known/a", "/free/a"] {
        stack.serve(path, "max-age=600", "a");
    }
    let edge = stack.edge();
    // (client, path, status, why)
    let cases = [
        (GERMANY, "/de/a", 200, "nodes above take the edge's word, whose address has no country"),
        (FRANCE, "/de/a", 403, "it is stored by then"),
        (NOWHERE, "/de/a", 403, "not known is not Germany"),
        (FRANCE, "/known/a", 200, "somewhere"),
        (NOWHERE, "/known/a", 403, "nowhere"),
        (NOWHERE, "/free/a", 200, "no rule asks"),
    ];
    for (client, path, expected, why) in cases {
        assert_eq!(status(edge.addr(), client, path).await, expected, "{client} {path}: {why}");
    }
    assert_eq!(stack.origin.hits("/de/a"), 1);
    assert_lookups(edge, [3.0, 2.0]).await;
}

/// Asserts how many clients were looked for and found, and how many not.
async fn assert_lookups(node: &TestNode, [known, unknown]: [f64; 2]) {
    let metrics = node.metrics().await;
    let count =
        |found: &str| metrics.sum("weir_country_lookups_total", &[&format!("found=\"{found}\"")]);
    assert_eq!((count("known"), count("unknown")), (known, unknown));
    let built = metrics.sum("weir_country_file_built_timestamp_seconds", &[]);
    assert_eq!(built, f64::from(Mmdb::BUILT));
}

#[tokio::test]
async fn a_reload_reads_the_database_again_and_keeps_the_old_one_if_it_is_of_no_use() {
    let folder = Folder::new();
    let database = folder.path().join("countries.mmdb");
    write_database(&database, ["DE", "FR"]);
    let origin = weir_origin_mock::OriginMock::start().await;
    origin.script("/a").header("cache-control", "max-age=600").body("a").set();
    let port = free_base_port();
    let file = folder.path().join("edge.toml");
    let config = format!(
        "[node]\nlisten = \"127.0.0.1:{port}\"\ncountry_file = \"{}\"\n[[site]]\nname = \"s\"\n\
         hosts = [\"*\"]\norigins = [\"{}\"]\n[[site.access.rule]]\naction = \"deny\"\n\
         countries = [\"FR\"]\n",
        database.display(),
        origin.url()
    );
    std::fs::write(&file, config).unwrap();
    let program = Program::new("weir-edge").arg("--config").arg(&file);
    let mut process = program.env("WEIR_ADMIN_TOKEN", "mine").spawn();
    assert!(process.line().await.unwrap().contains("is ready"));
    let [data, admin] = [port, port + 1_000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let reload = async || {
        let request = Request::new(Method::POST, "/v1/config/reload");
        request.header("authorization", "Bearer mine").send(admin).await
    };
    let statuses = async || (status(data, GERMANY, "/a").await, status(data, FRANCE, "/a").await);
    assert_eq!(statuses().await, (200, 403));

    write_database(&database, ["FR", "DE"]);
    assert_eq!(statuses().await, (200, 403), "a file that is changed counts from the reload on");
    assert_eq!(reload().await.status, 200);
    assert_eq!(statuses().await, (403, 200));

    let whole = std::fs::read(&database).unwrap();
    std::fs::write(&database, &whole[..whole.len() / 2]).unwrap();
    let refused = reload().await;
    assert_eq!(refused.status, 422);
    let why = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(why.contains("node.country_file") && why.contains("is no MaxMind DB file"), "{why}");
    assert_eq!(statuses().await, (403, 200), "the one before goes on");
    assert_eq!(origin.hits("/a"), 1, "the cache stays");
    process.signal("TERM");
    process.end().await;
}
