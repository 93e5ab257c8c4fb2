//! How much CPU time has a process used? From `/proc/PID/stat`: all its threads, those that have ended too, no children.
//!
//! The kernel keeps the sum exactly and gives it in clock ticks (10 ms); how it divides into user and system is sampled
//! by most kernels, so it needs a run of seconds to mean something.

use std::io;
use std::ops::{Add, Sub};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl CpuTime {
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }

    /// What the processes have used together.
    ///
    /// # Errors
    ///
    /// A process that is not there, or that may not be looked at.
    pub(crate) fn of(pids: &[u32]) -> io::Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let time =
                Self::parse(&text).ok_or_else(|| io::Error::other("unknown form of stat"))?;
            sum = sum + time;
        }
        Ok(sum)
    }

    /// What this process has used, to the nanosecond, and how it divides.
    pub(crate) fn of_this_process() -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let exact = Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        );
        let Self { user, .. } = Self::of(&[std::process::id()]).unwrap_or_default();
        let user = user.min(exact);
        Self { user, system: exact.saturating_sub(user) }
    }

    /// Reads the text of a `stat` file (proc_pid_stat(5), fields 14 and 15).
    fn parse(text: &str) -> Option<Self> {
        // The name of the program may hold spaces and parentheses; nothing after it does.
        let (_, fields) = text.rsplit_once(')')?;
        let mut ticks = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
        let user = ticks.next()?.ok()?;
        let system = ticks.next()?.ok()?;
        Some(Self { user: duration(user), system: duration(system) })
    }
}

impl Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user + other.user, system: self.system + other.system }
    }
}

impl Sub for CpuTime {
    type Output = Self;

    /// The time between two readings; never below zero.
    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

fn duration(ticks: u64) -> Duration {
    let a_second = rustix::param::clock_ticks_per_second().max(1);
    let rest = u128::from(ticks % a_second) * 1_000_000_000 / u128::from(a_second);
    Duration::new(ticks / a_second, u32::try_from(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let a_second = rustix::param::clock_ticks_per_second();
        let rest =
            format!("S 1 2 3 4 5 6 7 8 9 10 {} {} 99 99 20 0 4 0", a_second * 3, a_second / 2);
        for name in ["weir", "a b", "x) S 1 (y"] {
            let time = CpuTime::parse(&format!("42 ({name}) {rest}")).unwrap();
            assert_eq!(time.user, Duration::from_secs(3));
            assert_eq!(time.system, Duration::from_millis(500));
        }
        for text in ["", "42 (a", "42 (a) S 1 2", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x y"] {
            assert_eq!(CpuTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn work_is_seen() {
        let before = CpuTime::of_this_process();
        let mut sum = 0_u64;
        while (CpuTime::of_this_process() - before).total() < Duration::from_millis(3) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        assert!(CpuTime::of(&[std::process::id()]).is_ok());
        assert!(CpuTime::of(&[u32::MAX]).is_err());
    }
}
