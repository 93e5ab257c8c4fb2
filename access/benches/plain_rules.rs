//! What a request without a signature costs that nothing refuses: time, and allocations, which are to be none.
//!
//! `cargo bench -p weir-access`

use divan::{AllocProfiler, Bencher, black_box};
use http::header::{ORIGIN, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use weir_access::{AccessConfig, NoCountries, Policy, Request, SecretRef};
use weir_cache::{Target, UnixTime};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const RULES: &str = r#"
    methods = ["GET", "HEAD"]
    [[rule]]
    action = "deny"
    path = "/admin/**"
    [[rule]]
    action = "deny"
    clients = ["192.0.2.0/24", "2001:db8::/32"]
    user_agents = ["curl", "bad*bot"]
    countries = ["XX"]
    [[rule]]
    action = "deny"
    user_agents = ["curl", "bad*bot"]
    [[referer]]
    path = "/video/**"
    absent = "allow"
    allow = ["*.example.com"]
    [[origin]]
    absent = "allow"
    allow = ["app.test"]
    [[signature]]
    path = "/signed/**"
    format = "weir"
    keys = [{ id = "k1", secret = "env:KEY" }]
"#;

fn policy() -> Policy {
    let config: AccessConfig = toml::from_str(RULES).expect("well-formed");
    config.compile(&|_: &SecretRef| Ok("0123456789abcdef".to_owned())).expect("sound")
}

#[divan::bench]
fn granted(bencher: Bencher<'_, '_>) {
    let policy = policy();
    let target: Target = "http://media.example.com/video/42/a.ts?x=1".parse().expect("a target");
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64)"));
    headers.insert(REFERER, HeaderValue::from_static("https://WWW.example.com/watch?v=1"));
    headers.insert(ORIGIN, HeaderValue::from_static("https://app.test"));
    let client = "198.51.100.7".parse().expect("an address");
    let request = Request { method: &Method::GET, target: &target, headers: &headers, client };
    assert!(policy.check(request, &NoCountries, UnixTime::from_secs(0)).is_ok());
    bencher.bench_local(|| {
        black_box(&policy).check(black_box(request), &NoCountries, UnixTime::from_secs(0)).is_ok()
    });
}
