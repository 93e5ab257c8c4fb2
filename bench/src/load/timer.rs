//! Waits until a request is due, more exactly than the runtime's timers, which know milliseconds.
//!
//! A millisecond is many times what a hit on loopback takes; waiting by it would measure the wait. Linux only.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// One timer; one waiter at a time.
#[derive(Debug)]
pub(crate) struct Timer {
    descriptor: AsyncFd<OwnedFd>,
}

impl Timer {
    /// Makes a timer on the runtime that this runs on.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "`register` is unsafe, for types that may change their descriptor; `OwnedFd` cannot"
        )]
        let descriptor = AsyncFd::new(descriptor)?;
        Ok(Self { descriptor })
    }

    /// Waits until `due`; returns at once if that is past. Dropped half way, it leaves a timer that the next call sets
    /// anew.
    pub(crate) async fn until(&self, due: Instant) -> io::Result<()> {
        while let Some(wait) =
            due.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
        {
            let setting =
                Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(wait) };
            timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &setting)?;
            let mut expirations = [0_u8; 8];
            let mut ready = self.descriptor.readable().await?;
            // Either way the loop looks at the clock again: an expiry left from before counts for nothing.
            if let Ok(read) = ready
                .try_io(|timer| rustix::io::read(timer, &mut expirations).map_err(io::Error::from))
            {
                read?;
                ready.clear_ready();
            }
        }
        Ok(())
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_waits_as_long_as_it_should_again_and_again() {
        let timer = Timer::new().unwrap();
        for micros in [300, 1, 2_000, 0, 700] {
            let due = Instant::now() + Duration::from_micros(micros);
            tokio::time::timeout(Duration::from_secs(10), timer.until(due)).await.unwrap().unwrap();
            assert!(Instant::now() >= due);
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_shorten_the_next() {
        let timer = Timer::new().unwrap();
        let far = Instant::now() + Duration::from_secs(100);
        tokio::select! {
            biased;
            _ = timer.until(far) => unreachable!(),
            () = tokio::task::yield_now() => {}
        }
        let due = Instant::now() + Duration::from_millis(5);
        tokio::time::timeout(Duration::from_secs(10), timer.until(due)).await.unwrap().unwrap();
        assert!(Instant::now() >= due);
    }
}
