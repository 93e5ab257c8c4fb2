//! How does a file that no row names come back into the index?
//!
//! It says of itself which stored response its content belongs to. What it says may be old: of two responses
//! that answer the same request the newer is taken when they are read, and purges judge both.

use std::collections::HashSet;

use weir_cache::CacheKey;

use super::bodies::Digest;
use super::codec;
use super::index::{Batch, IndexError};
use super::record::BodyAt;
use super::rows::{
    KeyRow, REBUILDING, SliceRow, TOTALS, VariantRow, key_at, order_at, seal, slice_at, use_at,
};
use super::tier::Inner;
use super::writer::{Writer, charge_of, key_charge};
use crate::Body;

/// Keys noted as changed at most; with more, nothing is taken in any more.
const CHANGED_MAX: usize = 200_000;
/// Stored responses taken in under one key.
const VARIANTS_MAX: usize = 32;

/// Keys that were changed since the index was opened: what files say of them is out of date.
#[derive(Debug, Default)]
pub(super) struct Changed(HashSet<CacheKey>);

impl Changed {
    /// Notes a key.
    pub(super) fn add(&mut self, key: &CacheKey) {
        if self.0.len() < CHANGED_MAX {
            self.0.insert(*key);
        }
    }

    /// Whether the key may have been changed.
    fn has(&self, key: &CacheKey) -> bool {
        self.0.len() >= CHANGED_MAX || self.0.contains(key)
    }
}

/// Notes in an index that begins empty that it is to be built anew from the files there are, which a kill
/// does not undo. To be called before anything is stored in it.
///
/// # Errors
///
/// The index cannot be used.
pub(super) fn begin(writer: &mut Writer) -> Result<(), IndexError> {
    let mut batch = Batch::default();
    batch.put(REBUILDING, Vec::new());
    writer.index.apply(&batch)?;
    writer.write_out()
}

/// Whether the index is to be built anew: [`begin`] has said so, and [`end`] has not.
///
/// # Errors
///
/// The index cannot be used.
pub(super) fn is_due(inner: &Inner) -> Result<bool, IndexError> {
    let guard = inner.writer.lock();
    guard.as_ref().map_or(Ok(false), is_noted)
}

/// The same of the index of one who writes.
///
/// # Errors
///
/// The index cannot be used.
pub(super) fn is_noted(writer: &Writer) -> Result<bool, IndexError> {
    Ok(writer.index.get(REBUILDING)?.is_some())
}

/// Notes that every file has been looked at. Where that fails the next start does it again.
pub(super) fn end(inner: &Inner) {
    let mut guard = inner.writer.lock();
    let Some(writer) = guard.as_mut() else { return };
    writer.changed = None;
    let mut batch = Batch::default();
    batch.remove(REBUILDING);
    if let Err(error) = writer.index.apply(&batch).and_then(|()| writer.write_out()) {
        inner.on_index_error(&error);
    }
}

/// The content of a file: its digest, its length, and which slice of a body it is.
pub(super) type Content<'a> = (&'a Digest, u64, u32);

/// Takes in what a file says of itself; returns the key it belongs to, if it does.
pub(super) fn take_in(
    writer: &mut Writer,
    content: Content<'_>,
    record: &[u8],
) -> Result<Option<CacheKey>, IndexError> {
    let (digest, length, slice) = content;
    let shared = &writer.shared;
    let Some((key, stored)) = codec::decode(record, &*shared.bearings, &shared.reads) else {
        return Ok(None);
    };
    if writer.changed.as_ref().is_some_and(|changed| changed.has(&key)) {
        return Ok(None);
    }
    let Body::OnDisk(body) = &stored.body else { return Ok(None) };
    let at = body.at();
    let range = body.bytes_of(slice);
    let fits = range.end.saturating_sub(range.start) == length;
    let is_it = match at {
        BodyAt::Whole { digest: of, .. } => of == digest.bytes() && slice == 0,
        BodyAt::Slices { .. } => true,
    };
    if !fits || !is_it {
        return Ok(None);
    }
    let added = add(writer, &key, content, VariantRow { record: record.to_vec(), at })?;
    Ok(added.then_some(key))
}

fn add(
    writer: &mut Writer,
    key: &CacheKey,
    content: Content<'_>,
    variant: VariantRow,
) -> Result<bool, IndexError> {
    let (digest, length, slice) = content;
    let old = writer.row(key)?;
    let mut row = match &old {
        Some(old) => old.clone(),
        None => KeyRow {
            rank: writer.first_rank(key, key_charge().saturating_add(charge_of(length))),
            charge: key_charge(),
            files: 0,
            variants: Vec::new(),
        },
    };
    let known = row.variants.iter().position(|known| known.at == variant.at);
    if known.is_none() && row.variants.len() >= VARIANTS_MAX {
        return Ok(false);
    }
    let is_whole = matches!(variant.at, BodyAt::Whole { .. });
    let mut batch = Batch::default();
    if let BodyAt::Slices { id, .. } = variant.at {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let row = SliceRow { digest: digest.bytes(), length };
        batch.put(slice_at(&id, slice), seal(&row));
    }
    // The same file says it once more: what it says later is newer.
    let says_again = known.is_some() && is_whole;
    match known.and_then(|known| row.variants.get_mut(known)) {
        None => row.variants.push(variant),
        Some(known) if is_whole => *known = variant,
        Some(_) => {}
    }
    if !says_again {
        row.files = row.files.saturating_add(1);
        row.charge = row.charge.saturating_add(charge_of(length));
    }
    let mut totals = writer.totals;
    if let Some(old) = &old {
        totals.take(old);
    }
    totals.add(&row);
    batch.put(TOTALS, seal(&totals));
    batch.put(key_at(key), seal(&row));
    batch.put(order_at(row.rank), key.as_bytes().as_slice());
    batch.put(use_at(digest, key), Vec::new());
    if old.is_none() {
        writer.shared.present.came(key);
    }
    writer.index.apply(&batch)?;
    writer.totals = totals;
    Ok(true)
}
