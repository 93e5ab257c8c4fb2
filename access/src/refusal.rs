//! Why was a signature not accepted?
//!
//! A [`Refusal`] has two faces: a word, which is counted and logged and has few values, and an
//! explanation for the operator. Neither is for the client, whom one fixed text must do: a guesser
//! who is told what was wrong learns something.
//!
//! # Invariants
//!
//! 1. An explanation never holds a secret or a signature that would have been right.
//! 2. It is one line of bounded length, whatever the request contains.

use std::fmt;

/// Bytes of an explanation, about.
const EXPLANATION_MAX: usize = 512;

/// What was wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// It was right once.
    Expired,
    /// It is there, but not in the form of the format, or twice.
    Malformed,
    /// There is none.
    Missing,
    /// It will be right later.
    NotYet,
    /// It is right, for another host, path or query.
    PathNotCovered,
    /// It names a key that is not known here.
    UnknownKey,
    /// It is right, for another client address.
    WrongClient,
    /// What it claims was not signed with a key that is known here.
    WrongSignature,
}

impl Reason {
    /// Every reason, for counters that are to exist before they count.
    pub const ALL: [Self; 8] = [
        Self::Expired,
        Self::Malformed,
        Self::Missing,
        Self::NotYet,
        Self::PathNotCovered,
        Self::UnknownKey,
        Self::WrongClient,
        Self::WrongSignature,
    ];

    /// Names the reason in logs and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::NotYet => "not_yet",
            Self::PathNotCovered => "path_not_covered",
            Self::UnknownKey => "unknown_key",
            Self::WrongClient => "wrong_client",
            Self::WrongSignature => "wrong_signature",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A signature that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {explanation}")]
pub struct Refusal {
    reason: Reason,
    explanation: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, explanation: impl AsRef<str>) -> Self {
        Self { reason, explanation: one_line(explanation.as_ref()) }
    }

    pub(crate) fn malformed(explanation: impl AsRef<str>) -> Self {
        Self::new(Reason::Malformed, explanation)
    }

    /// What was wrong.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// What was found and what was expected, for the operator. Never for the client.
    pub fn explain(&self) -> &str {
        &self.explanation
    }
}

/// Escapes what could end the line or reach a terminal, and cuts what is too long.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= EXPLANATION_MAX {
            line.push('…');
            break;
        }
        match character {
            ' '..='~' => line.push(character),
            other => line.extend(other.escape_default()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_is_one_bounded_line() {
        let refusal = Refusal::malformed("a\n\u{1b}[2J\"é");
        assert_eq!(refusal.explain(), r#"a\n\u{1b}[2J"\u{e9}"#);
        assert_eq!(refusal.to_string(), r#"malformed: a\n\u{1b}[2J"\u{e9}"#);
        let long = Refusal::malformed("\u{7f}".repeat(10_000));
        assert!(long.explain().len() < 2 * EXPLANATION_MAX);
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let mut words = Reason::ALL.map(Reason::as_str).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
