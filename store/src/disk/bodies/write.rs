//! How does a body get its name without ever being half there under it?
//!
//! ```text
//!   content ─► tmp/7 ─► sync ─► rename, if nothing has that name ─► sync of the folder
//!                                  '─ something has: append the records to that
//! ```
//!
//! Whatever fails leaves the name as it was: the file aside is removed, and records that were not
//! written whole are cut off, now or when the next ones come.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use super::digest::Digest;
use super::format::{HEADER_BYTES, Header, RECORDS_BYTES_MAX, Tail, seal};
use super::read::OpenBody;
use super::{Bodies, SyncMode};
use crate::response::length;

/// Up to this size a file is written by one call.
const AT_ONCE_BYTES_MAX: u64 = 64 * 1024;

/// A body that is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// What it is called.
    pub(crate) digest: Digest,
    /// Bytes of its content.
    pub(crate) length: u64,
    /// Whether it was there before, so that only the records were written.
    pub(crate) existed: bool,
}

/// What becomes of a file that has a body's name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Leave,
    Replace,
}

impl Bodies {
    /// Writes the body `content`, whose digest the caller has worked out, and notes `records` with it.
    ///
    /// If it is there already, only the records are appended. A file holds 64 KiB of records; those
    /// beyond are left out, and the response they tell of is not found when an index is made again.
    /// Costs a file that is made, written and renamed, and with [`SyncMode::Data`] two syncs.
    ///
    /// # Errors
    ///
    /// What the system says. The body is there as before, or not at all.
    pub(crate) fn write(
        &self,
        digest: Digest,
        content: &[u8],
        records: &[&[u8]],
    ) -> io::Result<Written> {
        debug_assert_eq!(digest, Digest::of(content), "the caller has it of another body");
        let header = Header { digest, content_bytes: length(content.len()) };
        let existed = (self.is_worth_a_look(header) && self.extend_named(header, records)?)
            || self.aside_of(header, content, records)?.commit(header, records)?;
        Ok(Written { digest, length: header.content_bytes, existed })
    }

    /// Whether to look for a body before it is written aside, which most are not there to be found for: what is
    /// written by one call and not synced costs little more.
    fn is_worth_a_look(&self, header: Header) -> bool {
        self.shared.sync == SyncMode::Data || header.content_bytes > AT_ONCE_BYTES_MAX
    }

    /// Appends `records` to the file of a body, if that is there.
    fn extend_named(&self, header: Header, records: &[&[u8]]) -> io::Result<bool> {
        let _names = self.shared.names.lock();
        self.extend(header, records)
    }

    /// Begins a body whose content comes bit by bit.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn begin(&self) -> io::Result<BodyWriter> {
        Ok(BodyWriter { aside: self.aside()?, hasher: blake3::Hasher::new() })
    }

    /// Writes a whole file aside.
    fn aside_of(&self, header: Header, content: &[u8], records: &[&[u8]]) -> io::Result<Aside> {
        let aside = self.aside()?;
        let mut buffer = header.encode();
        let mut at = 0;
        if header.content_bytes <= AT_ONCE_BYTES_MAX {
            buffer.extend_from_slice(content);
        } else {
            aside.put(&buffer, at)?;
            at += length(buffer.len());
            buffer.clear();
            aside.put(content, at)?;
            at += header.content_bytes;
        }
        buffer.extend(seal(header.digest, 0, records));
        aside.put(&buffer, at)?;
        Ok(aside)
    }

    /// Makes an empty file aside.
    fn aside(&self) -> io::Result<Aside> {
        loop {
            let number = self.shared.next_aside.fetch_add(1, Relaxed);
            let path = self.shared.aside.join(number.to_string());
            match self.shared.files.create(&path) {
                Ok(file) => return Ok(Aside { bodies: self.clone(), file, path: Some(path) }),
                // Left by another process, and not to be removed: there are only so many.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    drop(self.unlink(&path));
                    return Err(error);
                }
            }
        }
    }

    /// Appends `records` to the file of a body, and says whether it is there and not seen to be damaged.
    ///
    /// The lock on names must be held.
    fn extend(&self, header: Header, records: &[&[u8]]) -> io::Result<bool> {
        let files = &self.shared.files;
        let file = match files.open_to_write(&self.path(&header.digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let file_bytes = file.metadata()?.len();
        let mut found = [0; HEADER_BYTES];
        files.read(&file, &mut found, 0)?;
        if Header::decode(&found) != Some(header) || file_bytes < header.content_end() {
            return Ok(false);
        }
        let mut tail = vec![0; RECORDS_BYTES_MAX];
        let tail_bytes = files.read(&file, &mut tail, header.content_end())?;
        tail.truncate(tail_bytes);
        let whole_bytes = Tail::read(header.digest, &tail).whole_bytes;
        let end = header.content_end() + length(whole_bytes);
        if file_bytes > end {
            files.truncate(&file, end)?;
        }
        let sealed = seal(header.digest, whole_bytes, records);
        if let Err(error) = self.append(&file, &sealed, end) {
            // What stays is torn, or whole and true.
            drop(files.truncate(&file, end));
            return Err(error);
        }
        Ok(true)
    }

    fn append(&self, file: &File, sealed: &[u8], at: u64) -> io::Result<()> {
        if sealed.is_empty() {
            return Ok(());
        }
        self.shared.files.write(file, sealed, at)?;
        self.sync(file)
    }

    /// Gives the file at `from` the name of a body, and says whether it has it: not where there is a file of that name
    /// and `taken` says to leave it. The lock on names must be held.
    fn name(&self, from: &Path, digest: &Digest, taken: Taken) -> io::Result<bool> {
        let files = &self.shared.files;
        let (shelf, path) = (self.shelf(digest.shelf()), self.path(digest));
        let rename = || match taken {
            Taken::Leave => files.rename_new(from, &path),
            Taken::Replace => files.rename(from, &path).map(|()| true),
        };
        let is_named = match rename() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                files.make_folder(&shelf)?;
                if self.shared.sync == SyncMode::Data {
                    files.sync_folder(&self.shared.bodies)?;
                }
                rename()?
            }
            renamed => renamed?,
        };
        if is_named
            && self.shared.sync == SyncMode::Data
            && let Err(error) = files.sync_folder(&shelf)
        {
            // Nobody will know of it.
            drop(self.unlink(&path));
            return Err(error);
        }
        Ok(is_named)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.shared.sync {
            SyncMode::Data => self.shared.files.sync(file),
            SyncMode::None => Ok(()),
        }
    }
}

/// A body that is being written. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub(crate) struct BodyWriter {
    aside: Aside,
    /// Of the content written.
    hasher: blake3::Hasher,
}

impl BodyWriter {
    /// Writes what comes next of the content. Costs one write and its share of the digest.
    ///
    /// # Errors
    ///
    /// What the system says. Nothing of `part` counts, so it may be tried again.
    pub(crate) fn append(&mut self, part: &[u8]) -> io::Result<()> {
        let header = HEADER_BYTES as u64;
        self.aside.put(part, header.saturating_add(self.hasher.count()))?;
        self.hasher.update(part);
        Ok(())
    }

    /// Reads what has been written so far, also once it has its name; how much that is, the caller knows.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn readable(&self) -> io::Result<OpenBody> {
        let file = self.aside.file.try_clone()?;
        Ok(OpenBody::unfinished(file, self.aside.bodies.shared.files.clone()))
    }

    /// Gives the body its name and notes `records` with it, as [`Bodies::write`] does.
    ///
    /// # Errors
    ///
    /// What the system says. The body is there as before, or not at all.
    pub(crate) fn finish(self, records: &[&[u8]]) -> io::Result<Written> {
        let header = header(&self.hasher);
        self.aside.put(&header.encode(), 0)?;
        self.aside.put(&seal(header.digest, 0, records), header.content_end())?;
        let existed = self.aside.commit(header, records)?;
        Ok(Written { digest: header.digest, length: header.content_bytes, existed })
    }
}

/// A file that has no body's name yet. Dropped, it is removed.
#[derive(Debug)]
struct Aside {
    bodies: Bodies,
    file: File,
    /// `None` once it is named.
    path: Option<PathBuf>,
}

impl Aside {
    fn put(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.bodies.shared.files.write(&self.file, bytes, at)
    }

    /// Gives the file, which is whole, its name; or appends `records` to the file that has it, and
    /// says so.
    fn commit(mut self, header: Header, records: &[&[u8]]) -> io::Result<bool> {
        self.bodies.sync(&self.file)?;
        let _names = self.bodies.shared.names.lock();
        let Some(path) = &self.path else { return Ok(false) };
        if !self.bodies.name(path, &header.digest, Taken::Leave)? {
            if self.bodies.extend(header, records)? {
                return Ok(true);
            }
            // It is damaged; or there is none, and the file system could not tell.
            self.bodies.name(path, &header.digest, Taken::Replace)?;
        }
        self.path = None;
        Ok(false)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // If it fails, the next process removes it.
            drop(self.bodies.shared.files.unlink(path));
        }
    }
}

fn header(hasher: &blake3::Hasher) -> Header {
    Header { digest: Digest::new(hasher.finalize().into()), content_bytes: hasher.count() }
}
