//! How long does a request wait before it is sent again?
//!
//! Pure; the random number is an argument.

use std::time::Duration;

/// The longest that any pause may be.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The pause before retry number `retry`, the first being 1: none before the first, since another server
/// is asked; then anything up to `base`, doubled for each further one ("full jitter"), so that requests
/// that failed together do not come again together.
pub(super) fn pause(retry: u32, base: Duration, random: u64) -> Duration {
    let Some(doublings) = retry.checked_sub(2) else { return Duration::ZERO };
    let most = base.saturating_mul(1 << doublings.min(20)).min(PAUSE_MAX);
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random % micros.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second_and_are_spread_from_nothing() {
        let base = Duration::from_millis(25);
        // (retry, longest pause in microseconds)
        let cases = [
            (0, 0),
            (1, 0),
            (2, 25_000),
            (3, 50_000),
            (7, 800_000),
            (8, 1_000_000),
            (99, 1_000_000),
        ];
        for (retry, most) in cases {
            let pauses = (0..=most).step_by(997).chain([most, most + 1, u64::MAX]);
            let longest = pauses.map(|random| pause(retry, base, random)).max();
            assert_eq!(longest, Some(Duration::from_micros(most)), "retry {retry}");
            assert_eq!(pause(retry, base, 0), Duration::ZERO);
        }
        assert_eq!(pause(9, Duration::ZERO, u64::MAX), Duration::ZERO, "it can be turned off");
    }
}
