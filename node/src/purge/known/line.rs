//! How is what a node has applied of the purge log written down?
//!
//! One line for each time that the log was taken up and for each entry, as bytes of a version, and one
//! that says what an entry was where the log could give its number to another. What an entry asked for is written as this node has understood it. Whether a line can be believed, and what
//! is to be done about one that cannot be read, is decided by the caller.

use serde::{Deserialize, Serialize};
use weir_cache::purge::{AsOf, Entry, Epoch, Ledger, Mode};

/// Version of the form; the first byte of a line.
const VERSION: u8 = 1;

/// One thing that a node has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// It has applied this entry.
    Applied(AsOf, Entry),
    /// It has taken up the log here, without the entries before.
    Joined(AsOf),
    /// It has met everything up to here, of which the last was this. What is not said of it in other
    /// lines names nothing.
    Met(AsOf, [u8; 32]),
}

/// The form of a line.
#[derive(Debug, Serialize, Deserialize)]
struct Form {
    epoch: u64,
    seq: u64,
    /// The mode and what is named, of an entry.
    entry: Option<(String, Vec<String>)>,
    /// What was met.
    mark: Option<[u8; 32]>,
}

impl Line {
    /// Where in the log it was done.
    pub(super) fn at(&self) -> AsOf {
        match self {
            Self::Applied(at, _) | Self::Joined(at) | Self::Met(at, _) => *at,
        }
    }

    /// The line as bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let (entry, mark) = match self {
            Self::Joined(_) => (None, None),
            Self::Met(_, mark) => (None, Some(*mark)),
            Self::Applied(_, entry) => {
                let named = entry.selectors.iter().map(ToString::to_string).collect();
                (Some((entry.mode.as_str().to_owned(), named)), None)
            }
        };
        let at = self.at();
        let form = Form { epoch: at.epoch.get(), seq: at.seq, entry, mark };
        postcard::to_extend(&form, vec![VERSION])
    }

    /// Reads a line; `None` for what this version cannot have written.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, form) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let form: Form = postcard::from_bytes(form).ok()?;
        let at = AsOf { epoch: Epoch::new(form.epoch), seq: form.seq };
        let (mode, named) = match (form.entry, form.mark) {
            (None, None) => return Some(Self::Joined(at)),
            (None, Some(mark)) => return Some(Self::Met(at, mark)),
            (Some(entry), _) => entry,
        };
        let mode: Mode = mode.parse().ok()?;
        let selectors: Result<Vec<_>, _> = named.iter().map(|text| text.parse()).collect();
        Some(Self::Applied(at, Entry { mode, selectors: selectors.ok()? }))
    }

    /// Does once more what the line says.
    pub(super) fn recall(&self, ledger: &mut Ledger) {
        match self {
            Self::Applied(at, entry) => ledger.recall(*at, entry),
            Self::Joined(at) => ledger.join(*at),
            Self::Met(at, _) => {
                ledger.recall(*at, &Entry { mode: Mode::Invalidate, selectors: Vec::new() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let at = AsOf { epoch: Epoch::new(u64::MAX), seq: 42 };
        let named = ["everything", "url:a.b/x?y=%20", "prefix:a.b/x", "tag:s ku", "glob:*.b/*.js"];
        let selectors: Vec<_> = named.iter().map(|text| text.parse().unwrap()).collect();
        for mode in [Mode::Invalidate, Mode::Purge] {
            let entry = Entry { mode, selectors: selectors.clone() };
            for line in [Line::Joined(at), Line::Met(at, [7; 32]), Line::Applied(at, entry)] {
                assert_eq!(Line::decode(&line.encode().unwrap()), Some(line));
            }
        }
    }

    #[test]
    fn what_is_no_line_of_this_version_is_not_read() {
        let at = AsOf { epoch: Epoch::new(1), seq: 2 };
        let entry = Entry { mode: Mode::Purge, selectors: vec!["host:a.b".parse().unwrap()] };
        let good = Line::Applied(at, entry).encode().unwrap();
        let later = [&[VERSION + 1], &good[1..]].concat();
        let odd =
            Form { epoch: 1, seq: 2, entry: Some(("melt".to_owned(), Vec::new())), mark: None };
        let odd = postcard::to_extend(&odd, vec![VERSION]).unwrap();
        for junk in [&[][..], b"x", &[VERSION], &good[..good.len() - 1], &later, &odd] {
            assert_eq!(Line::decode(junk), None, "{junk:?}");
        }
    }
}
