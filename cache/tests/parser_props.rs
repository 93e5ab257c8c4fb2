//! Properties of the parsers and of the arithmetic on their results.
//!
//! Field values come from clients and origins, so they are arbitrary bytes here: nothing may panic,
//! and nothing malformed may make a response fresher.

#![expect(
    clippy::unwrap_used,
    reason = "a strategy that yields an illegal field is a bug of the test"
)]

use std::time::Duration;

use http::header::{
    ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONNECTION, CONTENT_LOCATION, COOKIE, DATE, ETAG, EXPIRES,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use weir_cache::{
    Direction, Now, Policy, Profile, RangeSpec, RequestDirectives, RequestHead, ResponseHead, Seq,
    StoredHead, Timestamp, Timing, UnixTime, condition_on, evaluate, format_http_date, freshen,
    if_range_holds, judge_not_modified, merge_not_modified, parse_content_range, parse_http_date,
    reduce_accept_encoding, resolve_range, same_origin_references, strip_hop_by_hop,
};

/// 2026-06-15T12:00:00Z.
const NOW: UnixTime = UnixTime::from_secs(1_781_524_800);
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Bytes that a field value can hold, more often than not from the alphabet of the grammar.
fn field_value() -> impl Strategy<Value = HeaderValue> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..40),
        vec(select(b"max-age=0159,\"\\; \t*/WGMTp:".to_vec()), 0..40),
        select(vec![
            "max-age=60",
            "no-store",
            "private=\"a\"",
            "public",
            "*",
            "bytes 0-1/2",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    bytes.prop_map(|bytes| {
        let legal: Vec<u8> =
            bytes.into_iter().filter(|&b| b == b'\t' || (b >= b' ' && b != 0x7f)).collect();
        HeaderValue::from_bytes(&legal).unwrap()
    })
}

fn header_map() -> impl Strategy<Value = HeaderMap> {
    let name = select(vec![
        ACCEPT_ENCODING,
        AGE,
        CACHE_CONTROL,
        CDN_CACHE_CONTROL,
        CONNECTION,
        CONTENT_LOCATION,
        COOKIE,
        DATE,
        ETAG,
        EXPIRES,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        IF_RANGE,
        LAST_MODIFIED,
        LOCATION,
        VARY,
    ]);
    vec((name, field_value()), 0..12).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, value);
        }
        map
    })
}

fn timing_at(micros: u64) -> Timing {
    let now = Now { monotonic: Timestamp::from_micros(micros), wall: NOW };
    Timing { request: now, response: now }
}

fn derive(
    policy: &Policy,
    request: &HeaderMap,
    status: u16,
    headers: HeaderMap,
) -> Option<StoredHead> {
    let request = RequestHead { method: &Method::GET, headers: request, target_uri: None };
    let response = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers };
    StoredHead::derive(policy, &request, &response, timing_at(0), Seq::new(0)).ok()
}

/// How long a response stays fresh after it came; zero where it may not be stored.
fn fresh_for(headers: &HeaderMap) -> Duration {
    derive(&Policy::default(), &HeaderMap::new(), 200, headers.clone())
        .map(|head| head.plan.lifetime().saturating_sub(head.plan.initial_age()))
        .unwrap_or_default()
}

/// A freshness field whose value is not what the grammar asks for.
fn malformed_freshness() -> impl Strategy<Value = (HeaderName, String)> {
    let junk = "[a-zA-Z.;' +-]{0,6}[0-9]{0,12}[a-zA-Z.;' +-]{1,6}";
    prop_oneof![
        ("(max-age|s-maxage|Max-Age)", junk)
            // White space around a member is no part of it.
            .prop_filter("a number", |(_, value)| value.trim_end().parse::<u64>().is_err())
            .prop_map(|(name, value)| { (CACHE_CONTROL, format!("{name}={value}")) }),
        Just((CACHE_CONTROL, "max-age".to_owned())),
        "(max-age|s-maxage)=\"[0-9]{1,5}".prop_map(|text| (CACHE_CONTROL, text)),
        "x=\"[a-z]{0,3}, (max-age=99999|public|s-maxage=99999)"
            .prop_map(|text| (CACHE_CONTROL, text)),
        "max-age=(\"[0-9]{1,5}\"|[0-9]{1,3}\\.[0-9]|-[0-9]{1,3}|[a-z]{1,4})"
            .prop_map(|text| (CDN_CACHE_CONTROL, text)),
        "(max-age=[0-9]{1,5},? &|Max-Age=[0-9]{1,5}|max-age=[0-9]{1,5},)"
            .prop_map(|text| (CDN_CACHE_CONTROL, text)),
        "[A-Za-z0-9,: +-]{0,28}".prop_map(|text| (EXPIRES, text)),
    ]
}

/// A response with well-formed fields, of which some make it fresh.
fn sound_response() -> impl Strategy<Value = HeaderMap> {
    let cache_control = select(vec![None, Some("max-age=60"), Some("public"), Some("no-cache")]);
    (cache_control, -500_i64..500, any::<[bool; 4]>()).prop_map(|(directives, shift, present)| {
        let date = |secs: i64| format_http_date(UnixTime::from_secs(NOW.as_secs() + secs));
        let [with_expires, with_date, with_modified, with_etag] = present;
        let mut headers = HeaderMap::new();
        if let Some(directives) = directives {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(directives));
        }
        if with_expires {
            headers.insert(EXPIRES, date(shift));
        }
        if with_date {
            headers.insert(DATE, date(0));
        }
        if with_modified {
            headers.insert(LAST_MODIFIED, date(-5000));
        }
        if with_etag {
            headers.insert(ETAG, HeaderValue::from_static("\"a\""));
        }
        headers
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_message_panics_any_rule(
        request in header_map(),
        response in header_map(),
        update in header_map(),
        status in 100_u16..=999,
        micros in any::<u64>(),
    ) {
        let now = Timestamp::from_micros(micros);
        for profile in [Profile::Default, Profile::Rfc] {
            let policy = Policy::for_profile(profile);
            let mut request = request.clone();
            strip_hop_by_hop(&mut request, Direction::Request);
            reduce_accept_encoding(&mut request);
            same_origin_references("http://example.com/a/b?c", &response);
            let asked = RequestDirectives::parse(&request);
            let Some(head) = derive(&policy, &request, status, response.clone()) else { continue };
            prop_assert!(head.vary.matches(&request, &policy), "a request selects its response");
            prop_assert!(!head.headers.contains(&AGE) && head.headers.contains(&DATE));
            head.judge(asked.as_ref(), now);
            prop_assert_eq!(head.plan.is_fresh(now), head.plan.current_age(now) < head.plan.lifetime());
            evaluate(&request, &head);
            if_range_holds(&request, &head.headers);
            judge_not_modified(&head, &update);
            merge_not_modified(&head, &update, NOW);
            let mut conditions = request.clone();
            condition_on(&head, &mut conditions);
            let get = RequestHead { method: &Method::GET, headers: &conditions, target_uri: None };
            if let Ok(again) = freshen(&head, &policy, &get, &update, timing_at(micros), Seq::new(1)) {
                prop_assert_eq!(again.status, head.status);
            }
        }
    }

    #[test]
    fn dates_round_trip(secs in -62_167_219_200_i64..=253_402_300_799) {
        let at = UnixTime::from_secs(secs);
        prop_assert_eq!(parse_http_date(format_http_date(at).as_bytes(), NOW), Some(at));
    }

    #[test]
    fn all_three_shapes_of_a_date_name_the_same_instant(secs in 0_i64..3_000_000_000) {
        let text = format_http_date(UnixTime::from_secs(secs));
        let text = text.to_str().unwrap();
        let (day, month, year, time) = (&text[5..7], &text[8..11], &text[12..16], &text[17..25]);
        let unpadded: u8 = day.parse().unwrap();
        let asctime = format!("Sun {month} {unpadded:2} {time} {year}");
        prop_assert_eq!(parse_http_date(asctime.as_bytes(), NOW), Some(UnixTime::from_secs(secs)));
        let rfc850 = format!("Sunday, {day}-{month}-{} {time} GMT", &year[2..]);
        let near = UnixTime::from_secs(secs + 86_400 * 365 * 20);
        prop_assert_eq!(parse_http_date(rfc850.as_bytes(), near), Some(UnixTime::from_secs(secs)));
    }

    #[test]
    fn arbitrary_bytes_are_a_date_or_not(bytes in vec(any::<u8>(), 0..40), now in any::<i64>()) {
        if let Some(at) = parse_http_date(&bytes, UnixTime::from_secs(now)) {
            prop_assert!((-62_167_219_200..=253_402_300_800).contains(&at.as_secs()));
        }
    }

    #[test]
    fn current_age_never_decreases(
        response in header_map(),
        delay in 0_u64..10_000_000,
        mut instants in vec(any::<u64>(), 2..8),
    ) {
        let sent = Now { monotonic: Timestamp::from_micros(1_000), wall: NOW };
        let came = Now { monotonic: Timestamp::from_micros(1_000 + delay), wall: NOW };
        let none = HeaderMap::new();
        let request = RequestHead { method: &Method::GET, headers: &none, target_uri: None };
        let mut headers = response;
        headers.insert(ETAG, HeaderValue::from_static("\"a\""));
        headers.remove(VARY);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        headers.remove(CDN_CACHE_CONTROL);
        let response = ResponseHead { status: StatusCode::OK, headers };
        let timing = Timing { request: sent, response: came };
        let head = StoredHead::derive(&Policy::default(), &request, &response, timing, Seq::new(0)).unwrap();
        prop_assert!(head.plan.initial_age() >= Duration::from_micros(delay));
        instants.sort_unstable();
        let ages: Vec<Duration> =
            instants.iter().map(|&at| head.plan.current_age(Timestamp::from_micros(at))).collect();
        prop_assert!(ages.is_sorted(), "{ages:?}");
        let left: Vec<i64> =
            instants.iter().map(|&at| head.plan.ttl_secs(Timestamp::from_micros(at))).collect();
        prop_assert!(left.iter().rev().is_sorted(), "{left:?}");
    }

    #[test]
    fn a_malformed_freshness_field_makes_nothing_fresher(
        response in sound_response(),
        (name, value) in malformed_freshness(),
        in_front in any::<bool>(),
    ) {
        let value = HeaderValue::try_from(value).unwrap();
        prop_assume!(name != EXPIRES || parse_http_date(value.as_bytes(), NOW).is_none());
        let mut with = HeaderMap::new();
        if in_front {
            with.append(name.clone(), value.clone());
        }
        for (name, value) in &response {
            with.append(name.clone(), value.clone());
        }
        if !in_front {
            with.append(name, value);
        }
        prop_assert!(fresh_for(&with) <= fresh_for(&response), "{with:?}");
    }

    #[test]
    fn ranges_stay_inside_the_body(value in "(bytes=)?[0-9a, -]{0,40}", length in any::<u64>()) {
        let ranges = match resolve_range(value.as_bytes(), length) {
            RangeSpec::Whole | RangeSpec::Unsatisfiable => vec![],
            RangeSpec::One(range) => vec![range],
            RangeSpec::Many(ranges) => ranges,
        };
        let mut total = 0_u64;
        for range in &ranges {
            prop_assert!(range.first <= range.last && range.last < length);
            total = total.saturating_add(range.len());
        }
        prop_assert!(total <= length, "never more bytes than there are");
    }

    #[test]
    fn arbitrary_bytes_are_a_range_or_not(bytes in vec(any::<u8>(), 0..60), length in any::<u64>()) {
        resolve_range(&bytes, length);
        if let Some(part) = parse_content_range(&bytes) {
            prop_assert!(part.first <= part.last);
        }
    }
}
