//! What becomes of a large body whose length only its end tells?
//!
//! A place in the disk tier is for a body of known length, so such a one goes to a spill file while it comes
//! in, and is copied into the tier once it is whole. Its readers have all its bytes by then.

use std::io;

use super::aside::{Aside, Slices};
use super::pump::Pump;
use super::run::{FillWork, count_not_stored};

impl Pump<'_> {
    /// Whether the body is one that is to be stored, of unannounced length, and set aside from its first byte.
    pub(super) fn may_be_copied(&self) -> bool {
        let (node, head) = (&self.running.node, self.head);
        let is_wanted = head.admitted && head.storable.is_some() && head.content_length.is_none();
        is_wanted
            && node.store.disk().is_some()
            && matches!(self.aside, Some(Aside::Spill(_)))
            && self.running.fill().body.received() <= node.store.limits().object_bytes_max
    }

    /// Copies the body, which has come whole, from its spill file into slices; what cannot be copied stays as
    /// it is, and is counted as not stored.
    pub(super) async fn copy_to_slices(&mut self, work: &FillWork) {
        match self.copied(work).await {
            Ok(Some(slices)) => self.aside = Some(Aside::Slices(Box::new(slices))),
            Ok(None) => count_not_stored(self.running, work, "no-room"),
            Err(error) => {
                count_not_stored(self.running, work, "no-room");
                tracing::debug!(%error, "a large body cannot be copied into the disk tier");
            }
        }
    }

    /// The body in slices; `None` where there is no place for it.
    async fn copied(&self, work: &FillWork) -> io::Result<Option<Slices>> {
        let length = self.running.fill().body.received();
        let Some(aside) = self.aside.as_ref().filter(|_| self.aside_bytes == length) else {
            return Ok(None);
        };
        let Some(slices) = self.begin_slices(work, length) else { return Ok(None) };
        let reader = aside.reader();
        let mut at = 0;
        while at < length {
            let bytes = reader.clone().read(at, length.saturating_sub(at)).await?;
            at = at.saturating_add(bytes.len() as u64);
            slices.append(bytes).await?;
        }
        Ok(Some(slices))
    }
}
