//! Wakes whoever waits for a peer once the peer has been too slow. What too slow is: `floor`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::floor::{Floor, TooSlow};
use crate::config::Bandwidth;

/// A floor and the timer that belongs to it, which is made when the peer is first waited for.
#[derive(Debug)]
pub(crate) struct Watch {
    floor: Floor,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Asks for a byte each `timeout` of waiting, and `rate` over it.
    pub(crate) fn new(timeout: Duration, rate: Bandwidth) -> Self {
        Self { floor: Floor::new(timeout, rate), timer: None }
    }

    /// Notes that the peer moved `bytes`, or is not waited for any longer. Reads the clock only after a wait.
    pub(crate) fn moved(&mut self, bytes: usize) {
        if !self.floor.is_waiting() {
            self.floor.moved_at_once(bytes);
            return;
        }
        let now = Instant::now().into_std();
        self.floor.moved(bytes, now);
    }

    /// Notes that the peer is waited for; ready once it is too slow. Whoever polls is woken then.
    pub(crate) fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<TooSlow> {
        loop {
            let look = match self.floor.waits(Instant::now().into_std()) {
                Ok(look) => Instant::from_std(look),
                Err(why) => return Poll::Ready(why),
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(look)));
            if timer.deadline() != look {
                timer.as_mut().reset(look);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
