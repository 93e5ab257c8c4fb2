//! Which bodies are there, in the order of their digests?
//!
//! One folder is looked at in one step, so that a step costs little whatever the number of bodies, and
//! anything may be written or removed between two steps. What is there throughout a walk is found.

use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;

use super::Bodies;
use super::digest::Digest;
use super::error::BodyError;

/// A body that a walk has come by.
#[derive(Debug)]
pub(crate) struct FoundBody {
    /// What it is called.
    pub(crate) digest: Digest,
    /// What its file holds, or why that cannot be told. The content is not verified.
    pub(crate) contents: Result<Contents, BodyError>,
}

/// What the file of a body says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Bytes of its content.
    pub(crate) length: u64,
    /// What was noted with it, the oldest first.
    pub(crate) records: Vec<Vec<u8>>,
}

impl Bodies {
    /// Returns up to `limit` bodies after `from`, or from the first on, and from where to go on; `None`
    /// when there are no more.
    ///
    /// May return none and yet go on. Costs one look at the names of a folder, which are a 256th of
    /// all, and one open and three reads a body.
    ///
    /// # Errors
    ///
    /// What the system says of a folder; what it says of a file is told with that.
    pub(crate) fn walk(
        &self,
        from: Option<Digest>,
        limit: NonZeroUsize,
    ) -> io::Result<(Vec<FoundBody>, Option<Digest>)> {
        let (mut names, end) = self.next_names(from)?;
        let is_all = names.len() <= limit.get();
        names.truncate(limit.get());
        let next = if is_all { end } else { names.last().copied() };
        let found = names.into_iter().filter_map(|digest| self.found(digest));
        Ok((found.collect(), next))
    }

    /// The sorted names after `from` in the first folder that has any, and from where to go on.
    pub(super) fn next_names(
        &self,
        from: Option<Digest>,
    ) -> io::Result<(Vec<Digest>, Option<Digest>)> {
        for shelf in from.map_or(0, Digest::shelf)..=u8::MAX {
            let mut names = self.names_in(shelf)?;
            names.retain(|name| from.is_none_or(|from| *name > from));
            if !names.is_empty() {
                names.sort_unstable();
                let is_last = shelf == u8::MAX;
                return Ok((names, (!is_last).then_some(Digest::last_of(shelf))));
            }
        }
        Ok((Vec::new(), None))
    }

    /// The bodies in one folder, in no order; what is called otherwise is none of them.
    fn names_in(&self, shelf: u8) -> io::Result<Vec<Digest>> {
        let names = match self.shared.files.names(&self.shelf(shelf)) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let digests = names.iter().filter_map(|name| Digest::from_name(name.to_str()?));
        Ok(digests.filter(|digest| digest.shelf() == shelf).collect())
    }

    /// `None` if it has been removed meanwhile.
    fn found(&self, digest: Digest) -> Option<FoundBody> {
        let contents = self.open_any(&digest).and_then(|body| {
            let records = body.records()?;
            Ok(Contents { length: body.length, records })
        });
        (!matches!(contents, Err(BodyError::Missing))).then_some(FoundBody { digest, contents })
    }
}
