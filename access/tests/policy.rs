//! Policies as a site has them: compiled from what is written, asked for requests.

mod support;

use std::net::IpAddr;

use http::header::{ORIGIN, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use weir_access::{
    AccessConfig, AccessProblem, Country, CountryOf, Denial, NoCountries, Policy, Request,
    SecretRef, Verdict,
};
use weir_cache::{Target, UnixTime};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

fn read(reference: &SecretRef) -> Result<String, String> {
    match reference {
        SecretRef::Env(name) if name == "WEIR" => Ok("a-secret-of-the-docs\n".to_owned()),
        SecretRef::Env(name) if name == "ALIBABA" => Ok("aliyuncdnexp1234".to_owned()),
        SecretRef::Env(name) if name == "HEX" => Ok("52a152a1".to_owned()),
        SecretRef::File(path) if path == "/rsa" => Ok(include_str!("keys/rsa.pub.pem").to_owned()),
        SecretRef::Env(name) => Err(format!("the variable {name} is not set")),
        SecretRef::File(path) => Err(format!("{path} cannot be read")),
    }
}

fn compile(text: &str) -> Result<Policy, Vec<AccessProblem>> {
    toml::from_str::<AccessConfig>(text).expect("well-formed").compile(&read)
}

fn policy(text: &str) -> Policy {
    compile(text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// 203.0.113.0/24 is in Germany.
struct Atlas;

impl CountryOf for Atlas {
    fn country(&self, address: IpAddr) -> Option<Country> {
        address.to_string().starts_with("203.0.113.").then(|| "de".parse().ok())?
    }
}

fn ask(
    policy: &Policy,
    method: &str,
    url: &str,
    client: &str,
    fields: &[(HeaderName, &str)],
) -> Verdict {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, HeaderValue::from_str(value).expect("a field value"));
    }
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let target: Target = url.parse().expect("a target");
    let client = client.parse().expect("an address");
    let request = Request { method: &method, target: &target, headers: &headers, client };
    policy.check(request, &Atlas, NOW)
}

fn word(verdict: &Verdict) -> &'static str {
    verdict.as_ref().map_or_else(Denial::as_str, |_| "granted")
}

#[test]
fn the_first_rule_about_clients_that_fits_decides() {
    let policy = policy(
        r#"
        methods = ["GET", "HEAD", "POST"]
        [[rule]]
        name = "office"
        action = "allow"
        clients = ["198.51.100.0/24", "2001:db8::/32"]
        [[rule]]
        action = "deny"
        path = "/admin/**"
        [[rule]]
        action = "deny"
        user_agents = ["curl", "Bad*Bot", ""]
        [[rule]]
        action = "deny"
        methods = ["POST"]
        countries = ["DE", "unknown"]
        "#,
    );
    // (method, path, client, agent, expected)
    const CASES: &[(&str, &str, &str, &str, &str)] = &[
        ("GET", "/a", "192.0.2.1", "x", "granted"),
        ("DELETE", "/a", "198.51.100.1", "x", "method"),
        ("GET", "/admin/x", "192.0.2.1", "x", "rule"),
        ("GET", "/%61dmin/x", "192.0.2.1", "x", "rule"),
        ("GET", "/b/../admin/", "192.0.2.1", "x", "rule"),
        ("GET", "/admin/x", "198.51.100.1", "x", "granted"),
        ("GET", "/admin/x", "::ffff:198.51.100.1", "x", "granted"),
        ("GET", "/admin/x", "2001:db8::7", "x", "granted"),
        ("GET", "/a", "192.0.2.1", "x CURL/8", "rule"),
        ("GET", "/a", "192.0.2.1", "bad robot", "rule"),
        ("GET", "/a", "192.0.2.1", "bad ROBOT", "rule"),
        ("GET", "/a", "192.0.2.1", "bad bots", "granted"),
        ("GET", "/a", "192.0.2.1", "a bad bot", "granted"),
        ("GET", "/a", "192.0.2.1", "", "rule"),
        ("POST", "/a", "203.0.113.9", "x", "rule"),
        ("POST", "/a", "192.0.2.1", "x", "rule"),
        ("GET", "/a", "203.0.113.9", "x", "granted"),
    ];
    for &(method, path, client, agent, expected) in CASES {
        let url = format!("http://example.com{path}");
        let verdict = ask(&policy, method, &url, client, &[(USER_AGENT, agent)]);
        assert_eq!(word(&verdict), expected, "{method} {path} {client} {agent}");
    }
    let refused = ask(&policy, "PUT", "http://example.com/", "192.0.2.1", &[]).unwrap_err();
    assert_eq!(refused.status().as_u16(), 405);
    assert_eq!(refused.explain(), "expected one of the methods GET, HEAD, POST");
    let refused = ask(&policy, "GET", "http://example.com/admin/", "192.0.2.1", &[]).unwrap_err();
    assert_eq!(
        (refused.status().as_u16(), refused.explain().as_str()),
        (403, "rule rule[1] refuses")
    );
}

#[test]
fn pages_of_others_are_refused_by_the_host_they_name() {
    let policy = policy(
        r#"
        [[referer]]
        path = "/public/**"
        absent = "allow"
        deny = ["*.spam.test", "spam.test"]
        [[referer]]
        path = "/img/**"
        absent = "allow"
        allow = ["good.test", "*.good.test"]
        deny = ["bad.good.test"]
        [[referer]]
        path = "/strict/**"
        absent = "deny"
        unreadable = "allow"
        same_host = false
        allow = ["good.test"]
        "#,
    );
    // (path, referer, expected)
    const CASES: &[(&str, Option<&str>, &str)] = &[
        ("/img/a", Some("https://good.test/page"), "granted"),
        ("/img/a", Some("https://GOOD.test.:8443"), "granted"),
        ("/img/a", Some("http://a.b.good.test/"), "granted"),
        ("/img/a", Some("http://bad.good.test/"), "referer_listed"),
        ("/img/a", Some("http://evil-good.test/"), "referer_unlisted"),
        ("/img/a", Some("http://good.test.evil.test/"), "referer_unlisted"),
        ("/img/a", Some("http://evil.test/?good.test"), "referer_unlisted"),
        ("/img/a", Some("http://good.test:80@evil.test/"), "referer_unreadable"),
        ("/img/a", Some("http://good.test\\@evil.test/"), "referer_unreadable"),
        ("/img/a", Some("good.test"), "referer_unreadable"),
        ("/img/a", Some("about:blank"), "referer_unreadable"),
        ("/img/a", Some("http://example.com/own"), "granted"),
        ("/img/a", Some(""), "granted"),
        ("/img/a", None, "granted"),
        ("/strict/a", None, "referer_absent"),
        ("/strict/a", Some(""), "referer_absent"),
        ("/strict/a", Some("?"), "granted"),
        ("/strict/a", Some("http://example.com/own"), "referer_unlisted"),
        ("/strict/a", Some("http://good.test/"), "granted"),
        ("/public/a", Some("http://x.spam.test/"), "referer_listed"),
        ("/public/a", Some("http://any.test/"), "granted"),
        ("/else", Some("http://x.spam.test/"), "granted"),
    ];
    for &(path, referer, expected) in CASES {
        let url = format!("http://example.com{path}");
        let fields: Vec<_> = referer.map(|value| (REFERER, value)).into_iter().collect();
        let verdict = ask(&policy, "GET", &url, "192.0.2.1", &fields);
        assert_eq!(word(&verdict), expected, "{path} {referer:?}");
    }
    let twice = [(REFERER, "http://good.test/"), (REFERER, "http://good.test/")];
    let verdict = ask(&policy, "GET", "http://example.com/img/a", "192.0.2.1", &twice);
    assert_eq!(word(&verdict), "referer_unreadable");
}

#[test]
fn scripts_of_others_are_refused_by_origin() {
    let policy = policy("[[origin]]\nabsent = \"allow\"\nallow = [\"app.test\"]");
    for (origin, expected) in [
        (Some("https://app.test"), "granted"),
        (Some("https://example.com"), "granted"),
        (Some("https://other.test"), "origin_unlisted"),
        (Some("null"), "origin_unreadable"),
        (None, "granted"),
    ] {
        let fields: Vec<_> = origin.map(|value| (ORIGIN, value)).into_iter().collect();
        let verdict = ask(&policy, "GET", "http://example.com/", "192.0.2.1", &fields);
        assert_eq!(word(&verdict), expected, "{origin:?}");
    }
}

const SIGNED: &str = r#"
    [[rule]]
    action = "deny"
    path = "/4/hidden/**"
    [[signature]]
    path = "/free/**"
    format = "none"
    [[signature]]
    path = "/4/**"
    format = "alibaba-b"
    validity = "3650d"
    keys = [{ id = "k1", secret = "env:ALIBABA" }]
    [[signature]]
    path = "/v/**"
    format = "weir"
    keys = [{ id = "k1", secret = "env:WEIR" }]
"#;

#[test]
fn what_is_signed_is_granted_less_its_signature() {
    let policy = policy(SIGNED);
    let get = |path: &str| {
        ask(&policy, "GET", &format!("http://www.example.com{path}"), "192.0.2.1", &[])
    };
    assert_eq!(word(&get("/free/a")), "granted");
    assert_eq!(word(&get("/other")), "granted");
    assert_eq!(word(&get("/v/a")), "signature_missing");
    assert_eq!(word(&get("/4/a")), "signature_missing");
    let signed =
        "/201508150800/9044548ef1527deadafa49a890a377f0/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3";
    let grant = get(signed).unwrap().expect("was signed");
    assert_eq!(grant.target().path(), "/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3");
    assert_eq!(grant.key_id(), "k1");
    // printf 'aliyuncdnexp1234201508150800/4/hidden/x' | md5sum
    let hidden = "/201508150800/dc9f15e7693dd633df4a5f4ea24e42e4/4/hidden/x";
    assert_eq!(word(&get(hidden)), "rule", "rules see the path behind the signature");
    let post = ask(&policy, "POST", "http://www.example.com/v/a", "192.0.2.1", &[]);
    assert_eq!(word(&post), "method", "a signature is for GET and HEAD");
}

#[test]
fn the_halves_of_a_check_are_the_whole() {
    let policy = policy(SIGNED);
    let (headers, method) = (HeaderMap::new(), Method::GET);
    let target: Target = "http://www.example.com/v/a".parse().unwrap();
    let client = "192.0.2.1".parse().unwrap();
    let request = Request { method: &method, target: &target, headers: &headers, client };
    assert!(policy.check_client(request, &NoCountries).is_ok());
    assert_eq!(word(&policy.check_use(request, NOW)), "signature_missing");
    assert!(Policy::default().check(request, &NoCountries, NOW).unwrap().is_none());
}

#[test]
fn every_format_is_compiled() {
    let shared = |format: &str, secret: &str, more: &str| {
        let keys = format!("keys = [{{ id = \"k1\", secret = \"env:{secret}\" }}]");
        policy(&format!("[[signature]]\nformat = \"{format}\"\n{keys}\n{more}"));
    };
    for format in ["alibaba-b", "alibaba-c", "tencent-b", "tencent-c"] {
        shared(format, "ALIBABA", "validity = \"1h\"");
    }
    shared("alibaba-a", "ALIBABA", "parameters = [\"key\"]\nmethods = [\"GET\", \"POST\"]");
    shared("alibaba-c-query", "ALIBABA", "parameters = [\"K1\", \"K2\"]\nskew = \"0s\"");
    shared("tencent-a", "ALIBABA", "time = \"hex\"");
    shared("tencent-d", "ALIBABA", "time = \"hex\"\nparameters = [\"s\", \"t\"]");
    shared("weir", "WEIR", "");
    shared("secure-link", "WEIR", "expression = \"$expires$uri $secret\"");
    shared("edge-auth", "HEX", "name = \"__token__\"\nsalt = \"env:WEIR\"\nescape_early = true");
    policy(
        "[[signature]]\nformat = \"cloudfront\"\nscheme = \"https\"\n\
         keys = [{ id = \"K1\", public_key = \"file:/rsa\" }]",
    );
}

const WRONG: &str = r#"
        methods = ["get"]
        [[rule]]
        path = "admin"
        clients = ["10.0.0.1/8", "10.0.0.0/8"]
        countries = ["Germany"]
        user_agents = []
        [[rule]]
        action = "drop"
        [[referer]]
        allow = ["http://good.test/"]
        [[origin]]
        absent = "allow"
        unreadable = "allow"
        [[signature]]
        [[signature]]
        format = "weir"
        validity = "1h"
        skew = "10"
        [[signature]]
        format = "alibaba-a"
        validity = "99999999999999999999d"
        parameters = ["a", "b"]
        keys = [{ id = "k 1", secret = "my-secret" }, { id = "k2", secret = "env:NONE" }, { id = "k3", secret = "env:WEIR" }]
        [[signature]]
        format = "secure-link"
        expression = "$uri"
        keys = [{ id = "k1", secret = "env:HEX", public_key = "file:/rsa" }]
        [[signature]]
        format = "weir"
        keys = [{ id = "k1", secret = "env:HEX" }, { id = "k1", secret = "env:WEIR" }]
        [[signature]]
        format = "cloudfront"
        keys = [{ id = "k1", public_key = "env:WEIR" }]
        [[signature]]
        format = "edge-auth"
        name = "a b"
        keys = [{ id = "k1", secret = "env:WEIR" }]
        "#;

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
    let problems = compile(WRONG).expect_err("nothing of it is right");
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    let expected = [
        "methods[0]",
        "rule[0].action",
        "rule[0].clients[0]",
        "rule[0].countries[0]",
        "rule[0].user_agents",
        "rule[0].path",
        "rule[1].action",
        "referer[0].absent",
        "referer[0].allow[0]",
        "origin[0]",
        "signature[0].format",
        "signature[1].skew",
        "signature[1].validity",
        "signature[1].keys",
        "signature[2].keys[0].secret",
        "signature[2].keys[1].secret",
        "signature[2].keys",
        "signature[2].validity",
        "signature[2].parameters",
        "signature[3].keys[0].public_key",
        "signature[3].expression",
        "signature[4].keys[0].secret",
        "signature[4].keys",
        "signature[5].keys[0].public_key",
        "signature[6].keys[0].secret",
        "signature[6].name",
    ];
    assert_eq!(keys, expected, "{problems:#?}");
    let text = problems.iter().map(ToString::to_string).collect::<String>();
    assert!(!text.contains("my-secret"), "what stands for a place may be the secret: {text}");
    assert!(problems.iter().all(|problem| !problem.message.is_empty()));
}

#[test]
fn unknown_keys_are_refused_where_they_stand() {
    for text in ["mthods = []", "[[rule]]\nip = []", "[[signature]]\nkey = 1"] {
        let problem = toml::from_str::<AccessConfig>(text).expect_err(text).to_string();
        assert!(problem.contains("unknown field"), "{problem}");
    }
}
