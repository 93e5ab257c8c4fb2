//! Ranges: a line with the length of the body, then the value of Range or Content-Range.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_cache::{
    ByteRange, RangeSpec, content_range, is_whole_open, parse_content_range, resolve_range,
    unsatisfied_range,
};
use weir_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let wide = input.number(1 << 63);
    let value = input.rest();
    for length in [wide, wide % 64, u64::MAX] {
        let spec = resolve_range(value, length);
        let ranges = ranges_of(&spec);
        check_ranges(&ranges, length);
        if matches!(spec, RangeSpec::Many(_)) {
            assert!(ranges.len() >= 2);
        }
        if length <= 64 && !ranges.is_empty() {
            check_coverage(value, &ranges, length);
        }
        if is_whole_open(value) {
            let expected = length.checked_sub(1).map(|last| ByteRange { first: 0, last });
            assert_eq!(ranges.first().copied(), expected);
        }
        assert_eq!(parse_content_range(unsatisfied_range(length).as_bytes()), None);
    }
    check_content_range(value);
});

fn ranges_of(spec: &RangeSpec) -> Vec<ByteRange> {
    match spec {
        RangeSpec::Whole | RangeSpec::Unsatisfiable => Vec::new(),
        RangeSpec::One(range) => vec![*range],
        RangeSpec::Many(ranges) => ranges.clone(),
    }
}

/// Parts exist, have gaps between them, are never more than the body, and their Content-Range says so.
fn check_ranges(ranges: &[ByteRange], length: u64) {
    let mut total = 0_u128;
    for (index, range) in ranges.iter().enumerate() {
        assert!(range.first <= range.last && range.last < length);
        total += u128::from(range.len());
        for other in &ranges[..index] {
            let [low, high] = if range < other { [range, other] } else { [other, range] };
            assert!(low.last.saturating_add(1) < high.first, "{low:?} and {high:?} are one");
        }
        let said = parse_content_range(content_range(*range, length).as_bytes());
        let said = said.expect("what we write we read");
        assert_eq!((said.first, said.last, said.length), (range.first, range.last, Some(length)));
    }
    assert!(total <= u128::from(length));
}

/// The parts together are exactly the bytes that were asked for, counted one by one.
fn check_coverage(value: &[u8], ranges: &[ByteRange], length: u64) {
    let text = std::str::from_utf8(value).expect("ranges are ASCII");
    let (_, list) = text.split_once('=').expect("there is a unit");
    for at in 0..u128::from(length) {
        let asked = list.split(',').any(|spec| asks_for(spec, at, u128::from(length)));
        let given = ranges
            .iter()
            .any(|range| (u128::from(range.first)..=u128::from(range.last)).contains(&at));
        assert_eq!(asked, given, "byte {at}");
    }
}

fn asks_for(spec: &str, at: u128, length: u128) -> bool {
    let Some((first, last)) = spec.split_once('-') else { return false };
    // More digits than fit are further than any body reaches.
    let number = |text: &str| match text.trim_matches([' ', '\t']) {
        "" => None,
        digits => Some(digits.parse::<u128>().unwrap_or(u128::MAX)),
    };
    match (number(first), number(last)) {
        (None, Some(suffix)) => at >= length.saturating_sub(suffix),
        (Some(first), last) => at >= first && last.is_none_or(|last| at <= last),
        (None, None) => false,
    }
}

/// What Content-Range is read as, written again, reads the same.
fn check_content_range(value: &[u8]) {
    let Some(part) = parse_content_range(value) else { return };
    assert!(part.first <= part.last && part.length.is_none_or(|length| part.last < length));
    let range = ByteRange { first: part.first, last: part.last };
    if let Some(length) = part.length {
        assert_eq!(parse_content_range(content_range(range, length).as_bytes()), Some(part));
    }
}
