//! A large body is written slice by slice while it comes in, and can be read meanwhile.

use std::io;
use std::sync::Arc;

use super::bodies::{BodyWriter, OpenBody};
use super::body::DiskBody;
use super::codec;
use super::tier::Inner;

/// Writes the slices of one body, one after the other. Blocks.
///
/// Slices that came whole stay with the body; of one that did not nothing stays. A body that is dropped
/// before it is stored leaves nothing behind.
pub struct SliceWriter {
    inner: Arc<Inner>,
    body: Arc<DiskBody>,
    /// What the files say of the stored response that they belong to.
    record: Vec<u8>,
    /// Where the next byte goes.
    at: u64,
    current: Option<Current>,
}

struct Current {
    writer: BodyWriter,
    readable: Arc<OpenBody>,
    written: u64,
}

impl SliceWriter {
    pub(super) fn new(inner: Arc<Inner>, body: Arc<DiskBody>, record: Vec<u8>, at: u64) -> Self {
        Self { inner, body, record, at, current: None }
    }

    /// The body that is written.
    #[must_use]
    pub fn body(&self) -> &Arc<DiskBody> {
        &self.body
    }

    /// Where the next byte goes.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Writes the next bytes. They can be read from [`SliceWriter::body`] once this returns; a slice is there
    /// for good with its last byte.
    ///
    /// # Errors
    ///
    /// The disk refused, or there are more bytes than the body has. Slices that are whole stay.
    pub fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let slice = self.body.slice_of(self.at);
            let range = self.body.bytes_of(slice);
            let left = range.end.saturating_sub(self.at);
            if left == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "longer than announced"));
            }
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(take);
            self.append_to_slice(slice, now)?;
            self.at = self.at.saturating_add(crate::response::length(take));
            bytes = later;
            if self.at == range.end {
                self.end_slice(slice)?;
            }
        }
        Ok(())
    }

    fn append_to_slice(&mut self, slice: u32, bytes: &[u8]) -> io::Result<()> {
        if self.current.is_none() {
            self.inner.may_write()?;
            self.inner.make_room_for(u64::from(self.body.slice_bytes()))?;
            let writer = self.inner.shared.bodies.begin()?;
            let readable = Arc::new(writer.readable()?);
            self.current = Some(Current { writer, readable, written: 0 });
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        current.writer.append(bytes)?;
        current.written = current.written.saturating_add(crate::response::length(bytes.len()));
        self.body.comes(slice, &current.readable, current.written);
        Ok(())
    }

    fn end_slice(&mut self, slice: u32) -> io::Result<()> {
        let Some(Current { writer, readable, .. }) = self.current.take() else { return Ok(()) };
        let record = codec::file_record(slice, &self.record);
        let written = writer.finish(&[&record]).inspect_err(|_| {
            self.body.comes_no_further(&readable);
        })?;
        self.inner.shared.reads.written(&written.digest);
        self.body.arrived(slice, written.digest);
        self.inner.writes_on();
        Ok(())
    }
}

impl Drop for SliceWriter {
    fn drop(&mut self) {
        if let Some(current) = &self.current {
            self.body.comes_no_further(&current.readable);
        }
    }
}

impl std::fmt::Debug for SliceWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SliceWriter").field("at", &self.at).finish_non_exhaustive()
    }
}
