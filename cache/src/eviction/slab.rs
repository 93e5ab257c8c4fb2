//! Where do the entries of a shelf lie?
//!
//! In pieces of a fixed length, each entry at a number that stays the same while it is there. Growing moves
//! nothing, and a number is half of what a pointer takes.

/// Entries in one piece; a power of two.
const PIECE: usize = 1 << PIECE_BITS;
const PIECE_BITS: u32 = 9;

/// Entries by number.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pieces: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new(), free: Vec::new() }
    }

    /// Puts an entry somewhere; gives it back where every number is taken.
    pub(super) fn put(&mut self, entry: T) -> Result<u32, T> {
        if let Some(number) = self.free.pop() {
            if let Some(slot) = self.slot(number) {
                *slot = Some(entry);
                return Ok(number);
            }
            return Err(entry);
        }
        if self.pieces.last().is_none_or(|piece| piece.len() >= PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let full = self.pieces.len().saturating_sub(1).saturating_mul(PIECE);
        let Some(piece) = self.pieces.last_mut() else { return Err(entry) };
        let Ok(number) = u32::try_from(full.saturating_add(piece.len())) else { return Err(entry) };
        piece.push(Some(entry));
        Ok(number)
    }

    pub(super) fn take(&mut self, number: u32) -> Option<T> {
        let taken = self.slot(number)?.take()?;
        self.free.push(number);
        Some(taken)
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let (piece, at) = split(number);
        self.pieces.get(piece)?.get(at)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slot(number)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten().flatten()
    }

    fn slot(&mut self, number: u32) -> Option<&mut Option<T>> {
        let (piece, at) = split(number);
        self.pieces.get_mut(piece)?.get_mut(at)
    }
}

fn split(number: u32) -> (usize, usize) {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    (number >> PIECE_BITS, number & PIECE.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_are_used_again() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..2_000).map(|value| slab.put(value).unwrap()).collect();
        assert_eq!(slab.take(numbers[700]), Some(700));
        assert_eq!(slab.take(numbers[700]), None);
        assert_eq!(slab.get(numbers[1_999]), Some(&1_999));
        assert_eq!(slab.put(7), Ok(numbers[700]));
        assert_eq!(slab.iter().count(), 2_000);
    }
}
