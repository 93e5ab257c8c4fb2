//! How old a response says it is: the Age field.

use std::time::Duration;

use http::HeaderMap;
use http::header::AGE;

use crate::grammar::parse_delta;
use crate::list::members;

/// Returns what the Age field says, at most 2^31 seconds (RFC 9111 §5.1).
///
/// The first member of the first line counts. Anything but digits is ignored, as the standard asks,
/// and so is an absent field: both are zero.
pub fn parse_age(headers: &HeaderMap) -> Duration {
    headers
        .get(AGE)
        .and_then(|line| members(line.as_bytes()).next())
        .and_then(parse_delta)
        .unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_first_member_of_the_first_line_counts() {
        // (lines, expected seconds, why); RFC 9111 §5.1.
        const CASES: &[(&[&str], u64, &str)] = &[
            (&["7200"], 7200, "a number"),
            (&["7200, 0"], 7200, "first member"),
            (&["0, 7200"], 0, "first member, even if younger"),
            (&["7200", "0"], 7200, "first line"),
            (&["abc"], 0, "junk is ignored"),
            (&["-7200"], 0, "negative is ignored"),
            (&["7200.0"], 0, "decimal is ignored"),
            (&["7200;x=1"], 0, "parameters are ignored with the value"),
            (&["18446744073709551615"], 1 << 31, "2^64-1 saturates and does not panic"),
            (&["18446744073709551616"], 1 << 31, "2^64 saturates and does not read as zero"),
            (&[""], 0, "empty"),
            (&[], 0, "absent"),
        ];
        for &(lines, expected, why) in CASES {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(AGE, HeaderValue::from_static(line));
            }
            assert_eq!(parse_age(&headers), Duration::from_secs(expected), "{why}");
        }
    }
}
