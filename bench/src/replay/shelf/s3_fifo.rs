//! S3-FIFO: a small queue on trial, a main queue, and a memory of what left the first too early.
//!
//! Yang and others, "FIFO queues are all you need for cache eviction" (SOSP 2023), with a tenth of the bytes for the
//! small queue and one hit to leave it for the main one. The memory holds as many bytes' worth of names as the main queue.
//! What is larger than the small queue is not taken in, as libCacheSim has it, whose figures these are compared with.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Shelf, charge};

/// Hits beyond which an object's count does not rise.
const HITS_MAX: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Nowhere,
    Small,
    Main,
    /// Not held, but remembered.
    Ghost,
}

#[derive(Debug, Clone, Copy)]
struct State {
    at: At,
    hits: u8,
    /// Which entry in a queue counts; others of the object were left there when it was removed.
    turn: u16,
}

/// A queue with what the objects in it take.
#[derive(Debug, Default)]
struct Queue {
    line: VecDeque<(u32, u16)>,
    bytes: u64,
}

/// Objects in two queues.
#[derive(Debug)]
pub(super) struct S3Fifo {
    states: Vec<State>,
    small: Queue,
    main: Queue,
    ghosts: Queue,
    small_max: u64,
    bytes_max: u64,
    charges: Arc<[u64]>,
}

impl S3Fifo {
    pub(super) fn new(bytes_max: u64, charges: Arc<[u64]>) -> Self {
        let states = vec![State { at: At::Nowhere, hits: 0, turn: 0 }; charges.len()];
        let [small, main, ghosts] = [Queue::default(), Queue::default(), Queue::default()];
        Self { states, small, main, ghosts, small_max: bytes_max / 10, bytes_max, charges }
    }

    fn at(&self, object: u32) -> At {
        self.states.get(object as usize).map_or(At::Nowhere, |state| state.at)
    }

    fn queue(&mut self, at: At) -> Option<&mut Queue> {
        match at {
            At::Nowhere => None,
            At::Small => Some(&mut self.small),
            At::Main => Some(&mut self.main),
            At::Ghost => Some(&mut self.ghosts),
        }
    }

    /// Takes `object` from where it is.
    fn leave(&mut self, object: u32) {
        let charged = charge(&self.charges, object);
        if let Some(queue) = self.queue(self.at(object)) {
            queue.bytes = queue.bytes.saturating_sub(charged);
        }
        if let Some(state) = self.states.get_mut(object as usize) {
            state.at = At::Nowhere;
            state.turn = state.turn.wrapping_add(1);
        }
    }

    /// Puts `object`, which is nowhere, to the front of a queue with so many hits.
    fn join(&mut self, object: u32, at: At, hits: u8) {
        let charged = charge(&self.charges, object);
        let Some(state) = self.states.get_mut(object as usize) else { return };
        (state.at, state.hits) = (at, hits);
        let turn = state.turn;
        if let Some(queue) = self.queue(at) {
            queue.line.push_back((object, turn));
            queue.bytes = queue.bytes.saturating_add(charged);
        }
    }

    /// The object at the end of a queue with its hits; it has left the queue.
    fn take(&mut self, at: At) -> Option<(u32, u8)> {
        loop {
            let (object, turn) = self.queue(at)?.line.pop_front()?;
            let state = self.states.get(object as usize)?;
            if (state.at, state.turn) == (at, turn) {
                let hits = state.hits;
                self.leave(object);
                return Some((object, hits));
            }
        }
    }

    fn held(&self) -> u64 {
        self.small.bytes.saturating_add(self.main.bytes)
    }

    /// Has one object go; `false` if there is none.
    fn evict(&mut self, gone: &mut Vec<u32>) -> bool {
        while self.small.bytes > self.small_max || self.main.bytes == 0 {
            let Some((object, hits)) = self.take(At::Small) else { break };
            if hits > 0 {
                self.join(object, At::Main, 0);
                continue;
            }
            self.join(object, At::Ghost, 0);
            while self.ghosts.bytes > self.bytes_max - self.small_max {
                if self.take(At::Ghost).is_none() {
                    break;
                }
            }
            gone.push(object);
            return true;
        }
        while let Some((object, hits)) = self.take(At::Main) {
            if hits == 0 {
                gone.push(object);
                return true;
            }
            self.join(object, At::Main, hits - 1);
        }
        false
    }
}

impl Shelf for S3Fifo {
    fn hit(&mut self, object: u32) -> bool {
        let is_held = self.holds(object);
        if let Some(state) = self.states.get_mut(object as usize).filter(|_| is_held) {
            state.hits = state.hits.saturating_add(1).min(HITS_MAX);
        }
        is_held
    }

    fn holds(&self, object: u32) -> bool {
        matches!(self.at(object), At::Small | At::Main)
    }

    fn put(&mut self, object: u32, gone: &mut Vec<u32>) -> bool {
        if self.holds(object) {
            return true;
        }
        let charged = charge(&self.charges, object);
        if charged > self.small_max {
            return false;
        }
        let is_known = self.at(object) == At::Ghost;
        while self.held() > self.bytes_max - charged {
            if !self.evict(gone) {
                break;
            }
        }
        self.leave(object);
        self.join(object, if is_known { At::Main } else { At::Small }, 0);
        true
    }

    fn remove(&mut self, object: u32) {
        if self.holds(object) {
            self.leave(object);
        }
    }

    fn bytes(&self) -> u64 {
        self.held()
    }
}
