//! Which values only rules and their companions take: paths, shares, and lifetimes by status.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use toml::Spanned;
use toml::de::DeValue;
use weir_cache::{Glob, takes_negative_ttl};

use super::text::Text;
use super::{Kind, Span, Wrongs, toml_string};
use crate::config::problem::{Wrong, quote};

/// The paths that a rule is for.
pub(in crate::config) const fn path_glob() -> Text<Glob> {
    Text {
        unit: "path pattern",
        range: "a path, ? for one character, * for any of a segment, ** for any segments",
        example: "/img/**",
        parse: |text| text.parse().map_err(|why| format!("{} {why}", quote(text))),
        write: Glob::to_string,
    }
}

/// A share in whole percent, from none to `max`.
pub(in crate::config) struct Percent {
    pub(in crate::config) max: u8,
}

impl Kind for Percent {
    type Value = u8;

    fn unit(&self) -> String {
        "share".to_owned()
    }

    fn range(&self) -> String {
        format!("0% to {}%", self.max)
    }

    fn example(&self) -> String {
        toml_string("5%")
    }

    fn read_text(&self, text: &str) -> Result<u8, Wrong> {
        let digits = text.strip_suffix('%').filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let share = digits.and_then(|digits| digits.parse().ok());
        share
            .filter(|share| *share <= self.max)
            .ok_or_else(|| self.expected(format!("found {}", quote(text))))
    }

    fn render(&self, value: &u8) -> Option<String> {
        Some(toml_string(&format!("{value}%")))
    }
}

/// Lifetimes by the status of error responses, written as an inline table.
pub(in crate::config) struct ByStatus {
    pub(in crate::config) span: Span,
}

impl ByStatus {
    fn status(&self, text: &str) -> Result<StatusCode, Wrong> {
        let status = text.parse().ok().filter(|status| takes_negative_ttl(*status));
        status.ok_or_else(|| self.expected(format!("found status {}", quote(text))))
    }
}

impl Kind for ByStatus {
    type Value = BTreeMap<StatusCode, Duration>;

    fn unit(&self) -> String {
        "table of durations".to_owned()
    }

    fn range(&self) -> String {
        format!("by status, 400 to 599 but 412, 416, 428, 429, 431, 511: {}", self.span.range())
    }

    fn example(&self) -> String {
        "{ 404 = \"30s\", 503 = \"2s\" }".to_owned()
    }

    fn read_text(&self, text: &str) -> Result<Self::Value, Wrong> {
        Err(self.expected(format!("found {}", quote(text))))
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, wrongs: &mut Wrongs) -> Option<Self::Value> {
        let Some(table) = value.get_ref().as_table() else {
            wrongs.push((value.span().start, self.mismatch(value.get_ref())));
            return None;
        };
        let before = wrongs.len();
        let mut lifetimes = BTreeMap::new();
        for (key, lifetime) in table.iter() {
            let status = self.status(key.get_ref());
            let lifetime = self.span.read(lifetime, wrongs);
            match (status, lifetime) {
                (Ok(status), Some(lifetime)) => drop(lifetimes.insert(status, lifetime)),
                (Err(wrong), _) => wrongs.push((key.span().start, wrong)),
                (Ok(_), None) => {}
            }
        }
        (wrongs.len() == before).then_some(lifetimes)
    }

    fn render(&self, value: &Self::Value) -> Option<String> {
        let entries: Option<Vec<_>> = value
            .iter()
            .map(|(status, span)| {
                Some(format!("{} = {}", status.as_u16(), self.span.render(span)?))
            })
            .collect();
        entries.filter(|entries| !entries.is_empty()).map(|e| format!("{{ {} }}", e.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_percents() {
        let kind = Percent { max: 50 };
        for (text, expected) in [("0%", 0), ("5%", 5), ("50%", 50)] {
            assert_eq!(kind.read_text(text), Ok(expected));
            assert_eq!(kind.render(&expected), Some(toml_string(text)), "{text}");
        }
        for text in ["", "%", "5", "51%", "-1%", "+5%", "1.5%", "5 %", "300%"] {
            let wrong = kind.read_text(text).expect_err(text).message;
            assert!(wrong.contains("expected share (0% to 50%), for example \"5%\""), "{wrong}");
        }
    }

    #[test]
    fn every_wrong_status_and_lifetime_is_reported_at_its_place() {
        let kind = ByStatus { span: Span { min: Duration::ZERO, max: Duration::from_secs(60) } };
        let value =
            DeValue::parse("{ 404 = \"30s\", 999 = \"1s\", 200 = 5, 503 = \"2m\" }").unwrap();
        let mut wrongs = Vec::new();
        assert_eq!(kind.read(&value, &mut wrongs), None);
        wrongs.sort_by_key(|(at, _)| *at);
        let found: Vec<_> = wrongs.iter().map(|(at, wrong)| (*at, &wrong.message[..14])).collect();
        let expected = [
            (15, "found status \""),
            (27, "found status \""),
            (33, "5 has no unit,"),
            (42, "found \"2m\"; ex"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let kind = ByStatus { span: Span { min: Duration::ZERO, max: Duration::from_secs(60) } };
        for text in ["{ 404 = \"30s\", 503 = \"2s\" }", "{ 400 = \"0s\" }"] {
            let mut wrongs = Vec::new();
            let read = kind.read(&DeValue::parse(text).unwrap(), &mut wrongs).unwrap();
            assert_eq!(kind.render(&read).as_deref(), Some(text));
        }
        assert_eq!(kind.render(&BTreeMap::new()), None, "an empty table says nothing");
    }
}
