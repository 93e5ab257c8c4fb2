//! How is the value of a stored field written down in memory?
//!
//! As its bytes behind their number; or as a date in four bytes, if it is one as this crate would write it. Every
//! response has such a date, most have two, and their texts would take 29 bytes each. Where a value lies is
//! the matter of [`Fields`](crate::Fields).
//!
//! # Invariant
//!
//! The very bytes that came come back. What is a date, but not spelled as this crate spells it, or not between 1970
//! and 2106, is kept as bytes.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use http::HeaderValue;

use crate::date::{FIXDATE_BYTES, read_fixdate_exactly, write_fixdate};
use crate::number::{next_number, push_number};

/// The bytes of a field's value: where they lie, or written out for this use of a date.
#[derive(Clone, Copy)]
pub struct FieldValue<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Bytes(&'a [u8]),
    Date([u8; FIXDATE_BYTES]),
}

impl Deref for FieldValue<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Bytes(bytes) => bytes,
            Form::Date(text) => text,
        }
    }
}

impl AsRef<[u8]> for FieldValue<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Equal to whatever has the same bytes.
impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for FieldValue<'_> {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl fmt::Debug for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

/// A value as it is kept.
#[derive(Clone, Copy)]
pub(crate) enum AtRest<'a> {
    /// The bytes, and whether they are sensitive.
    Bytes(&'a [u8], bool),
    /// A date, which is not sensitive, in seconds since 1970.
    Date(u32),
}

impl<'a> AtRest<'a> {
    /// How to keep these bytes.
    pub(crate) fn of(bytes: &'a [u8], sensitive: bool) -> Self {
        if bytes.len() == FIXDATE_BYTES
            && !sensitive
            && let Some(secs) = read_fixdate_exactly(bytes)
            && let Ok(secs) = u32::try_from(secs)
        {
            return Self::Date(secs);
        }
        Self::Bytes(bytes, sensitive)
    }

    /// Writes it behind `values`: bytes behind a number that is one more than twice their length, and one more again
    /// if they are sensitive; a date behind zero.
    pub(crate) fn push(self, values: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes, sensitive) => {
                // No piece of memory is half as long as the type can say.
                let number = bytes.len() << 1 | usize::from(sensitive);
                push_number(values, number.saturating_add(1));
                values.extend_from_slice(bytes);
            }
            Self::Date(secs) => {
                push_number(values, 0);
                values.extend_from_slice(&secs.to_le_bytes());
            }
        }
    }

    /// Takes a value off the beginning of `rest`; `None` at the end.
    #[inline]
    pub(crate) fn next(rest: &mut &'a [u8]) -> Option<Self> {
        match next_number(rest)?.checked_sub(1) {
            Some(number) => Some(Self::Bytes(rest.split_off(..number >> 1)?, number & 1 == 1)),
            None => rest.split_off(..4)?.try_into().ok().map(u32::from_le_bytes).map(Self::Date),
        }
    }

    /// The value itself. A date is written out.
    #[inline]
    pub(crate) fn value(self) -> FieldValue<'a> {
        FieldValue(match self {
            Self::Bytes(bytes, _) => Form::Bytes(bytes),
            Self::Date(secs) => Form::Date(write_fixdate(secs.into())),
        })
    }

    /// The value as it goes into a message: a slice of `values`, in which it lies, or a piece of its own for a date.
    /// `None` where no field can have it, which nothing is that came in one.
    pub(crate) fn to_header_value(self, values: &Bytes) -> Option<HeaderValue> {
        match self {
            Self::Bytes(bytes, sensitive) => {
                let mut value = HeaderValue::from_maybe_shared(values.slice_ref(bytes)).ok()?;
                value.set_sensitive(sensitive);
                Some(value)
            }
            Self::Date(secs) => HeaderValue::from_bytes(&write_fixdate(secs.into())).ok(),
        }
    }

    pub(crate) fn is_sensitive(self) -> bool {
        matches!(self, Self::Bytes(_, true))
    }
}

impl Default for AtRest<'_> {
    fn default() -> Self {
        Self::Bytes(&[], false)
    }
}

/// Whether the values are the same, be they sensitive or not, and however they are kept.
impl PartialEq for AtRest<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Date(one), Self::Date(two)) => one == two,
            _ => self.value() == other.value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many bytes `text` is kept in, after a look whether it comes back.
    fn kept_bytes(text: &[u8], sensitive: bool) -> usize {
        let mut values = Vec::new();
        AtRest::of(text, sensitive).push(&mut values);
        let length = values.len();
        AtRest::of(b"behind", false).push(&mut values);
        let mut rest: &[u8] = &values;
        let back = AtRest::next(&mut rest).unwrap();
        assert_eq!(back.value(), *text);
        assert_eq!(back.is_sensitive(), sensitive);
        assert_eq!(AtRest::next(&mut rest).unwrap().value(), b"behind");
        assert!(AtRest::next(&mut rest).is_none());
        length
    }

    #[test]
    fn only_dates_in_our_spelling_are_kept_as_numbers() {
        // (text, kept as a number, why)
        const CASES: &[(&str, bool, &str)] = &[
            ("Sun, 06 Nov 1994 08:49:37 GMT", true, "an IMF-fixdate"),
            ("Thu, 01 Jan 1970 00:00:00 GMT", true, "the first"),
            ("Sun, 07 Feb 2106 06:28:15 GMT", true, "the last"),
            ("Tue, 29 Feb 2000 23:59:59 GMT", true, "a leap day"),
            ("Wed, 31 Dec 1969 23:59:59 GMT", false, "before the first"),
            ("Sun, 07 Feb 2106 06:28:16 GMT", false, "behind the last"),
            ("Fri, 31 Dec 9999 23:59:59 GMT", false, "long behind the last"),
            ("Fri, 31 Dec 10000 23:59:59 GM", false, "a year of five digits"),
            ("Mon, 06 Nov 1994 08:49:37 GMT", false, "another day of the week"),
            ("Sat, 31 Dec 2016 23:59:60 GMT", false, "a leap second"),
            ("Thu, 29 Feb 1900 00:00:00 GMT", false, "no such day"),
            ("sun, 06 nov 1994 08:49:37 gmt", false, "small letters"),
            ("SUN, 06 Nov 1994 08:49:37 GMT", false, "capitals"),
            ("Sun, 06 Nov 1994 08:49:37 UTC", false, "another zone"),
            ("Sunday, 06-Nov-94 08:49:37 GMT", false, "RFC 850"),
            ("Sun Nov  6 08:49:37 1994", false, "asctime"),
            ("Sun, 06 Nov 1994 08:49:37 GMT ", false, "a space behind"),
            ("junkjunkjunkjunkjunkjunkjunkj", false, "as long as one"),
            ("junk", false, "no date"),
            ("", false, "nothing"),
        ];
        for &(text, as_number, why) in CASES {
            let expected = if as_number { 5 } else { text.len() + 1 };
            assert_eq!(kept_bytes(text.as_bytes(), false), expected, "{why}");
            assert_eq!(kept_bytes(text.as_bytes(), true), text.len() + 1, "{why}, sensitive");
        }
    }

    #[test]
    fn values_are_equal_however_they_are_kept() {
        let text = b"Sun, 06 Nov 1994 08:49:37 GMT".as_slice();
        let (number, bytes) = (AtRest::of(text, false), AtRest::Bytes(text, true));
        for (one, two) in [(number, bytes), (bytes, number), (number, number)] {
            assert!(one == two);
        }
        assert!(
            number != AtRest::Date(0) && bytes != AtRest::Date(0) && number != AtRest::default()
        );
        assert_eq!(format!("{:?}", number.value()), format!("{:?}", bytes.value()));
    }

    #[test]
    fn what_is_cut_short_is_no_value() {
        for mut cut in [&b"\x00\x01\x02\x03"[..], b"\x0bshor", b"\x80", b""] {
            assert!(AtRest::next(&mut cut).is_none(), "{cut:?}");
        }
    }

    proptest! {
        #[test]
        fn all_dates_and_what_is_nearly_one_come_back(
            secs: u32, far in -70_000_000_000_i64..260_000_000_000, at in 0..FIXDATE_BYTES,
            byte in 0x20..=0x7e_u8, sensitive: bool,
        ) {
            prop_assert_eq!(kept_bytes(&write_fixdate(secs.into()), false), 5);
            for secs in [secs.into(), far] {
                let mut text = write_fixdate(secs);
                kept_bytes(&text, sensitive);
                text.iter_mut().skip(at).take(1).for_each(|place| *place = byte);
                kept_bytes(&text, sensitive);
                kept_bytes(&text.to_ascii_lowercase(), sensitive);
            }
        }

        #[test]
        fn all_bytes_come_back(text in proptest::collection::vec(any::<u8>(), 0..200), sensitive: bool) {
            kept_bytes(&text, sensitive);
        }
    }
}
