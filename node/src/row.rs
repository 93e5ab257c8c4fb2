//! Pieces in memory that are sent one after the other.

use std::collections::VecDeque;

use bytes::Bytes;

/// Pieces to be sent in their order, as far as they have not been.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pieces: VecDeque<Bytes>,
    /// The bytes of all pieces.
    left: u64,
}

impl Row {
    /// Puts a piece at the end.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.left = self.left.saturating_add(piece.len() as u64);
        self.pieces.push_back(piece);
    }

    /// How many bytes have not been taken.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Whether there is no piece.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Takes the next bytes; `None` at the end.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.left = self.left.saturating_sub(piece.len() as u64);
        Some(piece)
    }
}

impl FromIterator<Bytes> for Row {
    fn from_iter<T: IntoIterator<Item = Bytes>>(pieces: T) -> Self {
        let mut row = Self::default();
        pieces.into_iter().for_each(|piece| row.push(piece));
        row
    }
}
