//! Which fields of a stored response does an answer by the short way not repeat?

use http::HeaderName;
use http::header::{AGE, CONTENT_LENGTH};

/// Names, and which places of 64 they fall into, so that most others are told apart at a glance.
#[derive(Debug)]
pub(crate) struct Unsent {
    places: u64,
    names: Box<[HeaderName]>,
}

impl Unsent {
    /// Those of which every answer has its own, and those that a site hides.
    pub(crate) fn new(hidden: &[HeaderName]) -> Self {
        let own = ["cache-status", "x-cache", "x-request-id"].map(HeaderName::from_static);
        let own = own.into_iter().chain([CONTENT_LENGTH, AGE]);
        let names: Box<[_]> = own.chain(hidden.iter().cloned()).collect();
        let places = names.iter().fold(0, |places, name| places | place(name));
        Self { places, names }
    }

    /// Whether `name` is one of them.
    pub(crate) fn holds(&self, name: &HeaderName) -> bool {
        self.places & place(name) != 0 && self.names.contains(name)
    }
}

/// The place of `name`, as a bit.
fn place(name: &HeaderName) -> u64 {
    let bytes = name.as_str().as_bytes();
    let (first, last) = (bytes.first().copied(), bytes.last().copied());
    let sum =
        usize::from(first.unwrap_or(0)) + 3 * usize::from(last.unwrap_or(0)) + 5 * bytes.len();
    1 << (sum % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_has_of_its_own_and_what_is_hidden_is_not_sent() {
        let hidden = ["date", "xkey"].map(HeaderName::from_static);
        let unsent = Unsent::new(&hidden);
        let held =
            ["age", "content-length", "cache-status", "x-cache", "x-request-id", "date", "xkey"];
        assert!(held.iter().all(|name| unsent.holds(&HeaderName::from_static(name))));
        let sent =
            ["etag", "content-type", "last-modified", "vary", "via", "x-cach", "yage", "link"];
        assert!(sent.iter().all(|name| !unsent.holds(&HeaderName::from_static(name))));
    }
}
