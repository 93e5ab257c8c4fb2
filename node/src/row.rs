//! Pieces that are sent one after the other, from memory and from disk.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::body::BodyError;
use crate::disk_reader::DiskReader;

/// Pieces to be sent in their order, as far as they have not been.
#[derive(Default)]
pub(crate) struct Row {
    pieces: VecDeque<Piece>,
    /// The bytes of all pieces.
    left: u64,
}

/// One of them.
pub(crate) enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that are read, and fetched where they are missing, as they are sent.
    Disk(Box<DiskReader>),
}

impl Piece {
    fn left(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Disk(reader) => reader.left(),
        }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl Row {
    /// Puts a piece at the end.
    pub(crate) fn push(&mut self, piece: impl Into<Piece>) {
        let piece = piece.into();
        self.left = self.left.saturating_add(piece.left());
        self.pieces.push_back(piece);
    }

    /// How many bytes have not been taken.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let bytes = loop {
            match self.pieces.front_mut() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.pieces.pop_front();
                    break bytes;
                }
                Some(Piece::Disk(reader)) => match ready!(reader.poll_next(cx)) {
                    Some(Ok(bytes)) => break bytes,
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => drop(self.pieces.pop_front()),
                },
            }
        };
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl FromIterator<Bytes> for Row {
    fn from_iter<T: IntoIterator<Item = Bytes>>(pieces: T) -> Self {
        let mut row = Self::default();
        pieces.into_iter().for_each(|piece| row.push(piece));
        row
    }
}
