//! How old is something that another run of this node has seen?
//!
//! A [`Timestamp`] means nothing to another run. A [`Stamp`] tells an instant so that any later run can
//! work out how much time has passed: by the clock that runs since the machine was started and is never
//! set, or, if the machine has been started again since, by the wall clock. Nothing here reads a clock.
//!
//! # Invariants
//!
//! 1. As long as the machine runs, steps of the wall clock change no age.
//! 2. What would come from the future has no age at all: one of the clocks is wrong, and whoever asks
//!    has to do without.
//!
//! What cannot be noticed is a wall clock that was set back while the machine was off, by less than it
//! was off: things are then taken for younger than they are, by as much.

use std::time::Duration;

use crate::time::Timestamp;

/// An instant, told so that another run of the node can place it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Which start of the machine it lies after; equal for equal starts, random otherwise.
    pub boot: u64,
    /// Microseconds since that start, suspensions included.
    pub boot_micros: u64,
    /// Microseconds since 1970 on the wall clock; may be negative.
    pub wall_micros: i64,
}

/// The present moment as all clocks show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// The clocks that other runs understand.
    pub stamp: Stamp,
    /// The monotonic clock of this run, which must not have begun before the machine was started.
    pub monotonic: Timestamp,
}

impl Present {
    /// Tells an `instant` of this run to other runs; one that is yet to come is told as the present.
    #[must_use]
    pub fn stamp_of(&self, instant: Timestamp) -> Stamp {
        let passed = self.monotonic.as_micros().saturating_sub(instant.as_micros());
        Stamp {
            boot: self.stamp.boot,
            boot_micros: self.stamp.boot_micros.saturating_sub(passed),
            wall_micros: self.stamp.wall_micros.saturating_sub_unsigned(passed),
        }
    }

    /// Returns the time that has passed since `stamp`, or `None` if it lies in the future.
    #[must_use]
    pub fn elapsed_since(&self, stamp: Stamp) -> Option<Duration> {
        let micros = if stamp.boot == self.stamp.boot {
            self.stamp.boot_micros.checked_sub(stamp.boot_micros)
        } else if stamp.wall_micros > self.stamp.wall_micros {
            None
        } else {
            Some(self.stamp.wall_micros.abs_diff(stamp.wall_micros))
        };
        micros.map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: u64 = 1_000_000;
    const HOUR: i64 = 3_600 * 1_000_000;
    const WALL: i64 = 1_781_524_800_000_000;
    /// 100 s after the machine was started, 40 s after the node was.
    const NOW: Present = Present {
        stamp: Stamp { boot: 7, boot_micros: 100 * SEC, wall_micros: WALL },
        monotonic: Timestamp::from_micros(40 * SEC),
    };

    #[test]
    fn steps_of_clocks_change_no_age_that_another_clock_knows() {
        let second = 1_000_000;
        // (start of the machine, clock since then, wall clock, seconds passed, why)
        let cases = [
            (7, 70 * SEC, WALL - 30 * second, Some(30), "no step"),
            (7, 70 * SEC, WALL - 30 * second - HOUR, Some(30), "set forward since"),
            (7, 70 * SEC, WALL - 30 * second + HOUR, Some(30), "set back since"),
            (7, 100 * SEC, WALL, Some(0), "this very moment"),
            (7, 100 * SEC + 1, WALL - HOUR, None, "from the future"),
            (8, 999 * SEC, WALL - HOUR, Some(3_600), "another start: the wall clock"),
            (8, 1, WALL, Some(0), "this very moment"),
            (8, 1, WALL + 1, None, "from the future"),
            (8, 1, 0, Some(1_781_524_800), "as old as the epoch"),
        ];
        for (boot, boot_micros, wall_micros, secs, why) in cases {
            let passed = NOW.elapsed_since(Stamp { boot, boot_micros, wall_micros });
            assert_eq!(passed, secs.map(Duration::from_secs), "{why}");
        }
    }

    #[test]
    fn an_instant_of_this_run_is_as_old_as_it_is_told() {
        for micros in [0, 1, 39 * SEC, 40 * SEC] {
            let instant = Timestamp::from_micros(micros);
            let passed = NOW.elapsed_since(NOW.stamp_of(instant)).unwrap();
            assert_eq!(passed, NOW.monotonic.saturating_since(instant));
        }
        let to_come = NOW.monotonic.saturating_add(Duration::from_secs(1));
        assert_eq!(NOW.stamp_of(to_come), NOW.stamp);
    }

    #[test]
    fn extremes_saturate() {
        let stamp = |boot, wall_micros| Stamp { boot, boot_micros: 0, wall_micros };
        let last =
            Present { stamp: stamp(1, i64::MAX), monotonic: Timestamp::from_micros(u64::MAX) };
        let passed = last.elapsed_since(stamp(2, i64::MIN)).unwrap();
        assert_eq!(passed, Duration::from_micros(u64::MAX));
        assert_eq!(last.stamp_of(Timestamp::ZERO).boot_micros, 0);
    }
}
