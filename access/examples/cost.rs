//! What a check costs: nanoseconds of each, on one thread.
//!
//! ```text
//! cargo run --release -p weir-access --example cost
//! ```
//!
//! The least of eleven rounds is printed, which is what the work itself takes; the median tells how noisy the machine is.

#![allow(clippy::print_stdout, reason = "an example that prints")]
#![allow(
    clippy::disallowed_methods,
    reason = "an example that measures; the crate itself reads no clock"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use weir_access::{
    AccessConfig, CloudFront, EdgeAuth, EdgeScope, EdgeTerms, Format, Key, KeyRing, NoCountries,
    Policy, PrivateKey, PublicKey, PublicKeys, Request, RuleConfig, Scope, Secret, SecretRef,
    SecureLink, Signature, SourceConfig, Terms, TypeA, Weir,
};
use weir_cache::{Target, UnixTime};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const UNTIL: UnixTime = UnixTime::from_secs(1_700_003_600);
const URL: &str = "https://media.example.com/video/2024/42/segment-00017.ts";

fn measure(name: &str, calls: u32, mut call: impl FnMut()) {
    let mut rounds: Vec<Duration> = (0..11)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| call());
            start.elapsed() / calls
        })
        .collect();
    rounds.sort_unstable();
    println!("{name:<44} {:>8} ns   (median {} ns)", rounds[0].as_nanos(), rounds[5].as_nanos());
}

fn request<'a>(target: &'a Target, headers: &'a HeaderMap) -> Request<'a> {
    let client = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    Request { method: &Method::GET, target, headers, client }
}

fn measure_signature(name: &str, signature: &Signature, url: &str, calls: u32) {
    let (target, headers) = (url.parse().expect("a target"), HeaderMap::new());
    let moment = weir_access::Moment { now: NOW, skew: Duration::ZERO };
    signature.verify(request(&target, &headers), moment).expect("granted");
    measure(name, calls, || {
        let granted = black_box(signature).verify(black_box(request(&target, &headers)), moment);
        black_box(granted.is_ok());
    });
}

fn key(id: &str) -> Key {
    let secret = Secret::new(format!("asecretof{id}andmore").as_bytes()).expect("not empty");
    Key::new(id, secret).expect("a good id")
}

fn shared(format: Format) -> Signature {
    Signature::Shared(format, KeyRing::new(vec![key("k1"), key("k2")]).expect("few keys"))
}

fn signatures() {
    let target: Target = URL.parse().expect("a target");
    let (first, key) = (key("k1"), key("k2"));
    let terms = |scope| Terms { expires: UNTIL, not_before: None, client: None, scope };
    let weir = Weir::new();
    for (name, scope) in [
        ("weir, one URL", Scope::Exact),
        ("weir, a folder", Scope::Prefix("/video/2024/42/".to_owned())),
    ] {
        let url = weir.sign(&first, &target, &terms(scope)).expect("signed");
        measure_signature(name, &shared(Format::Weir(weir.clone())), &url, 20_000);
    }
    let a = TypeA::alibaba(Duration::from_secs(1800));
    let url = a.sign(&key, &target, NOW, "0").expect("signed");
    measure_signature("type A, two keys", &shared(Format::TypeA(a)), &url, 20_000);
    let expression = "$secure_link_expires$uri $secret".parse().expect("an expression");
    let link = SecureLink::new(expression, ["md5", "expires"]);
    let url = link.sign(&key, &target, UNTIL, "").expect("signed");
    measure_signature("secure_link, two keys", &shared(Format::SecureLink(link)), &url, 20_000);
    let edge = EdgeAuth::new("hdnts", None, false).expect("a name");
    let scope = EdgeScope::Acl(vec!["/video/*".to_owned()]);
    let terms = EdgeTerms { expires: UNTIL, start: None, client: None, scope };
    let url = edge.sign(&key, &target, &terms).expect("signed");
    measure_signature("EdgeAuth, two keys", &shared(Format::EdgeAuth(edge)), &url, 20_000);
    for (name, private, public) in [
        (
            "CloudFront, RSA-2048",
            include_str!("../tests/keys/rsa.pem"),
            include_str!("../tests/keys/rsa.pub.pem"),
        ),
        (
            "CloudFront, ECDSA P-256",
            include_str!("../tests/keys/ecdsa.pem"),
            include_str!("../tests/keys/ecdsa.pub.pem"),
        ),
    ] {
        let format = CloudFront::new(None);
        let text = format.canned(&target, UNTIL).expect("a policy");
        let signed =
            PrivateKey::from_pem(private).expect("a key").sign("K1", &text).expect("signed");
        let url = format.canned_url(&target, UNTIL, &signed);
        let keys = PublicKeys::new(vec![PublicKey::from_pem("K1", public).expect("a key")]);
        measure_signature(name, &Signature::CloudFront(format, keys.expect("one key")), &url, 500);
    }
}

fn measure_policy(name: &str, policy: &Policy) {
    let target: Target = URL.parse().expect("a target");
    let mut headers = HeaderMap::new();
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    headers.insert(REFERER, HeaderValue::from_static("https://www.example.com/watch?v=42"));
    measure(name, 50_000, || {
        let verdict = black_box(policy).check(request(&target, &headers), &NoCountries, NOW);
        black_box(verdict.is_ok());
    });
}

fn policies() {
    let none = |_: &SecretRef| Err("there is none".to_owned());
    let deny = |clients: Option<Vec<String>>, agents: Option<Vec<String>>| RuleConfig {
        action: Some("deny".to_owned()),
        clients,
        user_agents: agents,
        ..RuleConfig::default()
    };
    measure_policy("no rules", &Policy::default());
    let nets = (0..10_000).map(|i: u32| format!("10.{}.{}.0/25", i / 256, i % 256)).collect();
    let clients = AccessConfig { rule: vec![deny(Some(nets), None)], ..AccessConfig::default() };
    measure_policy("10,000 networks", &clients.compile(&none).expect("sound"));
    let agents = ["curl", "wget", "python-requests", "scrapy", "go-http-client", "bad*bot"];
    let agents = agents.map(str::to_owned).to_vec();
    let clients = AccessConfig { rule: vec![deny(None, Some(agents))], ..AccessConfig::default() };
    measure_policy("6 user agents", &clients.compile(&none).expect("sound"));
    let referer = SourceConfig {
        path: Some("/video/**".to_owned()),
        allow: vec!["example.com".to_owned(), "*.example.com".to_owned()],
        absent: Some("allow".to_owned()),
        ..SourceConfig::default()
    };
    let referers = AccessConfig { referer: vec![referer], ..AccessConfig::default() };
    measure_policy(
        "referer below *.example.com, by path",
        &referers.compile(&none).expect("sound"),
    );
}

fn main() {
    policies();
    signatures();
}
