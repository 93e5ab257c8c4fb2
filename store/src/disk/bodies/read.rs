//! What does the file of a body hold, and is it what was written?
//!
//! Opening looks at the header and the size only; the content is verified when somebody asks.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use super::Bodies;
use super::digest::Digest;
use super::error::{BodyDamage, BodyError};
use super::format::{HEADER_BYTES, Header, RECORDS_BYTES_MAX, Tail};
use crate::disk::files::Files;
use crate::response::length;

/// Bytes that are read at once to verify a body.
const STEP_BYTES: usize = 128 * 1024;

/// A body that is open for reading, also after it has been removed.
///
/// Reading moves no position, so any number of threads may do it at once.
#[derive(Clone, Debug)]
pub struct OpenBody {
    /// The file. Its content is never written again.
    pub(crate) file: Arc<File>,
    /// Where in the file the content begins.
    pub(crate) offset: u64,
    /// Bytes of the content.
    pub(crate) length: u64,
    digest: Digest,
    files: Files,
}

impl Bodies {
    /// Opens a body whose content has `expected` bytes. Costs one open and one read of 64 bytes.
    ///
    /// # Errors
    ///
    /// [`BodyError`]. Damage in the content or the records is not noticed here.
    pub(crate) fn open_body(&self, digest: &Digest, expected: u64) -> Result<OpenBody, BodyError> {
        let body = self.open_any(digest)?;
        if body.length == expected {
            Ok(body)
        } else {
            Err(BodyDamage::Length { expected, found: body.length }.into())
        }
    }

    /// Opens a body of any length.
    pub(super) fn open_any(&self, digest: &Digest) -> Result<OpenBody, BodyError> {
        let files = self.shared.files.clone();
        let file = files.open(&self.path(digest)).map_err(BodyError::from_open)?;
        let mut bytes = [0; HEADER_BYTES];
        files.read(&file, &mut bytes, 0)?;
        let header = Header::decode(&bytes).ok_or(BodyDamage::Header)?;
        if header.digest != *digest {
            return Err(BodyDamage::Name.into());
        }
        if file.metadata()?.len() < header.content_end() {
            return Err(BodyDamage::Cut.into());
        }
        Ok(OpenBody {
            file: Arc::new(file),
            offset: HEADER_BYTES as u64,
            length: header.content_bytes,
            digest: *digest,
            files,
        })
    }
}

impl OpenBody {
    /// A body that is still being written to `file`.
    pub(super) fn unfinished(file: File, files: Files) -> Self {
        let (file, offset) = (Arc::new(file), HEADER_BYTES as u64);
        Self { file, offset, length: u64::MAX, digest: Digest::new([0; 32]), files }
    }

    /// Reads the content from byte `at` on until `buffer` is full or the content ends, and returns how
    /// much that is.
    ///
    /// # Errors
    ///
    /// [`BodyError::Damaged`] if the file has become shorter, or [`BodyError::Io`].
    pub(crate) fn read_at(&self, at: u64, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        let count = self.files.read(&self.file, buffer, self.offset.saturating_add(at))?;
        if count == wanted { Ok(count) } else { Err(BodyDamage::Cut.into()) }
    }

    /// Reads all the content into memory of its own, unverified.
    ///
    /// # Errors
    ///
    /// As [`OpenBody::read_at`].
    pub(crate) fn read_all(&self) -> Result<Bytes, BodyError> {
        // The file was at least as long when it was opened.
        let bytes = usize::try_from(self.length).map_err(std::io::Error::other)?;
        let mut content = vec![0; bytes];
        self.read_at(0, &mut content)?;
        Ok(content.into())
    }

    /// Reads all the content like [`OpenBody::read_all`], and verifies it, which costs about 0.3 ms a
    /// MiB more.
    ///
    /// # Errors
    ///
    /// As [`OpenBody::read_at`], and [`BodyError::Damaged`] if the content has another digest.
    pub(crate) fn read_verified(&self) -> Result<Bytes, BodyError> {
        let content = self.read_all()?;
        if Digest::of(&content) == self.digest {
            Ok(content)
        } else {
            Err(BodyDamage::Content.into())
        }
    }

    /// Reads the whole file and verifies it. Needs 128 KiB of memory whatever its length.
    ///
    /// # Errors
    ///
    /// [`BodyError::Damaged`] if any byte of content or records is not what was written, or
    /// [`BodyError::Io`].
    pub(crate) fn verify(&self) -> Result<(), BodyError> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; STEP_BYTES];
        while hasher.count() < self.length {
            let count = self.read_at(hasher.count(), &mut buffer)?;
            hasher.update(buffer.get(..count).unwrap_or_default());
        }
        if Digest::new(hasher.finalize().into()) != self.digest {
            return Err(BodyDamage::Content.into());
        }
        let tail = self.tail()?;
        Tail::read(self.digest, &tail).damage.map_or(Ok(()), |why| Err(why.into()))
    }

    /// The records that were noted with the body, the oldest first, up to the first damaged one.
    ///
    /// # Errors
    ///
    /// [`BodyError::Io`], or [`BodyError::Damaged`] if more follows the content than ever is written.
    pub(crate) fn records(&self) -> Result<Vec<Vec<u8>>, BodyError> {
        let tail = self.tail()?;
        let records = Tail::read(self.digest, &tail).records;
        Ok(records.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// What follows the content.
    fn tail(&self) -> Result<Vec<u8>, BodyError> {
        let begin = self.offset.saturating_add(self.length);
        let bytes = self.file.metadata()?.len().saturating_sub(begin);
        if bytes > length(RECORDS_BYTES_MAX) {
            return Err(BodyDamage::Records.into());
        }
        let mut tail = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let count = self.files.read(&self.file, &mut tail, begin)?;
        tail.truncate(count);
        Ok(tail)
    }
}
