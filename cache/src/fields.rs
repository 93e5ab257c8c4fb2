//! The fields of a stored response, in little memory.
//!
//! A `HeaderMap` costs a hundred bytes a field line and an allocation a value, which is right for
//! a message on its way and too much for one at rest. Here all values lie behind each other in one piece
//! of memory, and what responses have in common is shared: see [`Shapes`](crate::Shapes), which
//! decides what that is.
//!
//! # Invariants
//!
//! 1. Lines stay one by one and in order.
//! 2. Nothing of the buffer that the values came in is kept alive.
//! 3. Fields are equal if their lines are, however much of them is shared.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::common::Common;
use crate::eviction::Seeded;
use crate::values::{AtRest, FieldValue};

/// Header fields at rest: lines of names and values.
///
/// Cloning shares them.
#[derive(Clone)]
pub struct Fields {
    shape: Arc<Common<Shape>>,
    /// Each value that the shape does not have, in the order of the lines, as [`AtRest`] writes it.
    values: Arc<[u8]>,
}

/// What several responses may have in common: the names of all lines, and some of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape(Box<[Line]>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    name: HeaderName,
    /// `None` where each response has its own.
    value: Option<HeaderValue>,
}

/// One line of [`Fields`] (RFC 9110 §5).
#[derive(Clone, Copy, Debug)]
pub struct FieldLine<'a> {
    /// Its name.
    pub name: &'a HeaderName,
    /// Its value.
    pub value: FieldValue<'a>,
    /// Whether it came as never to be indexed, which holds on every hop (RFC 7541 §6.2.3).
    pub sensitive: bool,
}

impl Fields {
    /// Keeps `lines` in their order. Costs a copy of each value.
    pub fn from_lines<'a>(
        lines: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Self {
        let (mut names, mut values) =
            (Vec::with_capacity(LINES_USUAL), Vec::with_capacity(VALUES_USUAL));
        for (name, value) in lines {
            AtRest::of(value.as_bytes(), value.is_sensitive()).push(&mut values);
            names.push(Line { name: name.clone(), value: None });
        }
        Self { shape: Arc::new(Common::own(Shape(names.into()))), values: values.into() }
    }

    /// The lines as they are kept, in order.
    fn at_rest(&self) -> impl Iterator<Item = (&HeaderName, AtRest<'_>)> {
        let mut rest: &[u8] = &self.values;
        self.shape.get().0.iter().map(move |line| {
            let value = match &line.value {
                Some(value) => AtRest::Bytes(value.as_bytes(), false),
                None => AtRest::next(&mut rest).unwrap_or_default(),
            };
            (&line.name, value)
        })
    }

    /// The lines in order, with all that there is to know of them. Dates are written out.
    pub fn lines(&self) -> impl Iterator<Item = FieldLine<'_>> {
        self.lines_where(|_| true)
    }

    /// The same of the lines whose name `takes` agrees to.
    pub fn lines_where(
        &self,
        takes: impl Fn(&HeaderName) -> bool,
    ) -> impl Iterator<Item = FieldLine<'_>> {
        self.at_rest().filter(move |(name, _)| takes(name)).map(|(name, value)| FieldLine {
            name,
            value: value.value(),
            sensitive: value.is_sensitive(),
        })
    }

    /// The names and values of the lines in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, FieldValue<'_>)> {
        self.at_rest().map(|(name, value)| (name, value.value()))
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.shape.get().0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of the first line with this name, or `None` if there is none.
    pub fn get(&self, name: &HeaderName) -> Option<FieldValue<'_>> {
        self.get_all(name).next()
    }

    /// The same as a value of its own. Costs a copy.
    pub fn value(&self, name: &HeaderName) -> Option<HeaderValue> {
        // The bytes were a value before, so they are one again.
        HeaderValue::from_bytes(&self.get(name)?).ok()
    }

    /// The values of all lines with this name, in order.
    pub fn get_all(&self, name: &HeaderName) -> impl Iterator<Item = FieldValue<'_>> {
        self.at_rest().filter(move |(line, _)| *line == name).map(|(_, value)| value.value())
    }

    /// Whether there is a line with this name.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.shape.get().0.iter().any(|line| line.name == name)
    }

    /// The fields as they go into a message, with room for `more` lines.
    ///
    /// Costs one allocation beside those of the map, and one for each date: other values are slices of what
    /// is kept.
    pub fn to_map(&self, more: usize) -> HeaderMap {
        self.to_map_where(more, |_| true)
    }

    /// The same of the lines whose name `takes` agrees to.
    pub fn to_map_where(&self, more: usize, takes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
        let values = Bytes::from_owner(Arc::clone(&self.values));
        let mut rest: &[u8] = &values;
        let mut map = HeaderMap::with_capacity(self.len().saturating_add(more));
        for line in &self.shape.get().0 {
            let own = if line.value.is_none() { AtRest::next(&mut rest) } else { None };
            if !takes(&line.name) {
                continue;
            }
            let value = line.value.clone().or_else(|| own?.to_header_value(&values));
            if let Some(value) = value {
                map.append(line.name.clone(), value);
            }
        }
        map
    }

    /// These fields with one line `name` in place of all that have that name.
    ///
    /// Costs a copy of everything, unless it is that already.
    #[must_use]
    pub fn with(&self, name: &HeaderName, value: &HeaderValue) -> Self {
        if self.get_all(name).eq([value.as_bytes()]) {
            return self.clone();
        }
        let mut map = self.to_map(1);
        map.insert(name, value.clone());
        Self::from(&map)
    }

    /// These fields with `tail` behind their values, in place of any that is there.
    ///
    /// For what goes with fields as long as they are kept: it saves that a piece of memory of its own. No line
    /// shows it. Costs a copy of the values.
    #[must_use]
    pub fn with_tail(&self, tail: &[u8]) -> Self {
        let own = self.values.len().saturating_sub(self.tail().len());
        let own = self.values.get(..own).unwrap_or_default();
        Self { shape: Arc::clone(&self.shape), values: [own, tail].concat().into() }
    }

    /// What lies behind the values; empty where nothing was put there. Costs a look at each line.
    pub fn tail(&self) -> &[u8] {
        let mut rest: &[u8] = &self.values;
        for _ in self.shape.get().0.iter().filter(|line| line.value.is_none()) {
            let _ = AtRest::next(&mut rest);
        }
        rest
    }

    /// The bytes held beyond the struct itself and beyond what is shared, the tail included.
    pub fn heap_bytes(&self) -> usize {
        let shape = if self.shape.is_shared() { 0 } else { self.shape.get().bytes() };
        COUNTS_BYTES.saturating_add(self.values.len()).saturating_add(shape)
    }

    #[cfg(test)]
    pub(crate) fn shape(&self) -> &Shape {
        self.shape.get()
    }

    /// The same lines with all values in `shape` that it has.
    ///
    /// `shape` is to be one of these fields: with their names, and with values that they have.
    pub(crate) fn in_shape(&self, shape: Arc<Common<Shape>>) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        for (shaped, (_, value)) in shape.get().0.iter().zip(self.at_rest()) {
            if shaped.value.is_none() {
                value.push(&mut values);
            }
        }
        Self { shape, values: values.into() }
    }

    /// The shape that has the names of all lines, and the values of those that `takes` says and that
    /// are not sensitive. It is not made yet.
    pub(crate) fn outline(&self, takes: impl Fn(&HeaderName) -> bool) -> Outline<'_> {
        let value = |name: &HeaderName, value: AtRest<'_>| takes(name) && !value.is_sensitive();
        let lines =
            self.at_rest().map(|(name, rest)| (name, value(name, rest).then(|| rest.value())));
        Outline(lines.collect())
    }

    #[cfg(test)]
    fn shape_with(&self, takes: impl Fn(&HeaderName) -> bool) -> Shape {
        self.outline(takes).shape()
    }
}

/// Lines and bytes of values that most responses do not have more of.
const LINES_USUAL: usize = 16;
const VALUES_USUAL: usize = 512;

/// A shape that some fields have, as one looks for it.
pub(crate) struct Outline<'a>(Vec<(&'a HeaderName, Option<FieldValue<'a>>)>);

impl Outline<'_> {
    /// As [`Shape::hash`].
    pub(crate) fn hash(&self, by: Seeded) -> u64 {
        hash_of(by, self.0.iter().map(|(name, value)| (*name, value.as_deref())))
    }

    /// Whether `shape` is it.
    pub(crate) fn is(&self, shape: &Shape) -> bool {
        let lines = self.0.iter().map(|(name, value)| (*name, value.as_deref()));
        lines.eq(shape.lines())
    }

    /// Makes it.
    pub(crate) fn shape(&self) -> Shape {
        let line = |(name, value): &(&HeaderName, Option<FieldValue<'_>>)| Line {
            name: HeaderName::clone(name),
            // The bytes were a value before, so they are one again.
            value: value.as_ref().and_then(|value| HeaderValue::from_bytes(value).ok()),
        };
        Shape(self.0.iter().map(line).collect())
    }
}

/// One hash of all lines of a shape.
fn hash_of<'a>(by: Seeded, lines: impl Iterator<Item = (&'a HeaderName, Option<&'a [u8]>)>) -> u64 {
    let mut hasher = by.build_hasher();
    lines.for_each(|line| line.hash(&mut hasher));
    hasher.finish()
}

/// Bytes of the two reference counts of an `Arc`.
const COUNTS_BYTES: usize = 2 * size_of::<usize>();

impl Shape {
    fn lines(&self) -> impl Iterator<Item = (&HeaderName, Option<&[u8]>)> {
        self.0.iter().map(|line| (&line.name, line.value.as_ref().map(HeaderValue::as_bytes)))
    }

    /// A hash that is the same for the same names and values.
    pub(crate) fn hash(by: Seeded, shape: &Self) -> u64 {
        hash_of(by, shape.lines())
    }

    /// The bytes that a shape takes, the values it holds included.
    pub(crate) fn bytes(&self) -> usize {
        let held = |line: &Line| {
            // Names that the standards know have no text of their own; an upper bound will do.
            let value = line.value.as_ref().map_or(0, HeaderValue::len);
            size_of::<Line>().saturating_add(line.name.as_str().len()).saturating_add(value)
        };
        self.0.iter().map(held).fold(COUNTS_BYTES, usize::saturating_add)
    }
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        Self::from_lines(map)
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.at_rest().eq(other.at_rest())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.iter().map(|(name, value)| (name, value.escape_ascii().to_string()));
        f.debug_map().entries(lines).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::header::{DATE, EXPIRES, LAST_MODIFIED};
    use proptest::prelude::*;

    use super::*;
    use crate::date::format_http_date;
    use crate::fixture::headers;
    use crate::time::UnixTime;

    fn lines(fields: &Fields) -> Vec<String> {
        let line = |(name, value): (_, FieldValue<'_>)| format!("{name}: {}", value.escape_ascii());
        fields.iter().map(line).collect()
    }

    #[test]
    fn lines_come_back_as_they_were() {
        let map = headers("Link: a\nETag: \"b\"\nLink: c\nX-Empty:\nLink: a");
        let fields = Fields::from(&map);
        let expected = ["link: a", "link: c", "link: a", "etag: \\\"b\\\"", "x-empty: "];
        assert_eq!(lines(&fields), expected);
        assert_eq!(fields.to_map(3), map);
        assert_eq!(Fields::from(&fields.to_map(0)), fields);
        assert_eq!(fields.len(), 5);
        let link = HeaderName::from_static("link");
        assert!(fields.get(&link).is_some_and(|value| value == "a"));
        assert_eq!(fields.get_all(&link).collect::<Vec<_>>(), [b"a", b"c", b"a"]);
        assert_eq!(fields.value(&link).unwrap(), "a");
        assert!(fields.contains(&link) && !fields.contains(&HeaderName::from_static("x")));
        assert!(fields.get(&HeaderName::from_static("x")).is_none());
    }

    #[test]
    fn values_of_any_length_and_of_any_byte_are_kept() {
        for length in [0, 1, 63, 64, 8_191, 8_192, 70_000] {
            let long = HeaderValue::from_bytes(&vec![b'\xff'; length]).unwrap();
            let name = HeaderName::from_static("x-long");
            let end = HeaderValue::from_static("end");
            let fields = Fields::from_lines([(&name, &long), (&name, &end)]);
            let expected = [long.as_bytes(), b"end"];
            assert_eq!(fields.get_all(&name).collect::<Vec<_>>(), expected, "{length}");
            assert_eq!(fields.to_map(0).get(&name), Some(&long), "{length}");
        }
        assert!(Fields::from_lines([]).is_empty());
        assert!(Fields::from_lines([]).to_map(0).is_empty());
    }

    #[test]
    fn what_is_never_to_be_indexed_stays_so_and_is_not_shared() {
        let mut secret = HeaderValue::from_static("secret");
        secret.set_sensitive(true);
        let (a, b) = (HeaderName::from_static("a"), HeaderName::from_static("b"));
        let plain = HeaderValue::from_static("plain");
        let fields = Fields::from_lines([(&a, &secret), (&b, &plain)]);
        let shaped = fields.in_shape(Arc::new(Common::own(fields.shape_with(|_| true))));
        for fields in [&fields, &shaped] {
            let sensitive: Vec<_> = fields.lines().map(|line| line.sensitive).collect();
            assert_eq!(sensitive, [true, false]);
            let map = fields.to_map(0);
            let is_sensitive = |name| map.get(name).is_some_and(HeaderValue::is_sensitive);
            assert!(is_sensitive("a") && !is_sensitive("b"));
        }
        assert_eq!(shaped.values.len(), "secret".len() + 1);
    }

    #[test]
    fn one_line_takes_the_place_of_all_with_its_name() {
        let fields = Fields::from(&headers("A: 1\nB: 2\nA: 3"));
        let (a, value) = (HeaderName::from_static("a"), HeaderValue::from_static("4"));
        let changed = fields.with(&a, &value);
        assert_eq!(lines(&changed), ["a: 4", "b: 2"]);
        let same = changed.with(&a, &value);
        assert!(Arc::ptr_eq(&same.values, &changed.values), "nothing to copy");
        let added = fields.with(&HeaderName::from_static("c"), &value);
        assert_eq!(lines(&added).last().unwrap(), "c: 4");
    }

    #[test]
    fn a_tail_shows_in_no_line() {
        let plain = Fields::from(&headers("A: 1\nB: 2\nA: 3"));
        let shaped = plain.in_shape(Arc::new(Common::own(plain.shape_with(|name| name == "a"))));
        let none = Fields::from_lines([]);
        for fields in [plain, shaped, none] {
            assert_eq!(fields.tail(), b"");
            let tailed = fields.with_tail(b"tail");
            assert_eq!((tailed.tail(), lines(&tailed)), (b"tail".as_slice(), lines(&fields)));
            assert_eq!((&tailed, tailed.to_map(0)), (&fields, fields.to_map(0)));
            assert_eq!(tailed.heap_bytes(), fields.heap_bytes() + 4);
            let other = tailed.with_tail(b"other");
            assert_eq!((other.tail(), &other), (b"other".as_slice(), &fields), "one at a time");
            let shape = tailed.shape_with(|_| false);
            assert_eq!(tailed.in_shape(Arc::new(Common::own(shape))).tail(), b"", "left behind");
        }
    }

    #[test]
    fn a_shape_with_values_changes_no_line() {
        let fields = Fields::from(&headers("A: 1\nB: 2\nA: 3"));
        let shape = fields.shape_with(|name| name == "a");
        let shaped = fields.in_shape(Arc::new(Common::own(shape)));
        assert_eq!(lines(&shaped), lines(&fields));
        assert_eq!(shaped, fields);
        assert_eq!(shaped.to_map(0), fields.to_map(0));
        assert_eq!(shaped.values.len(), 2, "one value and its length");
    }

    static NAMES: [HeaderName; 4] =
        [DATE, EXPIRES, LAST_MODIFIED, HeaderName::from_static("x-foo")];

    /// Values of which some are dates, in our spelling and in others.
    fn value() -> impl Strategy<Value = HeaderValue> {
        let spelled = |(secs, spelling): (i64, u8)| {
            let date = format_http_date(UnixTime::from_secs(secs));
            let text = date.to_str().unwrap();
            match spelling {
                0 => text.to_lowercase(),
                1 => text.replace("GMT", "UTC"),
                2 => text.replace(", ", "day, ").replace(" 20", "-"),
                3 => format!("{text} "),
                _ => text.to_owned(),
            }
        };
        let date = (-1_000_000_000..6_000_000_000_i64, 0..12_u8).prop_map(spelled);
        let text = prop_oneof![3 => date, 1 => Just("junk".to_owned()), 2 => "[ -~]{0,40}"];
        (text, any::<bool>()).prop_map(|(text, sensitive)| {
            let mut value = HeaderValue::from_str(&text).unwrap();
            value.set_sensitive(sensitive);
            value
        })
    }

    proptest! {
        #[test]
        fn any_fields_come_back_byte_for_byte(
            came in proptest::collection::vec((proptest::sample::select(NAMES.to_vec()), value()), 0..12), taken in 0..5_usize,
        ) {
            let plain = Fields::from_lines(came.iter().map(|(name, value)| (name, value)));
            let shape = plain.shape_with(|name| NAMES.get(taken) == Some(name));
            let shaped = plain.in_shape(Arc::new(Common::own(shape)));
            let bare = shaped.in_shape(Arc::new(Common::own(shaped.shape_with(|_| false))));
            let map: HeaderMap = came.iter().cloned().collect();
            for fields in [&plain, &shaped, &bare, &shaped.with_tail(b"tail")] {
                let told: Vec<_> = fields.lines().collect();
                prop_assert_eq!(told.len(), came.len());
                for (line, (name, value)) in told.iter().zip(&came) {
                    prop_assert!(line.name == name && line.value == *value);
                    prop_assert_eq!(line.sensitive, value.is_sensitive());
                }
                for name in &NAMES {
                    prop_assert!(fields.get_all(name).eq(map.get_all(name)));
                    prop_assert_eq!(fields.value(name), map.get(name).cloned());
                    prop_assert_eq!(fields.contains(name), map.contains_key(name));
                }
                prop_assert_eq!(fields, &plain);
                let again = fields.to_map(0);
                prop_assert_eq!(&again, &map);
                let sensitive = |map: &HeaderMap| {
                    map.values().map(HeaderValue::is_sensitive).collect::<Vec<_>>()
                };
                prop_assert_eq!(sensitive(&again), sensitive(&map));
                let mut some = map.clone();
                some.remove(DATE);
                prop_assert_eq!(fields.to_map_where(0, |name| name != DATE), some);
            }
            let tailed = shaped.with_tail(b"tail");
            prop_assert_eq!(tailed.tail(), b"tail");
        }
    }

    #[test]
    fn what_is_debugged_is_readable() {
        let fields = Fields::from(&headers("A: 1"));
        assert_eq!(format!("{fields:?}"), r#"{"a": "1"}"#);
    }
}
