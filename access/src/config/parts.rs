//! Values that several rules have: each is parsed, or reported under its key.

use std::time::Duration;

use http::Method;
use weir_cache::Glob;

use crate::config::{AccessProblem, RULES_MAX};
use crate::policy::Methods;
use crate::refusal::one_line;

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<AccessProblem>);

impl Report {
    pub(super) fn push(&mut self, key: &str, message: impl Into<String>) {
        self.0.push(AccessProblem { key: key.to_owned(), message: message.into() });
    }

    /// Keeps what was parsed, and reports what was not.
    pub(super) fn take<T, E: ToString>(&mut self, key: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|problem| self.push(key, problem.to_string())).ok()
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T, Vec<AccessProblem>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// Reads each entry of a list of tables.
pub(super) fn each<C, R>(
    report: &mut Report,
    name: &str,
    list: &[C],
    mut read: impl FnMut(&mut Report, &str, &C) -> Option<R>,
) -> Vec<R> {
    if list.len() > RULES_MAX {
        report.push(name, format!("has {} entries (expected at most {RULES_MAX})", list.len()));
        return Vec::new();
    }
    let read = |(index, entry)| read(report, &format!("{name}[{index}]"), entry);
    list.iter().enumerate().filter_map(read).collect()
}

/// Reads each text of a list.
pub(super) fn texts<T>(
    report: &mut Report,
    key: &str,
    list: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let parse =
        |(index, text): (usize, &String)| report.take(&format!("{key}[{index}]"), parse(text));
    list.iter().enumerate().filter_map(parse).collect()
}

/// Quotes a text for a message.
pub(super) fn quote(text: &str) -> String {
    let shown: String = one_line(text).chars().take(60).collect();
    format!("\"{shown}\"")
}

pub(super) fn methods(report: &mut Report, key: &str, list: &[String]) -> Methods {
    if list.is_empty() {
        report.push(key, "is empty, so that nobody would be let in (expected \"GET\")");
    }
    let list = texts(report, key, list, |text| {
        let method = Method::from_bytes(text.as_bytes()).ok();
        let upper = !text.bytes().any(|byte| byte.is_ascii_lowercase());
        let expected = "is not a method (expected one in upper case, such as \"GET\")";
        method.filter(|_| upper).ok_or_else(|| format!("{} {expected}", quote(text)))
    });
    let text = list.iter().map(Method::as_str).collect::<Vec<_>>().join(", ").into();
    Methods { list, text }
}

pub(super) fn glob(report: &mut Report, key: &str, path: Option<&str>) -> Option<Glob> {
    let parsed = path?.parse::<Glob>();
    report.take(&format!("{key}.path"), parsed)
}

/// Reads one of a few words.
pub(super) fn word<T: Copy>(
    report: &mut Report,
    key: &str,
    text: Option<&str>,
    words: &[(&str, T)],
) -> Option<T> {
    let known = || words.iter().map(|(word, _)| quote(word)).collect::<Vec<_>>().join(", ");
    let Some(text) = text else {
        report.push(key, format!("is missing (expected {})", known()));
        return None;
    };
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        report.push(key, format!("{} is unknown (expected {})", quote(text), known()));
    }
    found
}

/// Reads a duration such as `30s`, `5m`, `2h` or `1d`, up to `max`.
pub(super) fn duration(
    report: &mut Report,
    key: &str,
    text: Option<&str>,
    (default, max): (Duration, Duration),
) -> Duration {
    let Some(text) = text else { return default };
    let number_bytes = text.len().saturating_sub(1);
    let parsed = text.split_at_checked(number_bytes).and_then(|(number, unit)| {
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = if digits { number.parse().ok()? } else { return None };
        number.checked_mul(unit).map(Duration::from_secs)
    });
    match parsed.filter(|duration| *duration <= max) {
        Some(duration) => duration,
        None => {
            let max = max.as_secs();
            let expected =
                format!("(expected such as \"30s\", \"5m\", \"2h\", \"1d\", at most {max}s)");
            report.push(key, format!("{} is not a duration {expected}", quote(text)));
            default
        }
    }
}
