//! Every format against vectors that other tools made, both ways.
//!
//! The command that made a vector stands above it; `KEY` is `aliyuncdnexp1234`, the key of Alibaba Cloud's
//! documentation. Each vector is accepted, made again where signing has one result, and refused with any byte changed.

mod support;

use support::*;
use weir_access::{
    CloudFront, CustomPolicy, EdgeScope, EdgeTerms, Hash, PrivateKey, Scope, Signature, Signed,
    Terms, TimeForm, TypeA, TypeB, TypeC, TypeD, Weir,
};
use weir_cache::{Target, UnixTime};

/// A URL that is right at `now`.
struct Vector {
    why: &'static str,
    signature: fn() -> Signature,
    url: &'static str,
    cookies: &'static [&'static str],
    client: &'static str,
    now: i64,
    /// What is looked up and sent upstream.
    stripped: &'static str,
    /// Parts of the URL that the signature does not cover.
    free: &'static [&'static str],
}

const VECTOR: Vector = Vector {
    why: "",
    signature: weir,
    url: "",
    cookies: &[],
    client: "198.51.100.7",
    now: 1_700_000_000,
    stripped: "",
    free: &[],
};

const VECTORS: &[Vector] = &[
    // printf 'weir-1\nwww.example.com\nexact\n/a.mp4\n?x=1\n1700003600\n\n\nk1' \
    //   | openssl dgst -sha256 -hmac a-secret-of-the-docs -binary | openssl base64 -A | tr +/ -_ | tr -d =
    Vector {
        why: "weir, one URL",
        signature: weir,
        url: "http://www.example.com/a.mp4?x=1&weir-exp=1700003600&weir-key=k1&weir-sig=mjJgQQsJFm68FchFb7v8Ufzw0BUXQJw7u7I_JBa7Hvo",
        stripped: "http://www.example.com/a.mp4?x=1",
        ..VECTOR
    },
    // printf 'weir-1\nwww.example.com\npath\n/a.mp4\n\n1700003600\n\n\nk1' | openssl ... as above
    Vector {
        why: "weir, one path with any query",
        signature: weir,
        url: "http://www.example.com/a.mp4?x=1&weir-exp=1700003600&weir-for=/a.mp4&weir-key=k1&weir-sig=h25ozSe6YDZaDbWOf5_thZB5FnVbm1yzIMcJPPvlT60",
        stripped: "http://www.example.com/a.mp4?x=1",
        free: &["x=1"],
        ..VECTOR
    },
    // printf 'weir-1\nwww.example.com\nprefix\n/video/42/\n\n1700003600\n1700000000\n198.51.100.0/24\nk1' | openssl ...
    Vector {
        why: "weir, a folder",
        signature: weir,
        url: "http://www.example.com/video/42/seg-1.ts?weir-exp=1700003600&weir-nbf=1700000000&weir-ip=198.51.100.0/24&weir-for=/video/42/*&weir-key=k1&weir-sig=k7dpj1ISINXtQhNd9R5AyZ-bZBKP0pgLkEN1kCbpccw",
        stripped: "http://www.example.com/video/42/seg-1.ts",
        free: &["seg-1.ts"],
        ..VECTOR
    },
    Vector {
        why: "weir, a folder, by cookie",
        signature: weir,
        url: "http://www.example.com/video/42/seg-1.ts",
        cookies: &[
            "a=1; weir-token=weir-exp=1700003600&weir-nbf=1700000000&weir-ip=198.51.100.0/24&weir-for=/video/42/*&weir-key=k1&weir-sig=k7dpj1ISINXtQhNd9R5AyZ-bZBKP0pgLkEN1kCbpccw",
        ],
        stripped: "http://www.example.com/video/42/seg-1.ts",
        free: &["seg-1.ts"],
        ..VECTOR
    },
    // printf '/video/standard/1K.html-1444435200-0-0-KEY' | md5sum
    Vector {
        why: "Alibaba Cloud A",
        signature: alibaba_a,
        url: "http://cdn.example.com/video/standard/1K.html?auth_key=1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f",
        now: 1_444_436_000,
        stripped: "http://cdn.example.com/video/standard/1K.html",
        ..VECTOR
    },
    // printf 'KEY201508150800/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3' | md5sum
    Vector {
        why: "Alibaba Cloud B",
        signature: alibaba_b,
        url: "http://cdn.example.com/201508150800/9044548ef1527deadafa49a890a377f0/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
        now: 1_439_597_000,
        stripped: "http://cdn.example.com/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
        ..VECTOR
    },
    // printf 'KEY/test.flv55CE8100' | md5sum
    Vector {
        why: "Alibaba Cloud C",
        signature: alibaba_c,
        url: "http://cdn.example.com/a37fa50a5fb8f71214b1e7c95ec7a1bd/55CE8100/test.flv",
        now: 1_439_597_000,
        stripped: "http://cdn.example.com/test.flv",
        ..VECTOR
    },
    Vector {
        why: "Alibaba Cloud C in the query",
        signature: alibaba_c_in_query,
        url: "http://cdn.example.com/test.flv?KEY1=a37fa50a5fb8f71214b1e7c95ec7a1bd&KEY2=55CE8100",
        now: 1_439_597_000,
        stripped: "http://cdn.example.com/test.flv",
        ..VECTOR
    },
    // printf '/test.jpg-1582791032-im1acp76sx9sdqe601v-0-tencentkey123' | md5sum
    Vector {
        why: "Tencent Cloud A",
        signature: tencent_a,
        url: "http://cloud.tencent.com/test.jpg?sign=1582791032-im1acp76sx9sdqe601v-0-de7bcad90e7ba8fd2d0e1a766f8ca0ef",
        now: 1_582_791_100,
        stripped: "http://cloud.tencent.com/test.jpg",
        ..VECTOR
    },
    // printf 'tencentkey123202003032017/test.jpg' | md5sum
    Vector {
        why: "Tencent Cloud B",
        signature: tencent_b,
        url: "http://cloud.tencent.com/202003032017/5e245bab92a67a898c6e682af117cb24/test.jpg",
        now: 1_583_237_900,
        stripped: "http://cloud.tencent.com/test.jpg",
        ..VECTOR
    },
    // printf 'tencentkey123/test.jpg5e577978' | md5sum
    Vector {
        why: "Tencent Cloud C",
        signature: tencent_c,
        url: "http://cloud.tencent.com/d4fd696cd91252e79b35716695e78478/5e577978/test.jpg",
        now: 1_582_791_100,
        stripped: "http://cloud.tencent.com/test.jpg",
        ..VECTOR
    },
    // printf 'tencentkey123/test.jpg1582791032' | md5sum
    Vector {
        why: "Tencent Cloud D",
        signature: tencent_d,
        url: "http://cloud.tencent.com/test.jpg?sign=25d69eccf9216035946a6ce3e84d6150&t=1582791032",
        now: 1_582_791_100,
        stripped: "http://cloud.tencent.com/test.jpg",
        ..VECTOR
    },
    Vector {
        why: "Tencent Cloud D, time in hexadecimal",
        signature: tencent_d_hex,
        url: "http://cloud.tencent.com/test.jpg?sign=d4fd696cd91252e79b35716695e78478&t=5e577978",
        now: 1_582_791_100,
        stripped: "http://cloud.tencent.com/test.jpg",
        ..VECTOR
    },
    // printf '2147483647/s/link127.0.0.1 secret' | openssl md5 -binary | openssl base64 | tr +/ -_ | tr -d =
    Vector {
        why: "nginx, the example of its manual",
        signature: nginx,
        url: "http://www.example.com/s/link?md5=_e4Nc3iduzkWRm01TBBNYw&expires=2147483647",
        client: "127.0.0.1",
        stripped: "http://www.example.com/s/link",
        ..VECTOR
    },
    // printf '2147483647/s/café link secret' | openssl md5 -binary | ... as above
    Vector {
        why: "nginx digests the decoded path",
        signature: nginx_for_anyone,
        url: "http://www.example.com/s/caf%C3%A9%20link?md5=6mfied1-3zxXQ96evx6vzg&expires=2147483647",
        stripped: "http://www.example.com/s/caf%C3%A9%20link",
        ..VECTOR
    },
    // akamai-edgeauth 0.3.2: EdgeAuth(token_name='hdnts', key='52a1...', start_time=1700000000, end_time=1700003600)
    // .generate_acl_token(['/video/*', '/img/*'])
    Vector {
        why: "Akamai, patterns",
        signature: akamai,
        url: "http://www.example.com/video/1/a.ts?hdnts=st=1700000000~exp=1700003600~acl=/video/*!/img/*~hmac=afbed1926222cd98e8776074119ff3a34520fb9f612949fe71261e2b926295ff",
        stripped: "http://www.example.com/video/1/a.ts",
        free: &["1/a.ts"],
        ..VECTOR
    },
    Vector {
        why: "Akamai, by cookie",
        signature: akamai,
        url: "http://www.example.com/img/x",
        cookies: &[
            "hdnts=st=1700000000~exp=1700003600~acl=/video/*!/img/*~hmac=afbed1926222cd98e8776074119ff3a34520fb9f612949fe71261e2b926295ff",
        ],
        stripped: "http://www.example.com/img/x",
        free: &["/x"],
        ..VECTOR
    },
    // EdgeAuth(..., salt='pepper', ip='198.51.100.7', escape_early=True).generate_url_token('/a/b~c%20d.mp4')
    Vector {
        why: "Akamai, one path with address and salt",
        signature: akamai_salted,
        url: "http://www.example.com/a/b~c%20d.mp4?hdnts=ip=198.51.100.7~exp=1700003600~hmac=d90058ffc338b8ff31834f894676044297650e8ba5d526ccac697e86d93b0100",
        stripped: "http://www.example.com/a/b~c%20d.mp4",
        ..VECTOR
    },
    // EdgeAuth(..., session_id='s1', payload='u=1').generate_url_token('/a.mp4')
    Vector {
        why: "Akamai, with session and data",
        signature: akamai,
        url: "http://www.example.com/a.mp4?hdnts=exp=1700003600~id=s1~data=u=1~hmac=88c65be03cf6ed81114e53c3bf0b1ef5446cafcac6b798ba0f07f774a473f0c4",
        stripped: "http://www.example.com/a.mp4",
        ..VECTOR
    },
    // P='{"Statement":[{"Resource":"<URL less the proof>","Condition":{"DateLessThan":{"AWS:EpochTime":1700003600}}}]}'
    // printf '%s' "$P" | openssl dgst -sha1 -sign keys/rsa.pem | openssl base64 -A | tr -- '+=/' '-_~'
    Vector {
        why: "CloudFront canned, RSA, SHA-1",
        signature: cloudfront,
        url: "https://d111111abcdef8.cloudfront.net/images/image.jpg?size=large&Expires=1700003600&Signature=PG0ZxYIKT1YcFZWsmKOTy2fJUCO11lKmcEkXqcBbY5z4BZWJBIcvlw36UnxZofz~f6D7XL6tRcfavse6XIoT88dxZtiKyTlHc~rF6Sri0NX5Z6gJQZv-j9ZFIMBnGH01BvWudh9fHyLcN52TTVrg9fjoPaRWBL0drHvajtcii9ujukSYPHnYSdHb1zxJ8dpoW4nT~fBURwWIRpZM7lVpw9M3jQOgE-wfx5BMgSjpLYhU21kUEjiGiAfNobL4WhPxwCPKxC905cpTlYRQZKHaoyL-u7G1qVGZ81PefxqaBdp~1FhL7FfIze-Vg2GbCYPsgWsOP1x2HVVLiGqgOUyliw__&Key-Pair-Id=KRSA",
        stripped: "https://d111111abcdef8.cloudfront.net/images/image.jpg?size=large",
        ..VECTOR
    },
    // the same with -sha256
    Vector {
        why: "CloudFront canned, RSA, SHA-256",
        signature: cloudfront,
        url: "https://d111111abcdef8.cloudfront.net/images/image.jpg?size=large&Expires=1700003600&Signature=WCqCEzssn~s4-cqWbAZTpKML2qWV42Xu-0tHP1KbzNEhw5B8md2LE1UHNJa5ijQrfio-LrNskbK17Ts3n63fxKbSv7fDVQBJjzjgwwihkukjtC8eotNSmHSDuIFuTDAls~WbRACs~hwL1Uo3lNoOtb5mcWBJKJVqTKb3xu9YzVQoNSzz-GscBI-Ka04EhCitpedo~v~SAGl1OS7d-sIlAMudJNuQcgBy9XWS2rPnZ6ojsy4U-A9daUJYVmlhv5qN58-KMcMPHPJ~KYBJL1~It01YgbDUb3cREcbd76IxcQkDKIq3rkDcDuTka2lWRJz63oL1sukFWhzb~BP1OVvhiA__&Key-Pair-Id=KRSA&Hash-Algorithm=SHA256",
        stripped: "https://d111111abcdef8.cloudfront.net/images/image.jpg?size=large",
        ..VECTOR
    },
    // the same with -sha1 -sign keys/ecdsa.pem
    Vector {
        why: "CloudFront canned, ECDSA, SHA-1",
        signature: cloudfront,
        url: "https://d111111abcdef8.cloudfront.net/images/image.jpg?size=large&Expires=1700003600&Signature=MEQCIERKvaZOOdN0bCOvTyj-sR4PqrHEECfbPeBNP~057VjzAiB-x-pYciG6KAOTlCJ02Dc0~e8pXaeEaQBIDaMD7W7i3w__&Key-Pair-Id=KEC",
        stripped: "https://d111111abcdef8.cloudfront.net/images/image.jpg?size=large",
        ..VECTOR
    },
    // P='{"Statement":[{"Resource":"http*://d111111abcdef8.cloudfront.net/video/*","Condition":{"DateLessThan":
    // {"AWS:EpochTime":1700003600},"DateGreaterThan":{"AWS:EpochTime":1700000000},"IpAddress":{"AWS:SourceIp":"192.0.2.0/24"}}}]}'
    // (in one line), and as above
    Vector {
        why: "CloudFront custom, by cookies",
        signature: cloudfront,
        url: "https://d111111abcdef8.cloudfront.net/video/1.ts?q=1",
        cookies: &[
            "CloudFront-Policy=eyJTdGF0ZW1lbnQiOlt7IlJlc291cmNlIjoiaHR0cCo6Ly9kMTExMTExYWJjZGVmOC5jbG91ZGZyb250Lm5ldC92aWRlby8qIiwiQ29uZGl0aW9uIjp7IkRhdGVMZXNzVGhhbiI6eyJBV1M6RXBvY2hUaW1lIjoxNzAwMDAzNjAwfSwiRGF0ZUdyZWF0ZXJUaGFuIjp7IkFXUzpFcG9jaFRpbWUiOjE3MDAwMDAwMDB9LCJJcEFkZHJlc3MiOnsiQVdTOlNvdXJjZUlwIjoiMTkyLjAuMi4wLzI0In19fV19; CloudFront-Signature=D4kLKaW9kolUK~1qkLpuLlLLjt8Pd4N3BhjB9D5pN7D0bETL84KCmAc0i5Nscnh7bxo0ZJajKniEJReW26aQn1j2MLzy2AoWBuW~Nx4KvPYbLl1EcYzng~ckkRmYM2nxt-4F3iZNSnxrRDTpQ7EzVid~cwDKKwX~vKxEC5X~Elk7404lphcv8mNdkP8yEc5C~Kh1IVcozVyoRt4agTMajV76J0~PNGA7yHWggryNN~wwTnGKuqtpyn05bjSiIN1FD4-hBAa6FaE3G5W8VIEkYqRbtUOgBI1aGuJoqLLWTmI0tZoiMDE45GAi5HhYDX7gBljkh438pAj9VWa2fqysWQ__",
            "CloudFront-Key-Pair-Id=KRSA",
        ],
        client: "192.0.2.9",
        now: 1_700_000_001,
        stripped: "https://d111111abcdef8.cloudfront.net/video/1.ts?q=1",
        free: &["1.ts?q=1"],
    },
    Vector {
        why: "CloudFront custom, in the query",
        signature: cloudfront,
        url: "https://d111111abcdef8.cloudfront.net/video/1.ts?Policy=eyJTdGF0ZW1lbnQiOlt7IlJlc291cmNlIjoiaHR0cCo6Ly9kMTExMTExYWJjZGVmOC5jbG91ZGZyb250Lm5ldC92aWRlby8qIiwiQ29uZGl0aW9uIjp7IkRhdGVMZXNzVGhhbiI6eyJBV1M6RXBvY2hUaW1lIjoxNzAwMDAzNjAwfSwiRGF0ZUdyZWF0ZXJUaGFuIjp7IkFXUzpFcG9jaFRpbWUiOjE3MDAwMDAwMDB9LCJJcEFkZHJlc3MiOnsiQVdTOlNvdXJjZUlwIjoiMTkyLjAuMi4wLzI0In19fV19&Signature=D4kLKaW9kolUK~1qkLpuLlLLjt8Pd4N3BhjB9D5pN7D0bETL84KCmAc0i5Nscnh7bxo0ZJajKniEJReW26aQn1j2MLzy2AoWBuW~Nx4KvPYbLl1EcYzng~ckkRmYM2nxt-4F3iZNSnxrRDTpQ7EzVid~cwDKKwX~vKxEC5X~Elk7404lphcv8mNdkP8yEc5C~Kh1IVcozVyoRt4agTMajV76J0~PNGA7yHWggryNN~wwTnGKuqtpyn05bjSiIN1FD4-hBAa6FaE3G5W8VIEkYqRbtUOgBI1aGuJoqLLWTmI0tZoiMDE45GAi5HhYDX7gBljkh438pAj9VWa2fqysWQ__&Key-Pair-Id=KRSA",
        client: "192.0.2.9",
        now: 1_700_000_001,
        stripped: "https://d111111abcdef8.cloudfront.net/video/1.ts",
        free: &["1.ts"],
        ..VECTOR
    },
];

#[test]
fn every_vector_is_accepted_and_stripped() {
    for vector in VECTORS {
        let target: Target = vector.url.parse().expect(vector.why);
        let signature = (vector.signature)();
        let grant = ask(&signature, &target, vector.cookies, vector.client, vector.now);
        let grant = grant.unwrap_or_else(|refusal| panic!("{}: {refusal}", vector.why));
        assert_eq!(grant.target().uri(), vector.stripped, "{}", vector.why);
        assert!(["k1", "KRSA", "KEC"].contains(&grant.key_id()), "{}", vector.why);
        assert!(grant.expires().is_some(), "{}", vector.why);
    }
}

/// Whether the byte at `at` lies in one of the parts of `text`.
fn lies_in(parts: &[&str], text: &str, at: usize) -> bool {
    parts.iter().any(|part| {
        text.match_indices(part).any(|(from, _)| (from..from + part.len()).contains(&at))
    })
}

/// `text` with each byte from `from` on changed in several ways.
fn changed(text: &str, from: usize) -> impl Iterator<Item = (usize, String)> {
    (from..text.len()).flat_map(move |at| {
        let was = text.as_bytes()[at];
        let others =
            [was ^ 1, was ^ 2, was ^ 0x20, b'0', b'9', b'a', b'/', b'~', b'-', b'&', b'%', b'*'];
        others.into_iter().filter(move |byte| *byte != was).filter_map(move |byte| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = byte;
            String::from_utf8(bytes).ok().map(|changed| (at, changed))
        })
    })
}

#[test]
fn a_vector_with_any_byte_changed_is_refused() {
    let mut tried = 0;
    for vector in VECTORS {
        let target: Target = vector.url.parse().expect(vector.why);
        let signature = (vector.signature)();
        let from = vector.url.find('/').expect("a scheme") + 2;
        let from = from + vector.url[from..].find('/').expect("a path");
        for (at, url) in changed(vector.url, from) {
            let Ok(other) = url.parse::<Target>() else { continue };
            // An escape in lower case is the same path.
            if lies_in(vector.free, vector.url, at) || other == target {
                continue;
            }
            let asked = ask(&signature, &other, vector.cookies, vector.client, vector.now);
            assert!(asked.is_err(), "{}: {url}", vector.why);
            tried += 1;
        }
        for (index, cookie) in vector.cookies.iter().enumerate() {
            for (at, changed) in changed(cookie, 0) {
                if lies_in(&["a=1; "], cookie, at) || http::HeaderValue::from_str(&changed).is_err()
                {
                    continue;
                }
                let mut cookies = vector.cookies.to_vec();
                cookies[index] = &changed;
                let asked = ask(&signature, &target, &cookies, vector.client, vector.now);
                assert!(asked.is_err(), "{}: {changed}", vector.why);
                tried += 1;
            }
        }
    }
    assert!(tried > 20_000, "{tried}");
}

#[test]
fn a_vector_is_refused_after_its_time_and_says_so() {
    for vector in VECTORS {
        let target: Target = vector.url.parse().expect(vector.why);
        let signature = (vector.signature)();
        let at = |now| ask(&signature, &target, vector.cookies, vector.client, now);
        let last = at(vector.now).expect(vector.why).expires().expect(vector.why).as_secs();
        assert!(at(last).is_ok(), "{}", vector.why);
        assert_eq!(at(last + 1).expect_err(vector.why).reason().as_str(), "expired");
        assert_eq!(at(i64::MAX).expect_err(vector.why).reason().as_str(), "expired");
    }
}

fn target(url: &str) -> Target {
    url.parse().expect("a target")
}

fn url_of(why: &str) -> &'static str {
    VECTORS.iter().find(|vector| vector.why == why).map(|vector| vector.url).expect("a vector")
}

fn stripped(why: &str) -> Target {
    target(VECTORS.iter().find(|vector| vector.why == why).expect("a vector").stripped)
}

const EXPIRES: UnixTime = UnixTime::from_secs(1_700_003_600);

#[test]
fn weir_is_signed_as_the_vectors_are() {
    let (format, key) = (Weir::new(), key("k1", b"a-secret-of-the-docs"));
    let terms = |scope| Terms { expires: EXPIRES, not_before: None, client: None, scope };
    for (why, scope) in
        [("weir, one URL", Scope::Exact), ("weir, one path with any query", Scope::Path)]
    {
        let url = format.sign(&key, &stripped(why), &terms(scope)).unwrap();
        assert_eq!(url, url_of(why));
        // Signing again replaces the proof.
        assert_eq!(format.sign(&key, &target(&url), &terms(Scope::Exact)), {
            format.sign(&key, &stripped(why), &terms(Scope::Exact))
        });
    }
    let folder = Terms {
        not_before: Some(UnixTime::from_secs(1_700_000_000)),
        client: Some("198.51.100.0/24".parse().unwrap()),
        ..terms(Scope::Prefix("/video/42/".to_owned()))
    };
    let segment = stripped("weir, a folder");
    assert_eq!(format.sign(&key, &segment, &folder).unwrap(), url_of("weir, a folder"));
    let cookie = format.sign_cookie(&key, &segment, &folder).unwrap();
    assert!(url_of("weir, a folder").ends_with(&cookie), "{cookie}");
}

#[test]
fn the_forms_of_alibaba_and_tencent_are_signed_as_the_vectors_are() {
    let at = UnixTime::from_secs;
    let (alibaba, tencent) = (key("k1", ALIBABA), key("k1", TENCENT));
    let check = |why: &str, sign: &dyn Fn(&Target) -> String| {
        assert_eq!(sign(&stripped(why)), url_of(why), "{why}");
    };
    let jpg = at(1_582_791_032);
    check("Alibaba Cloud A", &|target| {
        TypeA::alibaba(VALIDITY).sign(&alibaba, target, at(1_444_435_200), "0").unwrap()
    });
    check("Alibaba Cloud B", &|target| {
        TypeB::new(VALIDITY).sign(&alibaba, target, at(1_439_596_859)).unwrap()
    });
    check("Tencent Cloud A", &|target| {
        TypeA::tencent(VALIDITY).sign(&tencent, target, jpg, "im1acp76sx9sdqe601v").unwrap()
    });
    check("Tencent Cloud B", &|target| {
        TypeB::new(VALIDITY).sign(&tencent, target, at(1_583_237_820)).unwrap()
    });
    check("Tencent Cloud C", &|target| TypeC::new(VALIDITY).sign(&tencent, target, jpg).unwrap());
    check("Tencent Cloud D", &|target| {
        TypeD::tencent(TimeForm::Decimal, VALIDITY).sign(&tencent, target, jpg).unwrap()
    });
    check("Tencent Cloud D, time in hexadecimal", &|target| {
        TypeD::tencent(TimeForm::Hex, VALIDITY).sign(&tencent, target, jpg).unwrap()
    });
    // Alibaba Cloud's own example of type C has the time in upper case; we write lower case:
    // printf 'KEY/test.flv55ce8100' | md5sum
    let digest = "c6880e19a04f71f9a585d0394cf0794e";
    let (flv, time) = (stripped("Alibaba Cloud C"), at(1_439_596_800));
    let base = "http://cdn.example.com";
    assert_eq!(
        TypeC::new(VALIDITY).sign(&alibaba, &flv, time).unwrap(),
        format!("{base}/{digest}/55ce8100/test.flv")
    );
    assert_eq!(
        TypeD::alibaba(VALIDITY).sign(&alibaba, &flv, time).unwrap(),
        format!("{base}/test.flv?KEY1={digest}&KEY2=55ce8100")
    );
}

#[test]
fn secure_link_is_signed_as_the_vectors_are() {
    let (key, expires) = (key("k1", b"secret"), UnixTime::from_secs(2_147_483_647));
    let why = "nginx, the example of its manual";
    let format = secure_link("$secure_link_expires$uri$remote_addr $secret");
    assert_eq!(format.sign(&key, &stripped(why), expires, "127.0.0.1").unwrap(), url_of(why));
    let why = "nginx digests the decoded path";
    let format = secure_link("$secure_link_expires$uri $secret");
    assert_eq!(format.sign(&key, &stripped(why), expires, "").unwrap(), url_of(why));
}

#[test]
fn edge_auth_is_signed_as_the_vectors_are() {
    let key = akamai_key();
    let patterns = vec!["/video/*".to_owned(), "/img/*".to_owned()];
    let acl = EdgeTerms {
        expires: EXPIRES,
        start: Some(UnixTime::from_secs(1_700_000_000)),
        client: None,
        scope: EdgeScope::Acl(patterns),
    };
    let (why, format) = ("Akamai, patterns", edge_auth(None, false));
    assert_eq!(format.sign(&key, &stripped(why), &acl).unwrap(), url_of(why));
    let url = EdgeTerms {
        start: None,
        client: Some("198.51.100.7".parse().unwrap()),
        scope: EdgeScope::Url,
        ..acl
    };
    let (why, format) = ("Akamai, one path with address and salt", edge_auth(Some("pepper"), true));
    assert_eq!(format.sign(&key, &stripped(why), &url).unwrap(), url_of(why));
}

#[test]
fn cloudfront_is_signed_with_what_others_verify() {
    let format = CloudFront::new(None);
    // RSA has one signature for a text, and it is the one of openssl.
    let why = "CloudFront canned, RSA, SHA-256";
    let text = format.canned(&stripped(why), EXPIRES).unwrap();
    let signed = PrivateKey::from_pem(RSA).unwrap().sign("KRSA", &text).unwrap();
    assert_eq!(format.canned_url(&stripped(why), EXPIRES, &signed), url_of(why));
    // ECDSA has many.
    let signed = PrivateKey::from_pem(ECDSA).unwrap().sign("KEC", &text).unwrap();
    let url = target(&format.canned_url(&stripped(why), EXPIRES, &signed));
    assert!(ask(&cloudfront(), &url, &[], "198.51.100.7", 1_700_000_000).is_ok());
    // A signature that was made outside is put in as it is.
    let why = "CloudFront canned, RSA, SHA-1";
    let outside = Signed { key: "KRSA", hash: Hash::Sha1, signature: vec![0xfb, 0xff] };
    let url = format.canned_url(&stripped(why), EXPIRES, &outside);
    assert!(
        url.ends_with("?size=large&Expires=1700003600&Signature=-~8_&Key-Pair-Id=KRSA"),
        "{url}"
    );
}

#[test]
fn custom_policies_are_signed_for_url_and_cookies() {
    let format = CloudFront::new(None);
    let policy = CustomPolicy {
        resource: "https://d111111abcdef8.cloudfront.net/video/*".to_owned(),
        date_less_than: EXPIRES.as_secs(),
        date_greater_than: None,
        client: None,
    };
    let text = policy.write().unwrap();
    let signed = PrivateKey::from_pem(RSA).unwrap().sign("KRSA", &text).unwrap();
    let page = target("https://d111111abcdef8.cloudfront.net/video/1.ts?q=1");
    let url = target(&format.custom_url(&page, &text, &signed));
    let grant = ask(&cloudfront(), &url, &[], "2001:db8::1", 1_700_000_000).unwrap();
    assert_eq!(grant.target(), &page);
    let cookies = format.custom_cookies(&text, &signed);
    let cookies: Vec<String> =
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let line = cookies.join("; ");
    assert!(ask(&cloudfront(), &page, &[&line], "2001:db8::1", 1_700_000_000).is_ok());
}

#[test]
fn urls_are_signed_for_the_scheme_that_clients_use() {
    let format = CloudFront::new(Some(weir_cache::Scheme::Https));
    let page = target("http://d111111abcdef8.cloudfront.net/images/image.jpg?size=large");
    let text = format.canned(&page, EXPIRES).unwrap();
    let signed = PrivateKey::from_pem(RSA).unwrap().sign("KRSA", &text).unwrap();
    let url = format.canned_url(&page, EXPIRES, &signed);
    assert_eq!(url, url_of("CloudFront canned, RSA, SHA-256"));
}

/// What a reader copies from the guide is what is tested here.
#[test]
fn the_guide_has_the_vectors() {
    let guide = include_str!("../../docs/signed-urls.md");
    let mut shown = 0;
    for vector in VECTORS {
        let short = vector.why.starts_with("CloudFront") || vector.why.contains("by cookie");
        let variant = ["weir, one path", "Akamai, one path", "Akamai, with"];
        if !short && !variant.iter().any(|why| vector.why.starts_with(why)) {
            assert!(guide.contains(vector.url), "{}", vector.why);
            shown += 1;
        }
    }
    assert_eq!(shown, 14);
}
