//! Was the run as expected? Statuses and errors that make it a failure.

use std::ops::RangeInclusive;
use std::str::FromStr;

use weir_bench::load::Figures;

/// Statuses that answers may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statuses(Vec<RangeInclusive<u16>>);

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ranges = text.split(',').map(|part| {
            let part = part.trim();
            let class = part.strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
            let range = match (class, part.parse::<u16>()) {
                (Some(class), _) => class.checked_mul(100).map(|first| first..=first + 99),
                (None, Ok(status)) => Some(status..=status),
                (None, Err(_)) => None,
            };
            range
                .filter(|range| (100..600).contains(range.start()))
                .ok_or_else(|| format!("{part:?}: expected statuses such as 200,206 or 2xx"))
        });
        ranges.collect::<Result<_, _>>().map(Self)
    }
}

/// How many answers have another status.
pub(super) fn unexpected(figures: &Figures, expected: &Statuses) -> u64 {
    let is_other = |status: &u16| !expected.0.iter().any(|range| range.contains(status));
    figures.statuses.iter().filter(|(status, _)| is_other(status)).map(|(_, count)| count).sum()
}

/// How many requests may have no whole answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ErrorsMax {
    Count(u64),
    Share(f64),
}

impl ErrorsMax {
    /// Whether the run stayed within it.
    pub(super) fn allows(self, figures: &Figures) -> bool {
        match self {
            Self::Count(count) => figures.errors <= count,
            Self::Share(share) => {
                figures.errors as f64 <= share * (figures.requests + figures.errors) as f64
            }
        }
    }
}

impl FromStr for ErrorsMax {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count) => Ok(Self::Count(count)),
            Err(_) if text.ends_with('%') => parse_share(text).map(Self::Share),
            Err(_) => Err("expected a count such as 10, or a share such as 0.1%".to_owned()),
        }
    }
}

/// A share written as `5%` or `0.05`.
pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    share
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a share between 0% and 100%, such as 5%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_single_or_a_class() {
        let statuses: Statuses = "200, 3xx".parse().unwrap();
        assert_eq!(statuses.0, [200..=200, 300..=399]);
        for text in ["", "2x", "99", "600", "6xx", "xx", "200-300", "700xx"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percent_or_fractions() {
        for (text, share) in
            [("5%", 0.05), ("0.05", 0.05), ("0", 0.0), ("100%", 1.0), ("0.1 %", 0.001)]
        {
            assert!(parse_share(text).is_ok_and(|found| (found - share).abs() < 1e-12), "{text}");
        }
        for text in ["", "%", "5", "-1%", "101%", "NaN", "x"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_are_bounded_by_count_or_share() {
        assert_eq!("10".parse(), Ok(ErrorsMax::Count(10)));
        assert_eq!("1%".parse(), Ok(ErrorsMax::Share(0.01)));
        assert!("0.5".parse::<ErrorsMax>().is_err());
    }
}
