//! Why is a request not let in?
//!
//! As for [`Refusal`]: one word that is counted, and an explanation for the operator. The client is
//! told the status and no more, the same for all but methods.

use std::sync::Arc;

use http::StatusCode;

use crate::refusal::{Reason, Refusal, one_line};
use crate::rules::source::{SourceDenial, SourceField};

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// The method is not one that the site, or a signature, is for.
    Method {
        /// The methods that are, for `Allow`.
        allowed: Arc<str>,
    },
    /// A rule about clients.
    Rule {
        /// Its name.
        name: Arc<str>,
    },
    /// Signature missing or not accepted.
    Signature(Refusal),
    /// The page that the request comes from.
    Source {
        /// The field that names it.
        field: SourceField,
        /// What is wrong with it.
        why: SourceDenial,
        /// What the field holds, for the operator.
        found: String,
    },
}

impl Denial {
    /// Every word, for counters that are to exist before they count.
    pub const WORDS: [&'static str; 18] = [
        "method",
        "rule",
        "referer_absent",
        "referer_listed",
        "referer_unreadable",
        "referer_unlisted",
        "origin_absent",
        "origin_listed",
        "origin_unreadable",
        "origin_unlisted",
        "signature_expired",
        "signature_malformed",
        "signature_missing",
        "signature_not_yet",
        "signature_path_not_covered",
        "signature_unknown_key",
        "signature_wrong_client",
        "signature_wrong_signature",
    ];

    /// Names the reason in logs and counters.
    pub const fn as_str(&self) -> &'static str {
        use SourceDenial::{Absent, Listed, Unlisted, Unreadable};
        use SourceField::{Origin, Referer};
        match self {
            Self::Method { .. } => "method",
            Self::Rule { .. } => "rule",
            Self::Source { field, why, .. } => match (field, why) {
                (Origin, Absent) => "origin_absent",
                (Origin, Listed) => "origin_listed",
                (Origin, Unlisted) => "origin_unlisted",
                (Origin, Unreadable) => "origin_unreadable",
                (Referer, Absent) => "referer_absent",
                (Referer, Listed) => "referer_listed",
                (Referer, Unlisted) => "referer_unlisted",
                (Referer, Unreadable) => "referer_unreadable",
            },
            Self::Signature(refusal) => match refusal.reason() {
                Reason::Expired => "signature_expired",
                Reason::Malformed => "signature_malformed",
                Reason::Missing => "signature_missing",
                Reason::NotYet => "signature_not_yet",
                Reason::PathNotCovered => "signature_path_not_covered",
                Reason::UnknownKey => "signature_unknown_key",
                Reason::WrongClient => "signature_wrong_client",
                Reason::WrongSignature => "signature_wrong_signature",
            },
        }
    }

    /// Status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Rule { .. } | Self::Signature(_) | Self::Source { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// What was found and what was expected, for the operator. One line; never for the client.
    pub fn explain(&self) -> String {
        match self {
            Self::Method { allowed } => format!("expected one of the methods {allowed}"),
            Self::Rule { name } => format!("rule {} refuses", one_line(name)),
            Self::Signature(refusal) => refusal.explain().to_owned(),
            Self::Source { field, why, found } => {
                let name = field.name();
                match why {
                    SourceDenial::Absent => format!("no {name}, and the rule refuses that"),
                    SourceDenial::Listed => format!("{name} {found} is on the list deny"),
                    SourceDenial::Unlisted => format!("{name} {found} is not on the list allow"),
                    SourceDenial::Unreadable => {
                        format!("{name} {found} is not one URL with a plain host")
                    }
                }
            }
        }
    }
}
