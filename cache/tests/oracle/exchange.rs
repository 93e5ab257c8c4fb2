//! What an exchange means, and the two ways of writing it down.

use std::time::Duration;

use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, DATE, ETAG, EXPIRES, LAST_MODIFIED, PRAGMA, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use weir_cache::{UnixTime, format_http_date};

use super::{Answer, date};

/// An exchange with an origin, as far as both sides understand it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    status: StatusCode,
    authorized: bool,
    directives: Vec<Directive>,
    /// How the directives are spelled.
    spelling: Spelling,
    /// Seconds after arrival; `None` for a value that is no date.
    expires: Option<Option<i64>>,
    date: Option<i64>,
    last_modified: Option<i64>,
    shape: Shape,
    /// The field and what it means in seconds.
    age: Option<(&'static str, u64)>,
    vary: Option<&'static str>,
    /// Whether there is an ETag.
    pub(crate) has_validator: bool,
    /// How long the response took to come, in whole seconds.
    pub(crate) delay: Duration,
}

/// A directive, with its number where it has one.
#[derive(Clone, Debug)]
struct Directive {
    name: &'static str,
    /// `Some(None)` for something that is no number.
    seconds: Option<Option<u64>>,
}

/// What does not count about a Cache-Control field.
#[derive(Clone, Debug)]
struct Spelling {
    upper: bool,
    quoted: bool,
    lines: bool,
    /// Whether each number comes once more with another value; the first one counts.
    repeated: bool,
    /// Something that must be passed over.
    junk: &'static str,
}

/// The three shapes of a date (RFC 9110 §5.6.7).
#[derive(Clone, Copy, Debug)]
enum Shape {
    Fixdate,
    Rfc850,
    Asctime,
}

/// Generates exchanges that the crate judges right.
pub(crate) fn exchange() -> impl Strategy<Value = Exchange> {
    let statuses =
        vec![200, 200, 200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];
    let ages = vec![
        ("0", 0),
        ("7", 7),
        ("0061", 61),
        ("3600", 3600),
        ("30, 0", 30),
        ("old", 0),
        ("-5", 0),
        ("4.5", 0),
        ("18446744073709551615", 1 << 31),
        ("99999999999999999999", 1 << 31),
    ];
    let dates = (
        weighted(0.3, prop_oneof![4 => (-500_i64..2000).prop_map(Some), 1 => Just(None)]),
        weighted(0.8, -100_i64..=100),
        // Less than ten days: the crate guesses without a bound.
        weighted(0.4, -800_000_i64..100),
        select(vec![Shape::Fixdate, Shape::Rfc850, Shape::Asctime]),
    );
    let rest = (
        weighted(0.3, select(ages)),
        weighted(0.3, select(vec!["x-a", "X-A, x-b", "*"])),
        any::<bool>(),
        0_u64..4,
    );
    let base = (select(statuses), prop::bool::weighted(0.2), directives(), spelling());
    (base, dates, rest).prop_map(
        |(
            (status, authorized, directives, spelling),
            (expires, date, last_modified, shape),
            (age, vary, has_validator, delay),
        )| Exchange {
            status: StatusCode::from_u16(status).unwrap(),
            // The crate shares on an s-maxage without a number what Authorization protects.
            authorized: authorized && !directives.iter().any(Directive::is_half_shared),
            directives,
            spelling,
            expires,
            date,
            last_modified,
            shape,
            age,
            vary,
            has_validator,
            delay: Duration::from_secs(delay),
        },
    )
}

fn directives() -> impl Strategy<Value = Vec<Directive>> {
    let seconds = prop_oneof![
        6 => (0_u64..100).prop_map(Some),
        2 => (0_u64..100_000).prop_map(Some),
        1 => Just(Some(1 << 31)),
        1 => Just(None),
    ];
    let number = |name| seconds.clone().prop_map(move |s| Directive { name, seconds: Some(s) });
    let flags = vec!["no-store", "no-cache", "private", "public", "must-revalidate", "immutable"];
    // Few flags at a time, or nothing would be stored.
    let flags = prop_oneof![
        3 => Just(Vec::new()),
        2 => subsequence(flags.clone(), 1),
        1 => subsequence(flags, 0..=6),
    ];
    let harmless = subsequence(vec!["no-transform", "x-unknown"], 0..=2);
    let windows = weighted(0.2, number("stale-while-revalidate"));
    let numbers = (weighted(0.5, number("max-age")), weighted(0.2, number("s-maxage")), windows);
    (flags, harmless, numbers)
        .prop_map(|(flags, harmless, (max_age, s_maxage, window))| {
            let flags = flags.into_iter().chain(harmless);
            flags
                .map(|name| Directive { name, seconds: None })
                .chain(max_age)
                .chain(s_maxage)
                .chain(window)
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
}

fn spelling() -> impl Strategy<Value = Spelling> {
    let junk = vec![
        "",
        "ext=\"a, max-age=3600, public\"",
        "ext=\"\\\", s-maxage=3600\"",
        ",,",
        "max-age =3600",
        "=",
        "ext=\"a, b",
    ];
    (any::<[bool; 4]>(), select(junk)).prop_map(|([upper, quoted, lines, repeated], junk)| {
        Spelling { upper, quoted, lines, repeated, junk }
    })
}

impl Exchange {
    /// The fields of the request.
    pub(crate) fn request(&self) -> HeaderMap {
        let credentials = self.authorized.then(|| HeaderValue::from_static("Basic YTpi"));
        credentials.into_iter().map(|value| (AUTHORIZATION, value)).collect()
    }

    /// Whether the lifetime, if any, is guessed from Last-Modified.
    pub(crate) fn is_guessed(&self) -> bool {
        let stated = |directive: &Directive| matches!(directive.name, "max-age" | "s-maxage");
        self.expires.is_none() && !self.directives.iter().any(stated)
    }

    /// The answer in spellings that only a whole parser reads.
    pub(crate) fn as_origins_write(&self) -> Answer {
        let mut fields = self.common_fields();
        for line in self.spelling.lines_of(&self.directives) {
            fields.append(CACHE_CONTROL, HeaderValue::try_from(line).unwrap());
        }
        if let Some((age, _)) = self.age {
            fields.insert(AGE, HeaderValue::from_static(age));
        }
        let written = |secs| HeaderValue::try_from(self.shape.write(date(secs))).unwrap();
        let expires = self.expires.map(|at| at.map_or(HeaderValue::from_static("never"), written));
        insert(&mut fields, EXPIRES, expires);
        insert(&mut fields, DATE, self.date.map(written));
        insert(&mut fields, LAST_MODIFIED, self.last_modified.map(written));
        // Means nothing in a response (RFC 9111 §5.4).
        fields.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        (self.status, fields)
    }

    /// The answer in the one spelling that the crate reads right, without what it reads wrong.
    pub(crate) fn as_the_crate_reads(&self) -> Answer {
        let mut fields = self.common_fields();
        let line = self.directives.iter().map(|directive| directive.write(false));
        let line = line.collect::<Vec<_>>().join(", ");
        insert(&mut fields, CACHE_CONTROL, Some(line).filter(|line| !line.is_empty()));
        fields.insert(AGE, self.age_on_arrival().into());
        let written = |secs| format_http_date(date(secs));
        let expires = self.expires.map(|at| at.map_or(HeaderValue::from_static("0"), written));
        insert(&mut fields, EXPIRES, expires);
        insert(&mut fields, DATE, self.date.map(written));
        insert(&mut fields, LAST_MODIFIED, self.last_modified.map(written));
        (self.status, fields)
    }

    /// RFC 9111 §4.2.3, with the second that we forgive an apparent age.
    fn age_on_arrival(&self) -> u64 {
        let apparent = u64::try_from(-self.date.unwrap_or_default()).unwrap_or_default();
        let said = self.age.map_or(0, |(_, secs)| secs) + self.delay.as_secs();
        said.max(apparent.saturating_sub(1))
    }

    fn common_fields(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        insert(&mut fields, VARY, self.vary.map(HeaderValue::from_static));
        insert(&mut fields, ETAG, self.has_validator.then(|| HeaderValue::from_static("\"a\"")));
        fields
    }
}

impl Directive {
    fn is_half_shared(&self) -> bool {
        self.name == "s-maxage" && self.seconds == Some(None)
    }

    fn write(&self, quoted: bool) -> String {
        match self.seconds {
            None => self.name.to_owned(),
            Some(None) => format!("{}=soon", self.name),
            Some(Some(secs)) if quoted => format!("{}=\"{secs}\"", self.name),
            Some(Some(secs)) => format!("{}={secs}", self.name),
        }
    }
}

impl Spelling {
    fn lines_of(&self, directives: &[Directive]) -> Vec<String> {
        let mut members: Vec<String> = directives.iter().map(|one| self.write(one)).collect();
        if self.repeated {
            let numbers = directives.iter().filter(|directive| directive.seconds.is_some());
            members.extend(numbers.map(|directive| format!("{}=86400", directive.name)));
        }
        // Last: an open quote reaches to the end of its line.
        members.extend((!self.junk.is_empty()).then(|| self.junk.to_owned()));
        if self.lines { members } else { vec![members.join(" ,\t")] }
    }

    fn write(&self, directive: &Directive) -> String {
        let text = directive.write(self.quoted);
        if self.upper { text.to_ascii_uppercase() } else { text }
    }
}

impl Shape {
    fn write(self, at: UnixTime) -> String {
        let fixdate = format_http_date(at);
        let text = fixdate.to_str().unwrap();
        let (day, month, year, time) = (&text[5..7], &text[8..11], &text[12..16], &text[17..25]);
        match self {
            Self::Fixdate => text.to_ascii_lowercase(),
            // The day of the week does not count.
            Self::Rfc850 => format!("Friday, {day}-{month}-{} {time} GMT", &year[2..]),
            Self::Asctime => {
                format!("Fri {month} {:>2} {time} {year}", day.trim_start_matches('0'))
            }
        }
    }
}

fn insert<V>(fields: &mut HeaderMap, name: HeaderName, value: Option<V>)
where
    HeaderValue: TryFrom<V>,
{
    let value = value.and_then(|value| HeaderValue::try_from(value).ok());
    if let Some(value) = value {
        fields.insert(name, value);
    }
}
