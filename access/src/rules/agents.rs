//! Is a `User-Agent` one of a list?
//!
//! A pattern with `*` or `?` stands for the whole field, another for any field that it is in; letter case does not
//! count. The empty pattern stands for a request that names no agent. Whoever wants to lie here can.

use http::HeaderMap;
use http::header::USER_AGENT;

use crate::wildcard::fits_any_case;

/// Patterns for user agents.
#[derive(Debug, Clone)]
pub(crate) struct Agents(Vec<Box<[u8]>>);

impl Agents {
    pub(crate) fn new(patterns: &[String]) -> Self {
        let compile = |text: &String| {
            let text = text.to_ascii_lowercase();
            let whole = text.is_empty() || text.contains(['*', '?']);
            let text = if whole { text } else { format!("*{text}*") };
            text.into_bytes().into()
        };
        Self(patterns.iter().map(compile).collect())
    }

    /// Says whether one line of the field fits one pattern.
    pub(crate) fn have(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(USER_AGENT);
        let fits = |agent: &[u8]| self.0.iter().any(|pattern| fits_any_case(pattern, agent));
        if lines.iter().next().is_none() {
            return fits(b"");
        }
        lines.iter().any(|line| fits(line.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn agents_are_found_by_part_by_pattern_or_by_absence() {
        // (patterns, agents, expected)
        type Case = (&'static [&'static str], &'static [&'static [u8]], bool);
        const CASES: &[Case] = &[
            (&["curl"], &[b"Mozilla cURL/8.1"], true),
            (&["CURL"], &[b"curl"], true),
            (&["curl*"], &[b"curl/8"], true),
            (&["curl*"], &[b"x curl/8"], false),
            (&["a", "b?t"], &[b"BOT"], true),
            (&["curl"], &[], false),
            (&[""], &[], true),
            (&[""], &[b""], true),
            (&[""], &[b"curl"], false),
            (&["curl"], &[b"x", b"curl"], true),
            (&["x"], &[b"\xff x \xfe"], true),
            (&[], &[b"x"], false),
        ];
        for &(patterns, agents, expected) in CASES {
            let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
            let mut headers = HeaderMap::new();
            for agent in agents {
                headers.append(USER_AGENT, HeaderValue::from_bytes(agent).unwrap());
            }
            assert_eq!(Agents::new(&patterns).have(&headers), expected, "{patterns:?} {agents:?}");
        }
    }
}
