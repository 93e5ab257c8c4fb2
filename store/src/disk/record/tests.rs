//! Is what was written down found again, as old as it is, and is everything else refused?

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use weir_cache::purge::{Epoch, Tags};
use weir_cache::{
    Fields, Plan, Policy, RuleEffect, Stamp, Terms, Timestamp, UnixTime, VaryPart, VaryRule,
};

use super::*;

const SEC: u64 = 1_000_000;
const HOUR: i64 = 3_600 * 1_000_000;

/// 1,000 s after the machine was started, 900 s after the node was.
fn present() -> Present {
    let stamp = Stamp { boot: 7, boot_micros: 1_000 * SEC, wall_micros: 1_781_524_800_000_000 };
    Present { stamp, monotonic: Timestamp::from_micros(900 * SEC) }
}

/// How the node numbers a position: as the log does in epoch 5, and as older than everything else.
fn heard(as_of: AsOf) -> Seq {
    Seq::new(if as_of.epoch == Epoch::new(5) { as_of.seq } else { 0 })
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers
            .append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    headers
}

/// A response with something in every field, 5 s old on arrival, which was 100 s ago.
fn sample() -> Recorded {
    let fields = headers(&[("link", "a"), ("cache-tag", "x, y"), ("link", "b")]);
    let vary = headers(&[("vary", "accept-language, cookie")]);
    let request = headers(&[("accept-language", "DE"), ("accept-language", "en")]);
    let text = "www http://example.com/a?b header(x-a=\"1\")";
    Recorded {
        key: CacheKey::from_bytes([3; 32]),
        text: KeyText::from_parts(text, [11, 26]).unwrap(),
        head: StoredHead {
            status: StatusCode::NOT_FOUND,
            plan: Plan::from(Terms {
                lifetime: Duration::from_secs(60),
                stale_while_revalidate: Some(Duration::from_millis(1)),
                stale_if_error: None,
                validate_always: false,
                stale_banned: true,
                initial_age: Duration::from_secs(5),
                response_time: Timestamp::from_micros(800 * SEC),
                date: UnixTime::from_secs(-7),
                last_modified: None,
                heuristic: true,
                rule: Some(RuleEffect::MinTtl),
            }),
            vary: VaryRule::derive(&vary, &request, &Policy::default()).unwrap(),
            as_of: Seq::new(42),
            tags: Tags::of(&fields),
            headers: Fields::from(&fields),
        },
        as_of: Some(AsOf { epoch: Epoch::new(5), seq: 42 }),
        body: BodyAt::Whole { digest: [9; 32], length: 1 << 40 },
    }
}

fn again(bytes: &[u8]) -> Result<Recorded, RecordError> {
    decode(bytes, &present(), heard)
}

#[test]
fn the_form_does_not_change_unnoticed() {
    let bytes = encode(&sample(), &present());
    let hash = blake3::hash(&bytes).to_hex();
    let why = "another form needs another version, and records of this one are lost";
    assert_eq!((bytes.len(), &hash[..16]), (236, "3865320919ce6124"), "{why}");
}

#[test]
fn lines_keep_their_order_and_their_confidence() {
    let mut recorded = sample();
    let mut secret = HeaderValue::from_bytes(b"\xff\t").unwrap();
    secret.set_sensitive(true);
    let mut fields = recorded.head.headers.to_map(1);
    fields.append("link", secret);
    recorded.head.headers = Fields::from(&fields);
    let found = again(&encode(&recorded, &present())).unwrap();
    let lines = |headers: &HeaderMap| -> Vec<(String, Vec<u8>, bool)> {
        let lines = headers.iter();
        lines.map(|(n, v)| (n.to_string(), v.as_bytes().to_vec(), v.is_sensitive())).collect()
    };
    assert_eq!(lines(&found.head.headers.to_map(0)), lines(&fields));
}

#[test]
fn tags_of_fields_that_were_not_kept_are_found_again() {
    for (list, overflow) in [(vec!["gone"], false), (vec![], true), (vec!["x", "y"], true)] {
        let mut recorded = sample();
        recorded.head.tags = Tags::from_parts(list, overflow);
        assert_eq!(again(&encode(&recorded, &present())), Ok(recorded));
    }
}

#[test]
fn a_position_that_is_not_understood_reflects_nothing() {
    for (as_of, reflects) in [(None, 0), (Some((5, 9)), 9), (Some((6, 9)), 0)] {
        let as_of = as_of.map(|(epoch, seq)| AsOf { epoch: Epoch::new(epoch), seq });
        let found = again(&encode(&Recorded { as_of, ..sample() }, &present())).unwrap();
        assert_eq!((found.as_of, found.head.as_of), (as_of, Seq::new(reflects)));
    }
}

#[test]
fn the_age_goes_on_whatever_the_clocks_do() {
    let written = encode(&sample(), &present());
    let Stamp { boot_micros, wall_micros, .. } = present().stamp;
    // It is 105 s old when it is written down.
    // (start of the machine, clock since then, wall clock, clock of the run, age, why)
    let cases = [
        (7, boot_micros, wall_micros, 900 * SEC, Some(105), "at once"),
        (7, boot_micros + 30 * SEC, wall_micros + 30_000_000, 0, Some(135), "another run"),
        (7, boot_micros + 30 * SEC, wall_micros + HOUR, 10 * SEC, Some(135), "set forward"),
        (7, boot_micros + 30 * SEC, wall_micros - HOUR, 10 * SEC, Some(135), "set back"),
        (7, boot_micros + 30 * SEC, 0, 500 * SEC, Some(135), "set to 1970"),
        (7, boot_micros - 101 * SEC, wall_micros + HOUR, 0, None, "from the future"),
        (8, 20 * SEC, wall_micros + HOUR, 10 * SEC, Some(3_705), "another start"),
        (8, 20 * SEC, wall_micros - 100_000_000, 10 * SEC, Some(5), "when it came"),
        (8, 20 * SEC, wall_micros - 100_000_001, 10 * SEC, None, "from the future"),
        (8, 20 * SEC, 0, 10 * SEC, None, "a clock that does not know the year"),
    ];
    for (boot, boot_micros, wall_micros, run, age, why) in cases {
        let stamp = Stamp { boot, boot_micros, wall_micros };
        let monotonic = Timestamp::from_micros(run);
        let found = decode(&written, &Present { stamp, monotonic }, heard);
        let ages = found.map(|found| found.head.plan.age_secs(monotonic));
        assert_eq!(ages, age.ok_or(RecordError::FromTheFuture), "{why}");
    }
}

#[test]
fn an_age_is_not_counted_twice_when_it_is_written_down_again() {
    let mut present = present();
    let mut bytes = encode(&sample(), &present);
    for run in 1..5 {
        present.stamp.boot_micros += 10 * SEC;
        present.monotonic = Timestamp::from_micros(SEC);
        let found = decode(&bytes, &present, heard).unwrap();
        assert_eq!(found.head.plan.age_secs(present.monotonic), 105 + 10 * run);
        bytes = encode(&found, &present);
    }
}

#[test]
fn another_version_is_told_from_damage() {
    let mut bytes = encode(&sample(), &present());
    bytes[0] = 2;
    assert_eq!(again(&bytes), Err(RecordError::Damaged), "the check covers the version");
    let sealed = bytes.len() - CHECK_BYTES;
    let check = check(&bytes[..sealed]);
    bytes[sealed..].copy_from_slice(&check);
    assert_eq!(again(&bytes), Err(RecordError::Version { version: 2 }));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let whole = encode(&sample(), &present());
    for at in 0..whole.len() {
        assert!(again(&whole[..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            assert_eq!(again(&bytes), Err(RecordError::Damaged), "bit {bit} of byte {at}");
        }
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_eq!(again(&longer), Err(RecordError::Damaged));
}

#[test]
fn fields_without_meaning_are_refused_even_under_a_right_check() {
    let (_, fields) = unseal(&encode(&sample(), &present())).map(|(v, f)| (v, f.to_vec())).unwrap();
    let mut made = 0;
    for at in 0..fields.len() {
        assert_eq!(again(&seal(&fields[..at])), Err(RecordError::Damaged), "cut at {at}");
        for byte in [0, 1, 0x7f, 0x80, 0xff, b'\n'] {
            let mut changed = fields.clone();
            changed[at] = byte;
            // Never a panic; what is taken for a response can be told again.
            let Ok(found) = again(&seal(&changed)) else { continue };
            assert_eq!(again(&encode(&found, &present())), Ok(found), "byte {at} is {byte}");
            made += 1;
        }
    }
    assert!(made > 0, "some bytes may be anything");
    assert_eq!(again(&seal(&[fields.as_slice(), &[0]].concat())), Err(RecordError::Damaged));
}

#[test]
fn a_body_lies_whole_or_in_slices_of_something() {
    let sliced = BodyAt::Slices { length: 5, slice_bytes: 4, id: [1; 16] };
    let found = again(&encode(&Recorded { body: sliced, ..sample() }, &present())).unwrap();
    assert_eq!((found.body, found.body.length()), (sliced, 5));
    assert_eq!(again(&encode(&sample(), &present())).unwrap().body.length(), 1 << 40);
    let none = BodyAt::Slices { length: 1, slice_bytes: 0, id: [0; 16] };
    let bytes = encode(&Recorded { body: none, ..sample() }, &present());
    assert_eq!(again(&bytes), Err(RecordError::Damaged), "slices of nothing");
}

fn name() -> impl Strategy<Value = HeaderName> {
    "[a-z][a-z0-9-]{0,12}".prop_map(|name| HeaderName::try_from(name).unwrap())
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![Just(b'\t'), 0x20..0x7f_u8, 0x80..=0xff_u8];
    vec(byte, 0..40).prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

fn plan() -> impl Strategy<Value = Plan> {
    let duration = || (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n));
    let rule = prop_oneof![
        Just(None),
        Just(Some(RuleEffect::Ttl)),
        Just(Some(RuleEffect::MinTtl)),
        Just(Some(RuleEffect::MaxTtl))
    ];
    let durations = (duration(), duration(), option::of(duration()), option::of(duration()));
    let dates = (any::<i64>(), option::of(any::<i64>()), 0..=900 * SEC);
    (durations, dates, any::<[bool; 3]>(), rule)
        .prop_map(|(durations, dates, bools, rule)| Terms {
            lifetime: durations.0,
            stale_while_revalidate: durations.2,
            stale_if_error: durations.3,
            validate_always: bools[0],
            stale_banned: bools[1],
            initial_age: durations.1,
            response_time: Timestamp::from_micros(dates.2),
            date: UnixTime::from_secs(dates.0),
            last_modified: dates.1.map(UnixTime::from_secs),
            heuristic: bools[2],
            rule,
        })
        .prop_map(Plan::from)
}

fn vary() -> impl Strategy<Value = VaryRule> {
    let part = (name(), vec(value(), 0..3), vec(any::<u8>(), 0..20));
    vec(part, 0..4).prop_map(|parts| {
        let mut told: Vec<VaryPart> = Vec::new();
        for (name, lines, meaning) in parts {
            let normalized = (!lines.is_empty()).then_some(meaning);
            if !told.iter().any(|part| part.name == name) {
                told.push(VaryPart { name, lines, normalized });
            }
        }
        VaryRule::from_parts(told).unwrap()
    })
}

fn head() -> impl Strategy<Value = StoredHead> {
    let tags = option::of((vec(".{0,9}", 0..4), any::<bool>()));
    let lines = vec((name(), value()), 0..20);
    (100..1000_u16, lines, plan(), vary(), tags).prop_map(|(status, lines, plan, vary, tags)| {
        let headers: HeaderMap = lines.into_iter().fold(HeaderMap::new(), |mut map, (n, v)| {
            map.append(n, v);
            map
        });
        let tags = tags.map_or_else(
            || Tags::of(&headers),
            |(list, overflow)| Tags::from_parts(list.iter().map(String::as_str), overflow),
        );
        let status = StatusCode::from_u16(status).unwrap();
        StoredHead {
            status,
            headers: Fields::from(&headers),
            plan,
            vary,
            as_of: Seq::default(),
            tags,
        }
    })
}

fn recorded() -> impl Strategy<Value = Recorded> {
    let text = ("[a-z]{1,5}", "[a-z.]{1,9}/[!-~é]{0,20}", "( [ -~]{0,20})?");
    let text = text.prop_map(|(site, resource, rest)| {
        let begin = site.len() + " http://".len();
        let text = format!("{site} http://{resource}{rest}");
        KeyText::from_parts(&text, [begin, begin + resource.len()]).unwrap()
    });
    let body = prop_oneof![
        (any::<[u8; 32]>(), any::<u64>())
            .prop_map(|(digest, length)| BodyAt::Whole { digest, length }),
        (any::<u64>(), 1..=u32::MAX, any::<[u8; 16]>())
            .prop_map(|(length, slice_bytes, id)| BodyAt::Slices { length, slice_bytes, id }),
    ];
    let as_of = option::of((4..7_u64, any::<u64>()));
    (any::<[u8; 32]>(), text, head(), as_of, body).prop_map(|(key, text, head, as_of, body)| {
        let as_of = as_of.map(|(epoch, seq)| AsOf { epoch: Epoch::new(epoch), seq });
        let head = StoredHead { as_of: as_of.map_or_else(Seq::default, heard), ..head };
        Recorded { key: CacheKey::from_bytes(key), text, head, as_of, body }
    })
}

proptest! {
    #[test]
    fn what_is_written_down_is_found_again(recorded in recorded()) {
        let bytes = encode(&recorded, &present());
        prop_assert_eq!(again(&bytes), Ok(recorded));
    }

    #[test]
    fn anything_else_is_refused(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(again(&bytes).is_err());
        // Under a right check it is at least no panic.
        drop(again(&seal(&bytes)));
    }
}
