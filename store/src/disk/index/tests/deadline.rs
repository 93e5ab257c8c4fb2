//! What does a caller see of work that fails to come back?

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::super::deadline::{NoResult, catch, run_within};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn work_that_comes_back_in_time_has_its_result() {
    assert!(matches!(run_within(LONG, || 7), Ok(7)));
}

#[test]
fn a_panic_becomes_its_message() {
    let result = run_within(LONG, || panic!("page {} is bad", 7));
    let Err(NoResult::Panicked(why)) = result else { panic!("it has panicked") };
    assert_eq!(why, "the engine panicked: page 7 is bad");
    assert_eq!(catch(|| panic!("bad")), Err::<(), _>("the engine panicked: bad".to_owned()));
}

#[test]
fn what_comes_late_is_dropped() {
    let (go, wait) = channel::<()>();
    let (kept, dropped) = channel::<()>();
    let late = run_within(Duration::ZERO, move || {
        wait.recv().unwrap_err();
        kept
    });
    assert!(matches!(late, Err(NoResult::Late)));
    drop(go);
    // It is gone, rather than only silent for a while.
    assert_eq!(dropped.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
}
