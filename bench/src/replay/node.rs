//! What does one node hold, and since when?
//!
//! As in a node: what is stored goes to the disk if there is one, and into memory if its body is small; what is found on
//! disk is brought into memory; hits in memory are noted to the disk, so that it knows what is asked for.

use std::sync::Arc;

use super::setup::{Policy, Space};
use super::shelf::{Shelf, shelf};

/// When a stored response was made, and how long it may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When the origin made or confirmed it, in milliseconds since the first request.
    pub(super) made_ms: u64,
    /// Its lifetime, by number.
    pub(super) class: u32,
}

/// A request upstream that others may join.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fetch {
    /// When its answer is there.
    pub(super) until_ms: u64,
    /// When what it brings was made.
    pub(super) made_ms: u64,
    /// How far it had to go.
    pub(super) depth: usize,
}

/// What storing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) is_held: bool,
    /// Objects that the node does not have any more, and their bytes.
    pub(super) evicted: u64,
    pub(super) evicted_bytes: u64,
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    /// Memory, or the one room that there is.
    upper: Box<dyn Shelf>,
    disk: Option<Box<dyn Shelf>>,
    upper_object_max: u64,
    object_max: u64,
    space: Space,
    charges: Arc<[u64]>,
    /// By object; empty where nothing ever expires.
    stamps: Vec<Stamp>,
    /// By object; empty where fetches take no time.
    fetches: Vec<Fetch>,
    gone: Vec<u32>,
    peak_bytes: [u64; 2],
}

/// What a node keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeps {
    /// Whether large bodies are left out as nodes leave them out.
    pub(super) bounds_bodies: bool,
    /// Whether responses expire.
    pub(super) stamps: bool,
    /// Whether fetches take time.
    pub(super) fetches: bool,
    /// Bytes of each charge that are not of the body; bounds of bodies do not count them.
    pub(super) overhead: u64,
}

impl Node {
    /// An empty node. `charges` says what each object takes.
    pub(super) fn new(space: Space, policy: Policy, charges: &Arc<[u64]>, keeps: Keeps) -> Self {
        let (upper, upper_object_max, disk) = match space {
            Space::One { bytes } => (bytes, u64::MAX, None),
            Space::Two { memory, memory_object_max, disk } => (
                memory,
                memory_object_max.saturating_add(keeps.overhead),
                Some(shelf(policy, disk, charges)),
            ),
        };
        let count = charges.len();
        Self {
            upper: shelf(policy, upper, charges),
            disk,
            upper_object_max,
            object_max: if keeps.bounds_bodies {
                space.object_max().saturating_add(keeps.overhead)
            } else {
                u64::MAX
            },
            space,
            charges: Arc::clone(charges),
            stamps: if keeps.stamps { vec![Stamp::default(); count] } else { Vec::new() },
            fetches: if keeps.fetches { vec![Fetch::default(); count] } else { Vec::new() },
            gone: Vec::new(),
            peak_bytes: [0; 2],
        }
    }

    /// Looks for `object` and notes the hit: what is known of it, and whether it was in memory.
    pub(super) fn find(&mut self, object: u32) -> Option<(Stamp, bool)> {
        let in_upper = self.upper.hit(object);
        let on_disk = self.disk.as_mut().is_some_and(|disk| disk.hit(object));
        if !in_upper && !on_disk {
            return None;
        }
        if !in_upper {
            self.bring_up(object);
        }
        let stamp = self.stamps.get(object as usize).copied().unwrap_or_default();
        Some((stamp, in_upper))
    }

    fn charge(&self, object: u32) -> u64 {
        self.charges.get(object as usize).copied().unwrap_or(u64::MAX)
    }

    fn bring_up(&mut self, object: u32) -> bool {
        self.gone.clear();
        let is_small = self.charge(object) <= self.upper_object_max;
        let is_held = is_small && self.upper.put(object, &mut self.gone);
        self.note_peaks();
        is_held
    }

    /// Stores `object`.
    pub(super) fn store(&mut self, object: u32, stamp: Stamp) -> Stored {
        if self.charge(object) > self.object_max {
            return Stored::default();
        }
        if let Some(slot) = self.stamps.get_mut(object as usize) {
            *slot = stamp;
        }
        let in_upper = self.bring_up(object);
        let mut on_disk = false;
        if let Some(disk) = &mut self.disk {
            self.gone.clear();
            on_disk = disk.put(object, &mut self.gone);
            self.note_peaks();
        }
        let upper = &self.upper;
        // What went from the disk may still be in memory.
        let lost = self.gone.iter().filter(|other| self.disk.is_none() || !upper.holds(**other));
        let mut stored = Stored { is_held: in_upper || on_disk, ..Stored::default() };
        for other in lost {
            stored.evicted += 1;
            let charge = self.charges.get(*other as usize).copied().unwrap_or(0);
            stored.evicted_bytes = stored.evicted_bytes.saturating_add(charge);
        }
        stored
    }

    fn note_peaks(&mut self) {
        let on_disk = self.disk.as_ref().map_or(0, |disk| disk.bytes());
        let [upper, lower] = &mut self.peak_bytes;
        *upper = (*upper).max(self.upper.bytes());
        *lower = (*lower).max(on_disk);
    }

    /// Notes that what is stored was confirmed.
    pub(super) fn confirm(&mut self, object: u32, made_ms: u64) {
        if let Some(stamp) = self.stamps.get_mut(object as usize) {
            stamp.made_ms = made_ms;
        }
    }

    /// Removes `object`.
    pub(super) fn purge(&mut self, object: u32) {
        self.upper.remove(object);
        if let Some(disk) = &mut self.disk {
            disk.remove(object);
        }
        if let Some(fetch) = self.fetches.get_mut(object as usize) {
            // Who asks after the purge must not get what was asked for before it.
            *fetch = Fetch::default();
        }
    }

    /// The fetch of `object` that is under way at `now_ms`.
    pub(super) fn fetch(&self, object: u32, now_ms: u64) -> Option<Fetch> {
        self.fetches.get(object as usize).copied().filter(|fetch| fetch.until_ms > now_ms)
    }

    /// Notes that `object` is being fetched.
    pub(super) fn begin(&mut self, object: u32, fetch: Fetch) {
        if let Some(slot) = self.fetches.get_mut(object as usize) {
            *slot = fetch;
        }
    }

    /// The most bytes that it held, in memory and on disk.
    pub(super) fn peak_bytes(&self) -> [u64; 2] {
        self.peak_bytes
    }

    /// The same in thousandths of the room.
    pub(super) fn peak_permille(&self) -> [u64; 2] {
        let [upper, disk] = self.peak_bytes;
        let of = |bytes: u64, room: u64| {
            let permille = u128::from(bytes) * 1_000;
            u64::try_from(permille.checked_div(u128::from(room)).unwrap_or(0)).unwrap_or(u64::MAX)
        };
        match self.space {
            Space::One { bytes } => [of(upper, bytes), 0],
            Space::Two { memory, disk: room, .. } => [of(upper, memory), of(disk, room)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPS: Keeps = Keeps { bounds_bodies: false, stamps: true, fetches: true, overhead: 0 };

    fn two_rooms() -> Node {
        let space = Space::Two { memory: 10, memory_object_max: 5, disk: 20 };
        Node::new(space, Policy::Lru, &Arc::from([4, 4, 4, 8, 8]), KEEPS)
    }

    #[test]
    fn what_is_small_is_in_memory_and_everything_on_disk() {
        let mut node = two_rooms();
        let stamp = Stamp { made_ms: 7, class: 1 };
        for object in [0, 1, 3] {
            assert!(node.store(object, stamp).is_held, "{object}");
        }
        assert_eq!(node.find(0), Some((stamp, true)), "small");
        assert_eq!(node.find(3), Some((stamp, false)), "large");
        assert_eq!(node.find(3), Some((stamp, false)), "it does not come into memory");
        assert_eq!(node.store(2, stamp).evicted, 0, "memory drops one, the disk has it");
        assert_eq!(node.find(1), Some((stamp, false)), "it is found there");
        assert_eq!(node.find(1), Some((stamp, true)), "and was brought back");
        assert_eq!(node.peak_bytes(), [8, 20]);
        assert_eq!(node.peak_permille(), [800, 1_000]);
    }

    #[test]
    fn hits_in_memory_are_noted_to_the_disk() {
        let mut node = two_rooms();
        for object in [0, 3, 4] {
            node.store(object, Stamp::default());
        }
        node.find(0);
        // The disk needs room: 3 was asked for longest ago, though 0 was only asked for in memory.
        let stored = node.store(1, Stamp::default());
        assert_eq!((stored.evicted, stored.evicted_bytes), (1, 8));
        assert!(node.find(3).is_none() && node.find(0).is_some());
    }

    #[test]
    fn large_bodies_are_left_out_where_nodes_leave_them_out() {
        let keeps = Keeps { bounds_bodies: true, ..KEEPS };
        let space = Space::One { bytes: 80 };
        let mut node = Node::new(space, Policy::Lru, &Arc::from([10, 11]), keeps);
        let held = [0, 1].map(|object| node.store(object, Stamp::default()).is_held);
        assert_eq!(held, [true, false], "an eighth");
        let keeps = Keeps { overhead: 1, ..keeps };
        let mut node = Node::new(space, Policy::Lru, &Arc::from([10, 11, 12]), keeps);
        let held = [1, 2].map(|object| node.store(object, Stamp::default()).is_held);
        assert_eq!(held, [true, false], "of the body alone");
    }

    #[test]
    fn a_purge_removes_what_is_stored_and_what_is_on_its_way() {
        let mut node = two_rooms();
        node.store(0, Stamp::default());
        node.begin(0, Fetch { until_ms: 10, made_ms: 1, depth: 2 });
        assert!(node.fetch(0, 9).is_some() && node.fetch(0, 10).is_none());
        node.purge(0);
        assert!(node.find(0).is_none() && node.fetch(0, 9).is_none());
    }
}
