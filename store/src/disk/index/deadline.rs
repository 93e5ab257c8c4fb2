//! How is something called that may panic, or never come back?
//!
//! What follows from either is decided by the callers.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Why there is no result.
#[derive(Debug)]
pub(super) enum NoResult {
    /// It is still at it. Its result will be dropped where it runs.
    Late,
    /// The system gave no thread.
    NoThread(io::Error),
    Panicked(String),
}

/// Runs `work` here, and turns a panic into its message.
///
/// Whoever goes on with what `work` has touched must not trust it after a panic.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| message(payload.as_ref()))
}

/// Runs `work` on a thread of its own, and waits for it for the time `within` at most.
pub(super) fn run_within<T: Send + 'static>(
    within: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoResult> {
    let (sender, receiver) = sync_channel(1);
    let run = move || {
        let result = catch(work);
        // Nobody waits any more: what was made is closed here, which may panic as well.
        if let Err(unwanted) = sender.send(result) {
            drop(catch(|| drop(unwanted)));
        }
    };
    thread::Builder::new().name("index".to_owned()).spawn(run).map_err(NoResult::NoThread)?;
    match receiver.recv_timeout(within) {
        Ok(result) => result.map_err(NoResult::Panicked),
        Err(RecvTimeoutError::Timeout) => Err(NoResult::Late),
        Err(RecvTimeoutError::Disconnected) => Err(NoResult::Panicked("it has ended".to_owned())),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("the engine panicked: {}", text.unwrap_or("without a message"))
}
