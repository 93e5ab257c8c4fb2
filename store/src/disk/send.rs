//! Sends bytes of a body from its files to a socket, without copying them through this process.
//!
//! Only bytes of files that are open, and so were compared with their digest; and, where the file system can tell, only
//! bytes that the page cache has: `sendfile` has no way to say that it would wait for the disk.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::sendfile;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::body::{DiskBody, Place};

/// Bytes sent with one look at the page cache.
const LOOK_BYTES: u64 = 1024 * 1024;

/// What came of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The socket took so many bytes.
    Bytes(usize),
    /// The disk would have to be waited for: [`DiskBody::read`] does.
    NotAtHand,
}

impl DiskBody {
    /// Where the bytes from offset `first` up to and without `end` are, if that can be told without a system call and
    /// it is no more than `max` places. As long as a place is held its bytes can be sent, also after they were evicted.
    #[must_use]
    pub fn places_at_hand(&self, first: u64, end: u64, max: usize) -> Option<Vec<Place>> {
        let (mut at, mut places) = (first, Vec::new());
        while at < end {
            let mut place = self.place_at_hand(at).filter(|_| places.len() < max)?;
            place.length = place.length.min(end.saturating_sub(at));
            at = at.saturating_add(place.length);
            places.push(place);
        }
        Some(places)
    }

    /// Sends the first bytes of `place` to `socket`, as many as it takes at once.
    ///
    /// # Errors
    ///
    /// Of kind [`io::ErrorKind::WouldBlock`] if the socket takes none now; of any other the connection is lost, or the
    /// file is shorter than it was.
    pub fn send(&self, place: &Place, socket: BorrowedFd<'_>) -> io::Result<Sent> {
        let bytes = place.length.min(LOOK_BYTES);
        let mut offset = place.file.offset.saturating_add(place.at);
        if !self.is_cached(place, offset, offset.saturating_add(bytes.saturating_sub(1))) {
            return Ok(Sent::NotAtHand);
        }
        let count = usize::try_from(bytes).unwrap_or(usize::MAX);
        match sendfile(socket, place.file.file.as_fd(), Some(&mut offset), count)? {
            // How long the body is is known.
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(Sent::Bytes(sent)),
        }
    }

    /// Whether the page cache has the bytes at both ends, as far as that can be told: what lies between them was
    /// most often read with them.
    fn is_cached(&self, place: &Place, first: u64, last: u64) -> bool {
        let look = |at| {
            let mut byte = [0];
            let bufs = &mut [IoSliceMut::new(&mut byte)];
            preadv2(place.file.file.as_fd(), bufs, at, ReadWriteFlags::NOWAIT)
        };
        match look(first) {
            // A file system in memory cannot tell, and never waits. Others that cannot are left to threads.
            Err(Errno::OPNOTSUPP) => self.read_ways().lies_in_memory(place),
            Ok(1) => look(last) == Ok(1),
            _ => false,
        }
    }
}
