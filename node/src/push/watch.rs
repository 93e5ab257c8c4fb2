//! Which URLs have grown hot on an edge and are to be had on the others?
//!
//! Pure; the present is an argument. A URL is pushed once in a while, however often it is reported,
//! and so many a minute at most.

use std::collections::HashMap;
use std::time::Duration;

use weir_cache::Timestamp;

use super::record::HotUrl;

/// A URL that was pushed is not pushed again for so long.
const AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);
/// URLs remembered for that.
const REMEMBERED_MAX: usize = 4_096;
/// Bytes of the longest URL that is remembered.
const URL_BYTES_MAX: usize = 4_096;
const MINUTE: Duration = Duration::from_secs(60);

/// What has been pushed lately.
#[derive(Debug)]
pub(super) struct Watch {
    /// Requests a minute from which a URL is hot; zero for never.
    hot_per_minute: u64,
    pushes_per_minute: u32,
    pushed: HashMap<String, Timestamp>,
    minute_began: Timestamp,
    in_this_minute: u32,
}

impl Watch {
    /// Nothing has been pushed.
    pub(super) fn new(hot_per_minute: u32, pushes_per_minute: u32) -> Self {
        Self {
            hot_per_minute: hot_per_minute.into(),
            pushes_per_minute,
            pushed: HashMap::new(),
            minute_began: Timestamp::ZERO,
            in_this_minute: 0,
        }
    }

    /// What of `reported` is to be pushed.
    pub(super) fn grown<'a>(&mut self, reported: &'a [HotUrl], now: Timestamp) -> Vec<&'a HotUrl> {
        if self.hot_per_minute == 0 {
            return Vec::new();
        }
        if now.saturating_since(self.minute_began) >= MINUTE {
            (self.minute_began, self.in_this_minute) = (now, 0);
        }
        self.pushed.retain(|_, at| now.saturating_since(*at) < AGAIN_AFTER);
        let mut grown = Vec::new();
        for hot in reported {
            let room = self.in_this_minute < self.pushes_per_minute
                && self.pushed.len() < REMEMBERED_MAX
                && hot.url.len() <= URL_BYTES_MAX;
            if hot.count >= self.hot_per_minute && room && !self.pushed.contains_key(&hot.url) {
                self.pushed.insert(hot.url.clone(), now);
                self.in_this_minute += 1;
                grown.push(hot);
            }
        }
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hot(url: &str, count: u64) -> HotUrl {
        HotUrl { url: url.to_owned(), headers: Vec::new(), count }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::ZERO.saturating_add(Duration::from_secs(secs))
    }

    #[test]
    fn a_url_is_pushed_when_it_is_hot_and_not_again_for_a_while() {
        let mut watch = Watch::new(100, 10);
        let (cold, warm) = ([hot("a", 99)], [hot("a", 100)]);
        assert!(watch.grown(&cold, at(100)).is_empty());
        assert_eq!(watch.grown(&warm, at(100)).len(), 1);
        assert!(watch.grown(&warm, at(399)).is_empty());
        assert_eq!(watch.grown(&warm, at(400)).len(), 1);
        assert!(Watch::new(0, 10).grown(&warm, at(1)).is_empty(), "zero turns it off");
    }

    #[test]
    fn so_many_are_pushed_a_minute() {
        let mut watch = Watch::new(1, 3);
        let many: Vec<HotUrl> = (0..5).map(|number| hot(&number.to_string(), 1)).collect();
        assert_eq!(watch.grown(&many, at(100)).len(), 3);
        assert!(watch.grown(&many, at(159)).is_empty());
        assert_eq!(watch.grown(&many, at(160)).len(), 2);
    }
}
