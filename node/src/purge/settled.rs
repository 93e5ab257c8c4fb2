//! When does a purge hold everywhere?
//!
//! Either a report says so, or time alone does as a lease runs out; whoever waits looks again at both.

use std::time::Duration;

use tokio::sync::watch;
use weir_cache::Timestamp;

use super::BootClock;
use super::record::PurgeReceipt;

/// The receipt that `look` finds once it is complete, or as it is when `wait` is over; `None` if there
/// is none.
///
/// `look` also says at which moment time alone may change the receipt; `reports` moves with everything
/// else that may.
pub(super) async fn settled(
    mut reports: watch::Receiver<u64>,
    wait: Duration,
    look: impl Fn(Timestamp) -> Option<(PurgeReceipt, Option<Timestamp>)>,
) -> Option<PurgeReceipt> {
    let clock = BootClock;
    let end = clock.now().saturating_add(wait);
    loop {
        let now = clock.now();
        let (receipt, next) = look(now)?;
        if receipt.is_complete() || now >= end {
            return Some(receipt);
        }
        let next = next.unwrap_or(end).min(end);
        // A lease may end a moment after the clock of the timer says so; then this goes round again.
        let pause = next.saturating_since(now).max(Duration::from_millis(1));
        if let Ok(Err(_closed)) = tokio::time::timeout(pause, reports.changed()).await {
            return Some(receipt);
        }
    }
}
