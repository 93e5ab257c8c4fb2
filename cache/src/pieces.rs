//! Which bytes of one body are held, and which are missing?
//!
//! Bookkeeping only: whether two pieces may lie side by side is decided in `partial`.
//!
//! # Invariants
//!
//! 1. Pieces are sorted, none is empty, no two overlap, and none goes beyond the length of the whole.
//! 2. There are at most [`PIECES_MAX`]; those that touch are joined before the bound refuses anything.
//! 3. No piece is a slice of memory larger than itself, so that what is held is what is charged for.

use bytes::{Bytes, BytesMut};

use crate::range::ByteRange;

/// The most pieces of one body. Joining copies, so it waits until there are this many.
const PIECES_MAX: usize = 64;

/// Some of the bytes of a body of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    length: u64,
    held: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    first: u64,
    bytes: Bytes,
}

impl Pieces {
    /// One piece of a body of `length` bytes; `None` where it is empty or goes beyond the end.
    ///
    /// `bytes` is to have memory of its own.
    pub fn one(first: u64, bytes: Bytes, length: u64) -> Option<Self> {
        let piece = Piece { first, bytes };
        let fits = !piece.bytes.is_empty() && piece.end()? <= length;
        fits.then(|| Self { length, held: vec![piece] })
    }

    /// The length of the whole body.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many pieces there are, and the bytes of all of them.
    pub fn held(&self) -> (usize, u64) {
        let bytes = self.held.iter().map(Piece::len).fold(0, u64::saturating_add);
        (self.held.len(), bytes)
    }

    /// How many bytes are held from the first one on without a gap.
    pub fn prefix(&self) -> u64 {
        let mut end = 0;
        for piece in &self.held {
            if piece.first != end {
                break;
            }
            end = end.saturating_add(piece.len());
        }
        end
    }

    /// The bytes of `range` in order, shared; `None` unless all of them are held.
    pub fn cut(&self, range: ByteRange) -> Option<Vec<Bytes>> {
        let end = range.last.checked_add(1)?;
        let mut at = range.first;
        let mut found = Vec::new();
        for piece in &self.held {
            let bytes = piece.between(at, end);
            if bytes.is_empty() {
                continue;
            }
            if piece.first > at {
                return None;
            }
            at = at.saturating_add(len(&bytes));
            found.push(bytes);
        }
        (at == end).then_some(found)
    }

    /// The whole body; `None` while anything is missing. Copies if there are several pieces.
    pub fn whole(&self) -> Option<Bytes> {
        let last = self.length.checked_sub(1)?;
        self.cut(ByteRange { first: 0, last }).map(|pieces| joined(&pieces))
    }

    /// These bytes and those of `other` that are missing here; `None` if the two cannot be of one
    /// body, or if there would be too many pieces.
    pub fn with(&self, other: &Self) -> Option<Self> {
        if self.length != other.length {
            return None;
        }
        let mut held = self.held.clone();
        for piece in &other.held {
            held.extend(self.missing_of(piece));
        }
        held.sort_by_key(|piece| piece.first);
        if held.len() > PIECES_MAX {
            held = join_touching(&held);
        }
        (held.len() <= PIECES_MAX).then_some(Self { length: self.length, held })
    }

    /// What of `piece` is not held.
    fn missing_of(&self, piece: &Piece) -> Vec<Piece> {
        let mut missing = Vec::new();
        let mut at = piece.first;
        let end = piece.end().unwrap_or(u64::MAX);
        let ends = self.held.iter().map(|held| (held.first, held.end().unwrap_or(u64::MAX)));
        // The last gap goes up to the end of the piece.
        for (first, next) in ends.chain([(end, end)]) {
            let bytes = piece.between(at, first);
            if !bytes.is_empty() {
                missing.push(Piece { first: at, bytes: own(bytes, &piece.bytes) });
            }
            at = at.max(next);
        }
        missing
    }
}

impl Piece {
    fn len(&self) -> u64 {
        len(&self.bytes)
    }

    /// The offset behind the last byte; `None` where no body can be that long.
    fn end(&self) -> Option<u64> {
        self.first.checked_add(self.len())
    }

    /// The bytes from offset `from` up to offset `to`, as far as the piece has them.
    fn between(&self, from: u64, to: u64) -> Bytes {
        let inside = |offset: u64| {
            let inside = offset.saturating_sub(self.first).min(self.len());
            usize::try_from(inside).unwrap_or(self.bytes.len())
        };
        let (from, to) = (inside(from), inside(to));
        if from < to { self.bytes.slice(from..to) } else { Bytes::new() }
    }
}

/// `bytes` in memory of their own, unless they are all of `origin`, which has.
fn own(bytes: Bytes, origin: &Bytes) -> Bytes {
    if bytes.len() == origin.len() { bytes } else { Bytes::copy_from_slice(&bytes) }
}

/// Joins pieces that touch.
fn join_touching(held: &[Piece]) -> Vec<Piece> {
    held.chunk_by(|before, after| before.end() == Some(after.first))
        .filter_map(|run| {
            let bytes: Vec<Bytes> = run.iter().map(|piece| piece.bytes.clone()).collect();
            run.first().map(|piece| Piece { first: piece.first, bytes: joined(&bytes) })
        })
        .collect()
}

fn joined(pieces: &[Bytes]) -> Bytes {
    if let [one] = pieces {
        return one.clone();
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        whole.extend_from_slice(piece);
    }
    whole.freeze()
}

/// A length in memory as `u64`; lengths never exceed it.
fn len(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"0123456789";

    fn bytes(first: usize, last: usize) -> Bytes {
        Bytes::copy_from_slice(BODY.get(first..=last).unwrap())
    }

    fn pieces(ranges: &[(u64, u64)]) -> Pieces {
        let mut all: Option<Pieces> = None;
        for &(first, last) in ranges {
            let (from, to) = (usize::try_from(first).unwrap(), usize::try_from(last).unwrap());
            let one = Pieces::one(first, bytes(from, to), 10).unwrap();
            all = Some(all.map_or_else(|| one.clone(), |all| all.with(&one).unwrap()));
        }
        all.unwrap()
    }

    #[test]
    fn a_range_is_cut_only_where_all_of_it_is_held() {
        // (held, first, last, found, why); RFC 9111 §3.3.
        type Case = (&'static [(u64, u64)], u64, u64, bool, &'static str);
        const CASES: &[Case] = &[
            (&[(2, 5)], 2, 5, true, "all of a piece"),
            (&[(2, 5)], 3, 4, true, "inside a piece"),
            (&[(2, 5)], 1, 4, false, "begins before"),
            (&[(2, 5)], 3, 6, false, "ends behind"),
            (&[(2, 3), (4, 5)], 3, 4, true, "over two that touch"),
            (&[(4, 5), (2, 3)], 2, 5, true, "in whatever order they came"),
            (&[(2, 3), (5, 6)], 3, 5, false, "over a gap"),
            (&[(2, 3), (5, 6)], 4, 4, false, "in a gap"),
            (&[(2, 5), (3, 8)], 2, 8, true, "over two that overlap"),
            (&[(3, 4), (1, 8)], 1, 8, true, "one around the other"),
            (&[(1, 8), (3, 4)], 1, 8, true, "one inside the other"),
            (&[(2, 5)], 7, 8, false, "behind all"),
        ];
        for &(held, first, last, found, why) in CASES {
            let (from, to) = (usize::try_from(first).unwrap(), usize::try_from(last).unwrap());
            let cut = pieces(held).cut(ByteRange { first, last });
            let expected = found.then(|| bytes(from, to));
            assert_eq!(cut.map(|cut| joined(&cut)), expected, "{why}");
        }
    }

    #[test]
    fn a_body_is_whole_when_nothing_is_missing() {
        // (held, whole, bytes from the start, why)
        type Case = (&'static [(u64, u64)], bool, u64, &'static str);
        const CASES: &[Case] = &[
            (&[(0, 9)], true, 10, "one piece"),
            (&[(5, 9), (0, 4)], true, 10, "two pieces"),
            (&[(0, 2), (6, 9), (2, 7)], true, 10, "a gap filled by more than it"),
            (&[(0, 4), (6, 9)], false, 5, "a gap"),
            (&[(1, 9)], false, 0, "the first byte"),
            (&[(0, 8)], false, 9, "the last byte"),
        ];
        for &(held, whole, prefix, why) in CASES {
            let pieces = pieces(held);
            assert_eq!(pieces.whole().is_some_and(|body| body == BODY), whole, "{why}");
            assert_eq!(pieces.prefix(), prefix, "{why}");
        }
    }

    #[test]
    fn a_piece_must_lie_in_its_body() {
        assert_eq!(Pieces::one(0, Bytes::new(), 10), None);
        assert_eq!(Pieces::one(9, bytes(0, 1), 10), None);
        assert_eq!(Pieces::one(u64::MAX, bytes(0, 1), u64::MAX), None);
        let (a, b) = (pieces(&[(0, 1)]), Pieces::one(2, bytes(2, 3), 11).unwrap());
        assert_eq!(a.with(&b), None, "two lengths are two bodies");
    }

    #[test]
    fn pieces_that_touch_are_joined_before_any_is_refused() {
        let one = |first| Pieces::one(first, Bytes::from_static(b"x"), 1_000).unwrap();
        let (mut touching, mut apart) = (one(0), one(0));
        for index in 1..500_u64 {
            touching = touching.with(&one(index)).unwrap();
            assert!(touching.held().0 <= PIECES_MAX);
            if index < 64 {
                apart = apart.with(&one(index.saturating_mul(2))).unwrap();
            }
        }
        assert_eq!(touching.held().1, 500);
        assert_eq!((apart.held(), apart.with(&one(999))), ((64, 64), None));
        assert!(apart.with(&one(1)).is_some(), "it closes a gap");
    }
}
