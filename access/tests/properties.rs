//! What holds for every path, query and time: signed is accepted, changed is refused, nothing panics.

mod support;

use proptest::prelude::*;
use support::*;
use weir_access::{
    EdgeScope, EdgeTerms, Scope, Signature, Terms, TimeForm, TypeA, TypeB, TypeC, TypeD, Weir,
};
use weir_cache::{Target, UnixTime};

const NOW: i64 = 1_700_000_000;

/// Paths with everything that a path may have, in any spelling.
fn any_path() -> impl Strategy<Value = String> {
    "(/([a-z0-9~;:@!$&'()*+,=._-]|%[0-9A-Fa-f]{2}){0,6}){1,4}"
}

/// Queries without names that a format has, in any spelling.
fn any_query() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("x[xyz=&;?/+]{0,12}")
}

fn any_target() -> impl Strategy<Value = Target> {
    (any_path(), any_query()).prop_filter_map("a target", |(path, query)| {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("http://www.example.com{path}{query}").parse().ok()
    })
}

/// Every format that can sign any target, with the target signed at or until `NOW` and later.
fn signed(target: &Target) -> Vec<(&'static str, Signature, String)> {
    let (alibaba, tencent) = (key("k1", ALIBABA), key("k1", TENCENT));
    let at = UnixTime::from_secs(NOW);
    let terms = |scope| Terms { expires: at, not_before: None, client: None, scope };
    let weir_key = key("k1", b"a-secret-of-the-docs");
    let edge = EdgeTerms { expires: at, start: None, client: None, scope: EdgeScope::Url };
    let made = [
        ("weir", weir(), Weir::new().sign(&weir_key, target, &terms(Scope::Exact))),
        ("a", alibaba_a(), TypeA::alibaba(VALIDITY).sign(&alibaba, target, at, "r4nd")),
        ("b", alibaba_b(), TypeB::new(VALIDITY).sign(&alibaba, target, at)),
        ("c", alibaba_c(), TypeC::new(VALIDITY).sign(&alibaba, target, at)),
        ("d", tencent_d(), TypeD::tencent(TimeForm::Decimal, VALIDITY).sign(&tencent, target, at)),
        (
            "nginx",
            nginx_for_anyone(),
            secure_link("$secure_link_expires$uri $secret").sign(
                &key("k1", b"secret"),
                target,
                at,
                "",
            ),
        ),
        ("akamai", akamai(), edge_auth(None, false).sign(&akamai_key(), target, &edge)),
    ];
    // A format may decline what it cannot sign unambiguously.
    made.into_iter().filter_map(|(why, signature, url)| Some((why, signature, url.ok()?))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_signed_is_accepted_as_what_it_was(target in any_target()) {
        let all = signed(&target);
        prop_assert!(all.len() >= 6);
        for (why, signature, url) in all {
            let asked: Target = url.parse().expect("a signed URL is a URL");
            let grant = ask(&signature, &asked, &[], "192.0.2.1", NOW);
            let grant = grant.map_err(|refusal| TestCaseError::fail(format!("{why} {url}: {refusal}")))?;
            prop_assert_eq!(grant.target(), &target, "{} {}", why, url);
        }
    }

    #[test]
    fn another_path_is_refused(target in any_target(), at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
        for (why, signature, url) in signed(&target) {
            // Any byte between the first slash of the path and the query. Not all formats cover the host.
            let from = "http://www.example.com/".len();
            let end = url.find('?').unwrap_or(url.len());
            if from == end {
                continue;
            }
            let mut bytes = url.clone().into_bytes();
            let index = from + at.index(end - from);
            bytes[index] = byte;
            let changed = String::from_utf8(bytes).expect("ASCII");
            let Ok(other) = changed.parse::<Target>() else { continue };
            let same = other == url.parse().expect("a signed URL is a URL");
            let asked = ask(&signature, &other, &[], "192.0.2.1", NOW);
            prop_assert_eq!(asked.is_ok(), same, "{} {}", why, changed);
        }
    }

    #[test]
    fn a_changed_proof_is_refused(target in any_target(), at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
        for (why, signature, url) in signed(&target) {
            // The proof is what signing appended to the query, or what it put before the path.
            let plain = target.uri();
            let kept = plain.bytes().zip(url.bytes()).take_while(|(one, other)| one == other).count();
            let range = match why {
                "b" | "c" => "http://www.example.com/".len()..url.len() - target.path_and_query().len(),
                _ => kept + 1..url.len(),
            };
            let mut bytes = url.clone().into_bytes();
            let index = range.start + at.index(range.len());
            if bytes[index] == byte {
                continue;
            }
            bytes[index] = byte;
            let changed = String::from_utf8(bytes).expect("ASCII");
            let Ok(other) = changed.parse::<Target>() else { continue };
            let asked = ask(&signature, &other, &[], "192.0.2.1", NOW);
            prop_assert!(asked.is_err(), "{} {}", why, changed);
        }
    }

    #[test]
    fn a_folder_covers_what_lies_below_it(target in any_target(), other in any_target()) {
        let path = target.path();
        let prefix = &path[..path.rfind('/').expect("a path has a slash") + 1];
        let scope = Scope::Prefix(prefix.to_owned());
        let expires = UnixTime::from_secs(NOW);
        let terms = Terms { expires, not_before: None, client: None, scope };
        let key = key("k1", b"a-secret-of-the-docs");
        let Ok(cookie) = Weir::new().sign_cookie(&key, &target, &terms) else { return Ok(()) };
        let cookie = format!("weir-token={cookie}");
        prop_assert!(ask(&weir(), &target, &[&cookie], "192.0.2.1", NOW).is_ok());
        if !other.path().starts_with(prefix) {
            prop_assert!(ask(&weir(), &other, &[&cookie], "192.0.2.1", NOW).is_err());
        }
    }

    #[test]
    fn nothing_that_is_sent_panics(path in "[ -~]{0,40}", query in "\\PC{0,80}", cookie in "[ -~]{0,80}", now: i64) {
        let names = ["auth_key", "sign", "t", "KEY1", "md5", "expires", "hdnts", "Policy", "Expires", "Signature",
            "Key-Pair-Id", "weir-exp", "weir-for", "weir-ip", "weir-key", "weir-sig"];
        let named: String = names.iter().map(|name| format!("&{name}={query}")).collect();
        for url in [format!("http://a.test/{path}?{query}"), format!("http://a.test/{path}?{named}")] {
            let Ok(target) = url.parse::<Target>() else { continue };
            let cookies = format!("weir-token={cookie}; hdnts={cookie}; CloudFront-Policy={cookie}");
            for signature in [weir(), alibaba_a(), alibaba_b(), alibaba_c(), tencent_d(), nginx(), akamai()] {
                let asked = ask(&signature, &target, &[&cookies], "192.0.2.1", now);
                prop_assert!(asked.is_err());
            }
        }
    }
}
