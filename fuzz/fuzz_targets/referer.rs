//! Hotlinks: a URL in `Referer` or `Origin`, against lists of hosts, with the crate `url`, which reads as browsers do,
//! as a second reader.
//!
//! Lines: hosts that are let in, hosts that are refused, the host that is asked; then the fields of a request.

#![no_main]

use http::{HeaderMap, Method, header};
use libfuzzer_sys::fuzz_target;
use url::{Host, Url};
use weir_access::{AccessConfig, Denial, NoCountries, Policy, Request, SourceConfig, SourceDenial};
use weir_cache::{Target, UnixTime};
use weir_fuzz::{Input, address, fields};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (allow, deny) = (names(&input.text()), names(&input.text()));
    let host = input.text();
    input.line();
    let headers = fields(input.rest());
    let target: Target = format!("http://{host}/a").parse().unwrap_or_else(|_| own());
    for same_host in [false, true] {
        let rule = SourceConfig {
            allow: allow.clone(),
            deny: deny.clone(),
            absent: Some("deny".to_owned()),
            same_host: Some(same_host),
            ..SourceConfig::default()
        };
        let referer = AccessConfig { referer: vec![rule.clone()], ..AccessConfig::default() };
        let origin = AccessConfig { origin: vec![rule], ..AccessConfig::default() };
        for (config, field) in [(referer, header::REFERER), (origin, header::ORIGIN)] {
            // Names that are no patterns are for the tests of the configuration.
            let Ok(policy) = config.compile(&|_| Err(String::new())) else { return };
            let lines: Vec<&[u8]> =
                headers.get_all(field).iter().map(|line| line.as_bytes()).collect();
            let verdict = ask(&policy, &target, &headers);
            let hosts = Hosts { allow: &allow, deny: &deny, own: same_host.then_some(&target) };
            check(verdict, &lines, &hosts);
        }
    }
});

/// Who is on which list.
struct Hosts<'a> {
    allow: &'a [String],
    deny: &'a [String],
    own: Option<&'a Target>,
}

fn own() -> Target {
    "http://www.example.com/a".parse().expect("a target")
}

/// Patterns of names. What ends in digits is an address to browsers, however it is written, and no name.
fn names(line: &str) -> Vec<String> {
    let name = |text: &&str| {
        let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        !text.is_empty() && !last.starts_with(|c: char| c.is_ascii_digit())
    };
    let mut names: Vec<_> = line.split(' ').filter(name).take(4).map(str::to_lowercase).collect();
    names.dedup();
    names
}

fn ask(policy: &Policy, target: &Target, headers: &HeaderMap) -> Result<(), SourceDenial> {
    let client = address("");
    let request = Request { method: &Method::GET, target, headers, client };
    match policy.check(request, &NoCountries, UnixTime::from_secs(0)) {
        Ok(_) => Ok(()),
        Err(Denial::Source { why, .. }) => Err(why),
        Err(denial) => panic!("{}", denial.explain()),
    }
}

fn check(verdict: Result<(), SourceDenial>, lines: &[&[u8]], hosts: &Hosts<'_>) {
    let [line] = lines else {
        let expected =
            if lines.is_empty() { SourceDenial::Absent } else { SourceDenial::Unreadable };
        return assert_eq!(verdict, Err(expected));
    };
    if line.is_empty() {
        return assert_eq!(verdict, Err(SourceDenial::Absent));
    }
    let text = String::from_utf8_lossy(line);
    let read = Url::parse(&text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let name = read.as_ref().and_then(Url::host).map(plain);
    if verdict.is_ok() {
        // What a browser cannot go to is no page of anybody's.
        let Some(name) = &name else { return };
        assert!(!listed(hosts.deny, name), "refused: {text}");
        let own = hosts.own.is_some_and(|own| plain_target(own) == *name);
        let allowed = hosts.allow.is_empty() || listed(hosts.allow, name) || own;
        assert!(allowed, "not let in: {text} is {name}");
    }
    // The other way round for URLs about which there is no doubt: nobody is kept out who is on the list.
    let Some(name) = name.filter(|name| is_plain(&text, name)) else { return };
    let own = hosts.own.is_some_and(|own| plain_target(own) == name);
    let expected = if listed(hosts.deny, &name) {
        Err(SourceDenial::Listed)
    } else if hosts.allow.is_empty() || listed(hosts.allow, &name) || own {
        Ok(())
    } else {
        Err(SourceDenial::Unlisted)
    };
    assert_eq!(verdict, expected, "{text}");
}

/// A host without the root's dot, with addresses of IPv6 in brackets.
fn plain(host: Host<&str>) -> String {
    host.to_string().trim_end_matches('.').to_owned()
}

fn plain_target(target: &Target) -> String {
    let url = Url::parse(&target.uri()).ok();
    url.as_ref().and_then(Url::host).map(plain).unwrap_or_default()
}

/// Whether the text begins with the very URL that was read.
fn is_plain(text: &str, name: &str) -> bool {
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let rest = [format!("http://{name}"), format!("https://{name}")];
    let rest = rest.iter().find_map(|start| text.strip_prefix(start.as_str()));
    let ends = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
    let labels = name.split('.').all(|label| !label.is_empty());
    ends && labels && name.len() <= 253 && name.bytes().all(simple)
}

/// Whether a pattern stands for the name: itself, or labels before it.
fn listed(patterns: &[String], name: &str) -> bool {
    let labels = |text: &str| {
        text.trim_end_matches('.').split('.').rev().map(str::to_owned).collect::<Vec<_>>()
    };
    let name = labels(name);
    patterns.iter().any(|pattern| match pattern.strip_prefix("*.") {
        _ if pattern == "*" => true,
        Some(above) => name.len() > labels(above).len() && name.starts_with(&labels(above)),
        None => name == labels(pattern),
    })
}
