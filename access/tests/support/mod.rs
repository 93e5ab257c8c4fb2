//! What the tests share: requests from texts, and every format with a live key.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::IpAddr;
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Method};
use weir_access::{
    CloudFront, EdgeAuth, Format, Grant, Key, KeyRing, Moment, PublicKey, PublicKeys, Reason,
    Refusal, Request, Secret, SecureLink, Signature, TimeForm, TypeA, TypeB, TypeC, TypeD, Weir,
};
use weir_cache::{Target, UnixTime};

/// The key of the vectors of Alibaba Cloud's documentation.
pub(crate) const ALIBABA: &[u8] = b"aliyuncdnexp1234";
pub(crate) const TENCENT: &[u8] = b"tencentkey123";
pub(crate) const AKAMAI: &str = "52a152a152a152a152a152a152a1";
pub(crate) const RSA: &str = include_str!("../keys/rsa.pem");
pub(crate) const ECDSA: &str = include_str!("../keys/ecdsa.pem");
/// How long the vendors' URLs are right.
pub(crate) const VALIDITY: Duration = Duration::from_secs(1800);

pub(crate) fn key(id: &str, secret: &[u8]) -> Key {
    Key::new(id, Secret::new(secret).expect("not empty")).expect("a good id")
}

/// The key among others, as during a rotation.
pub(crate) fn ring(secret: &[u8]) -> KeyRing {
    KeyRing::new(vec![key("k0", b"an0lder0ne"), key("k1", secret), key("k2", b"aN3wer0ne")])
        .expect("few keys")
}

pub(crate) fn shared(format: Format, secret: &[u8]) -> Signature {
    Signature::Shared(format, ring(secret))
}

pub(crate) fn weir() -> Signature {
    shared(Format::Weir(Weir::new()), b"a-secret-of-the-docs")
}

pub(crate) fn alibaba_a() -> Signature {
    shared(Format::TypeA(TypeA::alibaba(VALIDITY)), ALIBABA)
}

pub(crate) fn alibaba_b() -> Signature {
    shared(Format::TypeB(TypeB::new(VALIDITY)), ALIBABA)
}

pub(crate) fn alibaba_c() -> Signature {
    shared(Format::TypeC(TypeC::new(VALIDITY)), ALIBABA)
}

pub(crate) fn alibaba_c_in_query() -> Signature {
    shared(Format::TypeD(TypeD::alibaba(VALIDITY)), ALIBABA)
}

pub(crate) fn tencent_a() -> Signature {
    shared(Format::TypeA(TypeA::tencent(VALIDITY)), TENCENT)
}

pub(crate) fn tencent_b() -> Signature {
    shared(Format::TypeB(TypeB::new(VALIDITY)), TENCENT)
}

pub(crate) fn tencent_c() -> Signature {
    shared(Format::TypeC(TypeC::new(VALIDITY)), TENCENT)
}

pub(crate) fn tencent_d() -> Signature {
    shared(Format::TypeD(TypeD::tencent(TimeForm::Decimal, VALIDITY)), TENCENT)
}

pub(crate) fn tencent_d_hex() -> Signature {
    shared(Format::TypeD(TypeD::tencent(TimeForm::Hex, VALIDITY)), TENCENT)
}

pub(crate) fn secure_link(expression: &str) -> SecureLink {
    SecureLink::new(expression.parse().expect("an expression"), ["md5", "expires"])
}

pub(crate) fn nginx() -> Signature {
    let format = secure_link("$secure_link_expires$uri$remote_addr $secret");
    shared(Format::SecureLink(format), b"secret")
}

pub(crate) fn nginx_for_anyone() -> Signature {
    shared(Format::SecureLink(secure_link("$secure_link_expires$uri $secret")), b"secret")
}

pub(crate) fn edge_auth(salt: Option<&str>, escape_early: bool) -> EdgeAuth {
    let salt = salt.map(|salt| Secret::new(salt.as_bytes()).expect("not empty"));
    EdgeAuth::new("hdnts", salt, escape_early).expect("a name")
}

pub(crate) fn akamai_key() -> Key {
    Key::new("k1", Secret::from_hex(AKAMAI).expect("digits")).expect("a good id")
}

pub(crate) fn akamai_with(format: EdgeAuth) -> Signature {
    let older = Key::new("k0", Secret::from_hex("00ff").expect("digits")).expect("a good id");
    let keys = KeyRing::new(vec![older, akamai_key()]).expect("few keys");
    Signature::Shared(Format::EdgeAuth(format), keys)
}

pub(crate) fn akamai() -> Signature {
    akamai_with(edge_auth(None, false))
}

pub(crate) fn akamai_salted() -> Signature {
    akamai_with(edge_auth(Some("pepper"), true))
}

pub(crate) fn cloudfront() -> Signature {
    let rsa = PublicKey::from_pem("KRSA", include_str!("../keys/rsa.pub.pem"));
    let ecdsa = PublicKey::from_pem("KEC", include_str!("../keys/ecdsa.pub.pem"));
    let keys = PublicKeys::new(vec![rsa.expect("a key"), ecdsa.expect("a key")]);
    Signature::CloudFront(CloudFront::new(None), keys.expect("few keys"))
}

/// Asks `signature` about a URL with cookies, at `now`, without tolerance.
pub(crate) fn ask(
    signature: &Signature,
    target: &Target,
    cookies: &[&str],
    client: &str,
    now: i64,
) -> Result<Grant, Refusal> {
    let mut headers = HeaderMap::new();
    for cookie in cookies {
        headers.append(COOKIE, HeaderValue::from_str(cookie).expect("a field value"));
    }
    ask_with(signature, target, &headers, client, now)
}

pub(crate) fn ask_with(
    signature: &Signature,
    target: &Target,
    headers: &HeaderMap,
    client: &str,
    now: i64,
) -> Result<Grant, Refusal> {
    let client: IpAddr = client.parse().expect("an address");
    let request = Request { method: &Method::GET, target, headers, client };
    let moment = Moment { now: UnixTime::from_secs(now), skew: Duration::ZERO };
    signature.verify(request, moment)
}

/// The reason why `url` is refused; `None` if it is granted.
pub(crate) fn reason(signature: &Signature, url: &str, client: &str, now: i64) -> Option<Reason> {
    let target = url.parse().expect("a target");
    ask(signature, &target, &[], client, now).err().map(|refusal| refusal.reason())
}
