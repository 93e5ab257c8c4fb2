//! How far is a long command? One line on standard error, redrawn in place.
//!
//! Written by hand because it is one line: a crate for it would bring more code than the command has.
//! Shown only on a terminal, so that logs and pipes hold nothing but results and errors.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use crate::output;

/// How often the line is redrawn while a command waits.
const REDRAWN_EVERY: Duration = Duration::from_millis(100);
/// The bar's width in characters.
const BAR_WIDTH: usize = 30;
const SPOKES: [char; 4] = ['|', '/', '-', '\\'];
/// To the start of the line, and everything after it erased.
const CLEAR: &str = "\r\x1b[K";

/// The line; silent where nobody watches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    watched: bool,
}

impl Progress {
    /// A line on standard error if that is a terminal.
    pub(crate) fn on_terminal() -> Self {
        Self { watched: stderr().is_terminal() }
    }

    /// Whether anybody watches.
    pub(crate) fn is_watched(self) -> bool {
        self.watched
    }

    /// Shows `line` in place of what was shown before.
    pub(crate) fn show(self, line: &str) {
        self.draw(&format!("{CLEAR}{line}"));
    }

    /// Takes the line away.
    pub(crate) fn clear(self) {
        self.draw(CLEAR);
    }

    /// Does `work` while a spinner turns behind `what`.
    pub(crate) async fn spin<T>(self, what: &str, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval(REDRAWN_EVERY);
        let began = Instant::now();
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.draw(CLEAR);
                    return done;
                }
                _ = ticks.tick(), if self.watched => {
                    self.draw(&format!("{CLEAR}{}", spinner(what, began.elapsed())));
                }
            }
        }
    }

    fn draw(self, text: &str) {
        if self.watched {
            output::err(text);
        }
    }
}

fn spinner(what: &str, elapsed: Duration) -> String {
    let turns = elapsed.as_millis() / REDRAWN_EVERY.as_millis();
    let spoke = usize::try_from(turns).ok().and_then(|turns| SPOKES.get(turns % SPOKES.len()));
    format!("{} {what} {} s", spoke.unwrap_or(&'|'), elapsed.as_secs())
}

/// A bar that is `done` of `total` long, with the numbers.
pub(crate) fn bar(done: usize, total: usize) -> String {
    let full =
        BAR_WIDTH.saturating_mul(done).checked_div(total).unwrap_or(BAR_WIDTH).min(BAR_WIDTH);
    format!("[{}{}] {done}/{total}", "#".repeat(full), "-".repeat(BAR_WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_the_work_done() {
        for (done, total, full) in [(0, 3, 0), (1, 3, 10), (3, 3, 30), (0, 0, 30), (5, 3, 30)] {
            let bar = bar(done, total);
            assert_eq!(bar.matches('#').count(), full, "{bar}");
            assert!(bar.ends_with(&format!(" {done}/{total}")), "{bar}");
        }
    }

    #[test]
    fn a_spinner_turns_and_counts_seconds() {
        let at = |ms| spinner("waiting", Duration::from_millis(ms));
        assert_eq!((at(0).as_str(), at(1_150).as_str()), ("| waiting 0 s", "\\ waiting 1 s"));
    }
}
