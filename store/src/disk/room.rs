//! How much may be held where the file system has less room than the limit says?
//!
//! Some of the file system stays free, so that the index can grow and nothing meets its end. What was held
//! when that was reached is the bound from then on: a little less each time that it is reached again, down
//! to half, since who else writes there takes whatever is given back; and more again, up to what was held at
//! first, while there is room.

use super::files::Space;

/// Part of what is held that goes when there is no room.
const PART: u64 = 64;
/// Part of a file system that stays free, up to [`KEPT_FREE_MAX`].
const KEPT_FREE_PART: u64 = 32;
/// Bytes that stay free at most.
const KEPT_FREE_MAX: u64 = 16 << 20;

/// What a file system has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes held when its end was met first.
    met_at: u64,
    /// Bytes that may be held.
    bytes_max: u64,
}

impl Room {
    /// The bound after there was no room for `bytes` more while `held` were held; `None` where giving more
    /// back has not helped before.
    pub(super) fn less(room: Option<Self>, held: u64, bytes: u64) -> Option<Self> {
        let met_at = room.map_or(held, |room| room.met_at);
        let bytes_max = held.saturating_sub(bytes.max(held.div_ceil(PART)));
        let is_worth_it = held > 0 && bytes_max >= met_at.div_euclid(2);
        is_worth_it.then_some(Self { met_at, bytes_max })
    }

    /// The bound with so much room: half of that may be taken. `None` where as much is free as was held, so
    /// that it does not bind any more.
    pub(super) fn wider(self, space: Space) -> Option<Self> {
        let unused = kept_free(space).saturating_add(self.met_at.div_ceil(PART).saturating_mul(2));
        let spare = space.free.saturating_sub(unused);
        let wider = self.bytes_max.saturating_add(spare.div_euclid(2));
        (spare <= self.met_at).then_some(Self { bytes_max: wider.min(self.met_at), ..self })
    }

    /// Bytes that may be held.
    pub(super) fn bytes_max(self) -> u64 {
        self.bytes_max
    }
}

/// Whether `bytes` may be written with so much room.
pub(super) fn has_room(space: Space, bytes: u64) -> bool {
    space.free >= bytes.saturating_add(kept_free(space))
}

/// Bytes that stay free.
fn kept_free(space: Space) -> u64 {
    space.total.div_euclid(KEPT_FREE_PART).min(KEPT_FREE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_given_back_each_time_but_never_more_than_half() {
        let mut room = None;
        let mut held = 6_400;
        let mut times = 0;
        while let Some(less) = Room::less(room, held, 10) {
            assert!(less.bytes_max() < held, "each time some");
            (held, room, times) = (less.bytes_max(), Some(less), times + 1);
        }
        assert!((3_200..3_300).contains(&held), "{held}");
        assert!(times > 40, "{times}");
        assert_eq!(Room::less(None, 0, 10), None, "there is nothing to give");
    }

    #[test]
    fn a_large_body_gets_as_much_room_as_it_needs() {
        let room = Room::less(None, 6_400, 1_000);
        assert_eq!(room.map(Room::bytes_max), Some(5_400));
        assert_eq!(Room::less(None, 6_400, 5_000), None, "not more than half");
    }

    #[test]
    fn room_that_is_given_back_is_taken_again() {
        let room = Room { met_at: 6_400, bytes_max: 3_200 };
        let space = |free| Space { total: 32_000, free };
        assert_eq!(room.wider(space(1_000)), Some(room), "that stays free");
        let wider = room.wider(space(1_200 + 1_000)).map(Room::bytes_max);
        assert_eq!(wider, Some(3_700), "half of what is there");
        let wider = room.wider(space(1_200 + 6_400)).map(Room::bytes_max);
        assert_eq!(wider, Some(6_400), "not beyond what there was");
        assert_eq!(room.wider(space(20_000)), None, "the limit is the bound again");
    }

    #[test]
    fn some_stays_free() {
        let space = |total, free| Space { total, free };
        assert!(has_room(space(3_200, 200), 100));
        assert!(!has_room(space(3_200, 200), 101));
        assert!(
            has_room(space(1 << 50, (16 << 20) + 1), 1),
            "not more than some MiB of a large one"
        );
    }
}
