//! Which bytes does a generated body have at a given offset?
//!
//! A body that a test can check without having kept it: every byte follows from the path, the
//! version and the offset alone. A cut, a mix of two versions or bytes of another path show up as a
//! difference at a known place. The query is left out, so `/a?size=10` is a prefix of `/a?size=20`.

use std::ops::Range;

/// Bytes produced by one step of the generator.
const WORD: u64 = 8;

/// Returns the byte at `offset` of the generated body of `path` (without query) at `version`.
#[must_use]
pub fn pattern(path: &str, version: u64, offset: u64) -> u8 {
    Pattern::new(path, version).byte(offset)
}

/// Returns the bytes of `range` of the generated body of `path` (without query) at `version`.
///
/// An empty or backward range gives no bytes. Cost: the length of the range, in memory.
#[must_use]
pub fn pattern_bytes(path: &str, version: u64, range: Range<u64>) -> Vec<u8> {
    let pattern = Pattern::new(path, version);
    range.map(|offset| pattern.byte(offset)).collect()
}

/// The generator of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pattern {
    seed: u64,
}

impl Pattern {
    /// Hashes `path` (FNV-1a) and mixes `version` in.
    pub(crate) fn new(path: &str, version: u64) -> Self {
        let hashed = path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { seed: mix(hashed ^ mix(version)) }
    }

    /// A number that differs between bodies, for use in a validator.
    pub(crate) fn fingerprint(self) -> u64 {
        self.seed
    }

    fn byte(self, offset: u64) -> u8 {
        (self.word(offset / WORD) >> (offset % WORD * 8)).to_le_bytes()[0]
    }

    fn word(self, index: u64) -> u64 {
        mix(self.seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Fills `out` with the bytes from `offset` on, a word at a time.
    pub(crate) fn fill(self, offset: u64, out: &mut [u8]) {
        let lead = out.len().min(usize::from((WORD - offset % WORD).to_le_bytes()[0]));
        let (unaligned, aligned) = out.split_at_mut(lead);
        for (at, byte) in (offset..).zip(unaligned) {
            *byte = self.byte(at);
        }
        for (index, chunk) in (offset / WORD + 1..).zip(aligned.chunks_mut(8)) {
            let word = self.word(index).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// The finishing step of SplitMix64: every input bit reaches every output bit.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_in_pieces_gives_the_bytes_of_single_offsets() {
        let expected = pattern_bytes("/film", 3, 0..200);
        for start in 0..40_usize {
            for len in [0, 1, 7, 8, 9, 63, 100] {
                let mut out = vec![0; len];
                Pattern::new("/film", 3).fill(start as u64, &mut out);
                assert_eq!(out, expected[start..start + len], "start {start} len {len}");
            }
        }
    }

    #[test]
    fn bodies_of_another_path_version_or_offset_differ() {
        let reference = pattern_bytes("/a", 1, 0..64);
        for (other, why) in [
            (pattern_bytes("/b", 1, 0..64), "path"),
            (pattern_bytes("/a", 2, 0..64), "version"),
            (pattern_bytes("/a", 1, 64..128), "offset"),
        ] {
            assert_ne!(other, reference, "{why}");
        }
        assert_eq!(pattern("/a", 1, 5), reference[5]);
    }
}
