//! Into how many parts may a map in memory be divided, each with its part of the room?

/// The largest entries that one part has room for, at least.
const LARGEST_IN_SHARD: u64 = 3;

/// How many parts leave room for several entries of `entry_bytes` in each; a power of two, at most four for
/// each core.
pub(super) fn shards(bytes_max: u64, entry_bytes: u64) -> u64 {
    let fitting = bytes_max / entry_bytes.max(1).saturating_mul(LARGEST_IN_SHARD);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let useful = u64::try_from(cores).unwrap_or(u64::MAX).saturating_mul(4);
    let shards = fitting.min(useful).max(1);
    // The next power of two from below.
    1 << shards.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_room_for_several_of_the_largest_entries() {
        const MIB: u64 = 1 << 20;
        for (bytes_max, entry_bytes) in
            [(64 * MIB, 8 * MIB), (256 * MIB, 32 * MIB), (MIB, 2 * MIB), (1 << 40, MIB), (1, 0)]
        {
            let shards = shards(bytes_max, entry_bytes);
            assert!(shards.is_power_of_two());
            let fits = bytes_max / shards >= LARGEST_IN_SHARD * entry_bytes;
            assert!(fits || shards == 1, "{bytes_max} {entry_bytes}: {shards}");
        }
        assert!(shards(1 << 40, MIB) >= 4, "and readers of other keys have other locks");
    }
}
