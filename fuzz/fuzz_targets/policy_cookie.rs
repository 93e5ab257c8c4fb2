//! CloudFront: policies as they are written, and URLs and cookies that were signed and then changed.
//!
//! Lines: which of the signed policies, the second, a target of a line of authority and a line of path and query,
//! the client, what is changed of the URL or of the cookies (see `edited`), a policy; then the fields of a request.
//!
//! Only texts that were signed are granted, and only what they say: a URL that fits the resource, in time, from
//! the network that they name.

#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, header::COOKIE};
use libfuzzer_sys::fuzz_target;
use weir_access::{CloudFront, CustomPolicy, Grant, PrivateKey, PublicKey, PublicKeys, Signature};
use weir_cache::{Scheme, Target, UnixTime};
use weir_fuzz::{Asked, Input, address, edited, fields, wild};

const KEYS: [(&str, &str, &str); 2] = [
    (
        "KRSA",
        include_str!("../../access/tests/keys/rsa.pub.pem"),
        include_str!("../../access/tests/keys/rsa.pem"),
    ),
    (
        "KEC",
        include_str!("../../access/tests/keys/ecdsa.pub.pem"),
        include_str!("../../access/tests/keys/ecdsa.pem"),
    ),
];
const UNTIL: i64 = 1_700_001_000;

/// Something that was signed once, because signing with RSA takes long.
struct Signed {
    policy: CustomPolicy,
    url: String,
    cookies: Vec<(String, String)>,
}

static SIGNATURE: LazyLock<Signature> = LazyLock::new(|| {
    let key = |(id, public, _): (&str, &str, _)| PublicKey::from_pem(id, public).expect("a key");
    let keys = PublicKeys::new(KEYS.map(key).to_vec()).expect("few keys");
    Signature::CloudFront(CloudFront::new(None), keys)
});

static SIGNED: LazyLock<Vec<Signed>> = LazyLock::new(|| {
    let mut signed = vec![canned("http://www.example.com/v/a?x=1")];
    // (resource, first second, client)
    for (resource, from, client) in [
        ("http://www.example.com/v/*", Some(1_700_000_000), Some("192.0.2.0/24")),
        ("http*://*.example.com/?/a*b", None, Some("2001:db8::/32")),
        ("*", None, None),
        ("http://www.example.com/v/a?x=1", Some(1_700_000_500), None),
    ] {
        let policy = CustomPolicy {
            resource: resource.to_owned(),
            date_less_than: UNTIL,
            date_greater_than: from,
            client: client.map(|net| net.parse().expect("a network")),
        };
        signed.push(custom(policy, KEYS[signed.len() % 2]));
    }
    signed
});

fn custom(policy: CustomPolicy, (id, _, private): (&'static str, &str, &str)) -> Signed {
    let text = policy.write().expect("it is written");
    let signature =
        PrivateKey::from_pem(private).and_then(|key| key.sign(id, &text)).expect("signed");
    let target = "http://www.example.com/v/a?x=1".parse().expect("a target");
    let format = CloudFront::new(None);
    let url = format.custom_url(&target, &text, &signature);
    Signed { policy, url, cookies: format.custom_cookies(&text, &signature) }
}

fn canned(url: &str) -> Signed {
    let (format, target) = (CloudFront::new(None), url.parse().expect("a target"));
    let until = UnixTime::from_secs(UNTIL);
    let text = format.canned(&target, until).expect("it is written");
    let (id, _, private) = KEYS[0];
    let signature =
        PrivateKey::from_pem(private).and_then(|key| key.sign(id, &text)).expect("signed");
    let url = format.canned_url(&target, until, &signature);
    let resource = target.uri();
    let policy =
        CustomPolicy { resource, date_less_than: UNTIL, date_greater_than: None, client: None };
    Signed { policy, url, cookies: Vec::new() }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let signed = &SIGNED[usize::try_from(input.number(SIGNED.len() as u64)).expect("small")];
    let now = UNTIL - 1_500 + i64::try_from(input.number(2_000)).expect("small");
    let (authority, rest) = (input.text(), input.text());
    let client = address(&input.text());
    let recipe = input.line();
    check_policy(input.line());
    input.line();
    let headers = fields(input.rest());
    let target = Target::parse(Scheme::Http, &authority, &rest)
        .or_else(|_| Target::parse(Scheme::Https, "www.example.com", &rest));
    let Ok(target) = target else { return };

    let asked = Asked { target: &target, headers: &headers, client, now };
    assert!(SIGNATURE.verify(asked.request(), asked.moment()).is_err(), "made up");
    if let Some(Ok(changed)) = edited(&signed.url, recipe).map(|url| url.parse::<Target>()) {
        grant_of(signed, &Asked { target: &changed, ..asked });
    }
    for with_cookies in cookies(signed, recipe, &headers) {
        let asked = Asked { target: &target, headers: &with_cookies, client, now };
        grant_of(signed, &asked);
    }
});

/// What is read of a policy is what is written of it.
fn check_policy(text: &[u8]) {
    let Ok(policy) = CustomPolicy::parse(text) else { return };
    let written = policy.write().expect("what was read can be written");
    let again = CustomPolicy::parse(written.as_bytes()).expect("what was written can be read");
    // "0.0.0.0/0" is written by none, since it stands for no condition.
    assert_eq!(again, policy);
}

/// The fields with the cookies as they were signed, and with all of them changed as one text.
fn cookies(signed: &Signed, recipe: &[u8], headers: &HeaderMap) -> Vec<HeaderMap> {
    let pairs: Vec<_> =
        signed.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let line = pairs.join("; ");
    let lines = [Some(line.clone()), edited(&line, recipe)];
    let value = |line: String| HeaderValue::from_str(&line).ok();
    let with = |line| {
        let mut headers = headers.clone();
        headers.append(COOKIE, line);
        headers
    };
    lines.into_iter().flatten().filter_map(value).map(with).collect()
}

fn grant_of(signed: &Signed, asked: &Asked<'_>) {
    let Ok(grant) = SIGNATURE.verify(asked.request(), asked.moment()) else { return };
    check_grant(signed, &grant, asked);
    let mut headers = asked.headers.clone();
    grant.strip().strip_headers(&mut headers);
    let again = Asked { target: grant.target(), headers: &headers, ..*asked };
    let refused = SIGNATURE.verify(again.request(), again.moment());
    assert!(refused.is_err(), "the proof is still there");
}

fn check_grant(signed: &Signed, grant: &Grant, asked: &Asked<'_>) {
    let policy = &signed.policy;
    assert!(asked.now < UNTIL, "too late");
    assert_eq!(grant.expires().map(|time| time.as_secs()), Some(UNTIL - 1));
    assert!(policy.date_greater_than.is_none_or(|from| asked.now > from), "too early");
    let from = asked.client.to_canonical();
    assert!(policy.client.is_none_or(|net| net.contains(&from)), "another client");
    // `?` stands for one character, which that before a query may be.
    let uri = grant.target().uri();
    assert!(wild(policy.resource.as_bytes(), uri.as_bytes()), "{} {uri}", policy.resource);
}
