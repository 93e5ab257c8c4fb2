//! Pieces of a body, put together in any order, against a row of bytes with gaps.

#![expect(clippy::unwrap_used, reason = "a test that fails fails here")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use weir_cache::{ByteRange, Pieces};

const LENGTH: usize = 40;

fn body() -> Vec<u8> {
    (0..LENGTH).map(|index| u8::try_from(index).unwrap()).collect()
}

/// First and last offset of a piece.
fn range() -> impl Strategy<Value = (usize, usize)> {
    (0..LENGTH, 0..LENGTH).prop_map(|(a, b)| (a.min(b), a.max(b)))
}

fn piece((first, last): (usize, usize)) -> Pieces {
    let bytes = Bytes::copy_from_slice(&body()[first..=last]);
    Pieces::one(first as u64, bytes, LENGTH as u64).unwrap()
}

proptest! {
    #[test]
    fn pieces_hold_exactly_what_was_put_in(ranges in vec(range(), 1..12), asked in vec(range(), 1..12)) {
        let mut row = [false; LENGTH];
        let mut pieces = piece(ranges[0]);
        for &range in &ranges {
            pieces = pieces.with(&piece(range)).unwrap();
            row[range.0..=range.1].fill(true);
        }
        let held = row.iter().filter(|held| **held).count();
        prop_assert_eq!(pieces.held().1, held as u64, "no byte is held twice");
        let prefix = row.iter().take_while(|held| **held).count();
        prop_assert_eq!(pieces.prefix(), prefix as u64);
        prop_assert_eq!(pieces.whole().map(|whole| whole.to_vec()), (held == LENGTH).then(body));
        for (first, last) in asked {
            let cut = pieces.cut(ByteRange { first: first as u64, last: last as u64 });
            let expected = row[first..=last].iter().all(|held| *held);
            let expected = expected.then(|| body()[first..=last].to_vec());
            prop_assert_eq!(cut.map(|cut| cut.concat()), expected);
        }
    }
}
