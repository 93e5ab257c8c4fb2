//! What is refused, and with which word: hostile, late, early, for somebody else.

mod support;

use http::{HeaderMap, HeaderName, HeaderValue};
use support::*;
use weir_access::{
    EdgeScope, EdgeTerms, Format, Key, Moment, Reason, Request, Scope, Secret, SecureLink,
    Signature, Terms, Weir,
};
use weir_cache::{Target, UnixTime};

const NOW: i64 = 1_700_000_000;

fn at(secs: i64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn target(url: &str) -> Target {
    url.parse().expect("a target")
}

fn weir_key() -> Key {
    key("k1", b"a-secret-of-the-docs")
}

fn weir_url(url: &str, scope: Scope) -> String {
    let terms = Terms { expires: at(NOW + 60), not_before: None, client: None, scope };
    Weir::new().sign(&weir_key(), &target(url), &terms).expect("signed")
}

/// `url` with what was signed changed, and the word that it is refused with.
fn assert_refused(signature: &Signature, url: &str, expected: Reason, why: &str) {
    assert_eq!(reason(signature, url, "198.51.100.7", NOW), Some(expected), "{why}: {url}");
}

#[test]
fn hostile_spellings_of_our_own_format_are_refused() {
    use Reason::{Malformed, Missing, UnknownKey, WrongSignature};
    let good = weir_url("http://a.test/v/a.mp4?x=1", Scope::Exact);
    assert_eq!(reason(&weir(), &good, "198.51.100.7", NOW), None);
    let swap = |from: &str, to: &str| good.replace(from, to);
    let proof = good.split_once("&weir-exp").expect("a proof").1;
    let long = "9".repeat(5000);
    let cases = [
        ("http://a.test/v/a.mp4?x=1".to_owned(), Missing, "no proof"),
        ("http://a.test/v/a.mp4".to_owned(), Missing, "no query"),
        (format!("{good}&weir-exp=1700000060"), Malformed, "a parameter twice"),
        (format!("{good}&weir-exp=9999999999"), Malformed, "a parameter twice, later"),
        (format!("{good}&%77eir-exp=9999999999"), Malformed, "twice, in another spelling"),
        (swap("weir-exp", "weir%2Dexp"), Malformed, "a name with escapes"),
        (format!("{good}&weir-new=1"), Malformed, "a restriction that is not known"),
        (format!("{good}&weir-nbf="), Malformed, "an empty value"),
        (format!("{good}&weir-ip="), Malformed, "an empty network"),
        (format!("{good}&weir-for="), Malformed, "an empty path"),
        (format!("{good}&weir-nbf"), Malformed, "no value"),
        (swap("weir-key=k1", "weir-key=k9"), UnknownKey, "another key"),
        (swap("weir-key=k1", "weir-key=k2"), WrongSignature, "the wrong one of the live keys"),
        (swap("weir-key=k1", "weir-key=%6B1"), UnknownKey, "values are not decoded"),
        (swap("weir-exp=1700000060", "weir-exp=1700000061"), WrongSignature, "later"),
        (swap("1700000060", &long), WrongSignature, "an enormous number"),
        (swap("1700000060", "-1"), WrongSignature, "a negative number"),
        (swap("&weir-exp=1700000060", ""), Malformed, "no expiry"),
        (format!("http://b.test/v/a.mp4?x=1&weir-exp{proof}"), WrongSignature, "another host"),
        (format!("http://a.test/v/b.mp4?x=1&weir-exp{proof}"), WrongSignature, "another path"),
        (format!("http://a.test/V/a.mp4?x=1&weir-exp{proof}"), WrongSignature, "another case"),
        (format!("http://a.test//v/a.mp4?x=1&weir-exp{proof}"), WrongSignature, "a slash more"),
        (format!("http://a.test/v%2Fa.mp4?x=1&weir-exp{proof}"), WrongSignature, "%2F is no slash"),
        (format!("http://a.test/v/a.mp4?x=2&weir-exp{proof}"), WrongSignature, "another query"),
        (format!("http://a.test/v/a.mp4?weir-exp{proof}"), WrongSignature, "no query"),
        (format!("{good}&y=2"), WrongSignature, "a longer query"),
        (format!("{good}&"), WrongSignature, "an empty parameter more"),
        (format!("{good}="), Malformed, "padding"),
        (good.strip_suffix(|_| true).expect("long").to_owned(), Malformed, "a digit less"),
    ];
    for (url, expected, why) in cases {
        assert_refused(&weir(), &url, expected, why);
    }
    // The same path in another spelling is the same target.
    for same in ["http://A.test:80/v/./a.mp4", "http://a.test/x/../v/%61.mp4"] {
        let url = format!("{same}?x=1&weir-exp{proof}");
        assert_eq!(reason(&weir(), &url, "198.51.100.7", NOW), None, "{url}");
    }
}

#[test]
fn a_folder_covers_what_every_server_reads_as_in_it() {
    let good = weir_url("http://a.test/v/1/a.ts", Scope::Prefix("/v/1/".to_owned()));
    let proof = good.split_once('?').expect("a proof").1;
    let cases = [
        ("/v/1/a.ts", None),
        ("/v/1/b/c.ts", None),
        ("/v/1/", None),
        ("/v/1/a.ts?q=1", None),
        ("/v/1", Some(Reason::PathNotCovered)),
        ("/v/10/a.ts", Some(Reason::PathNotCovered)),
        ("/v/1/../2/a.ts", Some(Reason::PathNotCovered)),
        ("/v/1/..%2f2/a.ts", Some(Reason::PathNotCovered)),
        ("/v/1/%2e%2e/2/a.ts", Some(Reason::PathNotCovered)),
        ("/v/1/..%5c2/a.ts", Some(Reason::PathNotCovered)),
        ("/v/1/..;/2/a.ts", Some(Reason::PathNotCovered)),
        ("/v%2f1/a.ts", Some(Reason::PathNotCovered)),
        ("/", Some(Reason::PathNotCovered)),
    ];
    for (path, expected) in cases {
        let sign = if path.contains('?') { '&' } else { '?' };
        let url = format!("http://a.test{path}{sign}{proof}");
        assert_eq!(reason(&weir(), &url, "198.51.100.7", NOW), expected, "{path}");
    }
}

#[test]
fn a_proof_is_for_its_time_and_its_client() {
    let terms = Terms {
        expires: at(NOW + 60),
        not_before: Some(at(NOW)),
        client: Some("2001:db8::/64".parse().unwrap()),
        scope: Scope::Path,
    };
    let url = Weir::new().sign(&weir_key(), &target("http://a.test/a"), &terms).unwrap();
    let asked = |client: &str, now| reason(&weir(), &url, client, now);
    assert_eq!(asked("2001:db8::1", NOW), None);
    assert_eq!(asked("2001:db8::1", NOW + 60), None);
    assert_eq!(asked("2001:db8::1", NOW - 1), Some(Reason::NotYet));
    assert_eq!(asked("2001:db8::1", NOW + 61), Some(Reason::Expired));
    assert_eq!(asked("2001:db8:0:1::1", NOW), Some(Reason::WrongClient));
    assert_eq!(asked("192.0.2.1", NOW), Some(Reason::WrongClient));
    let v4 = Terms { client: Some("192.0.2.0/24".parse().unwrap()), ..terms };
    let url = Weir::new().sign(&weir_key(), &target("http://a.test/a"), &v4).unwrap();
    assert_eq!(reason(&weir(), &url, "::ffff:192.0.2.9", NOW), None, "mapped");
}

#[test]
fn the_skew_is_allowed_at_both_ends() {
    let terms =
        Terms { expires: at(NOW), not_before: Some(at(NOW)), client: None, scope: Scope::Path };
    let url = Weir::new().sign(&weir_key(), &target("http://a.test/a"), &terms).unwrap();
    let (target, headers) = (target(&url), HeaderMap::new());
    let asked = |now: i64| {
        let client = "192.0.2.1".parse().unwrap();
        let request =
            Request { method: &http::Method::GET, target: &target, headers: &headers, client };
        let moment = Moment { now: at(now), skew: std::time::Duration::from_secs(30) };
        weir().verify(request, moment).err().map(|refusal| refusal.reason())
    };
    assert_eq!([asked(NOW - 30), asked(NOW + 30)], [None, None]);
    assert_eq!(asked(NOW - 31), Some(Reason::NotYet));
    assert_eq!(asked(NOW + 31), Some(Reason::Expired));
}

#[test]
fn a_cookie_is_read_strictly_and_only_without_a_proof_in_the_query() {
    let terms = Terms {
        expires: at(NOW + 60),
        not_before: None,
        client: None,
        scope: Scope::Prefix("/v/".to_owned()),
    };
    let page = target("http://a.test/v/1");
    let value = Weir::new().sign_cookie(&weir_key(), &page, &terms).unwrap();
    let cookie = format!("weir-token={value}");
    let asked = |target: &Target, cookies: &[&str]| {
        let asked = ask(&weir(), target, cookies, "192.0.2.1", NOW);
        asked.err().map(|refusal| refusal.reason())
    };
    assert_eq!(asked(&page, &[&cookie]), None);
    let twice = format!("{cookie}; {cookie}");
    assert_eq!(asked(&page, &[&twice]), Some(Reason::Malformed));
    assert_eq!(asked(&page, &[&cookie, &cookie]), Some(Reason::Malformed));
    assert_eq!(asked(&page, &["weir-token="]), Some(Reason::Malformed));
    assert_eq!(asked(&page, &["weir-token=\u{e9}"]), Some(Reason::Malformed));
    let more = format!("{cookie}&x=1");
    assert_eq!(asked(&page, &[&more]), Some(Reason::Malformed));
    let broken = target("http://a.test/v/1?weir-sig=x");
    assert_eq!(asked(&broken, &[&cookie]), Some(Reason::Malformed), "the query comes first");
    let exact = Terms { scope: Scope::Exact, ..terms };
    assert!(Weir::new().sign_cookie(&weir_key(), &page, &exact).is_err());
    // A proof for one URL is no cookie, although it was signed.
    let url = weir_url("http://a.test/v/1", Scope::Exact);
    let proof = format!("weir-token={}", url.split_once('?').expect("a proof").1);
    assert_eq!(asked(&page, &[&proof]), Some(Reason::Malformed));
}

#[test]
fn the_forms_of_other_clouds_are_refused_where_they_are_broken() {
    use Reason::{Expired, Malformed, Missing, WrongSignature};
    let hash = "80cd3862d699b7118eed99103f2a3a4f";
    let upper = hash.to_uppercase();
    let a = |proof: &str| format!("http://c.test/video/standard/1K.html?{proof}");
    let cases: [(Signature, String, Reason, &str); 21] = [
        (alibaba_a(), a("x=1"), Missing, "no parameter"),
        (alibaba_a(), a(&format!("auth_key=1444435200-0-0-{hash}")), Expired, "years ago"),
        (alibaba_a(), a(&format!("auth_key=1444435200-0-0-{upper}")), Malformed, "upper case"),
        (alibaba_a(), a(&format!("auth_key=1444435200-0-{hash}")), Malformed, "three fields"),
        (alibaba_a(), a(&format!("auth_key=1444435200-0-0-0-{hash}")), Malformed, "five fields"),
        (alibaba_a(), a(&format!("auth_key=14444352000-0-0-{hash}")), Malformed, "11 digits"),
        (
            alibaba_a(),
            a(&format!("auth_key=9999999999999999999999-0-0-{hash}")),
            Malformed,
            "enormous",
        ),
        (alibaba_a(), a(&format!("auth_key=-1444435200-0-0-{hash}")), Malformed, "negative"),
        (alibaba_a(), a(&format!("auth_key=1444435200-0-0-{hash}&auth_key=1")), Malformed, "twice"),
        (
            alibaba_a(),
            a(&format!("auth%5Fkey=1444435200-0-0-{hash}")),
            Malformed,
            "an escaped name",
        ),
        (
            alibaba_a(),
            a(&format!("auth_key=1700000000-0-0-{hash}")),
            WrongSignature,
            "another time",
        ),
        (alibaba_b(), "http://c.test/a".to_owned(), Missing, "no proof in the path"),
        (alibaba_b(), format!("http://c.test/202613010000/{hash}/a"), Malformed, "month 13"),
        (alibaba_b(), format!("http://c.test/202601010000/{hash}/a"), WrongSignature, "not signed"),
        (alibaba_b(), format!("http://c.test/202601010000/{hash}/../a"), Missing, "dots go first"),
        (alibaba_c(), "http://c.test/a/b".to_owned(), Missing, "two segments"),
        (alibaba_c(), format!("http://c.test/{hash}/5577/a"), Malformed, "four digits"),
        (alibaba_c(), format!("http://c.test/{hash}/ffffffff/a"), WrongSignature, "not signed"),
        (tencent_d(), format!("http://c.test/a?sign={hash}"), Malformed, "no time"),
        (tencent_d(), "http://c.test/a?t=1700000000".to_owned(), Malformed, "no digest"),
        (tencent_d(), format!("http://c.test/a?sign={hash}&t=5e577978"), Malformed, "hexadecimal"),
    ];
    for (signature, url, expected, why) in cases {
        assert_refused(&signature, &url, expected, why);
    }
}

#[test]
fn a_digit_moved_from_the_path_to_the_time_is_refused() {
    // printf 'tencentkey123/v/11700000000' | md5sum: signed for /v/1 at 1700000000, and, were times of any
    // length, for /v/ at 11700000000.
    let url = weir_access::TypeD::tencent(weir_access::TimeForm::Decimal, VALIDITY)
        .sign(&key("k1", TENCENT), &target("http://c.test/v/1"), at(NOW))
        .unwrap();
    assert_eq!(reason(&tencent_d(), &url, "192.0.2.1", NOW), None);
    let moved = url.replace("/v/1?", "/v/?").replace("t=1700000000", "t=11700000000");
    assert_refused(&tencent_d(), &moved, Reason::Malformed, "11 digits");
    let moved = url.replace("/v/1?", "/v/11?").replace("t=1700000000", "t=700000000");
    assert_refused(&tencent_d(), &moved, Reason::Malformed, "9 digits");
}

#[test]
fn secure_link_does_not_take_one_path_for_another() {
    let link = |path: &str, format: &SecureLink| {
        format.sign(
            &key("k1", b"secret"),
            &target(&format!("http://a.test{path}")),
            at(NOW + 60),
            "",
        )
    };
    let decoded = secure_link("$secure_link_expires$uri $secret");
    let url = link("/s/a", &decoded).unwrap();
    assert_eq!(reason(&nginx_for_anyone(), &url, "192.0.2.1", NOW), None);
    for (from, to) in [("/s/a", "/s%2Fa"), ("/s/a", "/%73/../s%2fa")] {
        assert_refused(&nginx_for_anyone(), &url.replace(from, to), Reason::Malformed, "%2F");
    }
    assert!(link("/s%2Fa", &decoded).is_err());
    // The path as it is in the URL has no such limit.
    let encoded = secure_link("$expires$path $secret");
    let url = link("/s%2Fa", &encoded).unwrap();
    let signature = shared(Format::SecureLink(encoded), b"secret");
    assert_eq!(reason(&signature, &url, "192.0.2.1", NOW), None);
    let other = url.replace("/s%2Fa", "/s/a");
    assert_refused(&signature, &other, Reason::WrongSignature, "a slash is no %2F");
    // Without an expiry in the expression, one in the URL is signed by nobody.
    let eternal = secure_link("$host$uri $secret");
    let url = link("/s/a", &eternal).unwrap();
    let signature = shared(Format::SecureLink(eternal), b"secret");
    assert_eq!(reason(&signature, &url, "192.0.2.1", i64::MAX), None);
    assert_refused(&signature, &format!("{url}&expires=1"), Reason::Malformed, "not signed");
    assert_refused(&signature, &format!("{url}A"), Reason::Malformed, "too long");
    assert_refused(&nginx(), "http://a.test/s/a", Reason::Missing, "no parameter");
    assert_refused(&nginx(), "http://a.test/s/a?md5=x&expires=1", Reason::Malformed, "short");
}

#[test]
fn tokens_of_akamai_are_refused_where_they_are_broken() {
    use Reason::{
        Expired, Malformed, Missing, NotYet, PathNotCovered, WrongClient, WrongSignature,
    };
    let key = akamai_key();
    let format = edge_auth(None, false);
    let page = target("http://a.test/v/a");
    let terms = EdgeTerms {
        expires: at(NOW + 60),
        start: Some(at(NOW - 60)),
        client: Some("192.0.2.1".parse().unwrap()),
        scope: EdgeScope::Acl(vec!["/v/*".to_owned(), "/w/?".to_owned()]),
    };
    let token = format.sign_token(&key, &page, &terms).unwrap();
    let asked = |path: &str, token: &str, client: &str, now| {
        reason(&akamai(), &format!("http://a.test{path}?hdnts={token}"), client, now)
    };
    let (client, hmac) = ("192.0.2.1", token.split_once("~hmac=").expect("a digest").1);
    let cases = [
        ("/v/b/c", token.clone(), client, NOW, None),
        ("/w/b", token.clone(), client, NOW, None),
        ("/w/bb", token.clone(), client, NOW, Some(PathNotCovered)),
        ("/x", token.clone(), client, NOW, Some(PathNotCovered)),
        ("/v/..%2Fx", token.clone(), client, NOW, Some(PathNotCovered)),
        ("/v/a", token.clone(), client, NOW + 61, Some(Expired)),
        ("/v/a", token.clone(), client, NOW - 61, Some(NotYet)),
        ("/v/a", token.clone(), "192.0.2.2", NOW, Some(WrongClient)),
        ("/v/a", token.replace("/v/*", "/*"), client, NOW, Some(WrongSignature)),
        ("/v/a", token.replace("hmac=", "hmac=0"), client, NOW, Some(Malformed)),
        ("/v/a", format!("exp=1~exp=2~hmac={hmac}"), client, NOW, Some(Malformed)),
        ("/v/a", format!("exp=1~new=2~hmac={hmac}"), client, NOW, Some(Malformed)),
        ("/v/a", format!("exp~hmac={hmac}"), client, NOW, Some(Malformed)),
        ("/v/a", format!("hmac={hmac}"), client, NOW, Some(Malformed)),
        ("/v/a", format!("~hmac={hmac}"), client, NOW, Some(Malformed)),
        ("/v/a", format!("{token}~x=1"), client, NOW, Some(Malformed)),
        ("/v/a", format!("data={}~hmac={hmac}", "x".repeat(5000)), client, NOW, Some(Malformed)),
        ("/v/a", String::new(), client, NOW, Some(Malformed)),
    ];
    for (path, token, client, now, expected) in cases {
        assert_eq!(asked(path, &token, client, now), expected, "{path} {token:.80}");
    }
    assert_refused(&akamai(), "http://a.test/v/a", Missing, "no token");

    let mut headers = HeaderMap::new();
    headers.append(HeaderName::from_static("hdnts"), HeaderValue::from_str(&token).unwrap());
    assert!(ask_with(&akamai(), &page, &headers, client, NOW).is_ok(), "in a field");
    headers.append(HeaderName::from_static("hdnts"), HeaderValue::from_str(&token).unwrap());
    assert!(ask_with(&akamai(), &page, &headers, client, NOW).is_err(), "twice");

    let never = |secs: &str| {
        let signed = format!("{secs}acl=/*");
        let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[0x52, 0xa1].repeat(7));
        let tag = aws_lc_rs::hmac::sign(&hmac, signed.as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        asked("/v/a", &format!("{signed}~hmac={hex}"), client, NOW)
    };
    assert_eq!(never("exp=1700000060~"), None);
    assert_eq!(never(""), Some(Malformed), "signed, but for ever");
    assert_eq!(never("exp=99999999999999999999~"), Some(Malformed), "an enormous number");
}

#[test]
fn proofs_of_cloudfront_are_refused_where_they_are_broken() {
    use Reason::{Malformed, Missing, UnknownKey, WrongSignature};
    let cases = [
        ("x=1", Missing, "nothing"),
        ("Expires=1700000060", Malformed, "one alone"),
        ("Signature=AAAA&Key-Pair-Id=KRSA", Malformed, "neither policy"),
        ("Expires=1700000060&Policy=e30_&Signature=AAAA&Key-Pair-Id=KRSA", Malformed, "both"),
        ("Expires=1700000060&Signature=AAAA&Key-Pair-Id=K9", UnknownKey, "another key"),
        ("Expires=1700000060&Signature=AAAA&Key-Pair-Id=KRSA", WrongSignature, "not signed"),
        ("Expires=1700000060&Signature=AAAA&Key-Pair-Id=KEC", WrongSignature, "not signed"),
        ("Expires=1700000060&Signature=&Key-Pair-Id=KEC", WrongSignature, "empty"),
        ("Expires=1700000060&Signature=A+A/&Key-Pair-Id=KRSA", Malformed, "plain base64"),
        ("Expires=1700000060&Signature=A&Key-Pair-Id=KRSA", Malformed, "cut short"),
        ("Expires=x&Signature=AAAA&Key-Pair-Id=KRSA", Malformed, "no number"),
        ("Expires=1&Expires=2&Signature=AAAA&Key-Pair-Id=KRSA", Malformed, "twice"),
        ("Policy=AAAA&Signature=AAAA&Key-Pair-Id=KRSA", Malformed, "no policy"),
        ("Expires=1700000060&Signature=AAAA&Key-Pair-Id=KRSA&Hash-Algorithm=MD5", Malformed, "MD5"),
    ];
    for (proof, expected, why) in cases {
        assert_refused(&cloudfront(), &format!("http://a.test/a?{proof}"), expected, why);
    }
    let quoted = "http://a.test/a%22?b=\"&Expires=1700000060&Signature=AAAA&Key-Pair-Id=KRSA";
    assert_refused(&cloudfront(), quoted, Malformed, "a quote ends the text of the URL");
}

#[test]
fn explanations_help_without_giving_anything_away() {
    // (signature, URL, what has to be in the explanation)
    let url = weir_url("http://a.test/v/a.mp4", Scope::Exact).replace("/v/a", "/v/b");
    let hash = "0".repeat(32);
    let cases = [
        (weir(), url, "weir-1\\na.test\\nexact\\n/v/b.mp4\\n\\n1700000060\\n\\n\\nk1"),
        (
            alibaba_a(),
            format!("http://a.test/a?auth_key=1700000000-0-0-{hash}"),
            "md5 of /a-1700000000-0-0-<secret> with none of the keys k0, k1, k2",
        ),
        (
            nginx(),
            "http://a.test/a?md5=AAAAAAAAAAAAAAAAAAAAAA&expires=2147483647".to_owned(),
            "md5 of 2147483647/a198.51.100.7 <secret>",
        ),
        (
            akamai_salted(),
            format!("http://a.test/a?hdnts=exp=1700000060~hmac={hash}{hash}"),
            "exp=1700000060~url=%2fa~salt=<salt>",
        ),
    ];
    for (signature, url, part) in cases {
        let refusal = ask(&signature, &target(&url), &[], "198.51.100.7", NOW).unwrap_err();
        let text = refusal.explain();
        assert_eq!(refusal.reason(), Reason::WrongSignature, "{text}");
        assert!(text.contains(part), "{text}");
        for secret in ["a-secret-of-the-docs", "aliyuncdnexp1234", "52a152", "pepper"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert_eq!(format!("{:?}", Secret::new(b"pepper").unwrap()), "Secret(hidden)");
}
